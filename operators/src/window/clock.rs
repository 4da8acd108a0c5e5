//! The clock of windows.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{SystemTime, UNIX_EPOCH};

/// A wall clock.
#[derive(Clone, Debug, Default)]
pub enum WallClock {
    /// The machine's.
    #[default]
    System,
    /// One that is set by hand, to drive an operator without waiting. Milliseconds since 1970.
    Manual(Rc<Cell<i64>>),
}

impl WallClock {
    /// What it shows, in milliseconds since 1970.
    #[must_use]
    pub fn now(&self) -> i64 {
        match self {
            Self::System => SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX)),
            Self::Manual(now) => now.get(),
        }
    }
}

/// Which clock puts records into windows and cleans the windows up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TimeDomain {
    /// The records' times.
    #[default]
    Event,
    /// The wall clock.
    Processing,
}
