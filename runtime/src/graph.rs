//! The graph of a job: its named operators and what flows between them.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use tidegate_checkpoints::{Basis, OperatorId};

use crate::error::{Error, GraphError};
use crate::kind::Kind;
use crate::metrics::{NodeMetrics, OperatorMetrics, SourceMetrics};
use crate::state::Schema;

/// A node of the graph, identified by its place in building order, which is the same on every worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NodeId(pub usize);

/// What a node is to the runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Brings records in.
    Source,
    /// Looks at one record at a time and keeps no state.
    Stateless,
    /// Keeps state by key.
    Keyed,
    /// Takes records out.
    Sink,
}

impl Role {
    /// Its name, as shown to people and programs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Stateless => "stateless",
            Self::Keyed => "keyed",
            Self::Sink => "sink",
        }
    }
}

/// How records are routed from one node to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// They stay on their worker.
    Local,
    /// They go to the worker that owns their key's group.
    ByKey,
    /// They all go to one worker.
    ToOne,
    /// They go to every worker, and hold back no event time there.
    Broadcast,
}

/// An incoming edge of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// Where it comes from.
    pub from: NodeId,
    /// The side output it comes from, e.g. `late`; `None` for the main output.
    pub port: Option<&'static str>,
    /// How the records are routed.
    pub route: Route,
}

/// What is known about an operator besides what it does.
#[derive(Clone, Debug, Default)]
pub struct About {
    /// The name under which its state is kept, if not the operator's own. It stays the same when the operator is renamed.
    pub id: Option<String>,
    /// What its state depends on.
    pub basis: Basis,
    /// On how many workers its keys lie; on all of them if `None`, or if there are fewer.
    pub parallelism: Option<NonZeroUsize>,
}

/// Decides whether a source or a sink can resume from the items of its list in a snapshot.
#[derive(Clone)]
pub struct Judge(Arc<Judging>);

type Judging = dyn Fn(&[Json]) -> Result<(), Error> + Send + Sync;

impl Judge {
    pub(crate) fn new(judge: impl Fn(&[Json]) -> Result<(), Error> + Send + Sync + 'static) -> Self {
        Self(Arc::new(judge))
    }

    /// Checks whether it can resume from these items.
    ///
    /// # Errors
    /// It can't; the error says why.
    pub(crate) fn judge(&self, list: &[Json]) -> Result<(), Error> {
        (self.0)(list)
    }
}

impl std::fmt::Debug for Judge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Judge")
    }
}

/// An operator of the graph.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its name, unique in the job.
    pub name: String,
    /// The name under which its state is kept. Unique in the job, too.
    pub id: String,
    /// What its state depends on.
    pub basis: Basis,
    /// On how many workers its keys lie; on all of them if `None`, or if there are fewer.
    pub parallelism: Option<NonZeroUsize>,
    /// Judges what a snapshot holds for it, if that takes more than comparing schemas.
    pub judge: Option<Judge>,
    /// What it is to the runtime.
    pub role: Role,
    /// What it does, as recorded in savepoints.
    pub kind: Kind,
    /// What it does, as shown to people.
    pub label: String,
    /// What it reads.
    pub inputs: Vec<Input>,
    /// The states it keeps.
    pub states: Vec<Schema>,
    /// The schema of the items of its list, if it is a source or a sink.
    pub list: Option<String>,
}

impl Node {
    /// On how many of a job's workers its keys lie: the first ones.
    #[must_use]
    pub fn spread(&self, workers: usize) -> usize {
        self.parallelism.map_or(workers, |asked| asked.get().min(workers))
    }
}

/// The operators of a job in building order: every node comes after those it reads.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    nodes: Vec<Node>,
    /// The first operator that could not be made, and why.
    failure: Option<(NodeId, String)>,
}

