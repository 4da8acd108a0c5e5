//! The threads of a sink, on which its calls may block.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{Builder, JoinHandle};

use tidegate_checkpoints::Epoch;

use super::desk::Opened;
use crate::error::{Error, panicked};
use crate::sink::{Cancellation, Committable};
use crate::source::Waker;

/// An answer from a thread, or from a writer on the worker.
pub(super) enum Answer<T> {
    /// The sink is open.
    Opened(Opened<T>),
    /// The oldest batch handed over has been written.
    Written,
    /// The epoch handed over has been sealed.
    Sealed(Vec<Committable>),
    /// Everything up to this epoch has been committed.
    Committed(Epoch),
}

enum Message<T> {
    Answer(Answer<T>),
    /// A thread has ended and dropped its writer or committer.
    Ended(Result<(), Error>),
}

/// A thread's channel back to the operator.
pub(super) struct Answers<T> {
    queue: Sender<Message<T>>,
    waker: Waker,
}

impl<T> Answers<T> {
    pub(super) fn send(&self, answer: Answer<T>) {
        self.message(Message::Answer(answer));
    }

    fn message(&self, message: Message<T>) {
        // This fails only if the operator is gone.
        if self.queue.send(message).is_ok() {
            self.waker.wake();
        }
    }
}

/// The threads of one sink instance. None outlives it: when the next run begins, no thread may still be writing for this one.
pub(super) struct Threads<T> {
    queue: Sender<Message<T>>,
    messages: Receiver<Message<T>>,
    waker: Waker,
    cancellation: Cancellation,
    handles: Vec<JoinHandle<()>>,
    /// How many have not ended yet.
    running: usize,
}

impl<T: Send + 'static> Threads<T> {
    pub(super) fn new(waker: Waker) -> Self {
        let (queue, messages) = channel();
        Self { queue, messages, waker, cancellation: Cancellation::default(), handles: Vec::new(), running: 0 }
    }

    /// Starts a thread. However it ends, the operator learns of it; a failure or panic arrives as an error.
    pub(super) fn start(&mut self, name: String, run: impl FnOnce(&Answers<T>) -> Result<(), Error> + Send + 'static) -> Result<(), Error> {
        let answers = Answers { queue: self.queue.clone(), waker: self.waker.clone() };
        let run = move || {
            let result = catch_unwind(AssertUnwindSafe(|| run(&answers)));
            let result =
                result.unwrap_or_else(|panic| Err(Error::internal(format!("a thread of the sink panicked: {}", panicked(&*panic)))));
            answers.message(Message::Ended(result));
        };
        let started = Builder::new().name(name).spawn(run);
        self.handles.push(started.map_err(|e| Error::external("a thread of the sink can't be started", e))?);
        self.running += 1;
        Ok(())
    }

    /// The next answer, if there is one.
    ///
    /// # Errors
    /// A thread has failed.
    pub(super) fn answer(&mut self) -> Result<Option<Answer<T>>, Error> {
        // The queue never disconnects, because this side holds a sender, too.
        while let Ok(message) = self.messages.try_recv() {
            match message {
                Message::Answer(answer) => return Ok(Some(answer)),
                Message::Ended(result) => {
                    self.running -= 1;
                    result?;
                }
            }
        }
        Ok(None)
    }

    pub(super) fn cancellation(&self) -> &Cancellation {
        &self.cancellation
    }

    /// Whether all threads have ended.
    pub(super) fn ended(&self) -> bool {
        self.running == 0
    }

    pub(super) fn waker(&self) -> &Waker {
        &self.waker
    }
}

impl<T> Drop for Threads<T> {
    /// Waits for the threads. If the input has ended, they have already ended. Otherwise the run is over, and the worker has nothing else
    /// to do.
    fn drop(&mut self) {
        self.cancellation.cancel();
        for handle in self.handles.drain(..) {
            // A panic has already been reported as an answer.
            let _ = handle.join();
        }
    }
}
