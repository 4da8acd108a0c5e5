//! Evictors: which records a window drops around a firing, with Flink's semantics. A window with an evictor keeps all its records.

use std::time::Duration;

use tidegate_runtime::{Error, Record};

/// Drops records of a window before its function sees them, or afterwards. The records are in order of arrival, and there is at least one.
pub trait Evictor<T>: 'static {
    /// The description shown in the job graph.
    fn describe(&self) -> String;

    /// Called before the window function.
    ///
    /// # Errors
    /// An error here fails the job.
    fn before(&mut self, _records: &mut Vec<Record<T>>) -> Result<(), Error> {
        Ok(())
    }

    /// Called after the window function.
    ///
    /// # Errors
    /// An error here fails the job.
    fn after(&mut self, _records: &mut Vec<Record<T>>) -> Result<(), Error> {
        Ok(())
    }
}

/// Drops nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct KeepAll;

impl<T> Evictor<T> for KeepAll {
    fn describe(&self) -> String {
        String::new()
    }
}

/// Keeps at most this many records, the last ones.
#[derive(Clone, Copy, Debug)]
pub struct CountEvictor(pub usize);

impl<T: 'static> Evictor<T> for CountEvictor {
    fn describe(&self) -> String {
        format!("keeping {}", self.0)
    }

    fn before(&mut self, records: &mut Vec<Record<T>>) -> Result<(), Error> {
        records.drain(..records.len().saturating_sub(self.0));
        Ok(())
    }
}

/// Keeps the records that are older than the newest one by less than this duration. If the first record has no event time, all stay.
#[derive(Clone, Copy, Debug)]
pub struct TimeEvictor(pub Duration);

impl<T: 'static> Evictor<T> for TimeEvictor {
    fn describe(&self) -> String {
        format!("keeping {:?}", self.0)
    }

    fn before(&mut self, records: &mut Vec<Record<T>>) -> Result<(), Error> {
        if records.first().is_some_and(|first| first.time != Record::UNTIMED) {
            let size = i64::try_from(self.0.as_millis()).unwrap_or(i64::MAX);
            let newest = records.iter().map(|r| r.time).max().unwrap_or_default();
            records.retain(|r| r.time > newest.saturating_sub(size));
        }
        Ok(())
    }
}

/// Keeps the records whose distance from the last one is below a threshold.
#[derive(Clone, Copy, Debug)]
pub struct DeltaEvictor<D> {
    delta: D,
    threshold: f64,
}

impl<D> DeltaEvictor<D> {
    /// Drops a record if `delta(record, last)` reaches `threshold`.
    pub fn new(delta: D, threshold: f64) -> Self {
        Self { delta, threshold }
    }
}

impl<T: Clone + 'static, D: Fn(&T, &T) -> f64 + 'static> Evictor<T> for DeltaEvictor<D> {
    fn describe(&self) -> String {
        format!("keeping a delta below {}", self.threshold)
    }

    fn before(&mut self, records: &mut Vec<Record<T>>) -> Result<(), Error> {
        if let Some(last) = records.last().cloned() {
            records.retain(|r| (self.delta)(&r.value, &last.value) < self.threshold);
        }
        Ok(())
    }
}

/// Evicts like another evictor, but after the window has fired.
#[derive(Clone, Copy, Debug)]
pub struct EvictAfter<E>(pub E);

impl<T, E: Evictor<T>> Evictor<T> for EvictAfter<E> {
    fn describe(&self) -> String {
        format!("{} after firing", self.0.describe())
    }

    fn after(&mut self, records: &mut Vec<Record<T>>) -> Result<(), Error> {
        self.0.before(records)
    }
}
