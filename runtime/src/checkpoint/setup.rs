//! What is fixed about the checkpoints of a run.

use std::collections::BTreeMap;
use std::path::PathBuf;

use tidegate_checkpoints::KeyGroups;

use super::CheckpointConfig;
use super::restore::{self, Restore};
use crate::align::Mode;
use crate::config::RunConfig;
use crate::graph::{Graph, NodeId, Role};

/// What is fixed about the checkpoints of a run.
pub(crate) struct Setup {
    pub(super) mode: Mode,
    pub(super) job: String,
    pub(super) graph: Graph,
    pub(super) key_groups: KeyGroups,
    pub(super) workers: usize,
    pub(super) config: Option<CheckpointConfig>,
    /// Where the end of input takes a savepoint, instead of closing windows.
    pub(super) at_end: Option<String>,
    /// Where files are kept until they are stored.
    scratch: PathBuf,
    /// The numbers of each operator's states in stored rows.
    ids: BTreeMap<NodeId, Vec<u8>>,
}

impl Setup {
    pub(crate) fn new(config: &RunConfig, graph: &Graph) -> Self {
        let restored = config.restore.as_deref();
        Self {
            mode: config.mode,
            job: config.job.clone(),
            graph: graph.clone(),
            key_groups: config.key_groups,
            workers: config.workers,
            config: config.checkpoints.clone(),
            at_end: config.savepoint_at_end.clone(),
            scratch: config.state.scratch(),
            ids: graph.nodes().iter().enumerate().map(|(i, node)| (NodeId(i), restore::ids(node, restored))).collect(),
        }
    }

    /// Whether checkpoints are taken.
    pub(crate) fn on(&self) -> bool {
        self.config.is_some()
    }

    /// Whether sinks hold back what is not part of a complete checkpoint.
    pub(crate) fn transactional(&self) -> bool {
        self.on() && self.mode == Mode::ExactlyOnce
    }

    /// Whether the end of input takes a savepoint instead of closing windows.
    pub(crate) fn savepoint_at_end(&self) -> bool {
        self.at_end.is_some()
    }

    /// Whether the files of this snapshot are in the directory of our checkpoints, so that they need not be stored again.
    pub(crate) fn shares(&self, restore: &Restore) -> bool {
        let Some(config) = &self.config else { return false };
        // The place of a snapshot is given without symbolic links and dots.
        let root = config.directory.storage().root();
        let resolved = std::fs::canonicalize(root).ok().and_then(|path| path.into_os_string().into_string().ok());
        let rest = restore.snapshot().place().strip_prefix(resolved.as_deref().unwrap_or(root));
        rest.is_some_and(|rest| rest.starts_with("/checkpoints/"))
    }

    /// The operators with this role.
    pub(super) fn nodes(&self, role: impl Fn(Role) -> bool) -> impl Iterator<Item = NodeId> {
        let nodes = self.graph.nodes().iter().enumerate();
        nodes.filter(move |(_, node)| role(node.role)).map(|(i, _)| NodeId(i))
    }

    /// The numbers of an operator's states in stored rows.
    pub(crate) fn ids(&self, node: NodeId) -> &[u8] {
        self.ids.get(&node).map_or(&[], Vec::as_slice)
    }

    /// Where files are kept until they are stored.
    pub(crate) fn scratch(&self) -> &PathBuf {
        &self.scratch
    }

    pub(super) fn operator(&self, node: NodeId) -> String {
        self.graph.node(node).map_or_else(String::new, |node| node.name.clone())
    }
}
