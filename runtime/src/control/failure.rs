//! Whether the job is over, and why it failed.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::error::JobError;

/// The end of a job, and the cause if it failed. The first cause is kept, because others may result from it.
#[derive(Default)]
pub(crate) struct Failure {
    over: AtomicBool,
    cause: Mutex<Option<JobError>>,
}

impl Failure {
    fn cause(&self) -> MutexGuard<'_, Option<JobError>> {
        self.cause.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The job ends. It failed if there is a cause.
    pub(super) fn over_with(&self, cause: Option<JobError>) {
        if let Some(cause) = cause {
            self.cause().get_or_insert(cause);
        }
        self.over.store(true, SeqCst);
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
