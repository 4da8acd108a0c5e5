//! How the memory for state is divided.

use crate::config::StateConfig;
use crate::graph::Graph;

/// How [`StateConfig::memory`] is divided where state may leave memory, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Budget {
    /// The number of operator instances that keep state, over all workers.
    pub instances: usize,
    /// For the deserialized values in memory, per instance.
    pub values: usize,
    /// For RocksDB's blocks and write buffers, over all instances.
    pub rocksdb: usize,
}

impl Budget {
    /// Gives half of the memory to RocksDB and three eighths to values, in equal shares. One eighth is left for what is added while a
    /// snapshot is in progress and can't be evicted.
    #[must_use]
    pub fn new(state: &StateConfig, graph: &Graph, workers: usize) -> Self {
        let keyed = graph.nodes().iter().filter(|node| !node.states.is_empty());
        let instances = keyed.map(|node| node.spread(workers)).sum::<usize>();
        Self { instances, values: state.memory / 8 * 3 / instances.max(1), rocksdb: state.memory / 2 }
    }
}
