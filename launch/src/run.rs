//! One run of a job, from a start to its end or failure.

use std::fmt;
use std::time::{Duration, Instant};

use tidegate_runtime::checkpoint::CheckpointStatus;
use tidegate_runtime::metrics::NodeMetrics;
use tidegate_runtime::{Graph, RunConfig, Stopper, Watermark};

/// A run of the job, for observing it. It may outlive the run.
pub struct Run {
    graph: Graph,
    config: RunConfig,
    stopper: Stopper,
    started: Instant,
}

impl Run {
    pub(crate) fn new(graph: &Graph, config: RunConfig, stopper: Stopper) -> Self {
        Self { graph: graph.clone(), config, stopper, started: Instant::now() }
    }

    /// The job's operators.
    #[must_use]
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The configuration of the run.
    #[must_use]
    pub fn config(&self) -> &RunConfig {
        &self.config
    }

    /// How long ago the run started.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// The counters of every operator, in the order of the graph.
    #[must_use]
    pub fn metrics(&self) -> Vec<Option<NodeMetrics>> {
        self.stopper.metrics()
    }

    /// The results of the checkpoints so far.
    #[must_use]
    pub fn checkpoints(&self) -> CheckpointStatus {
        self.stopper.checkpoints()
    }

    /// The watermark of the slowest source that has not ended; `None` before it has one, and at the end of time.
    #[must_use]
    pub fn watermark(&self) -> Option<Watermark> {
        self.stopper.watermark().filter(|watermark| *watermark != Watermark::NONE && *watermark != Watermark::END)
    }

    /// The checkpoint or savepoint that the run restored; `None` after a fresh start.
    #[must_use]
    pub fn restored_from(&self) -> Option<&str> {
        self.config.restore.as_ref().map(|restore| restore.snapshot().place())
    }

    /// The generation: the number of the run in the job's checkpoint directory; `None` without checkpoints.
    #[must_use]
    pub fn generation(&self) -> Option<u64> {
        self.config.checkpoints.as_ref().map(|checkpoints| checkpoints.generation)
    }

    pub(crate) fn stopper(&self) -> &Stopper {
        &self.stopper
    }
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run").field("config", &self.config).finish_non_exhaustive()
    }
}
