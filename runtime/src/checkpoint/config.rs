//! How checkpoints are taken, and their outcome.

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
    /// From the start of one checkpoint to the start of the next.
    pub every: Duration,
    /// The shortest time from the end of one checkpoint to the start of the next.
    pub pause: Duration,
    /// The time after which an incomplete checkpoint is given up.
    pub timeout: Duration,
    /// How many checkpoints may fail in a row. One more fails the job.
    pub failures: u32,
    /// How many checkpoints are kept.
    pub keep: usize,
}

impl CheckpointConfig {
    /// A checkpoint every `every`. Three are kept. One is given up after ten minutes. The job fails at the fourth failure in a row.
    #[must_use]
    pub fn new(directory: Directory, generation: u64, every: Duration) -> Self {
        Self { directory, generation, every, pause: Duration::ZERO, timeout: Duration::from_secs(600), failures: 3, keep: 3 }
    }

    pub(super) fn pace(&self) -> Pace {
        Pace { every: self.every, pause: self.pause, timeout: self.timeout }
    }
}

/// The outcome of the checkpoints so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckpointStatus {
    /// The last one completed.
    pub last: Option<Completed>,
    /// How many were completed.
    pub completed: u64,
    /// How many failed.
    pub failed: u64,
    /// Why the last failed one failed.
    pub failure: Option<String>,
    /// Whether one is in progress.
    pub under_way: bool,
}

/// A completed checkpoint or savepoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completed {
    /// Its epoch.
    pub epoch: Epoch,
    /// The time from the barrier until it was published.
    pub took: Duration,
    /// Bytes of state in it.
    pub bytes: u64,
    /// Bytes that had to be newly stored.
    pub stored: u64,
    /// When it was published, measured from the start of the job.
    pub at: Duration,
    /// The directory of the savepoint, if it is one.
    pub savepoint: Option<String>,
}
