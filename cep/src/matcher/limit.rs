//! How much memory a key may take, and what happens beyond.

use serde::{Deserialize, Serialize};

use super::listing::Entry;

/// How much memory the open partial matches of a key may take, and what happens beyond. A key has a limit so that one that is very busy, be it by
/// accident or by attack, takes no memory from all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// In bytes, as estimated from a sample of events.
    pub memory: usize,
    /// What happens beyond.
    pub overflow: Overflow,
}

/// What happens to partial matches beyond the limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overflow {
    /// Those that began first are dropped, and counted, until half of the events are left.
    #[default]
    DropOldest,
    /// Those that began last are dropped, and counted.
    DropNewest,
    /// The job fails.
    Fail,
}

impl Default for Limit {
    /// 128 MiB a key, then those that began first are dropped.
    fn default() -> Self {
        Self { memory: 128 << 20, overflow: Overflow::DropOldest }
    }
}

impl Limit {
    /// The most events that matches of one moment may be listed with.
    pub(super) fn entries(self) -> usize {
        self.memory / size_of::<Entry>()
    }
}
