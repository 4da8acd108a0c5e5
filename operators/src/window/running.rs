//! Running totals of overlapping windows, carried on from one window to the next: a slice is added once and removed once, however many
//! windows share it.
//!
//! Aggregates that can retract have one running total per key. Others have two stacks per key (Tangwongsan, Hirzel, Schneider: "Optimal and
//! general out-of-order sliding-window aggregation", VLDB 2019, section 2). The newer stack holds the slices added since the last turn,
//! with their total. The older stack holds the slices that were there at the turn, each with the total from it up to the turn. When the
//! older stack is used up, a turn rebuilds it from the newer one: amortised constant time.
//!
//! All of this is derived from the slices, which are the state: after a restore it is rebuilt from them.

use std::hash::Hash;

use tidegate_runtime::state::Table;

use crate::aggregate::{Aggregate, Sliding};

/// The totals of all keys.
pub(super) struct Running<K, Acc> {
    /// The end of the last window that the totals have moved past.
    pub(super) end: i64,
    sliding: Sliding,
    keys: Table<K, Total<Acc>>,
}

/// The totals of the slices of a key.
struct Total<Acc> {
    slices: usize,
    /// The total of all slices. Only the parts that can be retracted are valid.
    whole: Option<Acc>,
    /// The parts that can't be retracted.
    stacks: Option<Box<Stacks<Acc>>>,
}

/// The slices of a key, one by one.
struct Stacks<Acc> {
    /// The older slices, the oldest last, each merged with those after it up to the last turn.
    older: Vec<Acc>,
    /// The slices added since the last turn.
    newer: Vec<Acc>,
    /// The total of `newer`.
    since: Option<Acc>,
}

impl<K: Clone + Eq + Hash, Acc: Clone> Running<K, Acc> {
    pub(super) fn new(end: i64, sliding: Sliding) -> Self {
        Self { end, sliding, keys: Table::default() }
    }

    /// Adds the part of `key` in a slice that is later than all added before.
    #[inline]
    pub(super) fn add<T>(&mut self, aggregate: &impl Aggregate<T, Acc = Acc>, key: &K, part: &Acc) {
        let total = self.keys.entry_ref(key).or_insert_with(|| Total { slices: 0, whole: None, stacks: None });
        total.slices += 1;
        if self.sliding != Sliding::Suffixes {
            add(aggregate, &mut total.whole, part);
        }
        if matches!(self.sliding, Sliding::Suffixes | Sliding::Both) {
            let stacks = total.stacks.get_or_insert_with(|| Box::new(Stacks { older: Vec::new(), newer: Vec::new(), since: None }));
            let rest = if self.sliding == Sliding::Both { aggregate.rest(part) } else { part.clone() };
            add(aggregate, &mut stacks.since, &rest);
            stacks.newer.push(rest);
        }
    }

    /// Removes the part of `key` in its oldest slice.
    #[inline]
    pub(super) fn take<T>(&mut self, aggregate: &impl Aggregate<T, Acc = Acc>, key: &K, part: &Acc) {
        let Some(total) = self.keys.get_mut(key) else { return };
        total.slices -= 1;
        if total.slices == 0 {
            self.keys.remove(key);
            return;
        }
        if let Some(whole) = &mut total.whole {
            aggregate.retract(whole, part);
        }
        if let Some(stacks) = &mut total.stacks {
            if stacks.older.is_empty() {
                stacks.turn(|older, newer| aggregate.merge(older, newer));
            }
            stacks.older.pop();
        }
    }

    /// Forgets a key whose slices have changed.
    pub(super) fn forget(&mut self, key: &K) {
        self.keys.remove(key);
    }

    /// Calls `each` with the total of every key.
    pub(super) fn for_each<T>(&self, aggregate: &impl Aggregate<T, Acc = Acc>, mut each: impl FnMut(&K, &Acc)) {
        for (key, Total { whole, stacks, .. }) in &self.keys {
            let merged;
            let rest = match stacks.as_ref().map(|stacks| (stacks.older.last(), &stacks.since)) {
                Some((Some(older), Some(since))) => {
                    let mut all = older.clone();
                    aggregate.merge(&mut all, since);
                    merged = all;
                    Some(&merged)
                }
                Some((Some(all), None) | (None, Some(all))) => Some(all),
                Some((None, None)) | None => None,
            };
            match (whole, rest) {
                (Some(whole), Some(rest)) => {
                    let mut all = whole.clone();
                    aggregate.complete(&mut all, rest);
                    each(key, &all);
                }
                (Some(all), None) | (None, Some(all)) => each(key, all),
                (None, None) => {}
            }
        }
    }
}

fn add<T, A: Aggregate<T>>(aggregate: &A, total: &mut Option<A::Acc>, part: &A::Acc) {
    match total {
        Some(total) => aggregate.merge(total, part),
        None => *total = Some(part.clone()),
    }
}

impl<Acc> Stacks<Acc> {
    /// Moves the newer slices to the older stack, each merged with those after it.
    fn turn(&mut self, merge: impl Fn(&mut Acc, &Acc)) {
        self.since = None;
        for mut part in self.newer.drain(..).rev() {
            if let Some(later) = self.older.last() {
                merge(&mut part, later);
            }
            self.older.push(part);
        }
    }
}
