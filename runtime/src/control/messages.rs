//! What changes in a running job, as messages.
//!
//! The processes of a job share one picture of it, the [`Replica`](super::Replica). It changes only by a [`ToAll`], which reaches every
//! process. What one process alone may decide is asked of it by a [`ToLeader`]. In a job of one process both are calls: the replica is
//! [`Everyone`], and [`Lead`](crate::checkpoint::Lead) is the [`Leader`]. Several processes put a connection between.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tidegate_checkpoints::Epoch;

use crate::board::Post;
use crate::checkpoint::{Member, Plan, Report};
use crate::error::{Error, JobError};

/// A change that every process applies to its replica.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ToAll {
    /// The job is over. It failed if there is a cause.
    Over(Option<JobError>),
    /// The epochs go on.
    Epoch(Turn),
    /// An instance of a source has posted something on the board.
    Posted { source: usize, worker: usize, post: Post },
    /// A checkpoint is complete: sinks commit everything up to and including this epoch.
    Complete(Epoch),
    /// What all instances of a source see alike, in JSON.
    Shared { source: usize, value: String },
    /// Whether a source has begun, or the job was stopped before it did.
    Begins { source: usize, begins: bool },
}

/// What may happen to the epochs of a job.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Turn {
    /// This epoch ends, and `plan` is taken at its end. Every source injects a barrier.
    End { epoch: Epoch, plan: Option<Plan> },
    /// What was taken at the end of this epoch is complete, or has failed.
    Done(Epoch),
    /// The job is to stop. No source reads any more.
    Stopping,
    /// The last barriers are in. This epoch is the first in which nothing is read.
    Stopped(Epoch),
    /// Every source ends as if it had read everything.
    Draining,
}

/// A request to the leading process, or a report.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ToLeader {
    /// What a member kept at the end of an epoch. `last`: its input has ended.
    Kept { member: Member, epoch: Epoch, report: Report, last: bool },
    /// A checkpoint failed. `last`: it was to hold what a member kept at the end of its input.
    Declined { epoch: Epoch, why: String, last: bool },
    /// The files that the member's next report will name.
    Uses { member: Member, files: Vec<String> },
    /// A sink has committed everything up to and including this epoch.
    Committed { member: Member, epoch: Epoch },
    /// An instance of a source has read everything, in a job whose end takes a savepoint.
    ReadOut,
    /// The job is to stop.
    Stop,
}

/// Every process of the job.
pub(crate) trait Everyone: Send + Sync {
    /// Delivers the message. When this returns, the replica of this process has applied it.
    fn tell(&self, message: ToAll);
}

/// The process that coordinates checkpoints and steps the epochs.
pub(crate) trait Leader: Send + Sync {
    /// Delivers the message.
    fn tell(self: Arc<Self>, message: ToLeader);
}

impl dyn Everyone {
    /// Fails the job with this error, unless it has already failed.
    pub(crate) fn poison(&self, error: JobError) {
        self.tell(ToAll::Over(Some(error)));
    }

    /// Fails the job because an operator failed.
    pub(crate) fn fail(&self, operator: &str, worker: usize, error: Error) {
        self.poison(JobError::Operator { operator: operator.to_owned(), worker, error });
    }
}
