//! Arguments, call, exit code.

use std::process::ExitCode;

/// Pingora allocates dozens of times a request, 64 KiB at a time among them: the allocator is part of the hot path.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    cutover::cli::main()
}
