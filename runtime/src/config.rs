//! How a job is run.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tidegate_checkpoints::KeyGroups;

use crate::align::Mode;
use crate::checkpoint::{CheckpointConfig, Restore};
use crate::clock::Clock;

/// Where keyed state lies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Backend {
    /// In memory.
    #[default]
    Memory,
    /// In memory as far as it fits, and in RocksDB beyond.
    RocksDb,
}

/// How state is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateConfig {
    /// Where it lies.
    pub backend: Backend,
    /// A directory of the job's own, for state that does not fit and for snapshots until they are stored. It is made when it is needed.
    pub dir: PathBuf,
    /// Bytes for cached entries, and for RocksDB's blocks and write buffers, of all operators together.
    pub memory: usize,
}

impl StateConfig {
    /// The files of a run; nothing in there outlives it.
    pub(crate) fn scratch(&self) -> PathBuf {
        self.dir.join("run")
    }
}

impl Default for StateConfig {
    fn default() -> Self {
        Self { backend: Backend::Memory, dir: PathBuf::from("state"), memory: 512 << 20 }
    }
}

/// How a job is run.
#[derive(Clone, Debug)]
pub struct RunConfig {
    /// The name of the job, as its checkpoints have it.
    pub job: String,
    /// The number of workers, each a thread.
    pub workers: usize,
    /// How keys are cut into groups; fixed for the life of a job's state.
    pub key_groups: KeyGroups,
    /// Whether records behind a barrier wait for it.
    pub mode: Mode,
    /// How often to put a barrier into the streams that nothing is made of. `None`: never.
    pub barrier_every: Option<Duration>,
    /// How state is kept.
    pub state: StateConfig,
    /// Where and how often checkpoints are taken. `None`: never.
    pub checkpoints: Option<CheckpointConfig>,
    /// What to go on from.
    pub restore: Option<Arc<Restore>>,
    /// Where the end of input, or a stop, takes a savepoint. Windows stay open then.
    pub savepoint_at_end: Option<String>,
    /// The one clock of the job: processing time, the time to live of state and ingestion time go by it.
    pub clock: Clock,
}

impl RunConfig {
    /// `workers` workers (at least one), state in memory, no checkpoints.
    #[must_use]
    pub fn workers(workers: usize) -> Self {
        Self {
            job: "job".to_owned(),
            workers: workers.max(1),
            key_groups: KeyGroups::default(),
            mode: Mode::default(),
            barrier_every: None,
            state: StateConfig::default(),
            checkpoints: None,
            restore: None,
            savepoint_at_end: None,
            clock: Clock::default(),
        }
    }

    /// A barrier every `interval`.
    #[must_use]
    pub fn barrier_every(mut self, interval: Duration) -> Self {
        self.barrier_every = Some(interval);
        self
    }
}
