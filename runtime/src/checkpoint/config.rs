//! How checkpoints are taken, and what came of them.

use std::time::Duration;

use tidegate_checkpoints::{Directory, Epoch};

use super::coordinator::Pace;

/// Where, how often and how checkpoints are taken.
#[derive(Clone, Debug)]
pub struct CheckpointConfig {
    /// The job's directory of checkpoints.
    pub directory: Directory,
    /// This run of the job, from [`Directory::begin_generation`].
    pub generation: u64,
    /// From the beginning of one to that of the next.
    pub every: Duration,
    /// At least this long between the end of one and the beginning of the next.
    pub pause: Duration,
    /// After how long one that is not complete is given up.
    pub timeout: Duration,
    /// How many may fail in a row before the job does.
    pub failures: u32,
    /// How many are kept.
    pub keep: usize,
}

impl CheckpointConfig {
    /// Every `every`, three are kept; given up after ten minutes; the job fails at the fourth failure in a row.
    #[must_use]
    pub fn new(directory: Directory, generation: u64, every: Duration) -> Self {
        Self { directory, generation, every, pause: Duration::ZERO, timeout: Duration::from_secs(600), failures: 3, keep: 3 }
    }

    pub(super) fn pace(&self) -> Pace {
        Pace { every: self.every, pause: self.pause, timeout: self.timeout }
    }
}

/// What came of the checkpoints so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckpointStatus {
    /// The last one that was completed.
    pub last: Option<Completed>,
    /// How many were completed.
    pub completed: u64,
    /// How many failed.
    pub failed: u64,
    /// Why the last one that failed did.
    pub failure: Option<String>,
    /// Is one under way?
    pub under_way: bool,
}

/// A checkpoint that was completed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completed {
    /// Its epoch.
    pub epoch: Epoch,
    /// From the barrier to published.
    pub took: Duration,
    /// Bytes of state in it.
    pub bytes: u64,
    /// Bytes that had to be stored anew.
    pub stored: u64,
    /// When, since the start of the job.
    pub at: Duration,
    /// The directory of the savepoint, if it is one.
    pub savepoint: Option<String>,
}
