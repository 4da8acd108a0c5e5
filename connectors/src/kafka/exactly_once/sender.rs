//! The thread that sends a writer's units: transactions take their time, and the worker goes on meanwhile.

use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use tidegate_runtime::{Epoch, Error};

use super::transaction::{Abandoned, Committer};
use super::unit::Unit;

/// Where the thread has come to.
#[derive(Default)]
struct Progress {
    /// Units it was given and has not settled.
    waiting: usize,
    confirmed: Option<Epoch>,
    failure: Option<Error>,
}

/// A thread that settles units, in the order in which it gets them.
pub(super) struct Sender {
    units: Option<mpsc::Sender<Unit>>,
    progress: Arc<Mutex<Progress>>,
    abandoned: Abandoned,
    thread: Option<JoinHandle<()>>,
}

fn lock(progress: &Mutex<Progress>) -> MutexGuard<'_, Progress> {
    progress.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Sender {
    pub(super) fn start(mut committer: Committer) -> Result<Self, Error> {
        let (units, queue) = mpsc::channel();
        let progress = Arc::<Mutex<Progress>>::default();
        let (shared, abandoned) = (Arc::clone(&progress), committer.abandoned());
        let run = move || send_all(&mut committer, &queue, &shared);
        let thread = std::thread::Builder::new().name("kafka-commit".to_owned()).spawn(run);
        let thread = thread.map_err(|e| Error::external("a thread can't be started", e))?;
        Ok(Self { units: Some(units), progress, abandoned, thread: Some(thread) })
    }

    /// Has a unit settled.
    pub(super) fn send(&self, unit: Unit) -> Result<(), Error> {
        self.progress()?.waiting += 1;
        let sent = self.units.as_ref().is_some_and(|units| units.send(unit).is_ok());
        if sent { Ok(()) } else { Err(Error::internal("the thread that writes a topic has ended")) }
    }

    /// Are all units settled?
    pub(super) fn idle(&self) -> Result<bool, Error> {
        Ok(self.progress()?.waiting == 0)
    }

    /// The epoch of the last unit that is.
    pub(super) fn confirmed(&self) -> Result<Option<Epoch>, Error> {
        Ok(self.progress()?.confirmed)
    }

    fn progress(&self) -> Result<MutexGuard<'_, Progress>, Error> {
        let mut progress = lock(&self.progress);
        match progress.failure.take() {
            Some(failure) => Err(failure),
            None => Ok(progress),
        }
    }
}

fn send_all(committer: &mut Committer, units: &Receiver<Unit>, progress: &Mutex<Progress>) {
    for unit in units {
        let settled = committer.settle(&unit);
        let mut progress = lock(progress);
        match settled {
            Ok(()) => {
                progress.waiting -= 1;
                progress.confirmed = Some(unit.epoch);
            }
            Err(failure) => {
                progress.failure = Some(failure);
                return;
            }
        }
    }
}

impl Drop for Sender {
    /// Waits for the thread: the next run of the job must not be fenced by this one.
    fn drop(&mut self) {
        self.abandoned.set();
        self.units = None;
        if let Some(thread) = self.thread.take() {
            // If it has panicked, that has been said.
            let _ = thread.join();
        }
    }
}
