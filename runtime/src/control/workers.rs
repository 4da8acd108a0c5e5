//! The threads of the workers: which are at work, and how one is roused that is parked.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::Thread;
use std::time::Duration;

/// The threads of a job's workers in this process.
#[derive(Default)]
pub(crate) struct Workers {
    count: usize,
    threads: Mutex<Threads>,
    ended: Condvar,
}

#[derive(Default)]
struct Threads {
    begun: Vec<Thread>,
    ended: usize,
}

/// A worker that has begun; it ends when this is dropped.
pub(crate) struct AtWork<'a>(&'a Workers);

impl Workers {
    /// `count` workers, none of which has begun.
    pub(crate) fn new(count: usize) -> Self {
        Self { count, ..Self::default() }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    fn threads(&self) -> MutexGuard<'_, Threads> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// This thread is a worker.
    pub(crate) fn begin(&self) -> AtWork<'_> {
        self.threads().begun.push(std::thread::current());
        AtWork(self)
    }

    /// Has every worker look again at what it does besides its dataflow: a request has come, a checkpoint is complete, the job is over. To be called
    /// after the change; a worker looks before it parks.
    pub(crate) fn rouse(&self) {
        self.threads().begun.iter().for_each(Thread::unpark);
    }

    /// Waits for this long, or until all have ended. Returns whether they have.
    pub(crate) fn end_within(&self, wait: Duration) -> bool {
        let ended = self.ended.wait_timeout_while(self.threads(), wait, |threads| threads.ended < self.count);
        ended.unwrap_or_else(PoisonError::into_inner).0.ended >= self.count
    }
}

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        self.0.threads().ended += 1;
        self.0.ended.notify_all();
    }
}
