//! The checkpoint that a record belongs to.

use serde::{Deserialize, Serialize};

/// A checkpoint epoch. The step from `N` to `N + 1` is barrier `N`; everything of epoch `N` belongs to checkpoint `N`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Epoch(pub u32);

impl Epoch {
    /// The epoch after this one, saturating.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl std::fmt::Display for Epoch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}
