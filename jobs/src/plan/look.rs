//! Checks what a job would find if it ran now.

use super::Plan;
use crate::file::Problems;

impl Plan {
    /// Checks the outside as it is now, and adds what is wrong to `problems`.
    pub fn look(&self, problems: &mut Problems) {
        problems.extend(self.looks.iter().flat_map(|look| look()));
    }

    /// Whether the bad records of this source go to a stream of their own.
    #[must_use]
    pub fn keeps_bad_records(&self, source: &str) -> bool {
        self.sources.iter().any(|planned| planned.name == source && planned.dead_letter.is_some())
    }
}