impl Graph {
    /// The operators.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The operator with this id, if there is one.
    #[must_use]
    pub fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(id.0)
    }

    /// Adds an operator. Names are checked later, by [`Graph::validate`], because building can't fail.
    pub(crate) fn add(&mut self, node: Node) -> NodeId {
        self.nodes.push(node);
        NodeId(self.nodes.len() - 1)
    }

    /// Records the states that an operator keeps.
    pub(crate) fn declare(&mut self, id: NodeId, states: Vec<Schema>) {
        if let Some(node) = self.nodes.get_mut(id.0) {
            node.states = states;
        }
    }

    /// Records the schema of the list that an operator keeps, and what judges such a list in a snapshot.
    pub(crate) fn listed(&mut self, id: NodeId, schema: String, judge: Judge) {
        if let Some(node) = self.nodes.get_mut(id.0) {
            (node.list, node.judge) = (Some(schema), Some(judge));
        }
    }

    /// Records that an operator can't be made.
    pub(crate) fn fail(&mut self, id: NodeId, why: String) {
        self.failure.get_or_insert((id, why));
    }

    /// Checks that the graph can be run.
    pub(crate) fn validate(&self) -> Result<(), GraphError> {
        if let Some((id, why)) = &self.failure {
            let name = self.node(*id).map_or_else(String::new, |node| node.name.clone());
            return Err(GraphError::Operator { name, why: why.clone() });
        }
        let (mut seen, mut ids) = (BTreeSet::new(), BTreeSet::new());
        for node in &self.nodes {
            for name in [&node.name, &node.id] {
                OperatorId::new(name).map_err(GraphError::InvalidName)?;
            }
            if !seen.insert(&node.name) {
                return Err(GraphError::DuplicateName(node.name.clone()));
            }
            if !ids.insert(&node.id) {
                return Err(GraphError::DuplicateId(node.id.clone()));
            }
        }
        if self.nodes.iter().any(|n| n.role == Role::Source) { Ok(()) } else { Err(GraphError::NoSource) }
    }

    /// The sources that determine a node's event time, by their number in building order.
    pub(crate) fn sources_of(&self, id: NodeId) -> Vec<usize> {
        self.sources_above(id, |input| input.route != Route::Broadcast)
    }

    /// The sources whose records reach a node only by broadcast.
    pub(crate) fn broadcast_to(&self, id: NodeId) -> Vec<usize> {
        let timed = self.sources_of(id);
        let all = self.sources_above(id, |_| true);
        all.into_iter().filter(|source| !timed.contains(source)).collect()
    }

    fn sources_above(&self, id: NodeId, counts: impl Fn(&Input) -> bool) -> Vec<usize> {
        let mut above = BTreeSet::from([id]);
        // Every node comes after those it reads.
        for (i, node) in self.nodes.iter().enumerate().rev() {
            if above.contains(&NodeId(i)) {
                above.extend(node.inputs.iter().filter(|input| counts(input)).map(|input| input.from));
            }
        }
        let sources = self.nodes.iter().enumerate().filter(|(_, node)| node.role == Role::Source);
        sources.enumerate().filter(|(_, (i, _))| above.contains(&NodeId(*i))).map(|(ordinal, _)| ordinal).collect()
    }

    /// For each source, in building order, the number of its group. Sources whose records may meet in event time are in one group.
    pub(crate) fn source_groups(&self) -> Vec<usize> {
        let mut group: Vec<usize> = (0..self.nodes.len()).collect();
        // Meeting in a sink does not count, because nothing there depends on event time.
        for (id, node) in self.nodes.iter().enumerate().filter(|(_, node)| node.role != Role::Sink) {
            for input in node.inputs.iter().filter(|input| input.route != Route::Broadcast) {
                let (a, b) = (group[id], group[input.from.0]);
                group.iter_mut().filter(|g| **g == b).for_each(|g| *g = a);
            }
        }
        self.nodes.iter().zip(&group).filter(|(n, _)| n.role == Role::Source).map(|(_, g)| *g).collect()
    }
}

/// The counters of every node. They are made on first use and shared by all workers.
#[derive(Debug, Default)]
pub struct MetricsRegistry(Mutex<Vec<Option<NodeMetrics>>>);

impl MetricsRegistry {
    fn node(&self, id: NodeId, make: impl FnOnce() -> NodeMetrics) -> NodeMetrics {
        let mut nodes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if nodes.len() <= id.0 {
            nodes.resize(id.0 + 1, None);
        }
        nodes[id.0].get_or_insert_with(make).clone()
    }

    pub(crate) fn source(&self, id: NodeId) -> Arc<SourceMetrics> {
        match self.node(id, || NodeMetrics::Source(Arc::default())) {
            NodeMetrics::Source(metrics) => metrics,
            NodeMetrics::Operator(_) => Arc::default(),
        }
    }

    pub(crate) fn operator(&self, id: NodeId) -> Arc<OperatorMetrics> {
        match self.node(id, || NodeMetrics::Operator(Arc::default())) {
            NodeMetrics::Operator(metrics) => metrics,
            NodeMetrics::Source(_) => Arc::default(),
        }
    }

    /// The counters made so far, by node.
    #[must_use]
    pub fn all(&self) -> Vec<Option<NodeMetrics>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str, role: Role, inputs: &[usize]) -> Node {
        let inputs = inputs.iter().map(|&i| Input { from: NodeId(i), port: None, route: Route::Local }).collect();
        Node {
            name: name.into(),
            id: name.into(),
            basis: Basis::default(),
            parallelism: None,
            judge: None,
            role,
            kind: Kind::new("test"),
            label: String::new(),
            inputs,
            states: Vec::new(),
            list: None,
        }
    }

    #[test]
    fn sources_that_meet_downstream_are_one_group() {
        let mut graph = Graph::default();
        for n in [
            node("a", Role::Source, &[]),
            node("b", Role::Source, &[]),
            node("c", Role::Source, &[]),
            node("f", Role::Stateless, &[0]),
            node("u", Role::Stateless, &[3, 2]),
        ] {
            graph.add(n);
        }
        let groups = graph.source_groups();
        assert_eq!(groups[0], groups[2]);
        assert_ne!(groups[0], groups[1]);
        assert_eq!([1, 3, 4].map(|node| graph.sources_of(NodeId(node))), [vec![1], vec![0], vec![0, 2]]);
    }

    #[test]
    fn sources_that_share_only_a_sink_are_two_groups() {
        let mut graph = Graph::default();
        for n in [node("a", Role::Source, &[]), node("b", Role::Source, &[]), node("s", Role::Sink, &[0, 1])] {
            graph.add(n);
        }
        let groups = graph.source_groups();
        assert_ne!(groups[0], groups[1]);
    }

    #[test]
    fn a_source_that_is_broadcast_holds_nobody_back() {
        let mut graph = Graph::default();
        for n in [node("events", Role::Source, &[]), node("rules", Role::Source, &[]), node("copies", Role::Stateless, &[1])] {
            graph.add(n);
        }
        graph.nodes[2].inputs[0].route = Route::Broadcast;
        graph.add(node("both", Role::Keyed, &[0, 2]));
        let groups = graph.source_groups();
        assert_ne!(groups[0], groups[1]);
        assert_eq!((graph.sources_of(NodeId(3)), graph.broadcast_to(NodeId(3))), (vec![0], vec![1]));
    }

    #[test]
    fn a_name_can_be_used_once() {
        let mut graph = Graph::default();
        graph.add(node("a", Role::Source, &[]));
        graph.add(node("a", Role::Sink, &[0]));
        assert_eq!(graph.validate(), Err(GraphError::DuplicateName("a".into())));
    }
}
