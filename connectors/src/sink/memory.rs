//! Sinks for tests and examples: one collects in memory, one calls a function.

use std::sync::{Arc, Mutex, PoisonError};

use tidegate_runtime::Error;
use tidegate_runtime::Kind;
use tidegate_runtime::Record;
use tidegate_runtime::sink::{Sink, SinkContext, Writer};

use crate::kinds;

/// Collects the records of all workers in memory. Clones share the collection.
#[derive(Debug)]
pub struct CollectSink<T>(Arc<Mutex<Vec<Record<T>>>>);

impl<T> CollectSink<T> {
    /// An empty collection.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::default())
    }

    /// The number of records collected since they were last taken.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Whether nothing has been collected since records were last taken.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes the collected records, in order of arrival.
    #[must_use]
    pub fn take(&self) -> Vec<Record<T>> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<T> Default for CollectSink<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Clone for CollectSink<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: Send + 'static> Sink<T> for CollectSink<T> {
    fn kind(&self) -> Kind {
        kinds::MEMORY
    }

    fn open(&self, _: SinkContext) -> Result<Box<dyn Writer<T>>, Error> {
        Ok(Box::new(self.clone()))
    }

    fn inline(&self) -> bool {
        true
    }
}

impl<T: Send + 'static> Writer<T> for CollectSink<T> {
    fn write(&mut self, records: &mut Vec<Record<T>>) -> Result<(), Error> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).append(records);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Error> {
        Ok(())
    }
}

/// Calls a function for every record, on the worker it arrives at. The function must not block; implement a [`Sink`]
/// for anything that may.
#[derive(Clone, Debug)]
pub struct FnSink<F>(F);

impl<F> FnSink<F> {
    /// A sink that calls `f`. Each worker has its own clone of it.
    pub fn new<T>(f: F) -> Self
    where
        F: FnMut(Record<T>) -> Result<(), Error>,
    {
        Self(f)
    }
}

impl<T: 'static, F> Sink<T> for FnSink<F>
where
    F: FnMut(Record<T>) -> Result<(), Error> + Clone + Send + Sync + 'static,
{
    fn kind(&self) -> Kind {
        kinds::FUNCTION
    }

    fn open(&self, _: SinkContext) -> Result<Box<dyn Writer<T>>, Error> {
        Ok(Box::new(self.clone()))
    }

    fn inline(&self) -> bool {
        true
    }
}

impl<T: 'static, F: FnMut(Record<T>) -> Result<(), Error> + Send + 'static> Writer<T> for FnSink<F> {
    fn write(&mut self, records: &mut Vec<Record<T>>) -> Result<(), Error> {
        records.drain(..).try_for_each(&mut self.0)
    }

    fn flush(&mut self) -> Result<(), Error> {
        Ok(())
    }
}
