//! Commands for a launched job, from another thread or, through the control socket, from another process.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::control::report;
use crate::control::{Ended, OperatorReport, Refusal, State, Status};
use crate::run::Run;

/// How a job can be asked to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Stop reading, write what was read, and leave windows open.
    Stop,
    /// End the input, so that windows close.
    Drain,
    /// End at once, without a checkpoint.
    Cancel,
}

/// Commands a launched job. It may outlive the job.
#[derive(Clone)]
pub struct Handle(Arc<Desk>);

struct Desk {
    job: String,
    since: Instant,
    inner: Mutex<Inner>,
    changed: Condvar,
}

#[derive(Default)]
struct Inner {
    asked: Option<Ending>,
    /// The run, while there is one.
    run: Option<Arc<Run>>,
    /// The last failure, and the number of failures in a row.
    failure: Option<String>,
    failures: u64,
    restarting: bool,
    /// How the launch ended.
    over: Option<Result<Ended, Refusal>>,
    /// The number of requests being answered.
    answering: usize,
}

impl Inner {
    fn state(&self) -> State {
        match (&self.over, &self.run, self.asked) {
            (Some(_), ..) => State::Ended,
            (None, _, Some(_)) => State::Stopping,
            (None, Some(run), None) if run.stopper().stopping() => State::Stopping,
            (None, Some(_), None) => State::Running,
            (None, None, None) if self.restarting => State::Restarting,
            (None, None, None) => State::Starting,
        }
    }

    fn running(&self) -> Result<Arc<Run>, Refusal> {
        self.run.clone().ok_or(Refusal::NotRunning { state: self.state() })
    }
}

/// How long an ending process waits for its last answers to be written.
const LAST_ANSWERS: Duration = Duration::from_secs(2);

impl Handle {
    pub(crate) fn new(job: &str) -> Self {
        Self(Arc::new(Desk { job: job.to_owned(), since: Instant::now(), inner: Mutex::default(), changed: Condvar::new() }))
    }

    /// The job's name.
    #[must_use]
    pub fn job(&self) -> &str {
        &self.0.job
    }

    /// Asks the job to end in this way and not to be restarted. Returns at once. A job that has yet to run for the first time ends as soon
    /// as it runs. A job that waits for its restart is not restarted, and ends with its failure. A later request replaces an earlier one
    /// only if it is to cancel.
    ///
    /// # Errors
    /// The request is to drain, and the job is not running.
    pub fn end(&self, ending: Ending) -> Result<(), Refusal> {
        let mut inner = self.lock();
        if ending == Ending::Drain {
            inner.running()?;
        }
        if inner.asked.is_none() || ending == Ending::Cancel {
            inner.asked = Some(ending);
            inner.run.iter().for_each(|run| command(run, ending));
        }
        drop(inner);
        self.0.changed.notify_all();
        Ok(())
    }

    /// Takes a savepoint in this directory or URL and waits for it, while the job keeps running. Returns its place.
    ///
    /// # Errors
    /// The job is not running, or the savepoint failed.
    pub fn savepoint(&self, to: &str) -> Result<String, Refusal> {
        let run = self.lock().running()?;
        taken(run.stopper().savepoint(to.to_owned()).recv())
    }

    /// Stops the job with a savepoint in this directory or URL that covers everything the job has read, and waits for the end.
    ///
    /// # Errors
    /// The job is not running; or the savepoint can't be taken there, and the job continues; or the job failed while it stopped.
    pub fn stop_with_savepoint(&self, to: &str) -> Result<Ended, Refusal> {
        let mut inner = self.lock();
        let run = inner.running()?;
        if inner.asked.is_some() {
            return Err(Refusal::Savepoint { why: "the job is stopping already".to_owned() });
        }
        let answer = run.stopper().stop_with_savepoint(to.to_owned());
        if run.stopper().stopping() {
            inner.asked = Some(Ending::Stop);
        }
        drop(inner);
        taken(answer.recv())?;
        self.wait_for_end()
    }

