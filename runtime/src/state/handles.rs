//! The states of process functions: a value, a list, a map per key.

use std::hash::Hash;

use super::registry::{Handle, States};
use super::{Keyed, Table};
use crate::error::Error;
use crate::record::Data;

/// One value per key.
pub struct ValueState<K, V>(Handle<Keyed<K, V>>);

/// A list per key.
pub struct ListState<K, V>(Handle<Keyed<K, Vec<V>>>);

/// A map per key. It is read and written as a whole when it leaves memory: for maps of a few thousand fields at most.
pub struct MapState<K, M, V>(Handle<Keyed<K, Table<M, V>>>);

impl States {
    /// One value per key.
    ///
    /// # Errors
    /// The name is taken.
    pub fn value<K: Data + Eq + Hash, V: Data>(&mut self, name: &str) -> Result<ValueState<K, V>, Error> {
        Ok(ValueState(self.keyed(name, None)?))
    }

    /// A list per key.
    ///
    /// # Errors
    /// The name is taken.
    pub fn list<K: Data + Eq + Hash, V: Data>(&mut self, name: &str) -> Result<ListState<K, V>, Error> {
        Ok(ListState(self.keyed(name, None)?))
    }

    /// A map per key.
    ///
    /// # Errors
    /// The name is taken.
    pub fn map<K: Data + Eq + Hash, M: Data + Eq + Hash, V: Data>(&mut self, name: &str) -> Result<MapState<K, M, V>, Error> {
        Ok(MapState(self.keyed(name, None)?))
    }
}

impl<K: Data + Eq + Hash, V: Data> ValueState<K, V> {
    /// The value of `key`.
    ///
    /// # Errors
    /// The disk failed.
    pub fn get(&self, key: &K) -> Result<Option<V>, Error> {
        Ok(self.0.borrow_mut().get(key)?.cloned())
    }

    /// Sets the value of `key`.
    ///
    /// # Errors
    /// The disk failed.
    pub fn set(&self, key: &K, value: V) -> Result<(), Error> {
        self.0.borrow_mut().insert(key, value)
    }

    /// Changes the value of `key` in place, `initial` if it has none, and returns what `change` returns.
    ///
    /// # Errors
    /// The disk failed.
    pub fn update<R>(&self, key: &K, initial: impl FnOnce() -> V, change: impl FnOnce(&mut V) -> R) -> Result<R, Error> {
        self.0.borrow_mut().get_or_insert_with(key, initial).map(change)
    }

    /// Removes and returns the value of `key`.
    ///
    /// # Errors
    /// The disk failed.
    pub fn remove(&self, key: &K) -> Result<Option<V>, Error> {
        self.0.borrow_mut().remove(key)
    }
}

impl<K: Data + Eq + Hash, V: Data> ListState<K, V> {
    /// The elements of `key`, in the order they were added.
    ///
    /// # Errors
    /// The disk failed.
    pub fn get(&self, key: &K) -> Result<Vec<V>, Error> {
        Ok(self.0.borrow_mut().get(key)?.cloned().unwrap_or_default())
    }

    /// Adds an element.
    ///
    /// # Errors
    /// The disk failed.
    pub fn push(&self, key: &K, value: V) -> Result<(), Error> {
        self.0.borrow_mut().get_or_insert_with(key, Vec::new).map(|list| list.push(value))
    }

    /// Removes and returns all elements of `key`.
    ///
    /// # Errors
    /// The disk failed.
    pub fn take(&self, key: &K) -> Result<Vec<V>, Error> {
        Ok(self.0.borrow_mut().remove(key)?.unwrap_or_default())
    }
}

impl<K: Data + Eq + Hash, M: Data + Eq + Hash, V: Data> MapState<K, M, V> {
    /// The value under `field` in the map of `key`.
    ///
    /// # Errors
    /// The disk failed.
    pub fn get(&self, key: &K, field: &M) -> Result<Option<V>, Error> {
        Ok(self.0.borrow_mut().get(key)?.and_then(|map| map.get(field)).cloned())
    }

    /// Sets the value under `field`; returns the one that was there.
    ///
    /// # Errors
    /// The disk failed.
    pub fn insert(&self, key: &K, field: M, value: V) -> Result<Option<V>, Error> {
        self.0.borrow_mut().get_or_insert_with(key, Table::default).map(|map| map.insert(field, value))
    }

    /// Removes and returns the value under `field`. A map that is empty then is gone.
    ///
    /// # Errors
    /// The disk failed.
    pub fn remove(&self, key: &K, field: &M) -> Result<Option<V>, Error> {
        let mut state = self.0.borrow_mut();
        let Some(map) = state.get_mut(key)? else { return Ok(None) };
        let value = map.remove(field);
        if map.is_empty() {
            state.remove(key)?;
        }
        Ok(value)
    }

    /// The number of entries in the map of `key`.
    ///
    /// # Errors
    /// The disk failed.
    pub fn len(&self, key: &K) -> Result<usize, Error> {
        Ok(self.0.borrow_mut().get(key)?.map_or(0, Table::len))
    }

    /// Has `key` no entries?
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
        Ok(self.0.borrow_mut().get(key)?.into_iter().flatten().map(|(field, value)| (field.clone(), value.clone())).collect())
    }

    /// Removes all entries of `key`.
    ///
    /// # Errors
    /// The disk failed.
    pub fn clear(&self, key: &K) -> Result<(), Error> {
        self.0.borrow_mut().remove(key).map(|_| ())
    }
}
