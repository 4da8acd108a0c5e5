//! Broadcast state: a map that is the same in every instance of an operator, such as a set of rules.
//!
//! Broadcast records reach all instances in one order. So the map after the n-th record is the same everywhere, and a process keeps it
//! once. The first instance to make a version hands it to the others. Instances that lag behind hold an older version, which shares all but
//! a few entries with the newest. A snapshot is taken at the end of an epoch, when all instances have seen the same records. Each instance
//! writes the entries in its own key groups. A restore reads all entries, once per process.

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value as Json;

use super::codec;
use super::instance::{Address, Instance};
use super::persistent::{AllRows, Persistent, Schema};
use super::shared_map::SharedMap;
use super::weight::Weight;
use crate::error::Error;
use crate::record::Data;

/// A map that all instances of an operator hold alike, in memory, for up to millions of entries.
pub struct Broadcast<M, V> {
    schema: Schema,
    id: u8,
    instance: Rc<Instance>,
    map: SharedMap<M, V>,
    /// The number of changes in this run.
    version: u64,
    versions: Arc<Versions<M, V>>,
    /// What the snapshot still has to capture, and the hash to continue from.
    frozen: Option<(SharedMap<M, V>, u64)>,
    weight: Weight,
}

/// The versions of the map through which the instances of a process share it.
struct Versions<M, V>(Mutex<Kept<M, V>>);

struct Kept<M, V> {
    /// The number of the first version in `maps`.
    first: u64,
    /// Versions that some instances have reached and others have not, and how many have.
    maps: VecDeque<(SharedMap<M, V>, usize)>,
    /// The restored map, and how many instances have taken it.
    restored: Option<(SharedMap<M, V>, usize)>,
}

impl<M, V> Default for Versions<M, V> {
    fn default() -> Self {
        Self(Mutex::new(Kept { first: 1, maps: VecDeque::new(), restored: None }))
    }
}

impl<M, V> Versions<M, V> {
    fn lock(&self) -> MutexGuard<'_, Kept<M, V>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<M, V> Kept<M, V> {
    /// Called when one of `instances` instances has reached `version`. Returns the map of the first instance to reach it.
    fn meet(&mut self, version: u64, map: SharedMap<M, V>, instances: usize) -> SharedMap<M, V> {
        let place = usize::try_from(version.saturating_sub(self.first)).unwrap_or(usize::MAX);
        let Some((first, seen)) = self.maps.get_mut(place) else {
            self.maps.push_back((map.clone(), 1));
            return map;
        };
        *seen += 1;
        let map = first.clone();
        // All instances pass through the versions in order.
        while self.maps.front().is_some_and(|(_, seen)| *seen >= instances) {
            self.maps.pop_front();
            self.first += 1;
        }
        map
    }
}

impl<M: Data + Eq + Sync, V: Data + Sync> Broadcast<M, V> {
    pub(super) fn new(schema: Schema) -> Self {
        let (instance, weight) = (Rc::new(Instance::unbound()), Weight::of::<M, V>());
        Self { schema, id: 0, instance, map: SharedMap::default(), version: 0, versions: Arc::default(), frozen: None, weight }
    }

    /// The map.
    #[must_use]
    pub fn map(&self) -> &SharedMap<M, V> {
        &self.map
    }

    /// Applies the change that the next broadcast record asks for. Every instance must make the same change for the same record.
    pub fn change<R>(&mut self, change: impl FnOnce(&mut SharedMap<M, V>) -> R) -> R {
        let result = change(&mut self.map);
        let instances = self.instance.shares.instances;
        if instances > 1 {
            self.version += 1;
            let map = std::mem::take(&mut self.map);
            self.map = self.versions.lock().meet(self.version, map, instances);
        }
        result
    }

    fn put(map: &mut SharedMap<M, V>, key: &[u8], value: &[u8]) -> Result<(), Error> {
        map.insert(codec::decode(key)?, codec::decode(value)?);
        Ok(())
    }

    /// This instance's share of a total that all instances hold together.
    fn share(&self, all: usize) -> usize {
        let instances = self.instance.shares.instances;
        let rest = if self.instance.owned().contains(&0) { all % instances } else { 0 };
        all / instances + rest
    }
}

/// The bytes an entry takes besides its key and value: its place in a leaf, and its reference counts.
const OVERHEAD: usize = 48;

impl<M: Data + Eq + Sync, V: Data + Sync> Persistent for Broadcast<M, V> {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn bind(&mut self, id: u8, instance: &Rc<Instance>, _: bool) -> Result<(), Error> {
        self.id = id;
        self.instance = Rc::clone(instance);
        self.versions = instance.shares.of(id)?;
        Ok(())
    }

