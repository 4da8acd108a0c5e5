//! Histories that tell how many different values there are in a span, without a set for each span.
//!
//! Of each value only the newest item is marked. So the marked items after a moment are as many as there are different values since then:
//! a sum over a range, like any other. Each item also knows the time of the one before it with its value. With that, a span that ends before the
//! newest item is exact, too: a value counts in it if its marked item is in it, or if the first item with that value after it follows one in it.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use tidegate_runtime::Error;
use tidegate_runtime::state::Key;

use super::history::{Column, History, Leaf, Nodes, Piece};

/// No item with this value came before.
const NONE: i64 = i64::MIN;

/// Values, of which only one item for each value and time is followed and marked. Others of the same time, and nulls, only take a place; such an item is its
/// own predecessor.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Distinct<V> {
    values: Vec<V>,
    /// The time of the item before with this value.
    previous: Vec<i64>,
    /// Whether it is the newest item with this value.
    newest: Vec<bool>,
}

impl<V> Default for Distinct<V> {
    fn default() -> Self {
        Self { values: Vec::new(), previous: Vec::new(), newest: Vec::new() }
    }
}

/// An item of such a history.
#[derive(Clone, Debug)]
pub struct Seen<V> {
    value: V,
    previous: i64,
    newest: bool,
}

impl<V: Key> Distinct<V> {
    /// Inserts an item before the one at `at`.
    pub fn insert(&mut self, at: usize, item: Seen<V>) {
        self.values.insert(at, item.value);
        self.previous.insert(at, item.previous);
        self.newest.insert(at, item.newest);
    }

    /// Splits off the items from `at` on.
    #[must_use]
    pub fn split_off(&mut self, at: usize) -> Self {
        Self { values: self.values.split_off(at), previous: self.previous.split_off(at), newest: self.newest.split_off(at) }
    }

    /// The number of marked items in a stretch.
    pub fn marked(&self, range: Range<usize>) -> u64 {
        self.newest.get(range).map_or(0, |marks| marks.iter().filter(|mark| **mark).count() as u64)
    }

    /// The values of a stretch.
    pub fn values(&self, range: Range<usize>) -> &[V] {
        self.values.get(range).unwrap_or_default()
    }

    /// Whether the item at `at`, of this time, is the one for its time and this value.
    fn is_followed(&self, at: usize, time: i64, value: &V) -> bool {
        self.values.get(at) == Some(value) && self.previous.get(at).is_some_and(|previous| *previous != time)
    }

    /// The values of the marked items.
    fn newest(&self) -> impl Iterator<Item = (usize, &V)> {
        self.newest.iter().enumerate().filter(|(_, newest)| **newest).filter_map(|(at, _)| Some((at, self.values.get(at)?)))
    }
}

/// A column of different values, or one that may be such.
pub trait Distinguishes: Column {
    /// What is told apart.
    type Value: Key;

    /// Whether a value is none. It only takes a place.
    fn is_null(value: &Self::Value) -> bool;
    /// The values, if it is a column of different values.
    fn distinct(&self) -> Option<&Distinct<Self::Value>>;
    /// The values, to be changed.
    fn distinct_mut(&mut self) -> Option<&mut Distinct<Self::Value>>;
    /// An item.
    fn seen(item: Seen<Self::Value>) -> Self::Item;
    /// The number of marked items in a part.
    fn marked(part: &Self::Part) -> u64;
    /// One marked item of what has been dropped is marked no longer.
    fn unmark(part: &mut Self::Part);
}

/// The time of the newest item with each value, as far as that is not in the tail of the history.
pub trait Newest<V> {
    /// The time of the newest item.
    ///
    /// # Errors
    /// The disk failed.
    fn get(&mut self, value: &V) -> Result<Option<i64>, Error>;
    /// Sets the time of the newest item.
    ///
    /// # Errors
    /// The disk failed.
    fn set(&mut self, value: &V, time: i64) -> Result<(), Error>;
    /// Forgets a value.
    ///
    /// # Errors
    /// The disk failed.
    fn forget(&mut self, value: &V) -> Result<(), Error>;
}

/// What is left to do when a leaf leaves the tail.
pub fn closed<C: Distinguishes>(leaf: &Leaf<C>, newest: &mut impl Newest<C::Value>) -> Result<(), Error> {
    let values = leaf.column.distinct().into_iter().flat_map(Distinct::newest);
    values.filter_map(|(at, value)| Some((value, leaf.times.get(at)?))).try_for_each(|(value, time)| newest.set(value, *time))
}

/// What is left to do when a leaf has been dropped, and nothing is kept of it.
pub fn dropped<C: Distinguishes>(leaf: &Leaf<C>, newest: &mut impl Newest<C::Value>) -> Result<(), Error> {
    let mut values = leaf.column.distinct().into_iter().flat_map(Distinct::newest);
    values.try_for_each(|(_, value)| newest.forget(value))
}

impl<C: Distinguishes> History<C> {
    /// The time of the newest item with this value.
    fn newest_of(&self, newest: &mut impl Newest<C::Value>, value: &C::Value) -> Result<Option<i64>, Error> {
        let Some(distinct) = self.tail.column.distinct() else { return Ok(None) };
        let found = distinct.values.iter().zip(&distinct.newest).rposition(|(other, newest)| *newest && other == value);
        match found.and_then(|at| self.tail.times.get(at)) {
            Some(time) => Ok(Some(*time)),
            None if self.leaves() == 0 && self.past.is_none() => Ok(None),
            None => newest.get(value),
        }
    }

