//! `tidegate check`: validates a job file.

use std::process::ExitCode;

use clap::Args;

use super::job::{JobArgs, tell};
use super::versions::Base;
use tidegate::launch::whole;
use tidegate::runtime::checkpoint::verdict;

/// Validate a job file and print every problem in it
///
/// Checks everything that `run` would: names, types, expressions, windows, and the input that is there: paths, headers, the first hundred
/// records of files. Nothing is run.
#[derive(Args)]
pub struct Check {
    #[command(flatten)]
    job: JobArgs,
    /// Rehearse a restore from this savepoint or checkpoint: what becomes of each operator's state; exit code 3 if the job can't go on from it
    #[arg(long, value_name = "PATH")]
    against: Option<String>,
    /// Judge as `run --allow-dropped-state` would
    #[arg(long, requires = "against")]
    allow_dropped_state: bool,
}

impl Check {
    pub fn run(&self) -> ExitCode {
        match self.job.load_text() {
            Ok((name, file, mut loaded)) => {
                loaded.plan.look(&mut loaded.problems);
                tell(&loaded.problems);
                if loaded.problems.has_errors() {
                    return ExitCode::from(super::USAGE);
                }
                let operators = loaded.job.graph().nodes().len();
                let mut text = format!("{}: valid, {operators} operators\n", loaded.plan.name);
                let mut code = ExitCode::SUCCESS;
                if let Some(place) = &self.against {
                    let snapshot = match whole(place) {
                        Ok(snapshot) => snapshot,
                        Err(e) => return super::fail(&e.into(), super::RESTORE),
                    };
                    let verdict = verdict(loaded.job.graph(), snapshot.manifest(), self.allow_dropped_state);
                    text.push_str(&format!("{verdict}\n"));
                    let base = Base { name: &name, text: &file, set: self.job.set() };
                    text.push_str(&base.against(place, &loaded.file));
                    if !verdict.can_go_on() {
                        code = ExitCode::from(super::RESTORE);
                    }
                }
                match super::print(&text) {
                    Ok(()) => code,
                    Err(e) => super::fail(&e.into(), super::FAILED),
                }
            }
            Err(code) => code,
        }
    }
}
