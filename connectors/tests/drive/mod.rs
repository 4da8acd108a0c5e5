//! Drives readers to their end by hand, as the source operator would.
#![allow(dead_code, reason = "each test file uses its part")]

use std::sync::Arc;

use tidegate_runtime::Error;
use tidegate_runtime::Record;
use tidegate_runtime::metrics::SourceMetrics;
use tidegate_runtime::source::{Batch, Poll, Reader, Source, SourceContext, Waker};

/// All that a reader gave.
pub struct Driven<T> {
    pub batches: Vec<Batch<T>>,
    pub error: Option<String>,
    pub metrics: Arc<SourceMetrics>,
}

impl<T> Driven<T> {
    pub fn records(&self) -> impl Iterator<Item = &Record<T>> {
        self.batches.iter().flat_map(|b| &b.records)
    }

    /// How many splits came to their end.
    pub fn ended(&self) -> usize {
        self.batches.iter().filter(|b| b.last).count()
    }
}

/// A reader, if it could be opened, and its counters.
pub type Opened<T> = (Result<Box<dyn Reader<T>>, Error>, Arc<SourceMetrics>);

/// Opens the share of a worker.
pub fn open<T>(source: &impl Source<T>, worker: usize, workers: usize) -> Opened<T> {
    open_from(source, worker, workers, None)
}

fn open_from<T>(source: &impl Source<T>, worker: usize, workers: usize, restored: Option<&[serde_json::Value]>) -> Opened<T> {
    let metrics = Arc::new(SourceMetrics::default());
    let context = SourceContext {
        worker,
        workers,
        waker: Waker::disconnected(),
        restored: restored.map(|positions| Arc::new(positions.to_vec())),
        shared: Default::default(),
        metrics: Arc::clone(&metrics),
    };
    (source.open(context), metrics)
}

/// Reads the share of a worker to its end.
pub fn drive<T: 'static>(source: &impl Source<T>, worker: usize, workers: usize) -> Driven<T> {
    to_the_end(open(source, worker, workers))
}

/// Reads on, with one worker, from these positions.
pub fn drive_from<T: 'static>(source: &impl Source<T>, positions: &[serde_json::Value]) -> Driven<T> {
    to_the_end(open_from(source, 0, 1, Some(positions)))
}

fn to_the_end<T: 'static>((reader, metrics): Opened<T>) -> Driven<T> {
    let mut driven = Driven { batches: Vec::new(), error: None, metrics };
    match reader {
        Ok(mut reader) => loop {
            match reader.poll() {
                Ok(Poll::Batch(batch)) => driven.batches.push(batch),
                Ok(Poll::Pending | Poll::After(_)) => std::thread::yield_now(),
                Ok(Poll::Finished) => return driven,
                Err(e) => {
                    driven.error = Some(e.to_string());
                    return driven;
                }
            }
        },
        Err(e) => driven.error = Some(e.to_string()),
    }
    driven
}

/// Reads the shares of all workers.
pub fn drive_all<T: 'static>(source: &impl Source<T>, workers: usize) -> Vec<Driven<T>> {
    (0..workers).map(|worker| drive(source, worker, workers)).collect()
}
