//! Aggregating state: what an aggregate makes of the values of a key.

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
    /// Declares the state; what it keeps expires if there is a `ttl`.
    ///
    /// # Errors
    /// The name is taken.
    pub fn new(states: &mut States, name: &str, aggregate: A, ttl: impl Into<Option<Ttl>>) -> Result<Self, Error> {
        let state = states.expiring(ttl).value_of(name, aggregate.meaning())?;
        Ok(Self { state, aggregate: RefCell::new(aggregate), values: PhantomData })
    }

    /// What the values of `key` come to, if any was added.
    ///
    /// # Errors
    /// The disk failed.
    pub fn get(&self, key: &K) -> Result<Option<A::Out>, Error> {
        Ok(self.state.get(key)?.map(|acc| self.aggregate.borrow().finish(&acc)))
    }

    /// Adds a value of event time `time`.
    ///
    /// # Errors
    /// The disk failed, or the aggregate does.
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
