//! The versions of one row of a table.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::ties::Ties;

/// The row from a moment on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Version<R> {
    from: i64,
    /// `None` if the row does not exist.
    value: Option<R>,
}

/// The history of a row: versions in order of time, at most one per moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Versions<R>(VecDeque<Version<R>>);

impl<R> Default for Versions<R> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<R> Versions<R> {
    /// Whether a version is known that took effect after `from` and no later than `now`, the current event time. Then no record can need a
    /// version of `from`.
    pub(super) fn replaced(&self, from: i64, now: i64) -> bool {
        self.up_to(now).and_then(|at| self.0.get(at)).is_some_and(|version| version.from > from)
    }

    /// Sets the row to `value` from a moment on, or deletes it if `None`. Of two versions of the same moment, the last to arrive is valid;
    /// with `ties`, the last in their order, and a row rather than a deletion.
    pub(super) fn insert(&mut self, from: i64, value: Option<R>, ties: Option<&Ties<R>>) {
        let at = self.0.partition_point(|other| other.from < from);
        let Some(other) = self.0.get_mut(at).filter(|other| other.from == from) else {
            return self.0.insert(at, Version { from, value });
        };
        let holds = match (ties, &other.value, &value) {
            (Some(ties), Some(old), Some(new)) => ties(old, new).is_gt(),
            (Some(_), Some(_), None) => true,
            _ => false,
        };
        if !holds {
            other.value = value;
        }
    }

    /// The index of the version valid at a moment.
    fn up_to(&self, time: i64) -> Option<usize> {
        self.0.partition_point(|version| version.from <= time).checked_sub(1)
    }

    /// The row at a moment.
    pub(super) fn at(&self, time: i64) -> Option<&R> {
        self.up_to(time).and_then(|at| self.0.get(at))?.value.as_ref()
    }

    /// Drops the versions that were no longer valid at `now`.
    pub(super) fn forget_before(&mut self, now: i64) {
        let Some(current) = self.up_to(now) else { return };
        self.0.drain(..current);
        // A deletion need not be remembered unless an older version is kept.
        self.0.pop_front_if(|first| first.from <= now && first.value.is_none());
    }

    /// When the oldest version can be dropped.
    pub(super) fn next_over(&self) -> Option<i64> {
        let first = self.0.front()?;
        if first.value.is_none() { Some(first.from) } else { self.0.get(1).map(|second| second.from) }
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
