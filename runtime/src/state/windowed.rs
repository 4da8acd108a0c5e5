//! A state with one value per key and namespace, where namespaces are moments: the slices of windows.
//!
//! Each namespace has a table of its own, so a whole window can be read or dropped at once. Namespaces end in order. Rows on disk of
//! namespaces that are over are not deleted one by one; RocksDB drops them when it next rewrites them.

use std::any::Any;
use std::collections::BTreeMap;
use std::hash::Hash;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

use serde_json::{Value as Json, json};

use super::cache::Victims;
use super::codec;
use super::instance::{Address, Instance};
use super::meaning::Arrange;
use super::persistent::{Persistent, Schema, Upcoming};
use super::shard::Shard;
#[cfg(test)]
use super::shard::Size;
use super::shards::Shards;
use super::weight::Weight;
use crate::error::Error;
use crate::record::Data;

/// One value per key and namespace, in memory as far as it fits and on disk beyond that.
pub struct Windowed<K, V> {
    schema: Schema,
    arrange: Option<Arrange<V>>,
    instance: Rc<Instance>,
    id: u8,
    shards: Shards<K, V>,
    /// Namespaces that are over but belong to the snapshot in progress.
    retired: Vec<Shard<K, V>>,
    /// The lowest namespace that is not over.
    floor: i64,
    /// The lowest namespace that RocksDB must keep: `floor`, once no snapshot needs lower ones.
    dropped: Arc<AtomicI64>,
    /// Whether the disk holds restored rows.
    stored: bool,
    /// Whether the floor of a former instance has been restored.
    resumed: bool,
    weight: Weight,
    /// The event times of the records that ask for the same namespace as one of this time. They begin with the namespace.
    asked_at: Option<Box<dyn Fn(i64) -> Range<i64>>>,
}

impl<K: Data + Eq + Hash, V: Data> Windowed<K, V> {
    pub(super) fn new(schema: Schema, arrange: Option<Arrange<V>>) -> Self {
        let instance = Rc::new(Instance::unbound());
        Self {
            schema,
            arrange,
            instance,
            id: 0,
            shards: Shards::default(),
            retired: Vec::new(),
            floor: i64::MIN,
            dropped: Arc::default(),
            stored: false,
            resumed: false,
            weight: Weight::of::<K, V>(),
            asked_at: None,
        }
    }

    /// Declares that a record with event time `t` asks for the value of its key in the namespace `times(t).start`, as do all records of
    /// `times(t)`. Values are then loaded for many records at once, before these are processed.
    pub fn asked_at(&mut self, times: impl Fn(i64) -> Range<i64> + 'static) {
        self.asked_at = Some(Box::new(times));
    }

    /// The namespaces that have been used and are not over, in order.
    pub fn namespaces(&self) -> impl DoubleEndedIterator<Item = i64> {
        self.shards.namespaces()
    }

    /// The namespaces of these that lie in `range`, in order.
    pub fn namespaces_in(&self, range: Range<i64>) -> impl Iterator<Item = i64> {
        self.shards.namespaces_in(range)
    }

    /// Begins a namespace if it has not begun, and returns whether it did so. Within one run, no namespace begins below one that has ended.
    ///
    /// # Errors
    /// The disk failed.
    #[inline]
    pub fn begin(&mut self, namespace: i64) -> Result<bool, Error> {
        let new = self.shards.get(namespace).is_none();
        if new {
            if namespace < self.floor {
                self.reopen(namespace)?;
            }
            let address = Address { state: self.id, namespace: Some(namespace) };
            self.shards.get_or_insert_with(namespace, || Shard::new(&self.instance, address, false));
        }
        Ok(new)
    }