    /// Waits until the launch is over.
    ///
    /// # Errors
    /// The job failed.
    pub fn wait_for_end(&self) -> Result<Ended, Refusal> {
        let inner = self.0.changed.wait_while(self.lock(), |inner| inner.over.is_none());
        let over = inner.unwrap_or_else(PoisonError::into_inner).over.clone();
        over.unwrap_or(Err(Refusal::NotRunning { state: State::Ended }))
    }

    /// What the job is doing.
    #[must_use]
    pub fn status(&self) -> Status {
        let inner = self.lock();
        let status = Status {
            job: self.0.job.clone(),
            pid: std::process::id(),
            state: inner.state(),
            up_ms: report::ms(self.0.since.elapsed()),
            failures: inner.failures,
            failure: inner.failure.clone(),
            run: None,
        };
        let run = inner.run.clone();
        drop(inner);
        Status { run: run.map(|run| report::run(&run)), ..status }
    }

    /// The counters of these operators, or of all if none are named.
    ///
    /// # Errors
    /// The job is not running, or has no such operator.
    pub fn metrics(&self, operators: &[String]) -> Result<Vec<OperatorReport>, Refusal> {
        let run = self.lock().running()?;
        report::operators(&run, operators)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How the job was asked to end, if it was.
    pub(crate) fn asked(&self) -> Option<Ending> {
        self.lock().asked
    }

    /// Notes that a run has started.
    pub(crate) fn started(&self, run: &Arc<Run>) {
        let mut inner = self.lock();
        if let Some(ending) = inner.asked {
            command(run, ending);
        }
        (inner.run, inner.restarting) = (Some(Arc::clone(run)), false);
    }

    /// Notes that the run is over.
    pub(crate) fn run_ended(&self) {
        self.lock().run = None;
    }

    /// Notes that the job failed and is to be restarted. Returns whether it was asked to end.
    pub(crate) fn restarting(&self, failure: String, failures: u64) -> bool {
        let mut inner = self.lock();
        (inner.failure, inner.failures, inner.restarting) = (Some(failure), failures, true);
        inner.asked.is_some()
    }

    /// Waits. Returns false if the job is asked to end meanwhile.
    pub(crate) fn pause(&self, wait: Duration) -> bool {
        let waited = self.0.changed.wait_timeout_while(self.lock(), wait, |inner| inner.asked.is_none());
        waited.unwrap_or_else(PoisonError::into_inner).0.asked.is_none()
    }

    /// Notes that the launch is over, and wakes everyone who waits for the end.
    pub(crate) fn over(&self, over: Result<Ended, Refusal>) {
        let mut inner = self.lock();
        (inner.over, inner.run) = (Some(over), None);
        drop(inner);
        self.0.changed.notify_all();
    }

    /// Marks a request as being answered. The process waits for the answer before it ends.
    pub(crate) fn answering(&self) -> Answering<'_> {
        self.lock().answering += 1;
        Answering(self)
    }

    /// Waits until all requests are answered, but not forever: a client may not read.
    pub(crate) fn await_answers(&self) {
        let _ = self.0.changed.wait_timeout_while(self.lock(), LAST_ANSWERS, |inner| inner.answering > 0);
    }
}

/// Held while a request is answered.
pub(crate) struct Answering<'a>(&'a Handle);

impl Drop for Answering<'_> {
    fn drop(&mut self) {
        self.0.lock().answering -= 1;
        self.0.0.changed.notify_all();
    }
}

fn command(run: &Run, ending: Ending) {
    match ending {
        Ending::Stop => run.stopper().stop(),
        Ending::Drain => run.stopper().drain(),
        Ending::Cancel => run.stopper().cancel(),
    }
}

/// The place of the savepoint that was taken.
fn taken(answer: Result<Result<String, String>, std::sync::mpsc::RecvError>) -> Result<String, Refusal> {
    let answer = answer.unwrap_or_else(|_| Err("the job ended before".to_owned()));
    answer.map_err(|why| Refusal::Savepoint { why })
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handle").field("job", &self.0.job).finish_non_exhaustive()
    }
}
