//! `tidegate check`: is a job file right?

use std::process::ExitCode;

use clap::Args;

use super::job::{JobArgs, tell};

/// Validate a job file and print every problem in it
///
/// Everything is looked at as `run` would: names, types, expressions, windows, the header of csv files. Nothing is run.
#[derive(Args)]
pub struct Check {
    #[command(flatten)]
    job: JobArgs,
}

impl Check {
    pub fn run(&self) -> ExitCode {
        match self.job.load() {
            Ok(loaded) => {
                tell(&loaded.problems);
                let operators = loaded.job.graph().nodes().len();
                match super::print(&format!("{}: valid, {operators} operators\n", loaded.plan.name)) {
                    Ok(()) => ExitCode::SUCCESS,
                    Err(e) => super::fail(&e.into(), super::FAILED),
                }
            }
            Err(code) => code,
        }
    }
}
