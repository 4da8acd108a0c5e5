//! The running job that a command is meant for, and the connection to it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;
use tidegate::jobs::file::parse;
use tidegate::launch::control::{Client, Ended, Request};

use super::report::word;

/// A running job.
#[derive(Args)]
pub struct RunningJob {
    /// The job file of a running job, or its state directory
    #[arg(value_name = "JOB.yaml|DIR")]
    job: PathBuf,
}

impl RunningJob {
    pub fn connect(&self) -> Result<Client> {
        connect(&self.job)
    }

    /// Asks the job to end, waits until it has, and prints how it ended.
    pub fn end(&self, request: &Request) -> ExitCode {
        let ended = self.connect().and_then(|mut job| {
            let name = job.greeting().job.clone();
            Ok(describe(&name, &job.end(request)?))
        });
        super::finish(ended)
    }
}

/// Connects to the job of this job file or state directory.
pub fn connect(job: &Path) -> Result<Client> {
    let dir = if job.is_dir() { job.to_owned() } else { dir_of(job)? };
    Ok(Client::connect(&dir)?)
}

/// Makes a relative place absolute: the job may have another working directory.
pub fn absolute(place: &str) -> Result<String> {
    Ok(if place.contains("://") { place.to_owned() } else { std::path::absolute(place)?.display().to_string() })
}

/// The state directory of the job in this file.
fn dir_of(file: &Path) -> Result<PathBuf> {
    let name = file.display().to_string();
    let (parsed, problems) = parse(&name, &super::job::read(file)?, &[]);
    let Some(parsed) = parsed.filter(|_| !problems.has_errors()) else {
        bail!("`{name}` is not a job file that can run: see `tidegate check`")
    };
    Ok(parsed.state_dir())
}

fn describe(job: &str, ended: &Ended) -> String {
    let how = word(ended.how);
    match &ended.savepoint {
        Some(place) => format!("{job}: {how}, savepoint in {place}\n"),
        None => format!("{job}: {how}\n"),
    }
}
