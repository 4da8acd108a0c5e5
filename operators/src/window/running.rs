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
    keys: Table<K, Total<Acc>>,
}

/// What the slices of a key come to.
struct Total<Acc> {
    /// Of all of them, or of those since the last turn.
    newer: Option<Acc>,
    /// How many are in `newer`.
    slices: usize,
    stacks: Option<Box<Stacks<Acc>>>,
}

/// The slices of a key, one by one.
struct Stacks<Acc> {
    /// The oldest last, each with what it and those after it come to, up to the last turn.
    older: Vec<Acc>,
    /// Those since the last turn.
    newer: Vec<Acc>,
}

impl<K: Clone + Eq + Hash, Acc: Clone> Running<K, Acc> {
    pub(super) fn new(end: i64) -> Self {
        Self { end, keys: Table::default() }
    }

    /// Adds the part of `key` in a slice, which is after those added before.
    #[inline]
    pub(super) fn add<T>(&mut self, aggregate: &impl Aggregate<T, Acc = Acc>, key: &K, part: &Acc) {
        let total = self.keys.entry_ref(key).or_insert_with(|| Total { newer: None, slices: 0, stacks: None });
        match &mut total.newer {
            Some(newer) => aggregate.merge(newer, part),
            none => *none = Some(part.clone()),
        }
        total.slices += 1;
        if aggregate.sliding() == Sliding::Suffixes {
            let stacks = total.stacks.get_or_insert_with(|| Box::new(Stacks { older: Vec::new(), newer: Vec::new() }));
            stacks.newer.push(part.clone());
        }
    }

    /// Takes the part of `key` in its oldest slice away.
    #[inline]
    pub(super) fn take<T>(&mut self, aggregate: &impl Aggregate<T, Acc = Acc>, key: &K, part: &Acc) {
        let Some(total) = self.keys.get_mut(key) else { return };
        if let Some(stacks) = &mut total.stacks {
            if stacks.older.is_empty() {
                total.newer = None;
                total.slices = 0;
                stacks.turn(|older, newer| aggregate.merge(older, newer));
            }
            stacks.older.pop();
            if !stacks.older.is_empty() || total.slices > 0 {
                return;
            }
        } else {
            total.slices -= 1;
            if let Some(newer) = total.newer.as_mut().filter(|_| total.slices > 0) {
                aggregate.retract(newer, part);
                return;
            }
        }
        self.keys.remove(key);
    }

    /// Forgets a key, whose slices have changed.
    pub(super) fn forget(&mut self, key: &K) {
        self.keys.remove(key);
    }

    /// Gives the total of every key to `each`.
    pub(super) fn for_each<T>(&self, aggregate: &impl Aggregate<T, Acc = Acc>, mut each: impl FnMut(&K, &Acc)) {
        for (key, total) in &self.keys {
            match (total.stacks.as_ref().and_then(|stacks| stacks.older.last()), &total.newer) {
                (Some(older), Some(newer)) => {
                    let mut all = older.clone();
                    aggregate.merge(&mut all, newer);
                    each(key, &all);
                }
                (Some(all), None) | (None, Some(all)) => each(key, all),
                (None, None) => {}
            }
        }
    }
}

impl<Acc: Clone> Stacks<Acc> {
    /// The newer ones become the older ones, each with what those after it come to.
    fn turn(&mut self, merge: impl Fn(&mut Acc, &Acc)) {
        for mut part in self.newer.drain(..).rev() {
            if let Some(later) = self.older.last() {
                merge(&mut part, later);
            }
            self.older.push(part);
        }
    }
}
