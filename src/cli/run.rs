//! `tidegate run`: a job, in this process, to its end.

use std::io::IsTerminal;
use std::num::NonZero;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tidegate::connectors::sink::is_broken_pipe;
use tidegate::jobs::plan::STDOUT;
use tidegate::runtime::{Job, JobError, Role, RunConfig, Running, Stopper};

use super::job::{JobArgs, tell};
use super::log::{self, LogFormat, note, progress};
use super::report::Report;

/// Run a job in this process, to its end
///
/// Bounded input ends the job: windows close, sinks are flushed, the exit code is 0. Ctrl-C or SIGTERM stops it in order: what has been read is
/// worked off and written, windows that are open stay open and are not written. A second Ctrl-C ends it at once.
#[derive(Args)]
pub struct Run {
    #[command(flatten)]
    job: JobArgs,
    /// Workers (threads); default: what the job file says, else one per core
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    parallelism: Option<u16>,
    /// Neither progress nor the summary, only problems
    #[arg(long)]
    quiet: bool,
    /// How log lines on standard error are written
    #[arg(long, value_enum, default_value_t = LogFormat::Text, value_name = "FORMAT")]
    log: LogFormat,
    /// Log more than warnings
    #[arg(short, long)]
    verbose: bool,
}

impl Run {
    pub fn run(&self) -> ExitCode {
        log::init(self.log, self.verbose);
        let loaded = match self.job.load() {
            Ok(loaded) => loaded,
            Err(code) => return code,
        };
        tell(&loaded.problems);
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        let workers = self.parallelism.map(usize::from).or(loaded.plan.parallelism).unwrap_or(cores);
        let mut report = Report::new();
        // Before the job starts: a signal that comes with its first record must already find somebody.
        let signals = Signals::new([SIGINT, SIGTERM]);
        let running = match loaded.job.start(RunConfig::workers(workers)) {
            Ok(running) => running,
            Err(e) => return super::fail(&e.into(), super::FAILED),
        };
        log_panics();
        if let Ok(signals) = signals {
            stop_on_signal(signals, running.stopper());
        }
        self.watch(&loaded.job, &running, &mut report);
        let (metrics, stopped) = (running.metrics(), running.stopper().stopping());
        let result = running.wait();
        // Whoever read standard output has seen enough; but what else the job writes is then not complete.
        let only_stdout = loaded.job.graph().nodes().iter().all(|n| n.role != Role::Sink || n.kind == STDOUT);
        let done = match &result {
            Err(JobError::Operator { error, .. }) => only_stdout && is_broken_pipe(error),
            other => other.is_ok(),
        };
        if !self.quiet {
            let how = if !done {
                "failed"
            } else if stopped {
                "stopped"
            } else {
                "done"
            };
            note(report.summary(&loaded.plan.name, how, loaded.job.graph(), &metrics).trim_end());
        }
        match result {
            Err(e) if !done => super::fail(&e.into(), super::FAILED),
            _ => ExitCode::SUCCESS,
        }
    }

    /// Waits for the job's end, with a progress line if there is somebody to see it.
    fn watch(&self, job: &Job, running: &Running, report: &mut Report) {
        const LOOK: Duration = Duration::from_millis(2);
        const DRAW: Duration = Duration::from_millis(250);
        let shown = !self.quiet && std::io::stderr().is_terminal();
        let mut drawn = Instant::now();
        while !running.is_finished() {
            std::thread::sleep(LOOK);
            if shown && drawn.elapsed() >= DRAW {
                drawn = Instant::now();
                progress(&report.line(job.graph(), running));
            }
        }
        if shown {
            progress("");
        }
    }
}

/// A worker's panic comes back as the job's error; where it was is only known here.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| tracing::error!("{panic}")));
}

/// Stops the job at the first signal, and ends the process at the second.
fn stop_on_signal(mut signals: Signals, stopper: Stopper) {
    std::thread::spawn(move || {
        for (n, signal) in signals.forever().enumerate() {
            if n > 0 {
                std::process::exit(128 + signal);
            }
            stopper.stop();
        }
    });
}
