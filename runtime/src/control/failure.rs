//! Whether the job goes on, and why it does not.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::workers::Workers;
use crate::error::{Error, JobError};

/// The end of a job, and its cause if it failed: the first one, as others may come of it.
pub(crate) struct Failure {
    over: AtomicBool,
    cause: Mutex<Option<JobError>>,
    workers: Arc<Workers>,
}

impl Failure {
    pub(crate) fn new(workers: Arc<Workers>) -> Self {
        Self { over: AtomicBool::new(false), cause: Mutex::default(), workers }
    }

    fn cause(&self) -> MutexGuard<'_, Option<JobError>> {
        self.cause.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An operator failed.
    pub(crate) fn fail(&self, operator: &str, worker: usize, error: Error) {
        self.poison(JobError::Operator { operator: operator.to_owned(), worker, error });
    }

    /// The job failed.
    pub(crate) fn poison(&self, error: JobError) {
        self.cause().get_or_insert(error);
        self.finish();
    }

    /// The job has come to its end, well or not.
    pub(crate) fn finish(&self) {
        self.over.store(true, SeqCst);
        self.workers.rouse();
    }

    /// Has it?
    pub(crate) fn over(&self) -> bool {
        self.over.load(SeqCst)
    }

    /// Why it failed, if it did.
    pub(crate) fn take(&self) -> Option<JobError> {
        self.cause().take()
    }
}
