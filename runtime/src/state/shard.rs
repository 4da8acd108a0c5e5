//! The entries of one state, or of one namespace of it: a cache in front of the disk.

use std::hash::Hash;

use foldhash::fast::FixedState;
use hashbrown::HashSet;

use super::cache::{Cache, Found, Victims};
use super::codec;
use super::instance::{Address, Instance};
use super::rows::Rows;
use crate::error::Error;
use crate::record::Data;

/// A cache and the address of its rows. All its entries belong to one namespace.
pub(super) struct Shard<K, V> {
    cache: Cache<K, V>,
    pub(super) address: Address,
    /// Keys that a prefetch did not find anywhere.
    absent: HashSet<K, FixedState>,
    key: Vec<u8>,
    /// The size when it was last settled.
    told: Size,
    /// Whether it is on the list of shards whose size may have changed since.
    pub(super) touched: bool,
}

/// The size of entries, without what they own outside their table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) entries: usize,
    /// Bytes of the table.
    pub(super) table: usize,
    /// The bytes that the next batch may add at once because the table grows.
    pub(super) growth: usize,
}

impl Size {
    /// Replaces one part of a sum with another.
    pub(super) fn replace(&mut self, old: Self, new: Self) {
        self.entries = self.entries + new.entries - old.entries;
        self.table = self.table + new.table - old.table;
        self.growth = self.growth + new.growth - old.growth;
    }

    /// The bytes in total, if each entry owns `owned` bytes outside the table.
    pub(super) fn bytes(self, owned: usize) -> usize {
        self.table + self.entries * owned
    }
}

impl<K: Data + Eq + Hash, V: Data> Shard<K, V> {
    /// `stored`: the disk may hold rows of it.
    pub(super) fn new(instance: &Instance, address: Address, stored: bool) -> Self {
        let cache = Cache::new(instance.in_memory(), instance.in_memory() || !stored, instance.frozen.get());
        Self { cache, address, absent: HashSet::default(), key: Vec::new(), told: Size::default(), touched: false }
    }

    /// The value of `key`, to be changed. Inserts `make()` if it has none, and replaces one that is `over`.
    #[inline]
    pub(super) fn upsert(
        &mut self,
        instance: &Instance,
        key: &K,
        over: impl FnOnce(&V) -> bool,
        make: impl FnOnce() -> V,
    ) -> Result<&mut V, Error> {
        let address = self.address;
        match self.cache.find(key, |k, v| capture(instance, address, k, Some(v)))? {
            Found::Here(value) => {
                if over(value) {
                    *value = make();
                }
                Ok(value)
            }
            Found::Nowhere(gap) => Ok(gap.fill(key, make())),
            Found::Perhaps(gap) => {
                if self.absent.contains(key) {
                    return Ok(gap.fill(key, make()));
                }
                Ok(match fetch(instance, address, &mut self.key, key)? {
                    Some(value) => gap.overwrite(key.clone(), if over(&value) { make() } else { value }),
                    None => gap.fill(key, make()),
                })
            }
        }
    }

    /// Sets the value of `key`, whatever it was.
    pub(super) fn insert(&mut self, instance: &Instance, key: &K, value: V) -> Result<(), Error> {
        let address = self.address;
        match self.cache.find(key, |k, v| capture(instance, address, k, Some(v)))? {
            Found::Here(slot) => *slot = value,
            Found::Nowhere(gap) => _ = gap.fill(key, value),
            Found::Perhaps(gap) => _ = gap.overwrite(key.clone(), value),
        }
        Ok(())
    }

    /// The value of `key` to be changed, if it has one.
    pub(super) fn get_mut(&mut self, instance: &Instance, key: &K) -> Result<Option<&mut V>, Error> {
        let address = self.address;
        match self.cache.find(key, |k, v| capture(instance, address, k, Some(v)))? {
            Found::Here(value) => Ok(Some(value)),
            Found::Nowhere(_) => Ok(None),
            Found::Perhaps(gap) => {
                if self.absent.contains(key) {
                    return Ok(None);
                }
                Ok(fetch(instance, address, &mut self.key, key)?.map(|value| gap.overwrite(key.clone(), value)))
            }
        }
    }

    /// The value of `key`.
    pub(super) fn get(&mut self, instance: &Instance, key: &K) -> Result<Option<&V>, Error> {
        if !self.cache.knows(key)
            && !self.absent.contains(key)
            && let Some(value) = fetch(instance, self.address, &mut self.key, key)?
        {
            self.cache.load(key.clone(), value);
        }
        Ok(self.cache.peek(key))
    }

    /// Removes and returns the value of `key`.
    pub(super) fn remove(&mut self, instance: &Instance, key: &K) -> Result<Option<V>, Error> {
        let address = self.address;
        let removed = self.cache.remove(key, |k, v| capture(instance, address, k, Some(v)))?;
        if removed.is_some() || self.cache.knows(key) || self.absent.contains(key) {
            return Ok(removed);
        }
        let value = fetch(instance, address, &mut self.key, key)?;
        if value.is_some() {
            self.cache.remove_row(key.clone());
        }
        Ok(value)
    }

    /// Whether lookups of many keys are worth preparing.
    pub(super) fn scattered(&self) -> bool {
        self.cache.scattered()
    }

