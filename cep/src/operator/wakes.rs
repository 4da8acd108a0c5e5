//! When to look at which key. Unlike the timers of process functions, these are never taken back: whoever is woken too early, or twice, sees so from the
//! time it keeps itself. That makes one cheap enough to set for nearly every event.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

#[derive(Clone, Debug)]
struct Wake<K> {
    time: i64,
    /// Those of one time go in the order they were set.
    number: u64,
    key: K,
}

impl<K> Ord for Wake<K> {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.time, self.number).cmp(&(other.time, other.number))
    }
}

impl<K> PartialOrd for Wake<K> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<K> PartialEq for Wake<K> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<K> Eq for Wake<K> {}

#[derive(Clone, Debug)]
pub(super) struct Wakes<K> {
    due: BinaryHeap<Reverse<Wake<K>>>,
    numbers: u64,
}

impl<K> Default for Wakes<K> {
    fn default() -> Self {
        Self { due: BinaryHeap::new(), numbers: 0 }
    }
}

impl<K> Wakes<K> {
    pub fn set(&mut self, time: i64, key: K) {
        self.due.push(Reverse(Wake { time, number: self.numbers, key }));
        self.numbers += 1;
    }

    /// Takes out the earliest that is due by `now`.
    pub fn take_due(&mut self, now: i64) -> Option<(i64, K)> {
        if self.due.peek()?.0.time > now {
            return None;
        }
        self.due.pop().map(|Reverse(wake)| (wake.time, wake.key))
    }

    pub fn len(&self) -> usize {
        self.due.len()
    }
}
