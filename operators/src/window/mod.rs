//! Windows of event time: tumbling and sliding ones on shared slices, sessions by merging.
//!
//! A window is `[start, end)` in milliseconds. It fires when the watermark has reached `end - 1`, once, and again for every late record within
//! the allowed lateness; its result has the event time `end - 1`. A record is late if no window takes it any more.

mod assigner;
mod sessions;
mod slices;

use std::hash::Hash;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tidegate_runtime::operator::keyed;
use tidegate_runtime::{Data, Edge, Error, Record};

pub use assigner::{InvalidWindow, Window};
use sessions::SessionLogic;
use slices::SliceLogic;

use crate::aggregate::Aggregate;
use crate::keyed::kind;
use crate::stream::Stream;
use assigner::Kind;

/// What a window of one key came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowResult<K, V> {
    /// The key.
    pub key: K,
    /// The window's first millisecond.
    pub start: i64,
    /// The first millisecond after the window.
    pub end: i64,
    /// The result of the aggregate function.
    pub value: V,
}

/// A keyed stream cut into windows.
pub struct WindowedStream<'s, T: 'static, F> {
    edge: Edge<'s, T>,
    key: F,
    window: Window,
    allowed_lateness: Duration,
}

impl<'s, T: Data, F> WindowedStream<'s, T, F> {
    pub(crate) fn new(edge: Edge<'s, T>, key: F, window: Window) -> Self {
        Self { edge, key, window, allowed_lateness: Duration::ZERO }
    }

    /// For how long after its end a window still takes records and fires again.
    #[must_use]
    pub fn allowed_lateness(mut self, lateness: Duration) -> Self {
        self.allowed_lateness = lateness;
        self
    }

    /// Aggregates the records of each key and window. Late records are dropped and counted.
    #[must_use]
    pub fn aggregate<K, A>(self, name: &str, aggregate: A) -> Stream<'s, WindowResult<K, A::Out>>
    where
        K: Data + Eq + Hash,
        F: Fn(&T) -> K + Clone + 'static,
        A: Aggregate<T>,
    {
        self.aggregate_with_late(name, aggregate).0
    }

    /// Aggregates the records of each key and window; the second stream is the late records, as they came.
    #[must_use]
    pub fn aggregate_with_late<K, A>(self, name: &str, aggregate: A) -> (Stream<'s, WindowResult<K, A::Out>>, Stream<'s, T>)
    where
        K: Data + Eq + Hash,
        F: Fn(&T) -> K + Clone + 'static,
        A: Aggregate<T>,
    {
        let (route, key) = (self.key.clone(), self.key);
        let lateness = i64::try_from(self.allowed_lateness.as_millis()).unwrap_or(i64::MAX);
        let kind = kind(&format!("{} window", self.window), &aggregate.describe());
        let (main, late) = match self.window.kind() {
            Kind::Aligned(windows) => {
                keyed(self.edge, name, &kind, Some("late"), route, |cx| SliceLogic::new(key, windows, lateness, aggregate, cx))
            }
            Kind::Session { gap } => {
                keyed(self.edge, name, &kind, Some("late"), route, |cx| SessionLogic::new(key, gap, lateness, aggregate, cx))
            }
        };
        (Stream::from_edge(main), Stream::from_edge(late))
    }
}

/// Refuses a record without an event time: it is in no window, and dropping it would hide a mistake in the job.
fn timed<T>(record: &Record<T>) -> Result<(), Error> {
    if record.time == Record::UNTIMED {
        return Err(Error::user("a record without an event time came to an event-time window: give its source an event time"));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
