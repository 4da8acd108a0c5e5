//! `tidegate run`: a job, in this process, to its end.

use std::io::IsTerminal;
use std::num::NonZero;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::Args;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tidegate::checkpoints::{Storage, check_vacant};
use tidegate::connectors::sink::is_broken_pipe;
use tidegate::jobs::plan::STDOUT;
use tidegate::runtime::{Job, JobError, Role, RunConfig, Running};

use super::home::Home;
use super::job::{JobArgs, Loaded, tell};
use super::log::{self, LogFormat, note, progress};
use super::losses::{Barren, barren};
use super::report::{Ended, Report, read};
use super::restore::RestoreArgs;
use super::supervisor::{Stopping, Supervisor};
use super::unread;

/// Run a job in this process, to its end
///
/// Bounded input ends the job: windows close, sinks are flushed, the exit code is 0. Ctrl-C or SIGTERM stops it in order: what has been read is
/// worked off and written, windows that are open stay open and are not written. A second Ctrl-C ends it at once.
///
/// With `checkpoints` in the job file the job survives its own failures and the machine's: it is started again from its latest checkpoint, and
/// `--resume` goes on after the process was killed. Nothing is lost, and in files nothing is written twice.
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
    /// So history can be loaded first, and live input continued from there by `--from`.
    #[arg(long, value_name = "DIR")]
    savepoint_at_end: Option<String>,
    /// Fail, with exit code 1, if a stream lost all its records to errors in expressions; without it that is only told
    #[arg(long)]
    strict: bool,
    /// Neither progress nor the summary, only problems
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

    /// Begins logging.
    pub fn listen(&self) {
        log::init(self.log, self.verbose);
    }

    /// Runs a job that has been read and planned.
    pub fn loaded(&self, loaded: &Loaded) -> ExitCode {
        tell(&loaded.problems);
        // Before all else: a signal that comes with the first record, or while a broker is asked, must find somebody.
        let signals = match Signals::new([SIGINT, SIGTERM]) {
            Ok(signals) => signals,
            Err(e) => return super::fail(&e.into(), super::FAILED),
        };
        let restore = match self.restore.find(&loaded.plan, &loaded.job) {
            Ok(restore) => restore,
            Err(refused) => return refused.tell(),
        };
        if let Some(to) = &self.savepoint_at_end
            && let Err(error) = can_be_taken(to)
        {
            return super::fail(&error, super::USAGE);
        }
        let home = match Home::take(&loaded.plan.durability) {
            Ok(home) => home,
            Err(error) => return super::fail(&error, super::FAILED),
        };
        let mut supervisor = Supervisor::new(loaded, &self.restore, restore);
        stop_on_signal(signals, supervisor.stopping());
        log_panics();
        if home.shared()
            && let Err(error) = super::control::listen(home.dir(), supervisor.stopping())
        {
            tracing::warn!("{error:#}");
        }
        loop {
            match self.attempt(loaded, &home, &mut supervisor) {
                Ok(barren) => return self.own_up(&barren),
                Err(error) => match supervisor.after(&error) {
                    Some(wait) => {
                        tracing::warn!("{}; restarting in {wait:?}", super::chain(&error));
                        if !supervisor.wait(wait) {
                            return super::fail(&error, super::FAILED);
                        }
                    }
                    None => return super::fail(&error, super::FAILED),
                },
            }
        }
    }

    /// The job has ended well, unless it was to be strict and streams have lost everything.
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

    /// Runs the job once, to its end or to its failure; tells which streams have lost all their records on the way.
    fn attempt(&self, loaded: &Loaded, home: &Home, supervisor: &mut Supervisor<'_>) -> anyhow::Result<Vec<Barren>> {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        let workers = self.parallelism.map(usize::from).or(loaded.plan.parallelism).unwrap_or(cores);
        let mut config = RunConfig::workers(workers);
        config.state.dir = home.dir().to_owned();
        config.savepoint_at_end.clone_from(&self.savepoint_at_end);
        supervisor.configure(&mut config)?;
        let mut report = Report::new(&config, loaded.job.graph());
        if let Some(memory) = report.memory(&config).filter(|_| self.verbose && !self.quiet) {
            note(&format!("{}: {memory}", loaded.plan.name));
        }
        let running = loaded.job.start(config)?;
        supervisor.started(running.stopper());
        self.watch(&loaded.job, &running, &mut report);
        let (metrics, stopped, stopper) = (running.metrics(), running.stopper().stopping(), running.stopper());
        let result = running.wait();
        let checkpoints = stopper.checkpoints();
        supervisor.ended(&checkpoints);
        // Whoever read standard output has seen enough; but what else the job writes is then not complete.
        let nodes = loaded.job.graph().nodes();
        let only_stdout = nodes.iter().all(|n| n.role != Role::Sink || n.kind == STDOUT);
        let is_sink = |operator: &str| nodes.iter().any(|n| n.role == Role::Sink && n.name == operator);
        let done = match &result {
            Err(JobError::Operator { operator, error, .. }) => only_stdout && is_sink(operator) && is_broken_pipe(error),
            other => other.is_ok(),
        };
        // Of a job that failed before it had anything to do, there is nothing to account for.
        let begun = read(loaded.job.graph(), &metrics).0 > 0 || checkpoints.completed > 0;
        if !self.quiet && (done || begun) {
            let how = match (done, stopped && self.savepoint_at_end.is_none()) {
                (false, _) => "failed",
                (true, true) => "stopped",
                (true, false) => "done",
            };
            let kept = how != "done" || self.savepoint_at_end.is_some();
            let ended = Ended { job: &loaded.plan.name, how, kept, verbose: self.verbose };
            note(report.summary(&ended, loaded.job.graph(), &metrics, &checkpoints).trim_end());
        }
        if !done {
            result?;
        }
        if !stopped {
            unread::check(&loaded.plan, loaded.job.graph(), &metrics)?;
        }
        Ok(barren(loaded.job.graph(), &metrics))
    }

    /// Waits for the job's end. Tells what checkpoints fail of, and draws a progress line if there is somebody to see it.
    fn watch(&self, job: &Job, running: &Running, report: &mut Report) {
        const DRAW: Duration = Duration::from_millis(250);
        // Where results come to the terminal, a line that is drawn again and again would run into them.
        let results = std::io::stdout().is_terminal() && job.graph().nodes().iter().any(|n| n.role == Role::Sink && n.kind == STDOUT);
        let shown = !self.quiet && !log::is_json() && std::io::stderr().is_terminal() && !results;
        let mut failed = 0;
        while !running.ends_within(DRAW) {
            let checkpoints = running.checkpoints();
            if let Some(why) = checkpoints.failure.filter(|_| checkpoints.failed > failed) {
                failed = checkpoints.failed;
                tracing::warn!("a checkpoint failed, and the job goes on: {why}");
            }
            if shown {
                progress(&report.line(job.graph(), running));
            }
        }
        if shown {
            progress("");
        }
    }
}

/// Looks now rather than at the end whether a savepoint can go there.
fn can_be_taken(to: &str) -> anyhow::Result<()> {
    let look = || {
        let storage = Storage::open(to)?;
        check_vacant(&storage)?;
        anyhow::Ok(storage.prepare()?)
    };
    look().context("`--savepoint-at-end`")
}

/// A worker's panic comes back as the job's error; where it was is only known here.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| tracing::error!("{panic}")));
}

/// Stops the job at the first signal, and ends the process at the second.
fn stop_on_signal(mut signals: Signals, stopping: Stopping) {
    std::thread::spawn(move || {
        for (n, signal) in signals.forever().enumerate() {
            if n > 0 {
                std::process::exit(128 + signal);
            }
            stopping.stop();
        }
    });
}
