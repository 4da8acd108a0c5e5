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

    /// Must all records go through one worker, as when they end in one file?
    fn single_writer(&self) -> bool {
        false
    }
}

impl<T, S: Sink<T> + ?Sized> Sink<T> for Arc<S> {
    fn open(&self, context: SinkContext) -> Result<Box<dyn Writer<T>>, Error> {
        (**self).open(context)
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

    /// All records of `epoch` have been written, none of a later one. Here an exactly-once sink pre-commits.
    ///
    /// # Errors
    /// Writing failed; the job fails with this cause.
    fn seal(&mut self, _epoch: Epoch) -> Result<(), Error> {
        self.flush()
    }
}
