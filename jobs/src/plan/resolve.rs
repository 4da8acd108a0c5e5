//! What a job file leaves to the outside, asked for before the job is planned: planning itself touches no file.

use super::conflicts;
use crate::connect::{Answers, Outside};
use crate::file::{JobFile, Problem};

/// What the outside says of a job file.
#[derive(Clone, Debug)]
pub struct Resolved {
    pub(super) answers: Answers,
    /// Files that parts of the job would take from each other.
    pub(super) conflicts: Vec<Problem>,
}

impl Resolved {
    /// Asks `outside` all that planning `file` takes. What can't be read is a problem of the plan.
    #[must_use]
    pub fn new(file: &JobFile, outside: &dyn Outside) -> Self {
        let sources = file.sources.iter().flat_map(|source| source.connector.asks());
        let sinks = file.sinks.iter().flat_map(|sink| sink.format.asks());
        Self { answers: Answers::to(sources.chain(sinks), outside), conflicts: conflicts::of_files(file, outside) }
    }
}
