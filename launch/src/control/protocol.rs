//! The messages of the control socket, version 1. Golden lines in the tests fix their form on the wire.
//!
//! Within a version, replies may gain fields and counters, and requests may be added. Nothing is renamed or removed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::launch::How;

/// The version of the protocol.
pub const VERSION: u32 = 1;

/// What the job sends to every client that connects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Greeting {
    /// The version of the protocol.
    pub protocol: u32,
    /// The release of Tidegate that runs the job.
    pub tidegate: String,
    /// The job.
    pub job: String,
    /// The process that runs it.
    pub pid: u32,
}

/// A request to a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Asks what the job is doing. Answered by [`Reply::Status`].
    Status {},
    /// Asks for the counters of these operators, or of all if none are named. Answered by [`Reply::Metrics`].
    Metrics {
        /// The operators, by name.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        operators: Vec<String>,
    },
    /// Take a savepoint and continue. Answered by [`Reply::Savepoint`] when it is complete.
    Savepoint {
        /// A directory or URL. A relative path is relative to the working directory of the job's process.
        to: String,
    },
    /// Stop reading, write what was read, leave windows open, and end. Answered by [`Reply::Ended`], as are the next two.
    Stop {
        /// Where to take a savepoint that covers everything read.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        savepoint: Option<String>,
    },
    /// End the input, so that windows close, and end.
    Drain {},
    /// End at once, without a checkpoint.
    Cancel {},
}

impl Request {
    /// The names of all requests.
    pub const NAMES: [&str; 6] = ["status", "metrics", "savepoint", "stop", "drain", "cancel"];

    /// The request as a line, with the version of the protocol, without the line feed.
    ///
    /// # Errors
    /// The request can't be written as JSON, which is a bug.
    pub fn to_line(&self) -> serde_json::Result<String> {
        #[derive(Serialize)]
        struct Line<'a> {
            protocol: u32,
            #[serde(flatten)]
            request: &'a Request,
        }
        serde_json::to_string(&Line { protocol: VERSION, request: self })
    }

    /// Parses a line.
    ///
    /// # Errors
    /// The line is not a request of this version.
    pub fn parse(line: &str) -> Result<Self, Refusal> {
        let malformed = |why: String| Refusal::Malformed { why };
        let Value::Object(mut fields) = serde_json::from_str(line).map_err(|e| malformed(e.to_string()))? else {
            return Err(malformed("it is not an object".to_owned()));
        };
        match fields.shift_remove("protocol") {
            Some(version) if version == VERSION => {}
            Some(asked) => return Err(Refusal::UnknownProtocol { asked, spoken: VERSION }),
            None => return Err(malformed(format!("it has no `protocol`: this job speaks version {VERSION}"))),
        }
        let Some(name) = fields.get("request").and_then(Value::as_str) else {
            return Err(malformed("it has no `request`".to_owned()));
        };
        if !Self::NAMES.contains(&name) {
            return Err(Refusal::UnknownRequest { asked: name.to_owned(), known: Self::NAMES.map(str::to_owned).to_vec() });
        }
        serde_json::from_value(fields.into()).map_err(|e| malformed(e.to_string()))
    }
}

/// The answer to a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "snake_case")]
pub enum Reply {
    /// What the job is doing.
    Status(Status),
    /// The counters of operators, in the order of the graph.
    Metrics {
        /// The operators.
        operators: Vec<OperatorReport>,
    },
    /// The savepoint is complete.
    Savepoint {
        /// Its directory or URL.
        place: String,
    },
    /// The job has ended, and its state directory is free.
    Ended(Ended),
    /// The request was refused or failed.
    Error(Failure),
}

/// How a job that did not fail has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// In one word.
    pub how: How,
    /// The savepoint taken at the end, if one was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub savepoint: Option<String>,
}

/// What a job is doing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The job.
    pub job: String,
    /// The process that runs it.
    pub pid: u32,
    /// In one word.
    pub state: State,
    /// How long its process has run it, in milliseconds, restarts included.
    pub up_ms: u64,
    /// How many times in a row the job had failed at its last failure; 0 if it never failed.
    pub failures: u64,
    /// Why it failed last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// The run, if there is one: between a failure and the restart there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunReport>,
}

