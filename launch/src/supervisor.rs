//! Supervision: restarts a failed job from its latest checkpoint, after a growing wait, a bounded number of times.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tidegate_checkpoints::Directory;
use tidegate_runtime::checkpoint::Restore;
use tidegate_runtime::{JobError, RunConfig, Running, StateConfig};

use crate::backoff::Backoff;
use crate::choice::Damaged;
use crate::error::{RunError, describe};
use crate::event::Event;
use crate::handle::Ending;
use crate::launch::{How, Launch, Outcome, Start};
use crate::losses::barren;
use crate::remedy::{Remedy, remedy};
use crate::restore::{Latest, newest, take_over};
use crate::run::Run;
use crate::unread::unread;

type Tell<'a> = dyn FnMut(Event<'_>) + 'a;

/// How often to check for completed checkpoints and to report progress.
const PROGRESS: Duration = Duration::from_millis(250);

/// The job's checkpoint directory, and the generations of the first and the latest run in this process.
struct Own {
    directory: Directory,
    first: u64,
    last: u64,
}

/// Runs a job and restarts it after failures.
pub(crate) struct Supervisor<'a> {
    launch: &'a Launch,
    dir: &'a Path,
    /// The snapshot that the first run starts from.
    given: Option<Arc<Restore>>,
    own: Option<Own>,
    /// The snapshot that the latest run restored.
    restored: Option<Arc<Restore>>,
    damaged: Vec<Damaged>,
    backoff: Backoff,
}

impl<'a> Supervisor<'a> {
    /// Supervises `launch`, with its state in `dir`. The first run starts from `given`.
    pub(crate) fn new(launch: &'a Launch, dir: &'a Path, given: Option<Arc<Restore>>) -> Self {
        let backoff = Backoff::new(launch.durability.restart);
        Self { launch, dir, given, own: None, restored: None, damaged: Vec::new(), backoff }
    }

    /// Runs the job until it ends or no attempt is left.
    pub(crate) fn keep_going(&mut self, tell: &mut Tell<'_>) -> Result<Outcome, RunError> {
        loop {
            let error = match self.attempt(tell) {
                Ok(outcome) => return Ok(outcome),
                Err(error) => error,
            };
            let Some(wait) = self.wait_after(&error, tell) else { return Err(error) };
            let failures = self.backoff.failures();
            if self.launch.handle.restarting(describe(&error), failures) {
                return Err(error);
            }
            tell(Event::Restarting { error: &error, wait, failures });
            if !self.launch.handle.pause(wait) {
                return Err(error);
            }
        }
    }

    /// Runs the job once, to its end or its failure.
    fn attempt(&mut self, tell: &mut Tell<'_>) -> Result<Outcome, RunError> {
        let config = self.configure(tell)?;
        let launch = self.launch;
        let running = launch.job.start(config.clone())?;
        let run = Arc::new(Run::new(launch.job.graph(), config, running.stopper()));
        launch.handle.started(&run);
        tell(Event::Started { run: &run });
        let mut seen = Seen::default();
        watch(&running, &run, &mut seen, tell);
        let result = running.wait();
        launch.handle.run_ended();
        seen.tell_completed(&run, tell);
        if run.checkpoints().completed > 0 {
            self.backoff.progressed();
        }
        let ended = match result {
            Err(error) if !(launch.ends_well)(launch.job.graph(), &error) => Err(error),
            _ => Ok(self.how(&run)),
        };
        tell(Event::Ended { run: &run, how: ended.as_ref().ok().copied() });
        self.outcome(&run, ended?)
    }

    /// How a run that did not fail has ended.
    fn how(&self, run: &Run) -> How {
        match self.launch.handle.asked() {
            Some(Ending::Cancel) => How::Cancelled,
            Some(Ending::Drain) => How::Drained,
            _ if run.stopper().stopping() && self.launch.savepoint_at_end.is_none() => How::Stopped,
            _ => How::Finished,
        }
    }

    /// The outcome of a run that did not fail.
    fn outcome(&self, run: &Run, how: How) -> Result<Outcome, RunError> {
        let metrics = run.metrics();
        if matches!(how, How::Finished | How::Drained)
            && !run.stopper().stopping()
            && let Some(unread) = unread(run.graph(), &metrics, |source| self.launch.keep_bad_records.contains(source))
        {
            return Err(unread.into());
        }
        let savepoint = run.checkpoints().last.and_then(|last| last.savepoint).filter(|_| run.stopper().stopping());
        Ok(Outcome { how, barren: barren(run.graph(), &metrics), savepoint })
    }

