//! `Fold`: an aggregate that the user writes as closures.

use tidegate_runtime::Error;
use tidegate_runtime::state::Stored;

use super::{Aggregate, Sliding};

/// An aggregate made of two closures: one adds a record, the other merges two accumulators, the second holding the later records.
pub struct Fold<A, F, M> {
    initial: A,
    add: F,
    merge: M,
}

impl<A, F, M> Fold<A, F, M> {
    /// Starts from `initial`, adds with `add`, and merges with `merge`. The accumulator is the result.
    pub fn new(initial: A, add: F, merge: M) -> Self {
        Self { initial, add, merge }
    }
}

impl<T, A, F, M> Aggregate<T> for Fold<A, F, M>
where
    A: Stored,
    F: FnMut(&mut A, &T) + 'static,
    M: Fn(&mut A, &A) + 'static,
{
    type Acc = A;
    type Out = A;

    fn create(&self) -> A {
        self.initial.clone()
    }
    fn add(&mut self, acc: &mut A, value: &T, _: i64) -> Result<bool, Error> {
        (self.add)(acc, value);
        Ok(true)
    }
    fn merge(&self, acc: &mut A, other: &A) {
        (self.merge)(acc, other);
    }
    /// The size and the algebra of a user's accumulator are unknown.
    fn sliding(&self) -> Sliding {
        Sliding::Anew
    }
    fn finish(&self, acc: &A) -> A {
        acc.clone()
    }
}
