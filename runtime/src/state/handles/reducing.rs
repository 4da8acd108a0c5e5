//! What the values of a key are reduced to.

use std::cell::RefCell;

use super::ValueState;
use crate::error::Error;
use crate::state::{Key, Stored};

/// One value per key, of the same type as those that are added.
pub struct ReducingState<K, V, F> {
    state: ValueState<K, V>,
    reduce: RefCell<F>,
}

impl<K, V, F> ReducingState<K, V, F>
where
    K: Key,
    V: Stored,
    F: FnMut(&V, &V) -> V,
{
    pub(super) fn new(state: ValueState<K, V>, reduce: F) -> Self {
        Self { state, reduce: RefCell::new(reduce) }
    }

    /// What the values of `key` come to.
    ///
    /// # Errors
    /// The disk failed.
    pub fn get(&self, key: &K) -> Result<Option<V>, Error> {
        self.state.get(key)
    }

    /// Adds a value.
    ///
    /// # Errors
    /// The disk failed.
    pub fn add(&self, key: &K, value: V) -> Result<(), Error> {
        let reduce = &mut *self.reduce.borrow_mut();
        match self.state.change(key, |so_far| *so_far = reduce(so_far, &value))? {
            Some(()) => Ok(()),
            None => self.state.set(key, value),
        }
    }

    /// Removes and returns what the values of `key` come to.
    ///
    /// # Errors
    /// The disk failed.
    pub fn remove(&self, key: &K) -> Result<Option<V>, Error> {
        self.state.remove(key)
    }
}
