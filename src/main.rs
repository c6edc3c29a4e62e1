//! Arguments, call, exit code.

use std::process::ExitCode;

/// Pingora allocates dozens of times a request, 64 KiB at a time among them: the allocator is part of the hot path. This one
/// is as quick there as jemalloc, and builds in seconds.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cutover::cli::main()
}
