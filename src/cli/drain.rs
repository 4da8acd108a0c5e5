//! `tidegate drain`: ends the input of a running job.

use std::process::ExitCode;

use clap::Args;
use tidegate::launch::control::Request;

use super::control::RunningJob;

/// End the input of a running job: its windows close and are written, as at the end of bounded input
///
/// The command waits until the job has ended. For a job that goes on later, use `tidegate stop`: it leaves windows open.
#[derive(Args)]
pub struct Drain {
    #[command(flatten)]
    job: RunningJob,
}

impl Drain {
    pub fn run(&self) -> ExitCode {
        self.job.end(&Request::Drain {})
    }
}
