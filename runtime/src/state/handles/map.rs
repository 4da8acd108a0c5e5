//! A map per key.

use std::hash::Hash;

use crate::error::Error;
use crate::state::registry::{Handle, States};
use crate::state::ttl::{Expiry, Life, Stamp, Stamped, Ttl, over};
use crate::state::{Key, Keyed, Meaning, Stored, Table};

/// A map per key. It is read from and written to disk as a whole, so it suits maps of a few thousand fields at most.
pub struct MapState<K, M, V>(Kept<K, M, V>);

type Fields<M, V> = Stamped<Table<M, Stamped<V>>>;

enum Kept<K, M, V> {
    Forever(Handle<Keyed<K, Table<M, V>>>),
    Expiring(Handle<Keyed<K, Fields<M, V>>>, Life),
}

fn strip<M: Eq + Hash, V>(map: &mut Fields<M, V>, deadline: Option<i64>) {
    map.value.retain(|_, field| !over(field.stamp, deadline));
}

impl<K: Key, M: Key, V: Stored> MapState<K, M, V> {
    pub(super) fn declare(states: &mut States, name: &str, ttl: Option<Ttl>) -> Result<Self, Error> {
        let Some(ttl) = ttl else { return Ok(Self(Kept::Forever(states.keyed(name, Meaning::of_type())?))) };
        let life = states.life(ttl);
        let expiry = Expiry { life: life.clone(), stamp: |map: &Fields<M, V>| map.stamp, strip };
        Ok(Self(Kept::Expiring(states.keyed_expiring(name, Meaning::of_type(), expiry)?, life)))
    }

    /// The value under `field` in the map of `key`.
    ///
    /// # Errors
    /// The disk failed.
    pub fn get(&self, key: &K, field: &M) -> Result<Option<V>, Error> {
        match &self.0 {
            Kept::Forever(state) => Ok(state.borrow_mut().get(key)?.and_then(|map| map.get(field)).cloned()),
            Kept::Expiring(state, life) => {
                let deadline = life.deadline();
                let mut state = state.borrow_mut();
                let found = state.get(key)?.and_then(|map| map.value.get(field));
                let expired = found.is_some_and(|found| over(found.stamp, deadline));
                if !expired && !life.reads() {
                    return Ok(found.map(|found| found.value.clone()));
                }
                if expired {
                    return take(&mut state, key, field, deadline);
                }
                let Some(map) = state.get_mut(key)? else { return Ok(None) };
                let Some(found) = map.value.get_mut(field) else { return Ok(None) };
                found.stamp = Stamp::new(life.clock.now());
                map.stamp = found.stamp;
                Ok(Some(found.value.clone()))
            }
        }
    }

    /// Sets the value under `field` and returns the previous one.
    ///
    /// # Errors
    /// The disk failed.
    pub fn insert(&self, key: &K, field: M, value: V) -> Result<Option<V>, Error> {
        match &self.0 {
            Kept::Forever(state) => state.borrow_mut().get_or_insert_with(key, Table::default).map(|map| map.insert(field, value)),
            Kept::Expiring(state, life) => {
                let stamp = Stamp::new(life.clock.now());
                let mut state = state.borrow_mut();
                let map = state.get_or_insert_with(key, || Stamped { stamp, value: Table::default() })?;
                map.stamp = stamp;
                let old = map.value.insert(field, Stamped { stamp, value });
                Ok(old.filter(|old| !over(old.stamp, life.deadline())).map(|old| old.value))
            }
        }
    }

    /// Removes and returns the value under `field`. A map that becomes empty is removed.
    ///
    /// # Errors
    /// The disk failed.
    pub fn remove(&self, key: &K, field: &M) -> Result<Option<V>, Error> {
        match &self.0 {
            Kept::Forever(state) => {
                let mut state = state.borrow_mut();
                let Some(map) = state.get_mut(key)? else { return Ok(None) };
                let value = map.remove(field);
                if map.is_empty() {
                    state.remove(key)?;
                }
                Ok(value)
            }
            Kept::Expiring(state, life) => take(&mut state.borrow_mut(), key, field, life.deadline()),
        }
    }

    /// The number of entries in the map of `key`.
    ///
    /// # Errors
    /// The disk failed.
    pub fn len(&self, key: &K) -> Result<usize, Error> {
        match &self.0 {
            Kept::Forever(state) => Ok(state.borrow_mut().get(key)?.map_or(0, Table::len)),
            Kept::Expiring(state, life) => {
                let deadline = life.deadline();
                Ok(state.borrow_mut().get(key)?.map_or(0, |map| map.value.values().filter(|field| !over(field.stamp, deadline)).count()))
            }
        }
    }

    /// Whether `key` has no entries.
    ///
    /// # Errors
    /// The disk failed.
    pub fn is_empty(&self, key: &K) -> Result<bool, Error> {
        Ok(self.len(key)? == 0)
    }

    /// The entries of `key`.
    ///
    /// # Errors
    /// The disk failed.
    pub fn entries(&self, key: &K) -> Result<Vec<(M, V)>, Error> {
        match &self.0 {
            Kept::Forever(state) => {
                let mut state = state.borrow_mut();
                Ok(state.get(key)?.into_iter().flatten().map(|(field, value)| (field.clone(), value.clone())).collect())
            }
            Kept::Expiring(state, life) => {
                let deadline = life.deadline();
                let mut state = state.borrow_mut();
                let Some(map) = state.get(key)? else { return Ok(Vec::new()) };
                if over(map.stamp, deadline) {
                    return state.remove(key).map(|_| Vec::new());
                }
                let alive = map.value.iter().filter(|(_, found)| !over(found.stamp, deadline));
                let entries = alive.map(|(field, found)| (field.clone(), found.value.clone())).collect();
                if life.reads()
                    && let Some(map) = state.get_mut(key)?
                {
                    strip(map, deadline);
                    map.stamp = Stamp::new(life.clock.now());
                    let now = map.stamp;
                    map.value.values_mut().for_each(|found| found.stamp = now);
                }
                Ok(entries)
            }
        }
    }

    /// Removes all entries of `key`.
    ///
    /// # Errors
    /// The disk failed.
    pub fn clear(&self, key: &K) -> Result<(), Error> {
        match &self.0 {
            Kept::Forever(state) => state.borrow_mut().remove(key).map(|_| ()),
            Kept::Expiring(state, _) => state.borrow_mut().remove(key).map(|_| ()),
        }
    }
}

/// Removes a field from a map.
fn take<K, M, V>(state: &mut Keyed<K, Fields<M, V>>, key: &K, field: &M, deadline: Option<i64>) -> Result<Option<V>, Error>
where
    K: Key,
    M: Key,
    V: Stored,
{
    let Some(map) = state.get_mut(key)? else { return Ok(None) };
    let found = map.value.remove(field);
    if map.value.is_empty() {
        state.remove(key)?;
    }
    Ok(found.filter(|found| !over(found.stamp, deadline)).map(|found| found.value))
}
