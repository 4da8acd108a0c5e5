//! A state with one value per key.

use std::any::Any;
use std::hash::Hash;
use std::rc::Rc;

use serde_json::Value as Json;

use super::cache::Victims;
use super::codec;
use super::instance::{Address, Instance};
use super::meaning::Arrange;
use super::persistent::{Persistent, Schema, Upcoming};
use super::shard::{Shard, Size};
use super::ttl::{Expiry, over};
use super::weight::Weight;
use crate::error::Error;
use crate::record::Data;

/// One value per key, in memory as far as it fits and on disk beyond that.
pub struct Keyed<K, V> {
    schema: Schema,
    arrange: Option<Arrange<V>>,
    instance: Rc<Instance>,
    shard: Shard<K, V>,
    weight: Weight,
    /// The size when it was last settled.
    size: Size,
    expiry: Option<Expiry<V>>,
}

impl<K: Data + Eq + Hash, V: Data> Keyed<K, V> {
    /// With an `expiry`, readers must skip expired values themselves.
    pub(super) fn new(schema: Schema, arrange: Option<Arrange<V>>, expiry: Option<Expiry<V>>) -> Self {
        let instance = Rc::new(Instance::unbound());
        let shard = Shard::new(&instance, Address { state: 0, namespace: None }, false);
        Self { schema, arrange, instance, shard, weight: Weight::of::<K, V>(), size: Size::default(), expiry }
    }

    /// Whether the key lies in a key group of this instance.
    #[must_use]
    pub fn owns(&self, key: &K) -> bool {
        self.instance.owned().contains(&self.instance.group(key).0)
    }

    /// The value of `key`.
    ///
    /// # Errors
    /// The disk failed.
    pub fn get(&mut self, key: &K) -> Result<Option<&V>, Error> {
        self.shard.get(&self.instance, key)
    }

    /// The value of `key` to be changed in place, if it has one.
    ///
    /// # Errors
    /// The disk failed.
    pub fn get_mut(&mut self, key: &K) -> Result<Option<&mut V>, Error> {
        self.shard.get_mut(&self.instance, key)
    }

    /// The value of `key`, to be changed in place. Inserts `make()` if the key has none.
    ///
    /// # Errors
    /// The disk failed.
    #[inline]
    pub fn get_or_insert_with(&mut self, key: &K, make: impl FnOnce() -> V) -> Result<&mut V, Error> {
        self.shard.upsert(&self.instance, key, |_| false, make)
    }

    /// Like `get_or_insert_with`, but `make()` also replaces a value that is `over`.
    #[inline]
    pub(super) fn get_or_renew_with(&mut self, key: &K, over: impl FnOnce(&V) -> bool, make: impl FnOnce() -> V) -> Result<&mut V, Error> {
        self.shard.upsert(&self.instance, key, over, make)
    }

    /// Sets the value of `key`.
    ///
    /// # Errors
    /// The disk failed.
    pub fn insert(&mut self, key: &K, value: V) -> Result<(), Error> {
        self.shard.insert(&self.instance, key, value)
    }

    /// Removes and returns the value of `key`.
    ///
    /// # Errors
    /// The disk failed.
    pub fn remove(&mut self, key: &K) -> Result<Option<V>, Error> {
        self.shard.remove(&self.instance, key)
    }

    /// Calls `each` with every key and value of this instance.
    ///
    /// # Errors
    /// The disk failed, or `each` returned an error.
    pub fn for_each(&self, each: impl FnMut(&K, &V) -> Result<(), Error>) -> Result<(), Error> {
        self.shard.for_each(&self.instance, each)
    }
}

impl<K: Data + Eq + Hash, V: Data> Persistent for Keyed<K, V> {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn bind(&mut self, id: u8, instance: &Rc<Instance>, stored: bool) -> Result<(), Error> {
        self.instance = Rc::clone(instance);
        if let Some(expiry) = &self.expiry {
            instance.garbage.expiring(id, expiry.life.clone());
        }
        self.shard = Shard::new(instance, Address { state: id, namespace: None }, stored);
        Ok(())
    }

    fn restore_row(&mut self, key: &[u8], value: &[u8]) -> Result<(), Error> {
        self.shard.restore(&self.instance, key, value)
    }

    fn arranged(&self, value: &[u8], places: &[Option<usize>]) -> Result<Vec<u8>, Error> {
        codec::arranged(value, self.arrange.as_deref(), places)
    }

    fn freeze(&mut self) -> Result<Json, Error> {
        self.shard.freeze();
        Ok(Json::Null)
    }

    fn sweep(&mut self, most: usize) -> Result<Option<usize>, Error> {
        let expiry = self.expiry.as_ref().and_then(|expiry| Some((expiry.life.deadline()?, expiry.stamp)));
        self.shard.sweep(&self.instance, most, |value| expiry.is_some_and(|(deadline, stamp)| over(stamp(value), Some(deadline))))
    }

    fn release(&mut self) {
        self.shard.release();
    }

    fn scattered(&self) -> bool {
        self.shard.scattered()
    }

    fn prefetch(&mut self, records: &dyn Any) -> Result<(), Error> {
        let Some(Upcoming(records)) = records.downcast_ref::<Upcoming<K>>() else { return Ok(()) };
        self.shard.prefetch(&self.instance, records.iter().map(|(_, key)| key))
    }

    fn bytes(&self) -> usize {
        self.size.bytes(self.weight.bytes())
    }

    fn settle(&mut self) {
        self.size = self.shard.size();
    }

    fn weigh(&mut self) {
        if self.weight.wants_sample()
            && let Some(bytes) = self.shard.weigh(self.weight.place())
        {
            self.weight.sample(bytes);
        }
    }

    fn expire(&mut self) {
        let Some(expiry) = &self.expiry else { return };
        let Some(deadline) = expiry.life.deadline() else { return };
        let (stamp, strip) = (expiry.stamp, expiry.strip);
        self.shard.expire(LOOK, |value| {
            let gone = over(stamp(value), Some(deadline));
            if !gone {
                strip(value, Some(deadline));
            }
            gone
        });
    }

    fn growth(&self) -> usize {
        self.size.growth
    }

    fn evict(&mut self, of: Victims, most: usize) -> Result<usize, Error> {
        self.shard.evict(&self.instance, of, most)
    }

    fn len(&self) -> usize {
        self.size.entries
    }
}

/// The number of table slots checked for expired entries each time.
const LOOK: usize = 256;
