//! Timers: moments at which something is due for a key.

use std::collections::BTreeMap;
use std::hash::Hash;

use foldhash::fast::FixedState;
use hashbrown::HashSet;

/// A set of (time, key): registering twice is registering once. Times are milliseconds since 1970, of event time or of the wall clock.
#[derive(Clone, Debug)]
pub struct Timers<K> {
    // The hasher has a fixed seed, so that timers of one moment fire in the same order in every run.
    due: BTreeMap<i64, HashSet<K, FixedState>>,
}

impl<K> Default for Timers<K> {
    fn default() -> Self {
        Self { due: BTreeMap::new() }
    }
}

impl<K: Eq + Hash> Timers<K> {
    /// Sets a timer.
    pub fn set(&mut self, time: i64, key: K) {
        self.due.entry(time).or_default().insert(key);
    }

    /// Removes a timer, if there is one.
    pub fn delete(&mut self, time: i64, key: &K) {
        if let Some(keys) = self.due.get_mut(&time) {
            keys.remove(key);
            if keys.is_empty() {
                self.due.remove(&time);
            }
        }
    }

    /// The next time anything is due.
    #[must_use]
    pub fn next(&self) -> Option<i64> {
        self.due.first_key_value().map(|(time, _)| *time)
    }

    /// Takes out all keys that are due at the earliest time up to and including `now`. Call again until `None`: what fires may set
    /// further timers that are due already.
    pub fn take_due(&mut self, now: i64) -> Option<(i64, impl Iterator<Item = K> + use<K>)> {
        let entry = self.due.first_entry().filter(|e| *e.key() <= now)?;
        let (time, keys) = entry.remove_entry();
        Some((time, keys.into_iter()))
    }

    /// The number of timers set.
    #[must_use]
    pub fn len(&self) -> usize {
        self.due.values().map(HashSet::len).sum()
    }

    /// Is no timer set?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.due.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_are_a_set_and_fire_in_order_of_time() {
        let mut timers = Timers::default();
        for (time, key) in [(5, "a"), (3, "b"), (5, "a"), (9, "c")] {
            timers.set(time, key);
        }
        timers.delete(7, &"a");
        assert_eq!(timers.len(), 3);
        let mut fired = Vec::new();
        while let Some((time, keys)) = timers.take_due(5) {
            fired.extend(keys.map(|k| (time, k)));
        }
        assert_eq!(fired, [(3, "b"), (5, "a")]);
        assert_eq!(timers.next(), Some(9));
    }
}
