//! The shards of a state by namespace, and what they come to together: there may be as many as a day has seconds, so that nobody asks them all for every
//! batch.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::hash::Hash;
use std::ops::Range;

use super::shard::{Shard, Size};
use crate::record::Data;

/// A shard per namespace, in order.
pub(super) struct Shards<K, V> {
    shards: BTreeMap<i64, Shard<K, V>>,
    /// The namespaces whose shards may have come to something else since they were last asked.
    touched: Vec<i64>,
    size: Size,
}

impl<K, V> Default for Shards<K, V> {
    fn default() -> Self {
        Self { shards: BTreeMap::new(), touched: Vec::new(), size: Size::default() }
    }
}

impl<K: Data + Eq + Hash, V: Data> Shards<K, V> {
    /// The namespaces, in order.
    pub(super) fn namespaces(&self) -> impl DoubleEndedIterator<Item = i64> {
        self.shards.keys().copied()
    }

    /// Those in `range`, in order.
    pub(super) fn namespaces_in(&self, range: Range<i64>) -> impl Iterator<Item = i64> {
        self.shards.range(range).map(|(namespace, _)| *namespace)
    }

    /// The shard of a namespace, to be read.
    pub(super) fn get(&self, namespace: i64) -> Option<&Shard<K, V>> {
        self.shards.get(&namespace)
    }

    /// The shard of a namespace, to be changed.
    #[inline]
    pub(super) fn get_mut(&mut self, namespace: i64) -> Option<&mut Shard<K, V>> {
        let shard = self.shards.get_mut(&namespace)?;
        Some(touch(shard, &mut self.touched, namespace))
    }

    /// The same; `make` if there is none.
    #[inline]
    pub(super) fn get_or_insert_with(&mut self, namespace: i64, make: impl FnOnce() -> Shard<K, V>) -> &mut Shard<K, V> {
        let shard = match self.shards.entry(namespace) {
            Entry::Occupied(found) => found.into_mut(),
            Entry::Vacant(gap) => gap.insert(make()),
        };
        touch(shard, &mut self.touched, namespace)
    }

    /// Takes out the first shard, if its namespace is below `floor`.
    pub(super) fn pop_below(&mut self, floor: i64) -> Option<Shard<K, V>> {
        let shard = self.shards.first_entry().filter(|entry| *entry.key() < floor)?.remove();
        self.size.replace(shard.told(), Size::default());
        Some(shard)
    }

    /// The last shard, as it is.
    pub(super) fn last_mut(&mut self) -> Option<&mut Shard<K, V>> {
        self.shards.last_entry().map(std::collections::btree_map::OccupiedEntry::into_mut)
    }

    /// Every shard in order, for what does not change what it comes to.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Shard<K, V>> {
        self.shards.values_mut()
    }

    /// Changes every shard.
    pub(super) fn change_each(&mut self, mut each: impl FnMut(&mut Shard<K, V>)) {
        for shard in self.shards.values_mut() {
            each(shard);
            shard.settle(&mut self.size);
        }
    }

    /// Changes shards in order for as long as `each` says so.
    pub(super) fn change_while<E>(&mut self, mut each: impl FnMut(&mut Shard<K, V>) -> Result<bool, E>) -> Result<(), E> {
        for shard in self.shards.values_mut() {
            let more = each(shard)?;
            shard.settle(&mut self.size);
            if !more {
                break;
            }
        }
        Ok(())
    }

    /// Asks those that were touched what they come to.
    pub(super) fn settle(&mut self) {
        for namespace in self.touched.drain(..) {
            if let Some(shard) = self.shards.get_mut(&namespace) {
                shard.touched = false;
                shard.settle(&mut self.size);
            }
        }
    }

    /// What they come to, counted one by one.
    #[cfg(test)]
    pub(super) fn counted(&self) -> Size {
        let mut counted = Size::default();
        self.shards.values().for_each(|shard| counted.replace(Size::default(), shard.size()));
        counted
    }

    /// What they came to when they were last settled.
    pub(super) fn size(&self) -> Size {
        self.size
    }
}

#[inline]
fn touch<'a, K, V>(shard: &'a mut Shard<K, V>, touched: &mut Vec<i64>, namespace: i64) -> &'a mut Shard<K, V> {
    if !std::mem::replace(&mut shard.touched, true) {
        touched.push(namespace);
    }
    shard
}
