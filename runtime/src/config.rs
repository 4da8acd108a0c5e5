//! How a job is run.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tidegate_checkpoints::KeyGroups;

use crate::align::Mode;
use crate::checkpoint::{CheckpointConfig, Restore};
use crate::clock::Clock;

/// Where keyed state is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// In memory.
    Memory,
    /// In memory as far as it fits, and in RocksDB beyond that.
    RocksDb,
}

impl Default for Backend {
    /// RocksDB, unless this build leaves it out.
    fn default() -> Self {
        if cfg!(feature = "rocksdb") { Self::RocksDb } else { Self::Memory }
    }
}

/// How state is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateConfig {
    /// Where it is kept.
    pub backend: Backend,
    /// A directory of the job's own, for state that does not fit into memory and for snapshots until they are stored. Created when needed.
    pub dir: PathBuf,
    /// The memory budget for cached entries and for RocksDB's blocks and write buffers, in bytes, for all operators together.
    pub memory: usize,
}

impl StateConfig {
    /// The directory for files of a run. Nothing in it outlives the run.
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
    /// The name of the job, as recorded in its checkpoints.
    pub job: String,
    /// The number of workers, each a thread.
    pub workers: usize,
    /// How keys are divided into key groups. Fixed for the life of a job's state.
    pub key_groups: KeyGroups,
    /// Whether records behind a barrier wait for it.
    pub mode: Mode,
    /// How often to inject a barrier that starts no checkpoint. `None`: never.
    pub barrier_every: Option<Duration>,
    /// How state is kept.
    pub state: StateConfig,
    /// Where and how often checkpoints are taken. `None`: never.
    pub checkpoints: Option<CheckpointConfig>,
    /// The snapshot to resume from.
    pub restore: Option<Arc<Restore>>,
    /// Where the end of input, or a stop, takes a savepoint. Windows then stay open.
    pub savepoint_at_end: Option<String>,
    /// The job's only clock. Processing time, time to live of state, and ingestion time follow it.
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

    /// Injects a barrier every `interval`.
    #[must_use]
    pub fn barrier_every(mut self, interval: Duration) -> Self {
        self.barrier_every = Some(interval);
        self
    }
}