    /// Loads those of the keys that are not in memory from disk, in one read. If all are in memory, brings them into the processor's
    /// cache.
    pub(super) fn prefetch<'a>(&mut self, instance: &Instance, keys: impl Iterator<Item = &'a K>) -> Result<(), Error>
    where
        K: 'a,
    {
        self.absent.clear();
        if self.cache.complete() {
            if self.cache.scattered() {
                self.cache.warm(keys);
            }
            return Ok(());
        }
        let mut wanted = Rows::default();
        let mut missing = Vec::new();
        let mut seen = 0;
        for key in keys {
            seen += 1;
            if !self.cache.knows(key) {
                let place = u32::try_from(missing.len()).unwrap_or(u32::MAX);
                wanted.put(
                    |out| self.address.encode(instance, key, out),
                    |out| {
                        out.extend_from_slice(&place.to_le_bytes());
                        Ok(())
                    },
                )?;
                missing.push(key.clone());
            }
        }
        instance.metrics.lookups.add(seen);
        if missing.is_empty() {
            return Ok(());
        }
        instance.metrics.misses.add(missing.len() as u64);
        wanted.sort();
        let disk = instance.disk()?;
        let found = disk.get_sorted(wanted.iter().map(|row| row.key))?;
        for (row, value) in wanted.iter().zip(found) {
            let place = row.value.and_then(|v| v.try_into().ok()).map_or(0, u32::from_le_bytes);
            let Some(key) = missing.get(place as usize).cloned() else { continue };
            match value {
                Some(value) => self.cache.load(key, codec::decode(&value)?),
                None => {
                    self.absent.insert(key);
                }
            }
        }
        Ok(())
    }

    /// Calls `each` with every entry, those in memory first.
    pub(super) fn for_each(&self, instance: &Instance, mut each: impl FnMut(&K, &V) -> Result<(), Error>) -> Result<(), Error> {
        self.cache.iter().try_for_each(|(key, value)| each(key, value))?;
        if self.cache.complete() {
            return Ok(());
        }
        let disk = instance.disk()?;
        let mut prefix = Vec::new();
        for group in instance.owned() {
            prefix.clear();
            self.address.encode_prefix(group, &mut prefix);
            disk.scan(&prefix, |row, value| {
                let key: K = codec::decode(&row[prefix.len()..])?;
                if self.cache.knows(&key) { Ok(()) } else { each(&key, &codec::decode(value)?) }
            })?;
        }
        Ok(())
    }

    /// Restores a value of a snapshot into memory.
    pub(super) fn restore(&mut self, instance: &Instance, key: &[u8], value: &[u8]) -> Result<(), Error> {
        let (key, value): (K, V) = (codec::decode(key)?, codec::decode(value)?);
        self.insert(instance, &key, value)
    }

    /// Begins a snapshot.
    pub(super) fn freeze(&mut self) {
        self.cache.freeze();
    }

    /// Captures up to about `most` entries of the snapshot in progress, except those that are `over`. Returns how many of `most` are left,
    /// or `None` if there is more to capture.
    pub(super) fn sweep(&mut self, instance: &Instance, most: usize, over: impl Fn(&V) -> bool) -> Result<Option<usize>, Error> {
        let address = self.address;
        self.cache.sweep(most, |key, value| match value.filter(|value| !over(value)) {
            // A snapshot in full needs no deletions.
            None if instance.in_memory() => Ok(()),
            value => capture(instance, address, key, value),
        })
    }

    /// Drops some of the entries that are `over` from memory.
    pub(super) fn expire(&mut self, look: usize, over: impl FnMut(&mut V) -> bool) {
        self.cache.expire(look, over);
    }

    /// Ends the snapshot in progress: its rows have arrived on disk.
    pub(super) fn release(&mut self) {
        self.cache.release();
    }

    /// Evicts up to `most` entries, chosen from `of`. Returns how many were evicted.
    pub(super) fn evict(&mut self, instance: &Instance, of: Victims, most: usize) -> Result<usize, Error> {
        // Keys that were nowhere may now be on disk.
        self.absent.clear();
        let address = self.address;
        let mut rows = Rows::default();
        let evicted = self.cache.evict(of, most, |key, value| address.capture(instance, &mut rows, key, value))?;
        if !rows.is_empty() {
            rows.sort();
            instance.disk()?.write(&rows)?;
            instance.metrics.flushed.add(rows.len() as u64);
            self.cache.evicted();
        }
        instance.metrics.evicted.add(evicted as u64);
        Ok(evicted)
    }

    /// Its size.
    pub(super) fn size(&self) -> Size {
        Size { entries: self.cache.len(), table: self.cache.bytes(), growth: self.cache.growth() }
    }

    /// The size when it was last settled.
    pub(super) fn told(&self) -> Size {
        self.told
    }

    /// Brings its part of `total` up to date.
    pub(super) fn settle(&mut self, total: &mut Size) {
        let size = self.size();
        total.replace(std::mem::replace(&mut self.told, size), size);
    }

    /// The encoded size of some entry.
    pub(super) fn weigh(&mut self, at: usize) -> Option<usize> {
        let (key, value) = self.cache.sample(at)?;
        self.key.clear();
        codec::encode(key, &mut self.key).and_then(|()| codec::encode(value, &mut self.key)).ok()?;
        Some(self.key.len())
    }
}

/// Captures an entry for the snapshot in progress.
fn capture<K: Data, V: Data>(instance: &Instance, address: Address, key: &K, value: Option<&V>) -> Result<(), Error> {
    let mut captured = instance.captured.borrow_mut();
    let rows = if instance.in_memory() { &mut captured.full } else { &mut captured.disk };
    address.capture(instance, rows, key, value)
}

/// Reads the value from disk.
fn fetch<K: Data, V: Data>(instance: &Instance, address: Address, buffer: &mut Vec<u8>, key: &K) -> Result<Option<V>, Error> {
    instance.metrics.lookups.add(1);
    instance.metrics.misses.add(1);
    buffer.clear();
    address.encode(instance, key, buffer)?;
    instance.disk()?.get(buffer)?.map(|value| codec::decode(&value)).transpose()
}
