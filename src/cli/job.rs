//! The job file argument, shared by every command that takes one.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use tidegate::jobs::file::{JobFile, Override, Problems, parse};
use tidegate::jobs::plan::{Plan, plan};
use tidegate::runtime::Job;

use super::log::note;

/// The job file and its overrides.
#[derive(Args, Default)]
pub struct JobArgs {
    /// The job file: YAML (or JSON, which is YAML)
    #[arg(value_name = "JOB.yaml")]
    path: PathBuf,
    /// Override any key of the job file, as in `--set sources.logins.path=today.csv`
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
}

/// The longest job file: 16 MiB.
const LONGEST: u64 = 16 << 20;

/// A job file, read and planned.
pub struct Loaded {
    pub file: JobFile,
    pub plan: Plan,
    pub job: Job,
    pub problems: Problems,
}

impl JobArgs {
    /// Reads and plans the job file. On failure, prints why and returns the exit code.
    pub fn load(&self) -> Result<Loaded, ExitCode> {
        self.load_text().map(|(_, _, loaded)| loaded)
    }

    /// The same, with the name of the file and its text.
    pub fn load_text(&self) -> Result<(String, String, Loaded), ExitCode> {
        let name = self.path.display().to_string();
        let text = read(&self.path).map_err(|e| super::fail(&e, super::USAGE))?;
        let loaded = Loaded::new(&name, &text, &self.set)?;
        Ok((name, text, loaded))
    }

    /// The overrides.
    pub fn set(&self) -> &[String] {
        &self.set
    }
}

/// Reads a job file, up to a limit: it may be a pipe or an endless device.
pub fn read(path: &Path) -> anyhow::Result<String> {
    let text = || {
        let mut text = String::new();
        File::open(path)?.take(LONGEST + 1).read_to_string(&mut text)?;
        anyhow::ensure!(text.len() as u64 <= LONGEST, "it is longer than {} MiB", LONGEST >> 20);
        Ok(text)
    };
    text().with_context(|| format!("the job file `{}` can't be read", path.display()))
}

impl Loaded {
    /// Reads and plans the text of a job file called `name`. On failure, prints why and returns the exit code.
    pub fn new(name: &str, text: &str, set: &[String]) -> Result<Self, ExitCode> {
        Self::of(name, set, |overrides| parse(name, text, overrides))
    }

    /// Plans what `parse` makes of a job file called `name`, with these overrides.
    pub fn of(name: &str, set: &[String], parse: impl FnOnce(&[Override]) -> (Option<JobFile>, Problems)) -> Result<Self, ExitCode> {
        let mut overrides = Vec::new();
        let mut problems = Problems::new(name);
        for set in set {
            match set.parse::<Override>() {
                Ok(set) => overrides.push(set),
                Err(problem) => problems.push(problem),
            }
        }
        let (file, found) = parse(&overrides);
        problems.extend(found.iter().cloned());
        let planned = file.as_ref().and_then(|file| plan(file, &mut problems));
        match planned.zip(file) {
            Some((planned, file)) if !problems.has_errors() => {
                let job = planned.job().map_err(|e| super::fail(&e.into(), super::USAGE))?;
                Ok(Self { file, plan: planned, job, problems })
            }
            _ => {
                tell(&problems);
                Err(ExitCode::from(super::USAGE))
            }
        }
    }
}

/// Prints the problems of a job file.
pub fn tell(problems: &Problems) {
    problems.iter().for_each(|problem| note(&problem.to_string()));
}
