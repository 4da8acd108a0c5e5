//! `tidegate stop`: stops a running job in order.

use std::process::ExitCode;

use clap::Args;
use tidegate::launch::control::Request;

use super::control::{RunningJob, absolute};

/// Stop a running job: what it has read is written, windows stay open
///
/// The same as Ctrl-C, from elsewhere; the command waits until the job has ended. A job with checkpoints takes a last one, and `tidegate run --resume` goes on from it.
/// If the savepoint can't be taken there, the job goes on.
#[derive(Args)]
pub struct Stop {
    #[command(flatten)]
    job: RunningJob,
    /// Take a savepoint at the stop, in a new directory or URL: it holds everything the job has read
    #[arg(long, value_name = "DIR")]
    savepoint: Option<String>,
}

impl Stop {
    pub fn run(&self) -> ExitCode {
        match self.savepoint.as_deref().map(absolute).transpose() {
            Ok(savepoint) => self.job.end(&Request::Stop { savepoint }),
            Err(error) => super::fail(&error, super::USAGE),
        }
    }
}