    fn full(&self) -> bool {
        true
    }

    fn whole(&self) -> bool {
        true
    }

    fn restore_row(&mut self, key: &[u8], value: &[u8]) -> Result<(), Error> {
        Self::put(&mut self.map, key, value)
    }

    fn restore_whole(&mut self, rows: &mut AllRows<'_>) -> Result<(), Error> {
        // The first instance builds the map under the lock; the others wait for it.
        let mut kept = self.versions.lock();
        let (map, have) = match kept.restored.take() {
            Some(restored) => restored,
            None => {
                let mut map = SharedMap::default();
                rows(&mut |key, value| Self::put(&mut map, key, value))?;
                (map, 0)
            }
        };
        if have + 1 < self.instance.shares.instances {
            kept.restored = Some((map.clone(), have + 1));
        }
        self.map = map;
        Ok(())
    }

    fn freeze(&mut self) -> Result<Json, Error> {
        self.frozen = Some((self.map.clone(), 0));
        Ok(Json::Null)
    }

    fn sweep(&mut self, mut most: usize) -> Result<Option<usize>, Error> {
        let Some((map, from)) = &mut self.frozen else { return Ok(Some(most)) };
        let (instance, address) = (&self.instance, Address { state: self.id, namespace: None });
        let (groups, owned) = (instance.groups(), instance.owned());
        let mut captured = instance.captured.borrow_mut();
        let next = map.walk(*from, &mut most, &mut |hash, key, value| match owned.contains(&groups.group(hash).0) {
            true => address.capture(instance, &mut captured.full, key, Some(value)),
            false => Ok(()),
        })?;
        match next {
            Some(next) => *from = next,
            None => self.frozen = None,
        }
        Ok(next.is_none().then_some(most))
    }

    fn release(&mut self) {
        self.frozen = None;
    }

    fn bytes(&self) -> usize {
        self.share(self.map.len() * (size_of::<(M, V)>() + OVERHEAD + self.weight.bytes()))
    }

    fn weigh(&mut self) {
        if self.weight.wants_sample() {
            let (weight, mut one) = (&mut self.weight, true);
            // A value that can't be encoded fails when it is captured.
            let _ = self.map.walk((weight.place() as u64).reverse_bits(), &mut 1, &mut |_, key, value| {
                if std::mem::take(&mut one) { weight.measure(&(key, value)) } else { Ok(()) }
            });
        }
    }

    fn len(&self) -> usize {
        self.share(self.map.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn among(instances: usize) -> Vec<Broadcast<u64, u64>> {
        let shares = super::super::shares::Shares::among(instances);
        let one = |_| {
            let mut one = Broadcast::new(Schema { name: "rules".to_owned(), schema: String::new(), fields: Vec::new() });
            one.bind(0, &Rc::new(Instance::unbound().sharing(shares.clone())), false).unwrap();
            one
        };
        (0..instances).map(one).collect()
    }

    #[test]
    fn instances_hold_the_versions_they_have_come_to_and_one_map_where_they_meet() {
        let mut all = among(3);
        for (key, which) in [(1, 0), (2, 0), (3, 0), (1, 1), (1, 2), (2, 2)] {
            all[which].change(|map| map.insert(key, key * 10));
        }
        assert_eq!([0, 1, 2].map(|i| all[i].map().len()), [3, 1, 2], "each sees what it has been given");
        for (key, which) in [(2, 1), (3, 1), (3, 2)] {
            all[which].change(|map| map.insert(key, key * 10));
        }
        let values: Vec<*const u64> = all.iter().filter_map(|one| one.map().get(&3)).map(std::ptr::from_ref).collect();
        assert_eq!(values.len(), 3);
        assert!(values.iter().all(|value| *value == values[0]), "they hold one copy");
        assert!(all[0].versions.lock().maps.is_empty(), "versions that all have passed are let go");
    }

    #[test]
    fn what_is_restored_is_read_once_for_all_instances() {
        let mut reads = 0;
        let mut all = among(2);
        for one in &mut all {
            let rows = &mut |put: &mut super::super::persistent::Put<'_>| {
                reads += 1;
                put(&[7], &[70])
            };
            one.restore_whole(rows).unwrap();
            assert_eq!(one.map().get(&7), Some(&70));
        }
        assert_eq!(reads, 1);
        assert!(all[0].versions.lock().restored.is_none());
    }
}
