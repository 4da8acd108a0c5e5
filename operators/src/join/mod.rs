//! Joins of two keyed streams: by distance in time, and by window.
//!
//! Both inputs go through one operator as a stream of [`Either`], so that they share its key groups, its watermark and its state.

mod buffer;
mod interval;
mod stream;
mod windowed;

use serde::{Deserialize, Serialize};
use tidegate_runtime::Record;

pub use interval::{Interval, IntervalLogic};
pub use stream::JoinedStreams;
pub use windowed::{CoGroup, Pairs};

/// A record of one of two inputs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Either<L, R> {
    /// Of the first.
    Left(L),
    /// Of the second.
    Right(R),
}

/// What becomes of records without a partner.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum JoinType {
    /// They are dropped.
    #[default]
    Inner,
    /// Those of the left are emitted alone.
    Left,
    /// Those of the right are emitted alone.
    Right,
    /// Both are.
    Full,
}

impl JoinType {
    /// Are records of the left emitted alone?
    #[must_use]
    pub fn keeps_left(self) -> bool {
        matches!(self, Self::Left | Self::Full)
    }

    /// Are records of the right emitted alone?
    #[must_use]
    pub fn keeps_right(self) -> bool {
        matches!(self, Self::Right | Self::Full)
    }
}

impl std::fmt::Display for JoinType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Inner => "inner",
            Self::Left => "left",
            Self::Right => "right",
            Self::Full => "full",
        })
    }
}

/// Has a record no event time?
fn untimed<T>(record: &Record<T>) -> bool {
    record.time == Record::UNTIMED
}

#[cfg(test)]
mod tests;
