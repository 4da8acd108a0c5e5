//! Starts a job again when it has failed: from its latest checkpoint, after a wait that grows, a bounded number of times.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Result;
use tidegate::checkpoints::{Directory, DirectoryError};
use tidegate::runtime::checkpoint::{CheckpointStatus, Restore};
use tidegate::runtime::{Domain, JobError, RunConfig, Stopper};

use super::job::Loaded;
use super::restore;

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
    /// What the process was told to go on from.
    given: Option<Arc<Restore>>,
    /// Is that the job's latest checkpoint, if there is one?
    resume: bool,
    own: Option<Own>,
    failures: u64,
    stopping: Stopping,
}

impl<'a> Supervisor<'a> {
    pub fn new(loaded: &'a Loaded, given: Option<Arc<Restore>>, resume: bool) -> Self {
        Self { loaded, given, resume, own: None, failures: 0, stopping: Stopping::default() }
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
        if let Some(checkpoints) = &durability.checkpoints {
            config.mode = checkpoints.mode;
            let latest = match &self.own {
                Some(own) => Some(restore::Latest { since: own.first, found: latest.as_deref() }),
                None if self.resume => Some(restore::Latest { since: 0, found: self.given.as_deref() }),
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

    /// The latest checkpoint of this process.
    fn latest(&self) -> Result<Option<Arc<Restore>>> {
        let Some(Own { directory, first, last }) = &self.own else { return Ok(None) };
        // To take over in turn would only begin a fight.
        directory.check_fence(*last)?;
        Ok(restore::newest(directory, *first)?.map(|snapshot| Arc::new(Restore::new(snapshot))))
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
        // The same data would fail again.
        let hopeless = match error.downcast_ref::<JobError>() {
            Some(JobError::Operator { error, .. }) => error.domain() == Domain::User,
            Some(JobError::Graph(_)) => true,
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
