//! The events that a launch reports while the job runs.

use std::sync::Arc;
use std::time::Duration;

use tidegate_runtime::Error;
use tidegate_runtime::checkpoint::Completed;

use crate::control::ListenError;
use crate::error::RunError;
use crate::launch::How;
use crate::run::Run;

/// Something that happened to the job, reported in the order in which it happened.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The latest checkpoint was asked for and there is none yet: the job starts fresh.
    NoCheckpoint {
        /// The job's checkpoint directory.
        directory: &'a str,
    },
    /// A checkpoint is damaged: an older one is tried.
    CheckpointSkipped {
        /// Which one, and what is wrong with it.
        why: String,
    },
    /// The restore migrates state, or warns of something.
    Remark {
        /// The operator and what happens to its state.
        text: String,
    },
    /// The control socket can't be opened: the job runs, but other processes can't reach it.
    Unreachable {
        /// Why.
        error: &'a ListenError,
    },
    /// The job runs. If it restored a snapshot, that is [`Run::restored_from`].
    Started {
        /// This run.
        run: &'a Arc<Run>,
    },
    /// The job still runs. Reported a few times a second, for progress displays.
    Progress {
        /// This run.
        run: &'a Arc<Run>,
    },
    /// A checkpoint is complete. Of several that complete within a quarter of a second, only the last is reported.
    CheckpointCompleted {
        /// Its size and time.
        checkpoint: Completed,
    },
    /// A savepoint is complete. As with checkpoints, only the last of several is reported.
    SavepointWritten {
        /// Its directory or URL.
        place: String,
    },
    /// A checkpoint failed. The job continues.
    CheckpointFailed {
        /// Why.
        why: String,
    },
    /// This run of the job has ended.
    Ended {
        /// The run: its counters are final.
        run: &'a Arc<Run>,
        /// How it ended; `None` if it failed.
        how: Option<How>,
    },
    /// The job found that the checkpoint it restored is damaged: it restarts from the one before.
    RestoredDamaged {
        /// The damaged checkpoint.
        place: &'a str,
        /// What is wrong with it.
        error: &'a Error,
    },
    /// The job failed and will be restarted.
    Restarting {
        /// Why it failed.
        error: &'a RunError,
        /// How long until the restart.
        wait: Duration,
        /// Failures in a row.
        failures: u64,
    },
}
