//! Joins of two keyed streams: by distance in time, by window, and with a versioned table.
//!
//! Both inputs go through one operator as a stream of [`Either`], so that they share its key groups, watermark and state.

mod buffer;
mod interval;
mod stream;
mod temporal;
mod versions;
mod windowed;

use tidegate_runtime::Record;

pub use crate::either::Either;
pub use interval::{Interval, IntervalLogic};
pub use stream::JoinedStreams;
pub use temporal::TemporalLogic;
pub use windowed::{CoGroup, Pairs};

/// What happens to records without a partner.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum JoinType {
    /// They are dropped.
    #[default]
    Inner,
    /// Left records are emitted alone.
    Left,
    /// Right records are emitted alone.
    Right,
    /// Records of either side are emitted alone.
    Full,
}

impl JoinType {
    /// Whether left records without a partner are emitted.
    #[must_use]
    pub fn keeps_left(self) -> bool {
        matches!(self, Self::Left | Self::Full)
    }

    /// Whether right records without a partner are emitted.
    #[must_use]
    pub fn keeps_right(self) -> bool {
        matches!(self, Self::Right | Self::Full)
    }
}

/// These words are part of the stored form of a join and must not change.
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

/// What happens to a record for which a table has no row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unmatched {
    /// It is dropped: an inner join.
    #[default]
    Drop,
    /// It is emitted alone: a left join.
    Keep,
}

/// These words are part of the stored form of a join and must not change.
impl std::fmt::Display for Unmatched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Drop => "inner",
            Self::Keep => "left",
        })
    }
}

/// Whether a record has no event time.
fn untimed<T>(record: &Record<T>) -> bool {
    record.time == Record::UNTIMED
}

#[cfg(test)]
mod temporal_tests;
#[cfg(test)]
mod tests;
