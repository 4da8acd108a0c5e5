//! What to launch, and what comes of it.

use std::collections::BTreeSet;
use std::num::NonZero;

use tidegate_checkpoints::{DirectoryError, Storage, check_vacant};
use tidegate_jobs::plan::{Durability, Plan};
use tidegate_runtime::{Graph, Job, JobError, Role};

use crate::control::Server;
use crate::error::{LaunchError, describe};
use crate::event::Event;
use crate::handle::{Handle, Over};
use crate::home::Home;
use crate::losses::Barren;
use crate::supervisor::Supervisor;

/// What a launched job goes on from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// Nothing: it starts afresh.
    #[default]
    Fresh,
    /// Its latest checkpoint; if there is none yet, nothing.
    Latest,
    /// The savepoint or checkpoint at this path or URL.
    From(String),
}

/// How a job ended that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// It came to the end of its input, or was stopped where that takes the savepoint at the end.
    Finished,
    /// It was stopped: what was read is written, windows stay open.
    Stopped,
    /// It was drained: its input was ended, and windows closed.
    Drained,
    /// It was cancelled: what it had read since its last checkpoint is not written.
    Cancelled,
}

/// What came of a job that did not fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// How it ended.
    pub how: How,
    /// Streams that lost all their records to errors.
    pub barren: Vec<Barren>,
    /// The savepoint that was taken at the end, if one was asked for.
    pub savepoint: Option<String>,
}

type EndsWell = dyn Fn(&Graph, &JobError) -> bool + Send;

/// A job about to run.
pub struct Launch {
    pub(crate) name: String,
    pub(crate) job: Job,
    pub(crate) durability: Durability,
    pub(crate) workers: usize,
    pub(crate) start: Start,
    pub(crate) allow_dropped_state: bool,
    pub(crate) savepoint_at_end: Option<String>,
    /// Sources whose bad records go into a stream of their own.
    pub(crate) keep_bad_records: BTreeSet<String>,
    pub(crate) ends_well: Box<EndsWell>,
    pub(crate) handle: Handle,
}

impl Launch {
    /// A job under this name, which its checkpoints and its state directory bear. It starts afresh, with a worker per core.
    #[must_use]
    pub fn new(name: impl Into<String>, job: Job, durability: Durability) -> Self {
        let name = name.into();
        Self {
            handle: Handle::new(&name),
            name,
            job,
            durability,
            workers: std::thread::available_parallelism().map_or(1, NonZero::get),
            start: Start::Fresh,
            allow_dropped_state: false,
            savepoint_at_end: None,
            keep_bad_records: BTreeSet::new(),
            ends_well: Box::new(|_, _| false),
        }
    }

    /// The job that this plan describes, with the name, the parallelism and the durability of its file.
    #[must_use]
    pub fn of(plan: &Plan, job: Job) -> Self {
        let sources = job.graph().nodes().iter().filter(|node| node.role == Role::Source);
        let keep_bad_records = sources.map(|node| node.name.clone()).filter(|name| plan.keeps_bad_records(name)).collect();
        let launch = Self { keep_bad_records, ..Self::new(&plan.name, job, plan.durability.clone()) };
        match plan.parallelism {
            Some(workers) => launch.workers(workers),
            None => launch,
        }
    }

    /// With this many workers.
    #[must_use]
    pub fn workers(self, workers: usize) -> Self {
        Self { workers, ..self }
    }

    /// From here.
    #[must_use]
    pub fn start(self, start: Start) -> Self {
        Self { start, ..self }
    }

    /// State that no operator of the job claims is left behind instead of refused.
    #[must_use]
    pub fn allow_dropped_state(self, allow: bool) -> Self {
        Self { allow_dropped_state: allow, ..self }
    }

    /// The end of input, or a stop, takes a savepoint in this directory or URL instead of closing windows.
    #[must_use]
    pub fn savepoint_at_end(self, place: Option<String>) -> Self {
        Self { savepoint_at_end: place, ..self }
    }

    /// A failure that `judge` accepts is a good end: such as that of a job whose reader has seen enough.
    #[must_use]
    pub fn ends_well(self, judge: impl Fn(&Graph, &JobError) -> bool + Send + 'static) -> Self {
        Self { ends_well: Box::new(judge), ..self }
    }

    /// Commands the job from elsewhere, also before it runs.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Runs the job until it ends, restarting it as its policy says, and tells what happens on the way.
    ///
    /// # Errors
    /// Nothing was started, or the job failed and was not started again.
    pub fn run(self, tell: &mut dyn FnMut(Event<'_>)) -> Result<Outcome, LaunchError> {
        let handle = self.handle();
        let result = self.run_held(tell);
        // Whoever asked for the end is answered when the lock is free again; the process may end right after.
        handle.over(match &result {
            Ok(outcome) => Over::Ended { how: outcome.how, savepoint: outcome.savepoint.clone() },
            Err(error) => Over::Failed(describe(error)),
        });
        handle.await_answers();
        result
    }

    fn run_held(self, tell: &mut dyn FnMut(Event<'_>)) -> Result<Outcome, LaunchError> {
        let given = self.find(tell).map_err(LaunchError::Restore)?;
        if let Some(place) = &self.savepoint_at_end {
            vacant(place).map_err(|source| LaunchError::SavepointPlace { place: place.clone(), source })?;
        }
        let home = Home::take(&self.durability)?;
        let server = home.shared().then(|| Server::listen(home.dir(), &self.handle)).transpose();
        if let Err(error) = &server {
            tell(Event::Unreachable { error });
        }
        Ok(Supervisor::new(&self, home.dir(), given).keep_going(tell)?)
    }
}

/// Checks at the start, not at the end, whether a savepoint can go there.
fn vacant(place: &str) -> Result<(), DirectoryError> {
    let storage = Storage::open(place)?;
    check_vacant(&storage)?;
    Ok(storage.prepare()?)
}

impl std::fmt::Debug for Launch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Launch")
            .field("name", &self.name)
            .field("workers", &self.workers)
            .field("start", &self.start)
            .finish_non_exhaustive()
    }
}
