//! Arguments, call, exit code.

use std::process::ExitCode;

/// HTTP/2 and TLS allocate many times per request, so the allocator is part of the hot path. This one is as fast there as
/// jemalloc, and builds in seconds.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cutover::cli::main()
}
