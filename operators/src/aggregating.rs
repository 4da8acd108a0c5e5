//! Aggregating state: one running aggregate per key.

use std::cell::RefCell;
use std::marker::PhantomData;

use tidegate_runtime::Error;
use tidegate_runtime::state::{Key, States, Ttl, ValueState};

use crate::aggregate::Aggregate;

/// One accumulator per key.
pub struct AggregatingState<K, T, A: Aggregate<T>> {
    state: ValueState<K, A::Acc>,
    aggregate: RefCell<A>,
    values: PhantomData<fn(T)>,
}

impl<K: Key, T, A: Aggregate<T>> AggregatingState<K, T, A> {
    /// Declares the state. With a `ttl`, its entries expire.
    ///
    /// # Errors
    /// The name is taken.
    pub fn new(states: &mut States, name: &str, aggregate: A, ttl: impl Into<Option<Ttl>>) -> Result<Self, Error> {
        let state = states.expiring(ttl).value_of(name, aggregate.meaning())?;
        Ok(Self { state, aggregate: RefCell::new(aggregate), values: PhantomData })
    }

    /// The aggregate of the values added for `key`, or `None` if there are none.
    ///
    /// # Errors
    /// The disk failed.
    pub fn get(&self, key: &K) -> Result<Option<A::Out>, Error> {
        Ok(self.state.get(key)?.map(|acc| self.aggregate.borrow().finish(&acc)))
    }

    /// Adds a value with event time `time`.
    ///
    /// # Errors
    /// The disk failed, or the aggregate returned an error.
    pub fn add(&self, key: &K, value: &T, time: i64) -> Result<(), Error> {
        let aggregate = &mut *self.aggregate.borrow_mut();
        self.state.update_with(key, aggregate, |a| a.create(), |acc, a| a.add(acc, value, time))?.map(|_| ())
    }

    /// Forgets the values of `key`.
    ///
    /// # Errors
    /// The disk failed.
    pub fn clear(&self, key: &K) -> Result<(), Error> {
        self.state.remove(key).map(|_| ())
    }
}
