//! The records of one input and key that may still find partners.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// A buffered record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Waiting<T> {
    pub(super) time: i64,
    pub(super) value: T,
    /// Whether it has found a partner.
    pub(super) matched: bool,
}

/// Records in order of event time, then of arrival.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Buffer<T>(VecDeque<Waiting<T>>);

impl<T> Default for Buffer<T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<T> Buffer<T> {
    pub(super) fn insert(&mut self, record: Waiting<T>) {
        let at = self.0.partition_point(|other| other.time <= record.time);
        self.0.insert(at, record);
    }

    /// The records with times from `first` to `last`, both inclusive.
    pub(super) fn between(&mut self, first: i64, last: i64) -> impl Iterator<Item = &mut Waiting<T>> {
        let from = self.0.partition_point(|other| other.time < first);
        let to = self.0.partition_point(|other| other.time <= last);
        self.0.range_mut(from..to.max(from))
    }

    /// When the oldest record expires, if each does `after` milliseconds past its time. At the latest, at the end of time.
    pub(super) fn next_over(&self, after: i64) -> Option<i64> {
        self.0.front().map(|oldest| oldest.time.saturating_add(after))
    }

    /// Removes the oldest record if it has expired at `now`.
    pub(super) fn take_over(&mut self, after: i64, now: i64) -> Option<Waiting<T>> {
        if self.next_over(after)? <= now { self.0.pop_front() } else { None }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The event times of all records.
    pub(super) fn times(&self) -> impl Iterator<Item = i64> {
        self.0.iter().map(|record| record.time)
    }
}
