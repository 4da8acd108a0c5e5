//! The timestamp that carries everything: checkpoint barriers, back-pressure and watermarks, in a single timely timestamp.
//!
//! There are no control messages. An operator learns all it needs from its input frontier, through [`Progress`](crate::Progress).

use serde::{Deserialize, Serialize};
use tidegate_checkpoints::Epoch;
use timely::PartialOrder;
use timely::progress::Timestamp;
use timely::progress::timestamp::{PathSummary, Refines};

/// How far event time has advanced, in milliseconds since 1970. Every record with a time up to and including this one has arrived (as in
/// Flink).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Watermark(pub i64);

impl tidegate_stable::Stored for Watermark {
    const SCHEMA: &'static str = "watermark";

    fn schema() -> String {
        Self::SCHEMA.to_owned()
    }
}

impl Watermark {
    /// Before the first watermark: nothing is known.
    pub const NONE: Self = Self(i64::MIN);
    /// The end of input: every record has arrived.
    pub const END: Self = Self(i64::MAX);
}

impl std::fmt::Display for Watermark {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {
            Self::NONE => f.write_str("none"),
            Self::END => f.write_str("end"),
            Self(ms) => ms.fmt(f),
        }
    }
}

/// The timestamp of every message in the dataflow. See `ARCHITECTURE.md`, "The one idea".
///
/// `(epoch, tick)` is ordered lexicographically, but that pair and the watermark form a PRODUCT order. With a lexicographic order overall,
/// the frontier would be a single element and would lose the watermark of a source that is ahead in epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Time {
    /// The checkpoint this belongs to.
    pub epoch: Epoch,
    /// When it entered, in ticks of the job's tick clock. Never goes back, not even across epochs.
    pub tick: u32,
    /// The watermark under which it was sent.
    pub watermark: Watermark,
}

impl Time {
    /// `(epoch, tick)` as one number with the same order.
    #[must_use]
    #[inline]
    pub fn outer(&self) -> u64 {
        (u64::from(self.epoch.0) << 32) | u64::from(self.tick)
    }

    /// The greatest time that is at most both (the meet of the lattice).
    #[must_use]
    #[inline]
    pub fn meet(&self, other: &Self) -> Self {
        let outer = if self.outer() <= other.outer() { self } else { other };
        Self { epoch: outer.epoch, tick: outer.tick, watermark: self.watermark.min(other.watermark) }
    }
}

impl PartialOrder for Time {
    #[inline]
    fn less_equal(&self, other: &Self) -> bool {
        self.outer() <= other.outer() && self.watermark <= other.watermark
    }
}

impl Timestamp for Time {
    type Summary = Passage;
    fn minimum() -> Self {
        Self { epoch: Epoch(0), tick: 0, watermark: Watermark::NONE }
    }
}

/// What an operator does to a time that passes through it. There are no loops.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Passage {
    /// Nothing.
    #[default]
    Unchanged,
    /// Removes event time: what passes keeps its epoch and tick but holds back no watermark.
    Untimed,
}

impl PartialOrder for Passage {
    fn less_equal(&self, other: &Self) -> bool {
        self <= other
    }
}

impl PathSummary<Time> for Passage {
    fn results_in(&self, time: &Time) -> Option<Time> {
        Some(match self {
            Self::Unchanged => *time,
            Self::Untimed => Time { watermark: Watermark::END, ..*time },
        })
    }
    fn followed_by(&self, other: &Self) -> Option<Self> {
        Some(*self.max(other))
    }
}

impl Refines<()> for Time {
    fn to_inner((): ()) -> Self {
        Self::minimum()
    }
    fn to_outer(self) {}
    fn summarize(_: Passage) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_time() -> impl Strategy<Value = Time> {
        (0u32..3, 0u32..4, -3i64..3).prop_map(|(e, tick, w)| Time { epoch: Epoch(e), tick, watermark: Watermark(w) })
    }

    #[test]
    fn a_source_ahead_in_epoch_keeps_its_watermark() {
        let ahead = Time { epoch: Epoch(1), tick: 0, watermark: Watermark(100) };
        let behind = Time { epoch: Epoch(2), tick: 0, watermark: Watermark(50) };
        assert!(!ahead.less_equal(&behind) && !behind.less_equal(&ahead));
        assert_eq!(ahead.meet(&behind), Time { epoch: Epoch(1), tick: 0, watermark: Watermark(50) });
    }

    proptest! {
        #[test]
        fn the_order_is_a_partial_order_that_ord_extends(a in any_time(), b in any_time(), c in any_time()) {
            prop_assert!(a.less_equal(&a));
            if a.less_equal(&b) && b.less_equal(&a) { prop_assert_eq!(a, b); }
            if a.less_equal(&b) && b.less_equal(&c) { prop_assert!(a.less_equal(&c)); }
            if a.less_equal(&b) { prop_assert!(a <= b); }
        }

        #[test]
        fn meet_is_the_greatest_lower_bound(a in any_time(), b in any_time(), c in any_time()) {
            let m = a.meet(&b);
            prop_assert!(m.less_equal(&a) && m.less_equal(&b));
            if c.less_equal(&a) && c.less_equal(&b) { prop_assert!(c.less_equal(&m)); }
            prop_assert_eq!(m, b.meet(&a));
        }
    }
}
