//! Keyed state: values, maps and lists by key, under names that are unique in their operator.
//!
//! The current key is given with each access. State lies in memory.

use std::hash::Hash;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::error::Error;

/// A hash map with a fixed seed: the order of iteration is the same in every run.
pub type Table<K, V> = HashMap<K, V, FixedState>;

/// Hands out the states of one operator instance.
#[derive(Debug, Default)]
pub struct States {
    names: Vec<&'static str>,
}

impl States {
    fn claim(&mut self, name: &'static str) -> Result<(), Error> {
        if self.names.contains(&name) {
            return Err(Error::user(format!("two states of one operator are called `{name}`")));
        }
        self.names.push(name);
        Ok(())
    }

    /// One value per key.
    ///
    /// # Errors
    /// The name is taken.
    pub fn value<K, V>(&mut self, name: &'static str) -> Result<ValueState<K, V>, Error> {
        self.claim(name)?;
        Ok(ValueState { values: Table::default() })
    }

    /// A map per key.
    ///
    /// # Errors
    /// The name is taken.
    pub fn map<K, M, V>(&mut self, name: &'static str) -> Result<MapState<K, M, V>, Error> {
        self.claim(name)?;
        Ok(MapState { maps: Table::default() })
    }

    /// A list per key.
    ///
    /// # Errors
    /// The name is taken.
    pub fn list<K, V>(&mut self, name: &'static str) -> Result<ListState<K, V>, Error> {
        self.claim(name)?;
        Ok(ListState { lists: Table::default() })
    }
}

/// One value per key.
#[derive(Debug)]
pub struct ValueState<K, V> {
    values: Table<K, V>,
}

impl<K: Clone + Eq + Hash, V> ValueState<K, V> {
    /// The value of `key`.
    pub fn get(&mut self, key: &K) -> Option<&V> {
        self.values.get(key)
    }

    /// Sets the value of `key`.
    pub fn set(&mut self, key: &K, value: V) {
        if let Some(slot) = self.values.get_mut(key) {
            *slot = value;
        } else {
            self.values.insert(key.clone(), value);
        }
    }

    /// The value of `key` to be changed in place; `initial` if it has none.
    pub fn get_or_insert_with(&mut self, key: &K, initial: impl FnOnce() -> V) -> &mut V {
        self.values.entry_ref(key).or_insert_with(initial)
    }

    /// Removes and returns the value of `key`.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        self.values.remove(key)
    }
}

/// A map per key.
#[derive(Debug)]
pub struct MapState<K, M, V> {
    maps: Table<K, Table<M, V>>,
}

impl<K: Clone + Eq + Hash, M: Eq + Hash, V> MapState<K, M, V> {
    /// The value under `field` in the map of `key`.
    pub fn get(&mut self, key: &K, field: &M) -> Option<&V> {
        self.maps.get(key)?.get(field)
    }

    /// Sets the value under `field`; returns the one that was there.
    pub fn insert(&mut self, key: &K, field: M, value: V) -> Option<V> {
        self.maps.entry_ref(key).or_default().insert(field, value)
    }

    /// Removes and returns the value under `field`. A map that is empty then is gone.
    pub fn remove(&mut self, key: &K, field: &M) -> Option<V> {
        let map = self.maps.get_mut(key)?;
        let value = map.remove(field);
        if map.is_empty() {
            self.maps.remove(key);
        }
        value
    }

    /// The number of entries in the map of `key`.
    pub fn len(&mut self, key: &K) -> usize {
        self.maps.get(key).map_or(0, Table::len)
    }

    /// Has `key` no entries?
    pub fn is_empty(&mut self, key: &K) -> bool {
        self.len(key) == 0
    }

    /// The entries of `key`.
    pub fn iter(&mut self, key: &K) -> impl Iterator<Item = (&M, &V)> {
        self.maps.get(key).into_iter().flatten()
    }

    /// Removes all entries of `key`.
    pub fn clear(&mut self, key: &K) {
        self.maps.remove(key);
    }
}

/// A list per key.
#[derive(Debug)]
pub struct ListState<K, V> {
    lists: Table<K, Vec<V>>,
}

impl<K: Clone + Eq + Hash, V> ListState<K, V> {
    /// The elements of `key`, in the order they were added.
    pub fn get(&mut self, key: &K) -> &[V] {
        self.lists.get(key).map_or(&[], Vec::as_slice)
    }

    /// Adds an element.
    pub fn push(&mut self, key: &K, value: V) {
        self.lists.entry_ref(key).or_default().push(value);
    }

    /// Removes and returns all elements of `key`.
    pub fn take(&mut self, key: &K) -> Vec<V> {
        self.lists.remove(key).unwrap_or_default()
    }
}
