//! Streams, and the operators that look at one record at a time.

use serde::Serialize;
use tidegate_runtime::sink::Sink;
use tidegate_runtime::source::Source;
use tidegate_runtime::watermarks::WatermarkStrategy;
use tidegate_runtime::{Data, Dataflow, Edge, Error, Kind, Record, operator};

use crate::keyed::KeyedStream;
use crate::kinds;
use crate::window::{Assigner, WindowedStream};

/// A stream of records of type `T`, each with an event time.
///
/// Operators consume the stream; `clone` it to use it twice.
pub struct Stream<'s, T: 'static>(Edge<'s, T>);

impl<T: Clone + 'static> Clone for Stream<'_, T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// What a job begins with.
pub trait DataflowExt<'s> {
    /// Reads `source` on every worker, with watermarks by `strategy`.
    fn source<T: Clone + 'static>(&self, name: &str, source: impl Source<T>, strategy: WatermarkStrategy) -> Stream<'s, T>;
}

impl<'s> DataflowExt<'s> for Dataflow<'s> {
    fn source<T: Clone + 'static>(&self, name: &str, source: impl Source<T>, strategy: WatermarkStrategy) -> Stream<'s, T> {
        Stream(operator::source(self, name, "source", source, strategy))
    }
}

impl<'s, T: 'static> Stream<'s, T> {
    /// The stream on this edge.
    #[must_use]
    pub fn from_edge(edge: Edge<'s, T>) -> Self {
        Self(edge)
    }

    /// The edge under this stream, for operators of one's own.
    #[must_use]
    pub fn into_edge(self) -> Edge<'s, T> {
        self.0
    }

    /// Turns each value into another; event times stay.
    #[must_use]
    pub fn map<U: Clone + 'static>(self, name: &str, mut f: impl FnMut(T) -> U + 'static) -> Stream<'s, U> {
        self.batches(name, kinds::MAP, move |records, out| {
            out.extend(records.drain(..).map(|r| Record::new(r.time, f(r.value))));
            Ok(())
        })
    }

    /// Turns each value into any number of others; event times stay.
    #[must_use]
    pub fn flat_map<U, I>(self, name: &str, mut f: impl FnMut(T) -> I + 'static) -> Stream<'s, U>
    where
        U: Clone + 'static,
        I: IntoIterator<Item = U>,
    {
        self.batches(name, kinds::FLAT_MAP, move |records, out| {
            for record in records.drain(..) {
                out.extend(f(record.value).into_iter().map(|value| Record::new(record.time, value)));
            }
            Ok(())
        })
    }

    /// All records of both streams. Event time goes on only as far as it has come in both.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0.union(other.0))
    }

    fn batches<U: Clone + 'static>(
        self,
        name: &str,
        kind: Kind,
        f: impl FnMut(&mut Vec<Record<T>>, &mut Vec<Record<U>>) -> Result<(), Error> + 'static,
    ) -> Stream<'s, U> {
        Stream(operator::stateless(self.0, name, kind, |_| f))
    }
}

impl<'s, T: Clone + 'static> Stream<'s, T> {
    /// Keeps the records for which `keep` holds.
    #[must_use]
    pub fn filter(self, name: &str, mut keep: impl FnMut(&T) -> bool + 'static) -> Self {
        Self(operator::stateless(self.0, name, kinds::FILTER, |metrics| {
            move |records: &mut Vec<Record<T>>, out: &mut Vec<Record<T>>| {
                let before = records.len();
                records.retain(|r| keep(&r.value));
                metrics.filtered.add((before - records.len()) as u64);
                std::mem::swap(records, out);
                Ok(())
            }
        }))
    }
}

impl<'s, T: Data> Stream<'s, T> {
    /// Sees the stream as one stream per key: records of equal key go to the same worker, in order.
    #[must_use]
    pub fn key_by<K, F>(self, key: F) -> KeyedStream<'s, T, F>
    where
        K: Serialize,
        F: Fn(&T) -> K + Clone + 'static,
    {
        KeyedStream::new(self.0, key)
    }

    /// Cuts the whole stream into windows, on one worker. With several, let it be small by then.
    #[must_use]
    pub fn window_all<W: Assigner<T>>(self, window: W) -> WindowedStream<'s, T, fn(&T), W> {
        WindowedStream::new(self.0, |_| (), window)
    }

    /// Writes the stream to `sink`.
    pub fn sink(self, name: &str, sink: impl Sink<T>) {
        operator::sink(self.0, name, "sink", sink);
    }
}
