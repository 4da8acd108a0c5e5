//! Starts a job again when it has failed: from its latest checkpoint, after a wait that grows, a bounded number of times.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Result;
use tidegate::checkpoints::{Directory, DirectoryError};
use tidegate::runtime::checkpoint::{CheckpointStatus, Restore};
use tidegate::runtime::{Domain, Error, JobError, RunConfig, Stopper};

use super::job::Loaded;
use super::log::note;
use super::restore::{self, Damaged, Refused, RestoreArgs};
use super::unread::Unread;

/// Whether the process was asked to stop, and the job to tell.
#[derive(Clone, Default)]
pub struct Stopping(Arc<Signal>);

#[derive(Default)]
struct Signal {
    state: Mutex<Asked>,
    stopped: Condvar,
}

#[derive(Default)]
struct Asked {
    to_stop: bool,
    job: Option<Stopper>,
}

impl Signal {
    fn state(&self) -> MutexGuard<'_, Asked> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stopping {
    /// The job, if it runs.
    pub fn running(&self) -> Option<Stopper> {
        self.0.state().job.clone()
    }

    /// Stops the job that runs, and starts none again.
    pub fn stop(&self) {
        let mut state = self.0.state();
        state.to_stop = true;
        if let Some(job) = &state.job {
            job.stop();
        }
        self.0.stopped.notify_all();
    }
}

/// The job's checkpoints, and the runs of this process.
struct Own {
    directory: Directory,
    first: u64,
    last: u64,
}

/// Keeps a job going.
pub struct Supervisor<'a> {
    loaded: &'a Loaded,
    args: &'a RestoreArgs,
    /// What the process was told to go on from: with `--resume` the job's latest checkpoint, if there is one.
    given: Option<Arc<Restore>>,
    own: Option<Own>,
    /// What the last run went on from.
    restored: Option<Arc<Restore>>,
    damaged: Vec<Damaged>,
    failures: u64,
    stopping: Stopping,
}

impl<'a> Supervisor<'a> {
    pub fn new(loaded: &'a Loaded, args: &'a RestoreArgs, given: Option<Arc<Restore>>) -> Self {
        Self { loaded, args, given, own: None, restored: None, damaged: Vec::new(), failures: 0, stopping: Stopping::default() }
    }

    /// Where to say that the process is to stop.
    pub fn stopping(&self) -> Stopping {
        self.stopping.clone()
    }

    /// Fills in where state and checkpoints go, and what to go on from: the latest checkpoint that this process has taken, or else what it was given.
    pub fn configure(&mut self, config: &mut RunConfig) -> Result<()> {
        let durability = &self.loaded.plan.durability;
        config.job.clone_from(&self.loaded.plan.name);
        config.state = tidegate::runtime::StateConfig { dir: config.state.dir.clone(), ..durability.state.clone() };
        let latest = self.latest()?;
        config.restore = latest.clone().or_else(|| self.given.clone());
        self.restored.clone_from(&config.restore);
        if let Some(checkpoints) = &durability.checkpoints {
            config.mode = checkpoints.mode;
            let latest = match &self.own {
                Some(own) => Some(restore::Latest { since: self.since(own), damaged: &self.damaged, found: latest.as_deref() }),
                None if self.args.resume => Some(restore::Latest { since: 0, damaged: &[], found: self.given.as_deref() }),
                None => None,
            };
            let opened = restore::open(&self.loaded.plan.name, checkpoints, config.restore.as_deref(), latest)?;
            let (directory, last) = (opened.directory.clone(), opened.generation);
            let first = self.own.as_ref().map_or(last, |own| own.first);
            self.own = Some(Own { directory, first, last });
            config.checkpoints = Some(opened);
        }
        Ok(())
    }

    /// The first run whose checkpoints may be gone on from: those of others only if the process was told to.
    fn since(&self, own: &Own) -> u64 {
        if self.args.resume { 0 } else { own.first }
    }

    /// The latest checkpoint, once the job has run in this process.
    fn latest(&self) -> Result<Option<Arc<Restore>>> {
        let Some(own) = &self.own else { return Ok(None) };
        // To take over in turn would only begin a fight.
        own.directory.check_fence(own.last)?;
        let newest = restore::newest(&own.directory, self.since(own), &self.damaged)?;
        let Some(snapshot) = newest else { return Ok(None) };
        // What this process has taken is of this job.
        if snapshot.manifest().generation >= own.first {
            return Ok(Some(Arc::new(Restore::new(snapshot))));
        }
        self.args.judged(snapshot, &self.loaded.job).map(|(restore, _)| Some(restore)).map_err(Refused::into_error)
    }

    /// The run has found that what it went on from is damaged: the next one goes on from the checkpoint before, unless another was asked for.
    fn pass_over(&mut self, error: &Error) -> Option<Duration> {
        let snapshot = self.restored.as_ref()?.snapshot();
        let named = !self.args.resume && self.given.as_ref().is_some_and(|given| given.snapshot().place() == snapshot.place());
        let own = self.own.as_ref().filter(|_| !named)?;
        note(&format!("checkpoint passed over: {}: {error}", snapshot.place()));
        self.damaged.push(Damaged { epoch: snapshot.manifest().epoch, generation: own.last });
        Some(Duration::ZERO)
    }

    /// The job runs.
    pub fn started(&self, stopper: Stopper) {
        let mut state = self.stopping.0.state();
        if state.to_stop {
            stopper.stop();
        }
        state.job = Some(stopper);
    }

    /// The job has ended, well or not.
    pub fn ended(&mut self, checkpoints: &CheckpointStatus) {
        self.stopping.0.state().job = None;
        // It came on in between.
        if checkpoints.completed > 0 {
            self.failures = 0;
        }
    }

    /// How long to wait before the job is started again after this failure; `None` if it isn't.
    pub fn after(&mut self, error: &anyhow::Error) -> Option<Duration> {
        let restart = self.loaded.plan.durability.restart;
        if let Some(JobError::Operator { error, .. }) = error.downcast_ref()
            && error.domain() == Domain::Snapshot
        {
            return self.pass_over(error);
        }
        // The same data would fail again.
        let hopeless = match error.downcast_ref::<JobError>() {
            Some(JobError::Operator { error, .. }) => matches!(error.domain(), Domain::User | Domain::Superseded),
            Some(JobError::Graph(_)) => true,
            _ if error.is::<Unread>() => true,
            _ => matches!(error.downcast_ref::<DirectoryError>(), Some(DirectoryError::Fenced { .. })),
        };
        self.failures += 1;
        if hopeless || self.failures > restart.attempts {
            return None;
        }
        let doubled = u32::try_from(self.failures - 1).ok().and_then(|n| 2u32.checked_pow(n.min(31))).unwrap_or(u32::MAX);
        Some(restart.delay.saturating_mul(doubled).min(restart.max_delay))
    }

    /// Waits; returns false if the process is to stop meanwhile.
    pub fn wait(&self, wait: Duration) -> bool {
        let Signal { stopped, .. } = &*self.stopping.0;
        let waited = stopped.wait_timeout_while(self.stopping.0.state(), wait, |state| !state.to_stop);
        !waited.unwrap_or_else(PoisonError::into_inner).0.to_stop
    }
}
