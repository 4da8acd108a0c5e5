//! The worker threads: which are running, and how to rouse one that is parked.

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

/// A running worker. It ends when this is dropped.
pub(crate) struct AtWork<'a>(&'a Workers);

impl Workers {
    /// `count` workers, none of which has started.
    pub(crate) fn new(count: usize) -> Self {
        Self { count, ..Self::default() }
    }

    /// The number of workers.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    fn threads(&self) -> MutexGuard<'_, Threads> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Registers this thread as a worker.
    pub(crate) fn begin(&self) -> AtWork<'_> {
        self.threads().begun.push(std::thread::current());
        AtWork(self)
    }

    /// Makes every worker check what it does besides its dataflow: a request has arrived, a checkpoint is complete, the job is over. Call
    /// it after the change; a worker checks before it parks.
    pub(crate) fn rouse(&self) {
        self.threads().begun.iter().for_each(Thread::unpark);
    }

    /// Waits until all workers have ended, but at most this long. Returns whether they have.
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
