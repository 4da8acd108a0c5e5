//! `tidegate cancel`: ends a running job at once.

use std::process::ExitCode;

use clap::Args;
use tidegate::launch::control::Request;

use super::control::RunningJob;

/// End a running job at once, without a last checkpoint
///
/// What the job has read since its last checkpoint is not written; `tidegate run --resume` reads it again. Use it for a job whose sink
/// hangs, for example; otherwise use `tidegate stop`.
#[derive(Args)]
pub struct Cancel {
    #[command(flatten)]
    job: RunningJob,
}

impl Cancel {
    pub fn run(&self) -> ExitCode {
        self.job.end(&Request::Cancel {})
    }
}
