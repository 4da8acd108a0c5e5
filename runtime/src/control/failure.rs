//! Whether the job is over, and why it failed.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::workers::Workers;
use crate::error::{Error, JobError};

/// The end of a job, and the cause if it failed. The first cause is kept, because others may result from it.
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

    /// Fails the job because an operator failed.
    pub(crate) fn fail(&self, operator: &str, worker: usize, error: Error) {
        self.poison(JobError::Operator { operator: operator.to_owned(), worker, error });
    }

    /// Fails the job with this error, unless it has already failed.
    pub(crate) fn poison(&self, error: JobError) {
        self.cause().get_or_insert(error);
        self.finish();
    }

    /// Ends the job, whether it failed or not.
    pub(crate) fn finish(&self) {
        self.over.store(true, SeqCst);
        self.workers.rouse();
    }

    /// Whether the job is over.
    pub(crate) fn over(&self) -> bool {
        self.over.load(SeqCst)
    }

    /// Takes the cause of the failure, if the job failed.
    pub(crate) fn take(&self) -> Option<JobError> {
        self.cause().take()
    }
}