    /// Decides where state and checkpoints go, and what to restore: the latest checkpoint once the job has run in this process, otherwise
    /// the given snapshot.
    fn configure(&mut self, tell: &mut Tell<'_>) -> Result<RunConfig, RunError> {
        let launch = self.launch;
        let mut config = RunConfig::workers(launch.workers);
        config.savepoint_at_end.clone_from(&launch.savepoint_at_end);
        config.job.clone_from(&launch.name);
        config.state = StateConfig { dir: self.dir.to_owned(), ..launch.durability.state.clone() };
        let latest = self.latest(tell)?;
        config.restore = latest.clone().or_else(|| self.given.clone());
        self.restored.clone_from(&config.restore);
        if let Some(checkpoints) = &launch.durability.checkpoints {
            config.mode = checkpoints.mode;
            let latest = match &self.own {
                Some(own) => Some(Latest { since: self.since(own), damaged: &self.damaged, found: latest.as_deref() }),
                None if launch.start == Start::Latest => Some(Latest { since: 0, damaged: &[], found: self.given.as_deref() }),
                None => None,
            };
            let opened = take_over(&launch.name, checkpoints, config.restore.as_deref(), latest)?;
            let (directory, last) = (opened.directory.clone(), opened.generation);
            let first = self.own.as_ref().map_or(last, |own| own.first);
            self.own = Some(Own { directory, first, last });
            config.checkpoints = Some(opened);
        }
        Ok(config)
    }

    /// The first generation whose checkpoints may be restored. Those of other processes count only if the launch was told to start from the
    /// latest checkpoint.
    fn since(&self, own: &Own) -> u64 {
        if self.launch.start == Start::Latest { 0 } else { own.first }
    }

    /// The latest checkpoint, once the job has run in this process.
    fn latest(&self, tell: &mut Tell<'_>) -> Result<Option<Arc<Restore>>, RunError> {
        let Some(own) = &self.own else { return Ok(None) };
        // Taking over in turn would only start a fight.
        own.directory.check_fence(own.last).map_err(crate::RestoreError::from)?;
        let Some(snapshot) = newest(&own.directory, self.since(own), &self.damaged, None, tell)? else { return Ok(None) };
        // Checkpoints that this process has taken fit the job.
        if snapshot.manifest().generation >= own.first {
            return Ok(Some(Arc::new(Restore::new(snapshot))));
        }
        Ok(Some(self.launch.judged(snapshot, tell)?))
    }

    /// How long to wait after this failure before the job is restarted; `None` if it is not.
    fn wait_after(&mut self, error: &RunError, tell: &mut Tell<'_>) -> Option<Duration> {
        match remedy(error) {
            Remedy::Restart => self.backoff.failed(),
            Remedy::SkipCheckpoint => self.skip(error, tell),
            Remedy::GiveUp => None,
        }
    }

    /// Skips a checkpoint that the run found damaged while restoring it: the next run starts at once from the one before. `None` if the
    /// damaged snapshot was asked for by name.
    fn skip(&mut self, error: &RunError, tell: &mut Tell<'_>) -> Option<Duration> {
        let RunError::Job(JobError::Operator { error, .. }) = error else { return None };
        let snapshot = self.restored.as_ref()?.snapshot();
        let given = self.given.as_ref().is_some_and(|given| given.snapshot().place() == snapshot.place());
        let named = given && self.launch.start != Start::Latest;
        let own = self.own.as_ref().filter(|_| !named)?;
        tell(Event::RestoredDamaged { place: snapshot.place(), error });
        self.damaged.push(Damaged { epoch: snapshot.manifest().epoch, generation: own.last });
        Some(Duration::ZERO)
    }
}

/// How many checkpoints of a run have been reported.
#[derive(Default)]
struct Seen {
    completed: u64,
    failed: u64,
}

impl Seen {
    fn tell_completed(&mut self, run: &Run, tell: &mut Tell<'_>) {
        let status = run.checkpoints();
        if let Some(last) = status.last.filter(|_| status.completed > self.completed) {
            self.completed = status.completed;
            match last.savepoint {
                Some(place) => tell(Event::SavepointWritten { place }),
                None => tell(Event::CheckpointCompleted { checkpoint: last }),
            }
        }
    }

    fn tell_failed(&mut self, run: &Run, tell: &mut Tell<'_>) {
        let status = run.checkpoints();
        if let Some(why) = status.failure.filter(|_| status.failed > self.failed) {
            self.failed = status.failed;
            tell(Event::CheckpointFailed { why });
        }
    }
}

/// Waits until all workers have ended, and reports events meanwhile.
fn watch(running: &Running, run: &Arc<Run>, seen: &mut Seen, tell: &mut Tell<'_>) {
    while !running.ends_within(PROGRESS) {
        seen.tell_completed(run, tell);
        seen.tell_failed(run, tell);
        tell(Event::Progress { run });
    }
}