    /// After a restore, event time starts over, and a namespace that had ended may come back. Its old rows on disk must not.
    #[cold]
    fn reopen(&mut self, namespace: i64) -> Result<(), Error> {
        if self.stored && !self.instance.in_memory() {
            let (mut from, mut to) = (Vec::new(), Vec::new());
            for group in self.instance.owned() {
                from.clear();
                to.clear();
                Address { state: self.id, namespace: Some(namespace) }.encode_prefix(group, &mut from);
                Address { state: self.id, namespace: Some(self.floor) }.encode_prefix(group, &mut to);
                self.instance.disk()?.delete_range(&from, &to)?;
            }
        }
        self.floor = namespace;
        self.dropped.fetch_min(namespace, Relaxed);
        Ok(())
    }

    /// The value of `key`, to be changed in place. Inserts `make()` if the key has none. Begins the namespace if it has not begun.
    ///
    /// # Errors
    /// The disk failed.
    #[inline]
    pub fn get_or_insert_with(&mut self, namespace: i64, key: &K, make: impl FnOnce() -> V) -> Result<&mut V, Error> {
        if namespace < self.floor {
            self.begin(namespace)?;
        }
        let address = Address { state: self.id, namespace: Some(namespace) };
        let shard = self.shards.get_or_insert_with(namespace, || Shard::new(&self.instance, address, false));
        shard.upsert(&self.instance, key, |_| false, make)
    }

    /// The value of `key`.
    ///
    /// # Errors
    /// The disk failed.
    pub fn get(&mut self, namespace: i64, key: &K) -> Result<Option<&V>, Error> {
        match self.shards.get_mut(namespace) {
            Some(shard) => shard.get(&self.instance, key),
            None => Ok(None),
        }
    }

    /// Removes and returns the value of `key`.
    ///
    /// # Errors
    /// The disk failed.
    pub fn remove(&mut self, namespace: i64, key: &K) -> Result<Option<V>, Error> {
        match self.shards.get_mut(namespace) {
            Some(shard) => shard.remove(&self.instance, key),
            None => Ok(None),
        }
    }

    /// Calls `each` with every key and value of a namespace.
    ///
    /// # Errors
    /// The disk failed, or `each` returned an error.
    pub fn for_each(&self, namespace: i64, each: impl FnMut(&K, &V) -> Result<(), Error>) -> Result<(), Error> {
        self.shards.get(namespace).map_or(Ok(()), |shard| shard.for_each(&self.instance, each))
    }

    /// Ends all namespaces below `floor`.
    pub fn end_below(&mut self, floor: i64) {
        if floor <= self.floor {
            return;
        }
        self.floor = floor;
        // With state in memory, sizes are rarely requested, and the list of touched shards must not pile up.
        self.shards.settle();
        while let Some(shard) = self.shards.pop_below(floor) {
            if self.instance.frozen.get() {
                self.retired.push(shard);
            }
        }
        self.publish();
    }

    /// The total size as the shards keep it, and as counted.
    #[cfg(test)]
    pub(super) fn sizes(&mut self) -> (Size, Size) {
        self.shards.settle();
        (self.shards.size(), self.shards.counted())
    }

    /// Tells RocksDB which namespaces are over, unless the snapshot in progress may hold them.
    fn publish(&self) {
        if !self.instance.frozen.get() {
            self.dropped.store(self.floor, Relaxed);
        }
    }
}

impl<K: Data + Eq + Hash, V: Data> Persistent for Windowed<K, V> {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn bind(&mut self, id: u8, instance: &Rc<Instance>, stored: bool) -> Result<(), Error> {
        self.id = id;
        self.instance = Rc::clone(instance);
        self.stored = stored;
        self.dropped = instance.garbage.namespaces(id);
        Ok(())
    }

    fn restore_row(&mut self, key: &[u8], value: &[u8]) -> Result<(), Error> {
        let (namespace, key) = codec::decode_ordered(key)?;
        if namespace < self.floor {
            return Ok(());
        }
        self.begin(namespace)?;
        self.shards.get_mut(namespace).map_or(Ok(()), |shard| shard.restore(&self.instance, key, value))
    }

