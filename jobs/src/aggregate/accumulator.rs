//! The contract of accumulators: the state that an aggregate keeps about the records it has seen.

use serde::{Deserialize, Serialize};
use tidegate_rows::Value;

use super::sums::{Decimals, Sums};

/// The position of a record: its event time and its arrival number. If arrival order is meaningless, the number is
/// the rank of the time, and values break ties.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct At {
    pub(super) time: i64,
    pub(super) arrival: u64,
}

impl At {
    /// The position of a record whose arrival order is meaningless.
    pub(crate) fn unordered(time: i64) -> Self {
        Self { time, arrival: time.cast_unsigned() ^ (1 << 63) }
    }
}

/// What an aggregate keeps for one key and window.
pub(crate) trait Accumulator {
    /// Takes out the records that another accumulator has seen, which must have been merged into this one. `None` if
    /// that can't be done exactly: then its aggregates don't slide by [`Sliding::Retract`].
    ///
    /// [`Sliding::Retract`]: tidegate_operators::Sliding::Retract
    const RETRACT: Option<fn(&mut Self, &Self)>;

    /// Adds a value that its function accepts.
    fn add(&mut self, value: &Value, at: At);

    /// Adds the records that another accumulator has seen.
    fn merge(&mut self, other: &Self);

    /// Whether it can add this value. If not, the aggregate continues with [`Decimals`] from a decimal on, and else with [`Sums`].
    fn takes(&self, _: &Value) -> bool {
        true
    }

    /// Whether it can add what the other has seen. If not, the aggregate continues with [`Sums`].
    fn absorbs(&self, _: &Self) -> bool {
        true
    }

    /// The same sums, exact from here on. Every accumulator of an aggregate that has several kinds is sums.
    fn to_sums(&self) -> Option<Sums> {
        None
    }

    /// The same sums with decimals, if its aggregate may meet decimals.
    fn to_decimals(&self) -> Option<Decimals> {
        None
    }
}

/// Large accumulators are boxed.
impl<A: Accumulator> Accumulator for Box<A> {
    const RETRACT: Option<fn(&mut Self, &Self)> = match A::RETRACT {
        Some(_) => Some(|acc, other| {
            if let Some(retract) = A::RETRACT {
                retract(acc, other);
            }
        }),
        None => None,
    };

    fn add(&mut self, value: &Value, at: At) {
        (**self).add(value, at);
    }

    fn merge(&mut self, other: &Self) {
        (**self).merge(other);
    }

    fn takes(&self, value: &Value) -> bool {
        (**self).takes(value)
    }

    fn absorbs(&self, other: &Self) -> bool {
        (**self).absorbs(other)
    }

    fn to_sums(&self) -> Option<Sums> {
        (**self).to_sums()
    }

    fn to_decimals(&self) -> Option<Decimals> {
        (**self).to_decimals()
    }
}
