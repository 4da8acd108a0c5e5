//! The states of process functions: a value, a list, a map, or a reduced value per key.

mod list;
mod map;
mod reducing;
mod value;

pub use list::ListState;
pub use map::MapState;
pub use reducing::ReducingState;
pub use value::ValueState;

use super::meaning::Meaning;
use super::registry::States;
use super::ttl::Ttl;
use super::{Key, Stored};
use crate::error::Error;

/// Declares states whose values expire. See [`States::expiring`].
pub struct ExpiringStates<'a> {
    states: &'a mut States,
    ttl: Option<Ttl>,
}

impl States {
    /// Declares states whose values expire after `ttl`.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use tidegate_runtime::state::{States, Ttl, ValueState};
    /// # let mut states = States::default();
    /// let last: ValueState<String, i64> = states.expiring(Ttl::after(Duration::from_secs(3_600))).value("last seen")?;
    /// # Ok::<_, tidegate_runtime::Error>(())
    /// ```
    pub fn expiring(&mut self, ttl: impl Into<Option<Ttl>>) -> ExpiringStates<'_> {
        ExpiringStates { states: self, ttl: ttl.into() }
    }

    /// One value per key.
    ///
    /// # Errors
    /// The name is taken.
    pub fn value<K: Key, V: Stored>(&mut self, name: &str) -> Result<ValueState<K, V>, Error> {
        self.expiring(None).value(name)
    }

    /// A list per key.
    ///
    /// # Errors
    /// The name is taken.
    pub fn list<K: Key, V: Stored>(&mut self, name: &str) -> Result<ListState<K, V>, Error> {
        self.expiring(None).list(name)
    }

    /// A map per key.
    ///
    /// # Errors
    /// The name is taken.
    pub fn map<K: Key, M: Key, V: Stored>(&mut self, name: &str) -> Result<MapState<K, M, V>, Error> {
        self.expiring(None).map(name)
    }

    /// One value per key: the result of `reduce` over all values added.
    ///
    /// # Errors
    /// The name is taken.
    pub fn reducing<K, V, F>(&mut self, name: &str, reduce: F) -> Result<ReducingState<K, V, F>, Error>
    where
        K: Key,
        V: Stored,
        F: FnMut(&V, &V) -> V,
    {
        self.expiring(None).reducing(name, reduce)
    }
}

impl ExpiringStates<'_> {
    /// One value per key.
    ///
    /// # Errors
    /// The name is taken.
    pub fn value<K: Key, V: Stored>(self, name: &str) -> Result<ValueState<K, V>, Error> {
        self.value_of(name, Meaning::of_type())
    }

    /// One value per key. `meaning` says what the values stand for, if their type does not. Stored values with a different meaning are
    /// never read.
    ///
    /// # Errors
    /// The name is taken.
    pub fn value_of<K: Key, V: Stored>(self, name: &str, meaning: Meaning<V>) -> Result<ValueState<K, V>, Error> {
        ValueState::declare(self.states, name, meaning, self.ttl)
    }

    /// A list per key. Each element expires on its own.
    ///
    /// # Errors
    /// The name is taken.
    pub fn list<K: Key, V: Stored>(self, name: &str) -> Result<ListState<K, V>, Error> {
        ListState::declare(self.states, name, self.ttl)
    }

    /// A map per key. Each entry expires on its own.
    ///
    /// # Errors
    /// The name is taken.
    pub fn map<K: Key, M: Key, V: Stored>(self, name: &str) -> Result<MapState<K, M, V>, Error> {
        MapState::declare(self.states, name, self.ttl)
    }

    /// One value per key: the result of `reduce` over all values added.
    ///
    /// # Errors
    /// The name is taken.
    pub fn reducing<K, V, F>(self, name: &str, reduce: F) -> Result<ReducingState<K, V, F>, Error>
    where
        K: Key,
        V: Stored,
        F: FnMut(&V, &V) -> V,
    {
        Ok(ReducingState::new(self.value(name)?, reduce))
    }
}
