//! The contract of sinks: where records go.

use std::sync::Arc;

use tidegate_checkpoints::Epoch;

use crate::error::Error;
use crate::record::Record;

/// A place records go to: a file, standard output, a topic.
pub trait Sink<T>: Send + Sync + 'static {
    /// Opens this worker's share.
    ///
    /// # Errors
    /// The sink can't be written at all; the job fails with this cause.
    fn open(&self, context: SinkContext) -> Result<Box<dyn Writer<T>>, Error>;

    /// Called once on every worker, before it is opened, when the job goes on from a snapshot: `committables` is all that the writers of all workers had
    /// returned from [`Writer::seal`] and not committed when it was taken. What of it has not arrived where readers see it is to be brought there, once.
    ///
    /// # Errors
    /// It can't be; the job fails with this cause.
    fn recover(&self, _committables: &[serde_json::Value], _context: SinkContext) -> Result<(), Error> {
        Ok(())
    }

    /// Must all records go through one worker, as when they end in one file?
    fn single_writer(&self) -> bool {
        false
    }
}

impl<T, S: Sink<T> + ?Sized> Sink<T> for Arc<S> {
    fn open(&self, context: SinkContext) -> Result<Box<dyn Writer<T>>, Error> {
        (**self).open(context)
    }

    fn recover(&self, committables: &[serde_json::Value], context: SinkContext) -> Result<(), Error> {
        (**self).recover(committables, context)
    }

    fn single_writer(&self) -> bool {
        (**self).single_writer()
    }
}

/// What a writer knows of its surroundings.
#[derive(Clone, Copy, Debug)]
pub struct SinkContext {
    /// This worker, from 0.
    pub worker: usize,
    /// The number of workers.
    pub workers: usize,
    /// Are checkpoints taken, so that [`Writer::commit`] is only called for what is part of one? Else it is called right after [`Writer::seal`].
    pub transactional: bool,
}

/// One worker's share of a sink. It may block for as long as one record takes, not for longer: the operator gives it a few at a time.
pub trait Writer<T>: 'static {
    /// Takes records over, in order. They need not have arrived anywhere before `flush` or `seal`.
    ///
    /// # Errors
    /// Writing failed; the job fails with this cause.
    fn write(&mut self, records: &mut Vec<Record<T>>) -> Result<(), Error>;

    /// Hands over what is buffered, so that a reader sees it. Called when the stream pauses, and at the end.
    ///
    /// # Errors
    /// Writing failed; the job fails with this cause.
    fn flush(&mut self) -> Result<(), Error>;

    /// All records of `epoch` have been written, none of a later one. Here an exactly-once sink pre-commits: what it returns becomes part of the
    /// checkpoint, is durable when that is complete, and comes back to [`Sink::recover`] until it is committed.
    ///
    /// # Errors
    /// Writing failed; the job fails with this cause.
    fn seal(&mut self, _epoch: Epoch) -> Result<Vec<serde_json::Value>, Error> {
        self.flush().map(|()| Vec::new())
    }

    /// The checkpoint of `epoch` is complete: what was sealed up to and including it may be seen by readers.
    ///
    /// # Errors
    /// Writing failed; the job fails with this cause, and tries again when it is restored.
    fn commit(&mut self, _epoch: Epoch) -> Result<(), Error> {
        Ok(())
    }
}
