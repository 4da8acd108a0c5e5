//! The settings of state, checkpoints and restarts, with defaults filled in.

use std::time::Duration;

use jiff::SignedDuration;
use tidegate_checkpoints::Storage;
use tidegate_runtime::{Mode, StateConfig};

use crate::file::{self, JobFile, Problem};
use crate::yaml::unsigned;

/// How a job is made durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Durability {
    /// Where state is kept. The directory belongs to this job alone.
    pub state: StateConfig,
    /// Whether the file names the directory.
    pub dir_given: bool,
    /// When and where checkpoints are taken, if they are.
    pub checkpoints: Option<Checkpoints>,
    /// What happens when the job fails.
    pub restart: Restart,
}

/// When and where checkpoints are taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoints {
    /// The interval from one to the next.
    pub every: Duration,
    /// A directory or object-store URL, which several jobs may share.
    pub dir: String,
    /// Whether records after a barrier wait for it.
    pub mode: Mode,
    /// How many are kept.
    pub keep: usize,
}

/// How often a failed job is restarted, and after what wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restart {
    /// The number of restarts without a checkpoint in between.
    pub attempts: u64,
    /// The wait before the first restart; doubled for each further one.
    pub delay: Duration,
    /// The longest wait.
    pub max_delay: Duration,
}

/// Reports checkpoints in a kind of storage that is not known.
pub(crate) fn unknown_storage(file: &JobFile) -> Option<Problem> {
    let dir = file.checkpoints.as_ref()?.dir.as_ref()?;
    Some(dir.problem(Storage::check(&dir.value).err()?.to_string()))
}

impl Durability {
    pub(crate) fn new(file: &JobFile) -> Self {
        let defaults = StateConfig::default();
        let state = StateConfig {
            backend: file.state.backend,
            dir: file.state_dir(),
            memory: file.state.memory.as_ref().map_or(defaults.memory, |bytes| usize::try_from(bytes.value).unwrap_or(usize::MAX)),
        };
        let checkpoints = file.checkpoints.as_ref().map(|checkpoints| Checkpoints {
            every: unsigned(checkpoints.every),
            dir: checkpoints.dir.as_ref().map_or_else(|| "./checkpoints".to_owned(), |dir| dir.value.clone()),
            mode: checkpoints.mode,
            keep: usize::try_from(checkpoints.keep).unwrap_or(usize::MAX),
        });
        // A job with checkpoints is restarted by default. One without would start from scratch.
        let attempts = if checkpoints.is_some() { 10 } else { 0 };
        let default = file::Restart { attempts, delay: SignedDuration::from_secs(1), max_delay: SignedDuration::from_secs(60) };
        let restart = file.restart.as_ref().unwrap_or(&default);
        let restart = Restart { attempts: restart.attempts, delay: unsigned(restart.delay), max_delay: unsigned(restart.max_delay) };
        Self { state, dir_given: file.state.dir.is_some(), checkpoints, restart }
    }
}
