//! The `tidegate` command.

mod cli;

use std::process::ExitCode;

/// Rows are allocated on one thread and freed on another, millions per second: mimalloc handles that well.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::main()
}
