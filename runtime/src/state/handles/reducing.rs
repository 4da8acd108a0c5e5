//! One value per key, reduced from all values added.

use std::cell::RefCell;

use super::ValueState;
use crate::error::Error;
use crate::state::{Key, Stored};

/// One value per key, reduced from all values added. It has their type.
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

    /// The reduced value of `key`.
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

    /// Removes and returns the reduced value of `key`.
    ///
    /// # Errors
    /// The disk failed.
    pub fn remove(&self, key: &K) -> Result<Option<V>, Error> {
        self.state.remove(key)
    }
}
