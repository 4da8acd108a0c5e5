//! The shards of a state by namespace, and their total size. There may be as many as a day has seconds, so the total is kept up to date
//! instead of being summed for every batch.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::hash::Hash;
use std::ops::Range;

use super::shard::{Shard, Size};
use crate::record::Data;

/// One shard per namespace, in order.
pub(super) struct Shards<K, V> {
    shards: BTreeMap<i64, Shard<K, V>>,
    /// The namespaces whose shards may have changed in size since they were last settled.
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

    /// The namespaces in `range`, in order.
    pub(super) fn namespaces_in(&self, range: Range<i64>) -> impl Iterator<Item = i64> {
        self.shards.range(range).map(|(namespace, _)| *namespace)
    }

    /// The shard of a namespace, for reading.
    pub(super) fn get(&self, namespace: i64) -> Option<&Shard<K, V>> {
        self.shards.get(&namespace)
    }

    /// The shard of a namespace, for changing.
    #[inline]
    pub(super) fn get_mut(&mut self, namespace: i64) -> Option<&mut Shard<K, V>> {
        let shard = self.shards.get_mut(&namespace)?;
        Some(touch(shard, &mut self.touched, namespace))
    }

    /// The shard of a namespace, for changing. Inserts `make()` if there is none.
    #[inline]
    pub(super) fn get_or_insert_with(&mut self, namespace: i64, make: impl FnOnce() -> Shard<K, V>) -> &mut Shard<K, V> {
        let shard = match self.shards.entry(namespace) {
            Entry::Occupied(found) => found.into_mut(),
            Entry::Vacant(gap) => gap.insert(make()),
        };
        touch(shard, &mut self.touched, namespace)
    }

    /// Removes the first shard if its namespace is below `floor`.
    pub(super) fn pop_below(&mut self, floor: i64) -> Option<Shard<K, V>> {
        let shard = self.shards.first_entry().filter(|entry| *entry.key() < floor)?.remove();
        self.size.replace(shard.told(), Size::default());
        Some(shard)
    }

    /// The last shard, for reading.
    pub(super) fn last(&self) -> Option<&Shard<K, V>> {
        self.shards.last_key_value().map(|(_, shard)| shard)
    }

    /// The last shard, for uses that don't change its size.
    pub(super) fn last_mut(&mut self) -> Option<&mut Shard<K, V>> {
        self.shards.last_entry().map(std::collections::btree_map::OccupiedEntry::into_mut)
    }

    /// All shards in order, for uses that don't change their size.
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

    /// Changes shards in order until `each` returns false.
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

    /// Brings the total up to date with the shards that were touched.
    pub(super) fn settle(&mut self) {
        for namespace in self.touched.drain(..) {
            if let Some(shard) = self.shards.get_mut(&namespace) {
                shard.touched = false;
                shard.settle(&mut self.size);
            }
        }
    }

    /// The total size, summed over all shards.
    #[cfg(test)]
    pub(super) fn counted(&self) -> Size {
        let mut counted = Size::default();
        self.shards.values().for_each(|shard| counted.replace(Size::default(), shard.size()));
        counted
    }

    /// The total size, as last settled.
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
