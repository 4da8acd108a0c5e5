//! `tidegate run`: a job, in this process, to its end.

use std::process::ExitCode;

use anyhow::anyhow;
use clap::Args;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tidegate::connectors::kinds::STDOUT;
use tidegate::connectors::sink::is_broken_pipe;
use tidegate::launch::{Barren, Ending, Handle, Launch, LaunchError, RestoreError};
use tidegate::runtime::{Graph, JobError, Role};

use super::events::{Events, Shown};
use super::job::{JobArgs, Loaded, tell};
use super::log::{self, LogFormat, note};
use super::restore::RestoreArgs;

/// Run a job in this process, to its end
///
/// Bounded input ends the job: windows close, sinks are flushed, the exit code is 0. Ctrl-C or SIGTERM stops it cleanly: what has been read
/// is processed and written, windows that are open stay open and are not written. A second Ctrl-C ends it at once.
///
/// With `checkpoints` in the job file, the job survives its own failures and the machine's: it is restarted from its latest checkpoint, and
/// `--resume` continues after the process was killed. Nothing is lost, and in files nothing is written twice.
#[derive(Args, Default)]
pub struct Run {
    #[command(flatten)]
    job: JobArgs,
    /// Workers (threads); default: what the job file says, else one per core
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    parallelism: Option<u16>,
    #[command(flatten)]
    restore: RestoreArgs,
    /// At the end of bounded input, or at SIGTERM, take a savepoint instead of closing windows
    ///
    /// This way, history can be loaded first, and `--from` continues with live input from there.
    #[arg(long, value_name = "DIR")]
    savepoint_at_end: Option<String>,
    /// Fail, with exit code 1, if a stream lost all its records to errors in expressions; without it, this is only reported
    #[arg(long)]
    strict: bool,
    /// Print neither progress nor the summary, only problems
    #[arg(long)]
    quiet: bool,
    /// How log lines on standard error are written
    #[arg(long, value_enum, default_value_t = LogFormat::Text, value_name = "FORMAT")]
    log: LogFormat,
    /// Log more than warnings, and say how memory is used
    #[arg(short, long)]
    verbose: bool,
}

impl Run {
    pub fn run(&self) -> ExitCode {
        self.listen();
        match self.job.load() {
            Ok(loaded) => self.loaded(&loaded),
            Err(code) => code,
        }
    }

    /// Starts logging.
    pub fn listen(&self) {
        log::init(self.log, self.verbose);
    }

    /// Runs a job that has been read and planned.
    pub fn loaded(&self, loaded: &Loaded) -> ExitCode {
        tell(&loaded.problems);
        // Signal handlers come first: a signal may arrive with the first record, or while a broker is being asked.
        let signals = match Signals::new([SIGINT, SIGTERM]) {
            Ok(signals) => signals,
            Err(e) => return super::fail(&e.into(), super::FAILED),
        };
        let launch = self.launch(loaded);
        stop_on_signal(signals, launch.handle());
        log_panics();
        let shown = Shown { account: !self.quiet, memory: self.verbose, savepoint_at_end: self.savepoint_at_end.is_some() };
        let mut events = Events::new(&loaded.plan.name, shown);
        match launch.run(&mut |event| events.print(event)) {
            Ok(outcome) => self.own_up(&outcome.barren),
            Err(error) => failed(error),
        }
    }

    fn launch(&self, loaded: &Loaded) -> Launch {
        let launch = Launch::of(&loaded.plan, loaded.job.clone()).savepoint_at_end(self.savepoint_at_end.clone()).ends_well(seen_enough);
        let launch = self.restore.apply(launch);
        match self.parallelism {
            Some(workers) => launch.workers(workers.into()),
            None => launch,
        }
    }

    /// Reports streams that lost all their records. With `--strict`, that is a failure.
    fn own_up(&self, barren: &[Barren]) -> ExitCode {
        for stream in barren {
            if self.strict {
                super::fail(&anyhow!("{stream}"), super::FAILED);
            } else {
                tracing::warn!("{stream}");
            }
        }
        if self.strict && !barren.is_empty() { ExitCode::from(super::FAILED) } else { ExitCode::SUCCESS }
    }
}

/// Prints why a launch failed, and returns the exit code.
fn failed(error: LaunchError) -> ExitCode {
    match error {
        LaunchError::Restore(RestoreError::Refused { place, verdict }) => {
            note(&verdict.to_string());
            super::fail(&anyhow!("the job can't go on from {place}: see above; nothing was started"), super::RESTORE)
        }
        LaunchError::Restore(error) => super::fail(&error.into(), super::RESTORE),
        LaunchError::Failpoint(error) => super::fail(&error.into(), super::USAGE),
        LaunchError::SavepointPlace { source, .. } => {
            super::fail(&anyhow::Error::from(source).context("`--savepoint-at-end`"), super::USAGE)
        }
        error => super::fail(&error.into(), super::FAILED),
    }
}

/// Whether the job ended because the reader of standard output has seen enough. That is a good end only if the job writes nowhere else:
/// other output would be incomplete.
fn seen_enough(graph: &Graph, error: &JobError) -> bool {
    let JobError::Operator { operator, error, .. } = error else { return false };
    let mut sinks = graph.nodes().iter().filter(|node| node.role == Role::Sink);
    let is_sink = sinks.clone().any(|sink| sink.name == *operator);
    is_sink && sinks.all(|sink| sink.kind == STDOUT) && is_broken_pipe(error)
}

/// Logs panics: a worker's panic becomes the job's error, but only the hook knows its location.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| tracing::error!("{panic}")));
}

/// Stops the job at the first signal, and ends the process at the second.
fn stop_on_signal(mut signals: Signals, job: Handle) {
    std::thread::spawn(move || {
        for (n, signal) in signals.forever().enumerate() {
            if n > 0 {
                std::process::exit(128 + signal);
            }
            // Only a drain can be refused.
            let _ = job.end(Ending::Stop);
        }
    });
}
