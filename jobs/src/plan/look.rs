//! What a job would find if it were run now.

use super::Plan;
use crate::file::Problems;

impl Plan {
    /// Looks at what is there, and adds to `problems` what is wrong with it.
    pub fn look(&self, problems: &mut Problems) {
        problems.extend(self.looks.iter().flat_map(|look| look()));
    }

    /// Are the bad records of this source wanted, in a stream of their own?
    #[must_use]
    pub fn keeps_bad_records(&self, source: &str) -> bool {
        self.sources.iter().any(|planned| planned.name == source && planned.dead_letter.is_some())
    }
}
