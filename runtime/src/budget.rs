//! How the memory for state is divided.

use crate::config::StateConfig;
use crate::graph::Graph;

/// The shares of [`StateConfig::memory`], where state may leave memory. In bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Budget {
    /// The operator instances that keep state, on all workers together.
    pub instances: usize,
    /// For the values that one of them holds as they are used.
    pub values: usize,
    /// For RocksDB's blocks and write buffers, of all of them together.
    pub rocksdb: usize,
}

impl Budget {
    /// Half of the memory is for RocksDB, and three eighths are for values, in equal shares. An eighth is left for what is added while a snapshot is on its
    /// way, and can't be evicted.
    #[must_use]
    pub fn new(state: &StateConfig, graph: &Graph, workers: usize) -> Self {
        let keyed = graph.nodes().iter().filter(|node| !node.states.is_empty()).count();
        let instances = keyed * workers;
        Self { instances, values: state.memory / 8 * 3 / instances.max(1), rocksdb: state.memory / 2 }
    }
}