    /// The time of the item before the one with this value at `time`.
    fn previous_of(&self, nodes: &mut impl Nodes<C>, value: &C::Value, time: i64) -> Result<i64, Error> {
        let ranks = self.rank(nodes, time.saturating_sub(1))?..self.rank(nodes, time)?;
        let mut previous = NONE;
        self.visit(nodes, ranks, &mut |piece| match piece {
            Piece::Items(_, column, range) => {
                let of_value = |distinct: &Distinct<C::Value>| {
                    let at = range.clone().find(|at| distinct.is_followed(*at, time, value))?;
                    distinct.previous.get(at).copied()
                };
                previous = column.distinct().and_then(of_value).unwrap_or(previous);
                true
            }
            Piece::Whole(_) => false,
        })?;
        Ok(previous)
    }

    /// The time of the newest item with this value at or before `time`.
    pub fn newest_until(
        &self,
        nodes: &mut impl Nodes<C>,
        newest: &mut impl Newest<C::Value>,
        value: &C::Value,
        time: i64,
    ) -> Result<Option<i64>, Error> {
        let (found, _) = self.around(nodes, newest, value, time)?;
        Ok((found != NONE).then_some(found))
    }

    /// The items with this value between which a new one at `time` comes: the time of the one before it, or [`NONE`], and of the one after it.
    fn around(
        &self,
        nodes: &mut impl Nodes<C>,
        newest: &mut impl Newest<C::Value>,
        value: &C::Value,
        time: i64,
    ) -> Result<(i64, Option<i64>), Error> {
        let mut after = None;
        let mut before = self.newest_of(newest, value)?.unwrap_or(NONE);
        while before > time {
            after = Some(before);
            before = self.previous_of(nodes, value, before)?;
        }
        Ok((before, after))
    }

    /// Adds a value.
    pub fn add(&mut self, nodes: &mut impl Nodes<C>, newest: &mut impl Newest<C::Value>, time: i64, value: C::Value) -> Result<(), Error> {
        let place = |value| C::seen(Seen { value, previous: time, newest: false });
        if C::is_null(&value) {
            return self.insert(nodes, time, place(value), &mut |leaf| closed(leaf, newest));
        }
        let (before, after) = self.around(nodes, newest, &value, time)?;
        if before == time {
            return self.insert(nodes, time, place(value), &mut |leaf| closed(leaf, newest));
        }
        if let Some(after) = after {
            // A straggler: the one after it now follows it.
            self.change(nodes, after, &value, |distinct, at| distinct.previous[at] = time)?;
        } else if before != NONE {
            if !self.change(nodes, before, &value, |distinct, at| distinct.newest[at] = false)?
                && let Some(past) = &mut self.past
            {
                C::unmark(&mut past.part);
            }
            if self.leaves() > 0 || self.past.is_some() {
                newest.forget(&value)?;
            }
        }
        if after.is_none() && self.is_below(time) {
            newest.set(&value, time)?;
        }
        let item = C::seen(Seen { value, previous: before, newest: after.is_none() });
        self.insert(nodes, time, item, &mut |leaf| closed(leaf, newest))
    }

    /// Notes that a value came before all items that are kept one by one. Returns whether nothing was known of it.
    pub fn add_old(
        &mut self,
        nodes: &mut impl Nodes<C>,
        newest: &mut impl Newest<C::Value>,
        time: i64,
        value: &C::Value,
    ) -> Result<bool, Error> {
        let (before, after) = self.around(nodes, newest, value, time)?;
        if let (NONE, Some(after)) = (before, after) {
            self.change(nodes, after, value, |distinct, at| distinct.previous[at] = time)?;
        }
        Ok(before == NONE && after.is_none())
    }

    /// Changes the item with this value and time. Returns whether it is there.
    fn change(
        &mut self,
        nodes: &mut impl Nodes<C>,
        time: i64,
        value: &C::Value,
        change: impl Fn(&mut Distinct<C::Value>, usize),
    ) -> Result<bool, Error> {
        self.edit(nodes, time, &mut |column, at| {
            let Some(distinct) = column.distinct_mut().filter(|distinct| distinct.is_followed(at, time, value)) else { return false };
            change(distinct, at);
            true
        })
    }

    /// How many different values have an item after `from` and up to `to`, which are the times at these ranks.
    pub fn count_distinct(&self, nodes: &mut impl Nodes<C>, (from, to): (i64, i64), ranks: Range<u64>) -> Result<u64, Error> {
        let mut count = 0;
        let after = ranks.end..self.len();
        self.visit(nodes, ranks, &mut |piece| {
            count += match piece {
                Piece::Items(_, column, range) => column.distinct().map_or(0, |distinct| distinct.marked(range)),
                Piece::Whole(entry) => C::marked(&entry.part),
            };
            true
        })?;
        self.visit(nodes, after, &mut |piece| match piece {
            Piece::Items(_, column, range) => {
                let previous = column.distinct().and_then(|distinct| distinct.previous.get(range)).unwrap_or_default();
                count += previous.iter().filter(|previous| from < **previous && **previous <= to).count() as u64;
                true
            }
            Piece::Whole(_) => false,
        })?;
        Ok(count)
    }
}
