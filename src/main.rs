//! Arguments, call, exit code.

use std::process::ExitCode;

/// Pingora allocates dozens of times per request, sometimes 64 KiB at once, so the allocator is part of the hot path.
/// This one is as fast there as jemalloc, and builds in seconds.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cutover::cli::main()
}
