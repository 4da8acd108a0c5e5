//! Why a job could not be launched, or why it ended.

use std::io;
use std::path::PathBuf;

use tidegate_checkpoints::failpoint::UnknownFailpoint;
use tidegate_checkpoints::{DirectoryError, SnapshotError, StorageError, Verdict};
use tidegate_runtime::JobError;

use crate::unread::Unread;

/// Why a launch failed, by how far it got.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// The environment arms a failpoint that does not exist. Nothing was started.
    #[error(transparent)]
    Failpoint(#[from] UnknownFailpoint),
    /// The snapshot to start from can't be restored. Nothing was started.
    #[error(transparent)]
    Restore(RestoreError),
    /// The savepoint at the end can't be written to the requested place. Nothing was started.
    #[error("no savepoint can be taken in `{place}`")]
    SavepointPlace {
        /// The directory or URL.
        place: String,
        /// Why.
        #[source]
        source: DirectoryError,
    },
    /// The state directory can't be taken. Nothing was started.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// The job ran, failed, and was not restarted.
    #[error(transparent)]
    Run(#[from] RunError),
}

/// Why a run of the job failed.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The job itself failed.
    #[error(transparent)]
    Job(#[from] JobError),
    /// A source read nothing but bad records.
    #[error(transparent)]
    Unread(#[from] Unread),
    /// The job was to be restarted, and its latest checkpoint can't be restored.
    #[error(transparent)]
    Restore(#[from] RestoreError),
    /// The checkpoint directory can't be used.
    #[error("checkpoints can't be kept in `{dir}`")]
    Checkpoints {
        /// The directory or URL, as given in the job file.
        dir: String,
        /// Why.
        #[source]
        source: DirectoryError,
    },
    /// Another run of the job is still active.
    #[error("another run of the job has completed a checkpoint in {place} just now: is it still running?")]
    Overtaken {
        /// The job's checkpoint directory.
        place: String,
    },
}

impl RunError {
    /// The error of the checkpoint directory, if that is the cause.
    #[must_use]
    pub fn directory(&self) -> Option<&DirectoryError> {
        match self {
            Self::Checkpoints { source, .. } | Self::Restore(RestoreError::Directory(source)) => Some(source),
            _ => None,
        }
    }
}

/// Why a job can't start from a checkpoint or savepoint.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// It can't be read.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// The checkpoint directory can't be read.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// The job takes no checkpoints, so there is no latest one.
    #[error("the job takes no checkpoints: `--resume` needs `checkpoints` in the job file, or name a savepoint by `--from`")]
    NoCheckpoints,
    /// Every checkpoint is damaged.
    #[error("none of the checkpoints in {place} can be restored")]
    NoneLeft {
        /// The job's checkpoint directory.
        place: String,
    },
    /// It does not fit the job.
    #[error("the job can't go on from {place}:\n{verdict}")]
    Refused {
        /// The checkpoint or savepoint.
        place: String,
        /// What would happen to the state of each operator.
        verdict: Box<Verdict>,
    },
}

impl From<StorageError> for RestoreError {
    fn from(error: StorageError) -> Self {
        Self::Directory(error.into())
    }
}

/// Why the state directory of a job can't be taken.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// Another process runs the job.
    #[error(
        "the job runs already: process {owner} holds its state directory `{dir}`; stop it, or give this job another name or `state.dir`"
    )]
    Held {
        /// The state directory.
        dir: PathBuf,
        /// The id of the other process, from its lock file.
        owner: String,
    },
    /// The directory can't be created.
    #[error("the state directory `{dir}` can't be made")]
    Make {
        /// The state directory.
        dir: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Its lock can't be used.
    #[error("`{path}` can't be {done}")]
    Lock {
        /// The lock file.
        path: PathBuf,
        /// What was to be done with it: `opened`, `locked`, `written`.
        done: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Formats an error and its causes in one line.
#[must_use]
pub fn describe(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
