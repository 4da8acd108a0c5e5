//! Why a job failed.

use std::any::Any;

use serde::{Deserialize, Serialize};
use tidegate_checkpoints::{Epoch, InvalidOperatorId};

/// Who has to act on an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Domain {
    /// The user: data, a path, a setting.
    User,
    /// Something outside, such as a disk or a server. Retrying may help.
    External,
    /// The snapshot that the job resumes from is damaged. An older checkpoint may work.
    Snapshot,
    /// Whoever runs the job a second time: another run has taken over from this one. Retrying would only start a fight between them.
    Superseded,
    /// Tidegate itself: an invariant is broken.
    Internal,
}

/// An error of a source, an operator or a sink: a message and who has to act.
#[derive(Debug, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    domain: Domain,
    message: String,
    #[source]
    #[serde(with = "causes")]
    cause: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// The causes of an error, as another process learns them: by their messages.
mod causes {
    use std::error::Error;
    use std::iter::successors;

    use serde::{Deserialize, Deserializer, Serializer};

    type Cause = Option<Box<dyn Error + Send + Sync>>;

    /// A cause that another process told.
    #[derive(Debug, thiserror::Error)]
    #[error("{message}")]
    struct Told {
        message: String,
        #[source]
        cause: Option<Box<dyn Error + Send + Sync>>,
    }

    pub(super) fn serialize<S: Serializer>(cause: &Cause, serializer: S) -> Result<S::Ok, S::Error> {
        let first = cause.as_deref().map(|cause| cause as &(dyn Error + 'static));
        let messages: Vec<String> = successors(first, |cause| (**cause).source()).map(ToString::to_string).collect();
        serializer.collect_seq(messages)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Cause, D::Error> {
        let messages = Vec::<String>::deserialize(deserializer)?;
        Ok(messages.into_iter().rev().fold(None, |cause, message| Some(Box::new(Told { message, cause }))))
    }
}

impl Error {
    /// An error that the user has to fix.
    pub fn user(message: impl Into<String>) -> Self {
        Self { domain: Domain::User, message: message.into(), cause: None }
    }

    /// Something outside failed.
    pub fn external(message: impl Into<String>, cause: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self { domain: Domain::External, message: message.into(), cause: Some(Box::new(cause)) }
    }

    /// The snapshot that the job resumes from does not hold what was written.
    pub fn damaged(message: impl Into<String>) -> Self {
        Self { domain: Domain::Snapshot, message: message.into(), cause: None }
    }

    /// Another run of the job has taken this one's place.
    pub fn superseded(message: impl Into<String>) -> Self {
        Self { domain: Domain::Superseded, message: message.into(), cause: None }
    }

    /// One of Tidegate's own invariants is broken.
    pub fn internal(message: impl Into<String>) -> Self {
        Self { domain: Domain::Internal, message: message.into(), cause: None }
    }

    /// Who has to act.
    #[must_use]
    pub fn domain(&self) -> Domain {
        self.domain
    }
}

/// Why a job could not start, or ended early.
#[derive(Debug, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum JobError {
    /// An operator reported an error.
    #[error("operator `{operator}` failed on worker {worker}")]
    Operator {
        /// The operator's name.
        operator: String,
        /// The worker it failed on.
        worker: usize,
        /// Its error.
        #[source]
        error: Error,
    },
    /// A worker panicked: a bug, in Tidegate or in a user's function.
    #[error("worker {worker} panicked: {message}")]
    Panic {
        /// The worker.
        worker: usize,
        /// The panic's message.
        message: String,
    },
    /// A thread other than the workers panicked: a bug in Tidegate.
    #[error("the thread `{name}` panicked: {message}")]
    Thread {
        /// The thread.
        name: String,
        /// The panic's message.
        message: String,
    },
    /// A checkpoint that the job can't do without failed.
    #[error("checkpoint {epoch} failed: {why}")]
    Checkpoint {
        /// Its epoch.
        epoch: Epoch,
        /// Why.
        why: String,
    },
    /// The graph can't be run.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// The job asks for RocksDB, which this build leaves out.
    #[error(
        "this build of tidegate has no RocksDB: build it with the feature `rocksdb`, or keep state in memory (`state: {{ backend: memory }}`)"
    )]
    NoRocksDb,
    /// The workers could not be started.
    #[error("the workers could not be started: {0}")]
    Start(String),
}

/// The message of a panic.
pub(crate) fn panicked(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}

/// What is wrong with a graph.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum GraphError {
    /// Two operators have the same name.
    #[error("two operators are called `{0}`: names are unique in a job, as state and metrics are kept under them")]
    DuplicateName(String),
    /// Two operators would keep their state under the same name.
    #[error("two operators keep their state under `{0}`: give one of them another `uid`")]
    DuplicateId(String),
    /// An invalid name.
    #[error("{0}")]
    InvalidName(InvalidOperatorId),
    /// An operator that can't be made.
    #[error("operator `{name}` can't be made: {why}")]
    Operator {
        /// Its name.
        name: String,
        /// Why.
        why: String,
    },
    /// There is nothing to run.
    #[error("the job has no source")]
    NoSource,
}