/// What a job is doing, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It is about to run for the first time.
    Starting,
    /// It runs.
    Running,
    /// It failed and waits for its restart.
    Restarting,
    /// It was asked to end and has not ended yet.
    Stopping,
    /// It has ended.
    Ended,
}

/// A run of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunReport {
    /// Its generation: its number in the job's checkpoint directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
    /// The number of its workers.
    pub workers: usize,
    /// How long it has run, in milliseconds.
    pub up_ms: u64,
    /// The checkpoint or savepoint that it restored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restored_from: Option<String>,
    /// The number of records its sources have read.
    pub records_read: u64,
    /// The watermark of the slowest source that has not ended, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watermark_ms: Option<i64>,
    /// The results of its checkpoints.
    pub checkpoints: CheckpointReport,
}

/// The results of the checkpoints and savepoints of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointReport {
    /// How many were completed.
    pub completed: u64,
    /// How many failed.
    pub failed: u64,
    /// Why the last failed one failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// The last one that was completed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<Completion>,
}

/// A checkpoint or savepoint that was completed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Completion {
    /// Its epoch.
    pub epoch: u32,
    /// The time from the barrier to the published manifest, in milliseconds.
    pub took_ms: u64,
    /// How long ago it was completed, in milliseconds.
    pub age_ms: u64,
    /// The size of its state in bytes.
    pub bytes: u64,
    /// The bytes newly stored for it; the rest was already in storage.
    pub stored_bytes: u64,
    /// The directory of the savepoint, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub savepoint: Option<String>,
}

/// The counters of an operator since the run began.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorReport {
    /// Its name, as `tidegate explain` shows it.
    pub operator: String,
    /// Its role in the runtime: `source`, `stateless`, `keyed` or `sink`.
    pub role: String,
    /// Its counters by name. Releases may add some.
    pub counters: BTreeMap<String, u64>,
}

/// Why a request failed, for people and for programs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// For people.
    pub message: String,
    /// For programs.
    #[serde(flatten)]
    pub refusal: Refusal,
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self { message: refusal.to_string(), refusal }
    }
}

/// Why a request was refused or failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(tag = "error", rename_all = "snake_case")]
pub enum Refusal {
    /// The request uses another version of the protocol.
    #[error("version {asked} of the protocol is not spoken here, only {spoken}")]
    UnknownProtocol {
        /// The version in the request.
        asked: Value,
        /// The version that the job speaks.
        spoken: u32,
    },
    /// There is no such request.
    #[error("there is no request `{asked}`, only {}", known.join(", "))]
    UnknownRequest {
        /// What was asked.
        asked: String,
        /// The requests that exist.
        known: Vec<String>,
    },
    /// The line can't be parsed as a request.
    #[error("the request can't be parsed: {why}")]
    Malformed {
        /// Why.
        why: String,
    },
    /// The job has no such operator.
    #[error("there is no operator `{asked}`, only {}", known.join(", "))]
    UnknownOperator {
        /// What was asked.
        asked: String,
        /// The operators of the job.
        known: Vec<String>,
    },
    /// The job is not running.
    #[error("the job does not run just now: {}", state.excuse())]
    NotRunning {
        /// What it does instead.
        state: State,
    },
    /// No savepoint was taken.
    #[error("the savepoint failed: {why}")]
    Savepoint {
        /// Why.
        why: String,
    },
    /// The job ended as asked, but with a failure.
    #[error("the job failed: {why}")]
    Failed {
        /// Why.
        why: String,
    },
    /// A reason added by a later release. Its message explains it.
    #[error("the request was refused")]
    #[serde(other)]
    Other,
}

impl State {
    fn excuse(self) -> &'static str {
        match self {
            Self::Starting => "it is about to be started",
            Self::Restarting => "it has failed, and is about to be started again",
            Self::Running | Self::Stopping => "it is about to end",
            Self::Ended => "it has ended",
        }
    }
}

#[cfg(test)]
mod tests;
