//! The threads besides the workers: for each worker one that writes and, behind it, one that stores; and one that publishes.

use std::any::Any;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use super::coordinator::Complete;
use super::shipping::{self, Message};
use super::{Checkpoints, lock};
use crate::control::Failure;
use crate::error::{Error, JobError, panicked};

/// The threads of a run. They are started when first needed.
#[derive(Default)]
pub(super) struct Threads {
    workers: Mutex<BTreeMap<usize, Running<Message>>>,
    publisher: Mutex<Option<Running<Complete>>>,
}

type Running<T> = (Sender<T>, JoinHandle<()>);

impl Threads {
    /// Sends a message to the thread that ships for this worker.
    pub(super) fn ship(&self, checkpoints: &Arc<Checkpoints>, worker: usize, message: Message) -> Result<(), Error> {
        let mut workers = lock(&self.workers);
        let (ship, _) = match workers.entry(worker) {
            Entry::Occupied(ship) => ship.into_mut(),
            Entry::Vacant(place) => {
                let (sender, messages) = channel();
                let shared = Arc::clone(checkpoints);
                let thread = spawn(&checkpoints.failure, &format!("ship-{worker}"), move || shipping::ship(&shared, worker, &messages))?;
                place.insert((sender, thread))
            }
        };
        ship.send(message).map_err(|_| Error::internal("the thread that ships state has ended"))
    }

    /// Sends a complete checkpoint to the thread that publishes.
    pub(super) fn publish(&self, checkpoints: &Arc<Checkpoints>, complete: Complete) -> Result<(), Error> {
        let mut publisher = lock(&self.publisher);
        if publisher.is_none() {
            let (sender, completes) = channel::<Complete>();
            let shared = Arc::clone(checkpoints);
            let publish = move || completes.into_iter().for_each(|complete| shared.publish_now(complete));
            *publisher = Some((sender, spawn(&checkpoints.failure, "publish", publish)?));
        }
        let sent = publisher.as_ref().map(|(sender, _)| sender.send(complete));
        if matches!(sent, Some(Ok(()))) { Ok(()) } else { Err(Error::internal("the thread that publishes checkpoints has ended")) }
    }

    /// Ends the threads once they have done everything they were given.
    pub(super) fn close(&self) {
        // The storing threads may still have something for the publisher.
        for (sender, thread) in std::mem::take(&mut *lock(&self.workers)).into_values() {
            drop(sender);
            // A panic has already been recorded as the job's failure.
            let _ = thread.join();
        }
        let publisher = lock(&self.publisher).take();
        if let Some((sender, thread)) = publisher {
            drop(sender);
            let _ = thread.join();
        }
    }
}

/// Starts a thread. If it panics, the job fails.
pub(super) fn spawn(failure: &Arc<Failure>, name: &str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, Error> {
    let (failure, what) = (Arc::clone(failure), name.to_owned());
    let run = move || {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(run)) {
            failure.poison(failed(&what, &*panic));
        }
    };
    std::thread::Builder::new().name(name.to_owned()).spawn(run).map_err(|e| Error::external("a thread can't be started", e))
}

fn failed(thread: &str, panic: &(dyn Any + Send)) -> JobError {
    JobError::Thread { name: thread.to_owned(), message: panicked(panic) }
}
