//! What overlapping windows come to, carried on from one to the next: a slice is added once and taken away once, however many windows share it.
//!
//! Aggregates that can take back have one running total a key. Others have two stacks a key (Tangwongsan, Hirzel, Schneider: "Optimal and general
//! out-of-order sliding-window aggregation", VLDB 2019, section 2): the slices that came since the last turn, with their total, and before them those
//! that were there then, each with the total from it to the turn. That is made anew when the older ones are used up: amortised constant time.
//!
//! All of this follows from the slices, which are the state: after a restore it is made from them.

use std::hash::Hash;

use tidegate_runtime::state::Table;

use crate::aggregate::{Aggregate, Sliding};

/// The totals of all keys.
pub(super) struct Running<K, Acc> {
    /// The windows that end here and before have been left.
    pub(super) end: i64,
    sliding: Sliding,
    keys: Table<K, Total<Acc>>,
}

/// What the slices of a key come to.
struct Total<Acc> {
    slices: usize,
    /// Of all slices: what can be taken back is right.
    whole: Option<Acc>,
    /// What can't be taken back.
    stacks: Option<Box<Stacks<Acc>>>,
}

/// The slices of a key, one by one.
struct Stacks<Acc> {
    /// The oldest last, each with what it and those after it come to, up to the last turn.
    older: Vec<Acc>,
    /// Those since the last turn.
    newer: Vec<Acc>,
    /// What these come to.
    since: Option<Acc>,
}

impl<K: Clone + Eq + Hash, Acc: Clone> Running<K, Acc> {
    pub(super) fn new(end: i64, sliding: Sliding) -> Self {
        Self { end, sliding, keys: Table::default() }
    }

    /// Adds the part of `key` in a slice, which is after those added before.
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

    /// Takes the part of `key` in its oldest slice away.
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

    /// Forgets a key, whose slices have changed.
    pub(super) fn forget(&mut self, key: &K) {
        self.keys.remove(key);
    }

    /// Gives the total of every key to `each`.
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
    /// The newer ones become the older ones, each with what those after it come to.
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
