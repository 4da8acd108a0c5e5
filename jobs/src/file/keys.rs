//! Every key of a job file, by the mapping it belongs to.

mod job;
mod streams;

use crate::connect::{keys_before_streams, keys_behind_streams};
use crate::stage;
use crate::yaml::{self, Table};

pub(super) use job::{CHECKPOINTS, JOB, RESTART, STATE};
pub(super) use streams::STREAM;

/// All keys of job files as Markdown: for each mapping, the name, type, default and meaning of each key. Keys that this version does not
/// support yet are left out.
#[must_use]
pub fn reference() -> String {
    let job: [&Table; 4] = [&JOB, &STATE, &CHECKPOINTS, &RESTART];
    yaml::reference(job.into_iter().chain(keys_before_streams()).chain([&STREAM]).chain(stage::tables()).chain(keys_behind_streams()))
}
