//! Launches: which job to run, how, and with which outcome.

use std::collections::BTreeSet;
use std::num::NonZero;

use tidegate_checkpoints::{DirectoryError, Storage, check_vacant, failpoint};
use tidegate_jobs::plan::{Durability, Plan};
use tidegate_runtime::{Graph, Job, JobError, Role};

use crate::control::{Ended, Refusal, Server};
use crate::error::{LaunchError, describe};
use crate::event::Event;
use crate::handle::Handle;
use crate::home::Home;
use crate::losses::Barren;
use crate::supervisor::Supervisor;

/// What a launched job starts from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// Nothing: a fresh start.
    #[default]
    Fresh,
    /// The job's latest checkpoint, or nothing if there is none yet.
    Latest,
    /// The savepoint or checkpoint at this path or URL.
    From(String),
}

/// How a job that did not fail has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// It reached the end of its input, or was stopped and took the savepoint that [`Launch::savepoint_at_end()`] asks for.
    Finished,
    /// It was stopped: what it had read is written, and windows stay open.
    Stopped,
    /// It was drained: its input was ended, and windows closed.
    Drained,
    /// It was cancelled: what it had read since its last checkpoint may not be written.
    Cancelled,
}

/// The outcome of a job that did not fail.
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
    /// A job with this name, which its checkpoints and its state directory carry too. It starts fresh, with one worker per core.
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

    /// The job of this plan, with the name, the parallelism and the durability of its file.
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

    /// Sets the number of workers.
    #[must_use]
    pub fn workers(self, workers: usize) -> Self {
        Self { workers, ..self }
    }

    /// Sets what the job starts from.
    #[must_use]
    pub fn start(self, start: Start) -> Self {
        Self { start, ..self }
    }

    /// Whether to drop state that no operator of the job claims, rather than refuse to start.
    #[must_use]
    pub fn allow_dropped_state(self, allow: bool) -> Self {
        Self { allow_dropped_state: allow, ..self }
    }

    /// Makes the end of input, or a stop, take a savepoint in this directory or URL instead of closing windows.
    #[must_use]
    pub fn savepoint_at_end(self, place: Option<String>) -> Self {
        Self { savepoint_at_end: place, ..self }
    }

    /// Treats a failure that `judge` accepts as a good end, such as one because the reader of the output has seen enough.
    #[must_use]
    pub fn ends_well(self, judge: impl Fn(&Graph, &JobError) -> bool + Send + 'static) -> Self {
        Self { ends_well: Box::new(judge), ..self }
    }

    /// A handle to command the job from elsewhere, even before it runs.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Runs the job until it ends, restarting it by its policy, and reports events on the way.
    ///
    /// # Errors
    /// Nothing was started, or the job failed and was not restarted.
    pub fn run(self, tell: &mut dyn FnMut(Event<'_>)) -> Result<Outcome, LaunchError> {
        let handle = self.handle();
        let result = self.run_held(tell);
        // Clients that wait for the end are answered once the lock is free again. The process may end right after.
        handle.over(match &result {
            Ok(outcome) => Ok(Ended { how: outcome.how, savepoint: outcome.savepoint.clone() }),
            Err(error) => Err(Refusal::Failed { why: describe(error) }),
        });
        handle.await_answers();
        result
    }

    fn run_held(self, tell: &mut dyn FnMut(Event<'_>)) -> Result<Outcome, LaunchError> {
        failpoint::check()?;
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

/// Checks at the start rather than at the end whether a savepoint can be written there.
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
