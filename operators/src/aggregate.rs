//! Aggregate functions: results over many records, computed incrementally.

use std::sync::Arc;

use tidegate_runtime::Error;
use tidegate_runtime::metrics::OperatorMetrics;
use tidegate_runtime::state::{Meaning, Stored};

/// How overlapping windows share the work on the records they have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sliding {
    /// By [`Aggregate::retract`]: one total per key, from which the oldest slice is subtracted.
    Retract,
    /// By keeping, next to each slice of a key, the merged result of it and all later slices. Suits accumulators that stay small.
    Suffixes,
    /// By both: some parts of the aggregate can retract, others can't.
    Both,
    /// They share nothing: each window is merged anew from its slices. Suits accumulators that grow with their records.
    Anew,
}

impl Sliding {
    /// The strategy for two aggregates computed together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Retract, Self::Retract) => Self::Retract,
            (Self::Anew, _) | (_, Self::Anew) => Self::Anew,
            (Self::Suffixes, Self::Suffixes) => Self::Suffixes,
            _ => Self::Both,
        }
    }
}

/// A function from many records to one result, computed by way of an accumulator.
pub trait Aggregate<T>: 'static {
    /// The accumulator, which is written to state and snapshots.
    type Acc: Stored;
    /// The type of the result.
    type Out: Clone + 'static;

    /// Called once on every worker, with the counters of the operator it runs in.
    fn open(&mut self, _metrics: &Arc<OperatorMetrics>) {}
    /// What it computes, as shown in the job graph.
    fn describe(&self) -> String {
        String::new()
    }
    /// What its accumulators stand for. Their type is enough unless several aggregates share it: a minimum and a maximum have accumulators
    /// of the same type and are told apart by [`Meaning::named`].
    fn meaning(&self) -> Meaning<Self::Acc> {
        Meaning::of_type()
    }

    /// The accumulator before any record.
    fn create(&self) -> Self::Acc;
    /// Adds a record with event time `time` (milliseconds since 1970). Returns whether the record counts: a record on which an expression
    /// failed does not, and leaves the accumulator unchanged.
    ///
    /// # Errors
    /// An error here fails the job.
    fn add(&mut self, acc: &mut Self::Acc, value: &T, time: i64) -> Result<bool, Error>;
    /// Adds all records that `other` has seen.
    fn merge(&self, acc: &mut Self::Acc, other: &Self::Acc);
    /// How overlapping windows share work.
    fn sliding(&self) -> Sliding {
        Sliding::Suffixes
    }
    /// Removes exactly the records that `other` has seen and that were merged into `acc`, as far as [`Aggregate::sliding`] says this is
    /// possible.
    fn retract(&self, _acc: &mut Self::Acc, _other: &Self::Acc) {}
    /// The parts of `part` that can't be retracted; all others are empty.
    fn rest(&self, part: &Self::Acc) -> Self::Acc {
        if self.sliding() == Sliding::Retract { self.create() } else { part.clone() }
    }
    /// Replaces the parts of `acc` that can't be retracted by those of `rest`.
    fn complete(&self, acc: &mut Self::Acc, rest: &Self::Acc) {
        if self.sliding() != Sliding::Retract {
            acc.clone_from(rest);
        }
    }
    /// The result.
    fn finish(&self, acc: &Self::Acc) -> Self::Out;
}

/// The number of records.
#[derive(Clone, Copy, Debug, Default)]
pub struct Count;

impl<T> Aggregate<T> for Count {
    type Acc = u64;
    type Out = u64;

    fn meaning(&self) -> Meaning<u64> {
        Meaning::of_type().named("count/1")
    }
    fn create(&self) -> u64 {
        0
    }
    fn add(&mut self, acc: &mut u64, _: &T, _: i64) -> Result<bool, Error> {
        *acc += 1;
        Ok(true)
    }
    fn merge(&self, acc: &mut u64, other: &u64) {
        *acc += other;
    }
    fn sliding(&self) -> Sliding {
        Sliding::Retract
    }
    fn retract(&self, acc: &mut u64, other: &u64) {
        *acc -= other;
    }
    fn finish(&self, acc: &u64) -> u64 {
        *acc
    }
}

/// The sum of an integer field. Unlike [`Sum`], it is exact and can retract the records that leave a sliding window.
#[derive(Clone, Copy, Debug)]
pub struct IntegerSum<F>(pub F);

