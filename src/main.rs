//! The `tidegate` command.

mod cli;

use std::process::ExitCode;

/// Rows are made on one thread and dropped on another, millions a second: the allocator must be good at that.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::main()
}
