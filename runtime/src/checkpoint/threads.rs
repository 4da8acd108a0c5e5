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
use super::{Checkpoints, Lead, lock};
use crate::control::Everyone;
use crate::error::{Error, JobError, panicked};

/// A thread and the channel to it.
type Running<T> = (Sender<T>, JoinHandle<()>);

/// The threads that ship, one per worker. They are started when first needed.
#[derive(Default)]
pub(super) struct Shippers(Mutex<BTreeMap<usize, Running<Message>>>);

impl Shippers {
    /// Sends a message to the thread that ships for this worker.
    pub(super) fn ship(&self, checkpoints: &Arc<Checkpoints>, worker: usize, message: Message) -> Result<(), Error> {
        let mut workers = lock(&self.0);
        let (ship, _) = match workers.entry(worker) {
            Entry::Occupied(ship) => ship.into_mut(),
            Entry::Vacant(place) => {
                let (sender, messages) = channel();
                let shared = Arc::clone(checkpoints);
                let thread = spawn(&checkpoints.everyone, &format!("ship-{worker}"), move || shipping::ship(&shared, worker, &messages))?;
                place.insert((sender, thread))
            }
        };
        ship.send(message).map_err(|_| Error::internal("the thread that ships state has ended"))
    }

    /// Ends the threads once they have done everything they were given.
    pub(super) fn close(&self) {
        std::mem::take(&mut *lock(&self.0)).into_values().for_each(end);
    }
}

/// The thread that publishes. It is started when first needed.
#[derive(Default)]
pub(super) struct Publisher(Mutex<Option<Running<Complete>>>);

impl Publisher {
    /// Sends a complete checkpoint to the thread.
    pub(super) fn publish(&self, lead: &Arc<Lead>, complete: Complete) -> Result<(), Error> {
        let mut publisher = lock(&self.0);
        if publisher.is_none() {
            let (sender, completes) = channel::<Complete>();
            let shared = Arc::clone(lead);
            let publish = move || completes.into_iter().for_each(|complete| shared.publish_now(complete));
            *publisher = Some((sender, spawn(&lead.everyone, "publish", publish)?));
        }
        let sent = publisher.as_ref().map(|(sender, _)| sender.send(complete));
        if matches!(sent, Some(Ok(()))) { Ok(()) } else { Err(Error::internal("the thread that publishes checkpoints has ended")) }
    }

    /// Ends the thread once it has done everything it was given. End those first that may still have something for it.
    pub(super) fn close(&self) {
        let publisher = lock(&self.0).take();
        publisher.into_iter().for_each(end);
    }
}

fn end<T>((sender, thread): Running<T>) {
    drop(sender);
    // A panic has already been recorded as the job's failure.
    let _ = thread.join();
}

/// Starts a thread. If it panics, the job fails.
pub(super) fn spawn(everyone: &Arc<dyn Everyone>, name: &str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, Error> {
    let (everyone, what) = (Arc::clone(everyone), name.to_owned());
    let run = move || {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(run)) {
            everyone.poison(failed(&what, &*panic));
        }
    };
    std::thread::Builder::new().name(name.to_owned()).spawn(run).map_err(|e| Error::external("a thread can't be started", e))
}

fn failed(thread: &str, panic: &(dyn Any + Send)) -> JobError {
    JobError::Thread { name: thread.to_owned(), message: panicked(panic) }
}
