//! The threads of a sink, on which calls may block.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{Builder, JoinHandle};

use tidegate_checkpoints::Epoch;

use super::desk::Opened;
use crate::error::{Error, panicked};
use crate::sink::{Cancellation, Committable};
use crate::source::Waker;

/// What a thread, or a writer on the worker, has to say.
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
    /// A thread has ended, and what it wrote with is gone.
    Ended(Result<(), Error>),
}

/// A thread's way back to the operator.
pub(super) struct Answers<T> {
    queue: Sender<Message<T>>,
    waker: Waker,
}

impl<T> Answers<T> {
    pub(super) fn send(&self, answer: Answer<T>) {
        self.message(Message::Answer(answer));
    }

    fn message(&self, message: Message<T>) {
        // Fails only if the operator is gone.
        if self.queue.send(message).is_ok() {
            self.waker.wake();
        }
    }
}

/// The threads of one sink instance. None outlives it: the next run must find nobody who still writes for this one.
pub(super) struct Threads<T> {
    queue: Sender<Message<T>>,
    messages: Receiver<Message<T>>,
    waker: Waker,
    cancellation: Cancellation,
    handles: Vec<JoinHandle<()>>,
    /// How many have not ended.
    running: usize,
}

impl<T: Send + 'static> Threads<T> {
    pub(super) fn new(waker: Waker) -> Self {
        let (queue, messages) = channel();
        Self { queue, messages, waker, cancellation: Cancellation::default(), handles: Vec::new(), running: 0 }
    }

    /// Starts a thread. However it ends, the operator learns of it: by an error if it failed or panicked.
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
        // The queue is never closed: this side holds it open, too.
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

    /// Have all ended?
    pub(super) fn ended(&self) -> bool {
        self.running == 0
    }

    pub(super) fn waker(&self) -> &Waker {
        &self.waker
    }
}

impl<T> Drop for Threads<T> {
    /// Waits for them. Where the input has come to its end they have ended already; else the run is over, and nothing else is left to do on the worker.
    fn drop(&mut self) {
        self.cancellation.cancel();
        for handle in self.handles.drain(..) {
            // What a panic said has been answered.
            let _ = handle.join();
        }
    }
}
