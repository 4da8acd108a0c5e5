//! The versions of one row of a table.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::ties::Ties;

/// What a row is from a moment on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Version<R> {
    from: i64,
    /// `None`: the row is not there.
    value: Option<R>,
}

/// What a row was when: versions in order of time, one per moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Versions<R>(VecDeque<Version<R>>);

impl<R> Default for Versions<R> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<R> Versions<R> {
    /// Is one known, with event time at `now`, that holds from a later moment on? Then no record can meet one from this moment.
    pub(super) fn replaced(&self, from: i64, now: i64) -> bool {
        self.up_to(now).and_then(|at| self.0.get(at)).is_some_and(|version| version.from > from)
    }

    /// The row is `value` from a moment on; `None`: it is not there. Of two versions of one moment the last to come holds, or given `ties` the one
    /// that is last by them: a row before a deletion.
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

    /// The place of the version of a moment.
    fn up_to(&self, time: i64) -> Option<usize> {
        self.0.partition_point(|version| version.from <= time).checked_sub(1)
    }

    /// The row at a moment.
    pub(super) fn at(&self, time: i64) -> Option<&R> {
        self.up_to(time).and_then(|at| self.0.get(at))?.value.as_ref()
    }

    /// Lets go of what was over at `now`.
    pub(super) fn forget_before(&mut self, now: i64) {
        let Some(current) = self.up_to(now) else { return };
        self.0.drain(..current);
        // That a row is not there need not be remembered, unless it was there before.
        self.0.pop_front_if(|first| first.from <= now && first.value.is_none());
    }

    /// When the oldest version can be let go of.
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