    fn arranged(&self, value: &[u8], places: &[Option<usize>]) -> Result<Vec<u8>, Error> {
        codec::arranged(value, self.arrange.as_deref(), places)
    }

    fn restore_meta(&mut self, meta: &Json) -> Result<(), Error> {
        let broken = || Error::internal("what a snapshot says of its windows can't be parsed");
        // The lowest floor of the former instances. What one of them had ended has no rows in its key groups.
        let floor = meta["floor"].as_i64().ok_or_else(broken)?;
        self.floor = if std::mem::replace(&mut self.resumed, true) { self.floor.min(floor) } else { floor };
        for namespace in meta["namespaces"].as_array().ok_or_else(broken)? {
            let namespace = namespace.as_i64().ok_or_else(broken)?;
            let address = Address { state: self.id, namespace: Some(namespace) };
            self.shards.get_or_insert_with(namespace, || Shard::new(&self.instance, address, self.stored));
        }
        self.publish();
        Ok(())
    }

    fn freeze(&mut self) -> Result<Json, Error> {
        self.shards.iter_mut().for_each(Shard::freeze);
        Ok(json!({ "floor": self.floor, "namespaces": self.shards.namespaces().collect::<Vec<_>>() }))
    }

    fn floor(&self) -> Option<i64> {
        Some(self.floor)
    }

    fn sweep(&mut self, mut most: usize) -> Result<Option<usize>, Error> {
        for shard in self.retired.iter_mut().chain(self.shards.iter_mut()) {
            match shard.sweep(&self.instance, most, |_| false)? {
                Some(left) => most = left,
                None => return Ok(None),
            }
        }
        self.retired.clear();
        Ok(Some(most))
    }

    fn release(&mut self) {
        self.shards.change_each(Shard::release);
        self.retired.clear();
        self.publish();
    }

    fn scattered(&self) -> bool {
        self.asked_at.is_some() && self.shards.last().is_some_and(Shard::scattered)
    }

    fn prefetch(&mut self, records: &dyn Any) -> Result<(), Error> {
        let (Some(asked), Some(Upcoming(records))) = (&self.asked_at, records.downcast_ref::<Upcoming<K>>()) else { return Ok(()) };
        let Some((first, _)) = records.first() else { return Ok(()) };
        let mut times = asked(*first);
        if records.iter().all(|(time, _)| times.contains(time)) {
            let shard = self.shards.get_mut(times.start);
            return shard.map_or(Ok(()), |shard| shard.prefetch(&self.instance, records.iter().map(|(_, key)| key)));
        }
        let mut keys: BTreeMap<i64, Vec<&K>> = BTreeMap::new();
        for (time, key) in records {
            if !times.contains(time) {
                times = asked(*time);
            }
            keys.entry(times.start).or_default().push(key);
        }
        for (namespace, keys) in keys {
            if let Some(shard) = self.shards.get_mut(namespace) {
                shard.prefetch(&self.instance, keys.into_iter())?;
            }
        }
        Ok(())
    }

    fn bytes(&self) -> usize {
        let retired: usize = self.retired.iter().map(|shard| shard.told().bytes(self.weight.bytes())).sum();
        self.shards.size().bytes(self.weight.bytes()) + retired
    }

    fn settle(&mut self) {
        self.shards.settle();
    }

    fn weigh(&mut self) {
        if self.weight.wants_sample()
            && let Some(shard) = self.shards.last_mut()
            && let Some(bytes) = shard.weigh(self.weight.place())
        {
            self.weight.sample(bytes);
        }
    }

    fn growth(&self) -> usize {
        self.shards.size().growth
    }

    fn evict(&mut self, of: Victims, most: usize) -> Result<usize, Error> {
        let mut evicted = 0;
        // The oldest first: the newest are written to most.
        self.shards.change_while(|shard| {
            evicted += shard.evict(&self.instance, of, most - evicted)?;
            Ok(evicted < most)
        })?;
        Ok(evicted)
    }

    fn len(&self) -> usize {
        self.shards.size().entries
    }
}