impl<T, F: Fn(&T) -> i64 + 'static> Aggregate<T> for IntegerSum<F> {
    type Acc = i128;
    type Out = i128;

    fn meaning(&self) -> Meaning<i128> {
        Meaning::of_type().named("sum/1")
    }
    fn create(&self) -> i128 {
        0
    }
    fn add(&mut self, acc: &mut i128, value: &T, _: i64) -> Result<bool, Error> {
        *acc += i128::from((self.0)(value));
        Ok(true)
    }
    fn merge(&self, acc: &mut i128, other: &i128) {
        *acc += other;
    }
    fn sliding(&self) -> Sliding {
        Sliding::Retract
    }
    fn retract(&self, acc: &mut i128, other: &i128) {
        *acc -= other;
    }
    fn finish(&self, acc: &i128) -> i128 {
        *acc
    }
}

macro_rules! of_field {
    ($(#[$doc:meta])* $name:ident, $schema:literal, $acc:ty => $out:ty, $create:expr, |$a:ident, $v:ident| $add:expr, |$x:ident, $y:ident| $merge:expr, |$f:ident| $finish:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub struct $name<F>(pub F);

        impl<T, F: Fn(&T) -> f64 + 'static> Aggregate<T> for $name<F> {
            type Acc = $acc;
            type Out = $out;

            fn meaning(&self) -> Meaning<$acc> {
                Meaning::of_type().named($schema)
            }
            fn create(&self) -> $acc {
                $create
            }
            fn add(&mut self, $a: &mut $acc, value: &T, _: i64) -> Result<bool, Error> {
                let $v = (self.0)(value);
                $add;
                Ok(true)
            }
            fn merge(&self, $x: &mut $acc, $y: &$acc) {
                $merge;
            }
            fn finish(&self, $f: &$acc) -> $out {
                $finish
            }
        }
    };
}

of_field! {
    /// The sum of a field.
    Sum, "sum/1", f64 => f64, 0.0, |a, v| *a += v, |x, y| *x += y, |f| *f
}
of_field! {
    /// The mean of a field; `None` if there are no records.
    Average, "average/1", (f64, u64) => Option<f64>, (0.0, 0), |a, v| { a.0 += v; a.1 += 1 }, |x, y| { x.0 += y.0; x.1 += y.1 }, |f| (f.1 > 0).then(|| f.0 / f.1 as f64)
}
of_field! {
    /// The smallest value of a field; `None` if there are no records.
    Min, "min/1", Option<f64> => Option<f64>, None, |a, v| *a = Some(a.map_or(v, |o| o.min(v))), |x, y| if let Some(v) = y { *x = Some(x.map_or(*v, |o| o.min(*v))) }, |f| *f
}
of_field! {
    /// The greatest value of a field; `None` if there are no records.
    Max, "max/1", Option<f64> => Option<f64>, None, |a, v| *a = Some(a.map_or(v, |o| o.max(v))), |x, y| if let Some(v) = y { *x = Some(x.map_or(*v, |o| o.max(*v))) }, |f| *f
}

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

/// Two aggregates computed together.
impl<T, A: Aggregate<T>, B: Aggregate<T>> Aggregate<T> for (A, B) {
    type Acc = (A::Acc, B::Acc);
    type Out = (A::Out, B::Out);

    fn meaning(&self) -> Meaning<Self::Acc> {
        self.0.meaning().and(self.1.meaning())
    }
    fn create(&self) -> Self::Acc {
        (self.0.create(), self.1.create())
    }
    fn add(&mut self, acc: &mut Self::Acc, value: &T, time: i64) -> Result<bool, Error> {
        let first = self.0.add(&mut acc.0, value, time)?;
        let second = self.1.add(&mut acc.1, value, time)?;
        Ok(first || second)
    }
    fn merge(&self, acc: &mut Self::Acc, other: &Self::Acc) {
        self.0.merge(&mut acc.0, &other.0);
        self.1.merge(&mut acc.1, &other.1);
    }
    fn sliding(&self) -> Sliding {
        self.0.sliding().and(self.1.sliding())
    }
    fn retract(&self, acc: &mut Self::Acc, other: &Self::Acc) {
        self.0.retract(&mut acc.0, &other.0);
        self.1.retract(&mut acc.1, &other.1);
    }
    fn rest(&self, part: &Self::Acc) -> Self::Acc {
        (self.0.rest(&part.0), self.1.rest(&part.1))
    }
    fn complete(&self, acc: &mut Self::Acc, rest: &Self::Acc) {
        self.0.complete(&mut acc.0, &rest.0);
        self.1.complete(&mut acc.1, &rest.1);
    }
    fn finish(&self, acc: &Self::Acc) -> Self::Out {
        (self.0.finish(&acc.0), self.1.finish(&acc.1))
    }
}
