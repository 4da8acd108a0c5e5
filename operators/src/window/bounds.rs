//! The bounds of a window.

use serde::{Deserialize, Serialize};
use tidegate_runtime::Record;
use tidegate_runtime::state::Stored;

/// A window: `[start, end)` in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Bounds {
    /// Its first millisecond.
    pub start: i64,
    /// The first millisecond after it.
    pub end: i64,
}

impl Stored for Bounds {
    const SCHEMA: &'static str = "window.bounds/1";
}

impl Bounds {
    /// The window over everything.
    pub const GLOBAL: Self = Self { start: i64::MIN, end: i64::MAX };

    /// The last millisecond of the window, or the end of time if it has no end.
    #[must_use]
    #[inline]
    pub fn last(self) -> i64 {
        if self.end == i64::MAX { i64::MAX } else { self.end.saturating_sub(1) }
    }

    /// The event time of its results: its last millisecond. Results of the global window have none.
    #[must_use]
    #[inline]
    pub fn result_time(self) -> i64 {
        if self == Self::GLOBAL { Record::UNTIMED } else { self.last() }
    }
}
