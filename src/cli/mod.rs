//! The command line: one file per command. The only place that prints and that uses anyhow.
//!
//! Data goes to standard output, everything else to standard error. Exit codes: 0 done, 1 the job failed, 2 usage or job file, 3 state could not be
//! restored.

mod account;
mod cancel;
mod check;
mod control;
mod drain;
mod eval;
mod events;
mod explain;
mod job;
mod log;
mod metrics;
mod report;
mod restore;
mod rules;
mod run;
mod savepoint;
mod status;
mod stop;
mod tasks;
mod topic;
mod versions;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// A stream processor for real-time risk control.
///
/// A job is a YAML file of sources, streams and sinks. `tidegate run JOB.yaml` runs it in this process to its end.
#[derive(Parser)]
#[command(
    version,
    after_help = "Exit codes: 0 done, 1 the job failed, 2 wrong usage or a mistake in the job file, 3 state could not be restored."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Run(run::Run),
    Check(check::Check),
    Explain(explain::Explain),
    Eval(eval::Eval),
    Rules(rules::Rules),
    #[command(subcommand_negates_reqs = true, args_conflicts_with_subcommands = true)]
    Savepoint(savepoint::Savepoint),
    Status(status::Status),
    Metrics(metrics::Metrics),
    Stop(stop::Stop),
    Drain(drain::Drain),
    Cancel(cancel::Cancel),
    Topic(topic::Topic),
}

/// The job ran, and failed.
const FAILED: u8 = 1;
/// The requested snapshot can't be restored.
const RESTORE: u8 = 3;
/// The command line or the job file is wrong.
const USAGE: u8 = 2;

/// Runs the command that the arguments ask for.
pub fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Run(command) => command.run(),
        Command::Check(command) => command.run(),
        Command::Explain(command) => command.run(),
        Command::Eval(command) => command.run(),
        Command::Rules(command) => command.run(),
        Command::Savepoint(command) => command.run(),
        Command::Status(command) => command.run(),
        Command::Metrics(command) => command.run(),
        Command::Stop(command) => command.run(),
        Command::Drain(command) => command.run(),
        Command::Cancel(command) => command.run(),
        Command::Topic(command) => command.run(),
    }
}

/// Prints an error with its causes, and returns the exit code.
fn fail(error: &anyhow::Error, code: u8) -> ExitCode {
    if log::is_json() {
        tracing::error!("{error:#}");
    } else {
        log::note(&format!("error: {error:#}"));
    }
    ExitCode::from(code)
}

/// Prints the result of a command, or its error.
fn finish(text: anyhow::Result<String>) -> ExitCode {
    match text.and_then(|text| Ok(print(&text)?)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error, FAILED),
    }
}

/// Writes to standard output. A closed pipe is no failure: the reader has seen enough.
fn print(text: &str) -> std::io::Result<()> {
    use std::io::Write;
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}
