//! How much memory a key may take, and what happens beyond that.

use serde::{Deserialize, Serialize};

use super::listing::Entry;

/// How much memory the open partial matches of a key may take, and what happens beyond that. The limit keeps one very busy key, be it by accident or by
/// attack, from taking the memory of all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// The limit in bytes. What a key takes is estimated from a sample of events.
    pub memory: usize,
    /// What happens beyond it.
    pub overflow: Overflow,
}

/// What happens to partial matches beyond the limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overflow {
    /// The half of the partial matches that began first is dropped, and counted.
    #[default]
    DropOldest,
    /// The half of the partial matches that began last is dropped, and counted.
    DropNewest,
    /// The job fails.
    Fail,
}

impl Default for Limit {
    /// 128 MiB a key; beyond that, the half of the partial matches that began first is dropped.
    fn default() -> Self {
        Self { memory: 128 << 20, overflow: Overflow::DropOldest }
    }
}

impl Limit {
    /// The most entries that the matches of one moment may be listed with.
    pub(super) fn entries(self) -> usize {
        self.memory / size_of::<Entry>()
    }
}
