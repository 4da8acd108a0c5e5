//! What a job file leaves to the outside. It is asked before the job is planned, so that planning itself touches no files.

use super::conflicts;
use crate::connect::{Answers, Outside};
use crate::file::{JobFile, Problem};

/// What the outside says about a job file.
#[derive(Clone, Debug)]
pub struct Resolved {
    pub(super) answers: Answers,
    /// Problems of parts that would take each other's files.
    pub(super) conflicts: Vec<Problem>,
}

impl Resolved {
    /// Asks `outside` everything that planning `file` requires. What can't be read becomes a problem of the plan.
    #[must_use]
    pub fn new(file: &JobFile, outside: &dyn Outside) -> Self {
        let sources = file.sources.iter().flat_map(|source| source.connector.asks());
        let sinks = file.sinks.iter().flat_map(|sink| sink.format.asks());
        Self { answers: Answers::to(sources.chain(sinks), outside), conflicts: conflicts::of_files(file, outside) }
    }
}
