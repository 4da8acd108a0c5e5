//! Aggregate functions: results over many records, computed incrementally. Each is a file.

mod average;
mod count;
mod extremes;
mod fold;
mod pair;
mod sum;

use std::sync::Arc;

use tidegate_runtime::Error;
use tidegate_runtime::metrics::OperatorMetrics;
use tidegate_runtime::state::{Meaning, Stored};

pub use average::{Average, Mean};
pub use count::Count;
pub use extremes::{Max, Min};
pub use fold::Fold;
pub use sum::{IntegerSum, Number, Sum, Whole};

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
