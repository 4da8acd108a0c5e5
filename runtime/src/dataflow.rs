//! What a job is built with: the scope of one worker, the graph as it grows, and the edges between operators.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use timely::dataflow::operators::Concat as _;
use timely::dataflow::operators::probe::Handle;

use timely::dataflow::{Scope, StreamVec};

use crate::align::Senders;
use crate::control::Control;
use crate::error::Error;
use crate::graph::{About, Graph, Input, Judge, Node, NodeId, Role, Route};
use crate::kind::OperatorSpec;
use crate::record::Record;
use crate::source::Waker;
use crate::state::Schema;
use crate::time::Time;

/// One worker's view of the job under construction. Cheap to clone.
#[derive(Clone)]
pub struct Dataflow<'s> {
    pub(crate) scope: Scope<'s, Time>,
    pub(crate) shared: Rc<Shared>,
}

/// What all operators of one worker share.
pub(crate) struct Shared {
    pub(crate) graph: RefCell<Graph>,
    /// What [`Dataflow::describe`] said about operators that are yet to be built, by name.
    about: RefCell<HashMap<String, About>>,
    pub(crate) control: Arc<Control>,
    /// The progress of the sinks. Sources use it to measure what is in flight.
    pub(crate) probe: Handle<Time>,
}

impl<'s> Dataflow<'s> {
    pub(crate) fn new(scope: Scope<'s, Time>, control: Arc<Control>) -> Self {
        let shared = Shared { graph: RefCell::default(), about: RefCell::default(), control, probe: Handle::new() };
        Self { scope, shared: Rc::new(shared) }
    }

    /// This worker, from 0.
    #[must_use]
    pub fn worker(&self) -> usize {
        self.scope.index()
    }

    /// The number of workers.
    #[must_use]
    pub fn workers(&self) -> usize {
        self.scope.peers()
    }

    pub(crate) fn control(&self) -> Arc<Control> {
        Arc::clone(&self.shared.control)
    }

    pub(crate) fn graph(&self) -> Graph {
        self.shared.graph.borrow().clone()
    }

    /// Wakes the operator at this address from any thread.
    pub(crate) fn waker(&self, address: &[usize]) -> Waker {
        Waker::new(self.scope.worker().sync_activator_for(address.to_vec()))
    }

    /// Adds an operator to the graph.
    pub(crate) fn add(&self, name: &str, role: Role, spec: OperatorSpec, inputs: Vec<Input>) -> NodeId {
        let About { id, mut basis, parallelism } = self.shared.about.borrow_mut().remove(name).unwrap_or_default();
        let OperatorSpec { kind, form, label } = spec;
        basis.form = [form, basis.form].into_iter().flatten().reduce(|operator, described| format!("{operator}, {described}"));
        let (id, name) = (id.unwrap_or_else(|| name.to_owned()), name.to_owned());
        self.shared.graph.borrow_mut().add(Node {
            name,
            id,
            basis,
            parallelism,
            judge: None,
            role,
            kind,
            label,
            inputs,
            states: Vec::new(),
            list: None,
        })
    }

    /// Describes the operator that will be built under this name: the name under which its state is kept, and what the state depends on.
    pub fn describe(&self, operator: &str, about: About) {
        self.shared.about.borrow_mut().insert(operator.to_owned(), about);
    }

    /// On how many workers the keys of an operator lie: the first ones.
    pub(crate) fn spread(&self, node: NodeId) -> usize {
        self.shared.graph.borrow().node(node).map_or(self.workers(), |node| node.spread(self.workers()))
    }

    /// The name under which an operator's state is kept.
    pub(crate) fn id(&self, node: NodeId) -> String {
        self.shared.graph.borrow().node(node).map_or_else(String::new, |node| node.id.clone())
    }

    /// Records the schema of the list that an operator keeps, and what judges such a list in a snapshot.
    pub(crate) fn listed(&self, node: NodeId, schema: String, judge: Judge) {
        self.shared.graph.borrow_mut().listed(node, schema, judge);
    }

    /// Records the states that an operator keeps.
    pub(crate) fn declare(&self, node: NodeId, states: Vec<Schema>) {
        self.shared.graph.borrow_mut().declare(node, states);
    }

    /// Unwraps what was made for an operator. If that failed, the graph can't be run.
    pub(crate) fn made<L>(&self, node: NodeId, made: Result<L, Error>) -> Option<L> {
        made.map_err(|error| self.shared.graph.borrow_mut().fail(node, error.to_string())).ok()
    }
}

/// The output of an operator, for the next one to read.
pub struct Edge<'s, T: 'static> {
    pub(crate) flow: Dataflow<'s>,
    pub(crate) stream: StreamVec<'s, Time, Record<T>>,
    /// Where the records come from; several after a union.
    from: Vec<(NodeId, Option<&'static str>)>,
    origin: Origin,
}

/// What feeds a stream. Each operator has a watermark of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A source, by its number in building order.
    Source(usize),
    /// Another operator that times its own output.
    Operator,
    /// Several, after a union.
    Several,
}

impl<T: Clone + 'static> Clone for Edge<'_, T> {
    fn clone(&self) -> Self {
        Self { flow: self.flow.clone(), stream: self.stream.clone(), from: self.from.clone(), origin: self.origin }
    }
}

impl<'s, T: 'static> Edge<'s, T> {
    /// The output of an operator that times it itself, or that forwards the times of what comes from `origin`.
    pub(crate) fn new(
        flow: Dataflow<'s>,
        stream: StreamVec<'s, Time, Record<T>>,
        node: NodeId,
        port: Option<&'static str>,
        origin: Origin,
    ) -> Self {
        Self { flow, stream, from: vec![(node, port)], origin }
    }

    /// The job that this edge is part of.
    #[must_use]
    pub fn dataflow(&self) -> &Dataflow<'s> {
        &self.flow
    }

    pub(crate) fn origin(&self) -> Origin {
        self.origin
    }

    pub(crate) fn inputs(&self, route: Route) -> Vec<Input> {
        self.from.iter().map(|&(from, port)| Input { from, port, route }).collect()
    }

    /// The senders that an operator reading this edge over `route` has to deal with.
    pub(crate) fn senders(&self, route: Route) -> Senders {
        let alone = route == Route::Local || self.flow.workers() == 1;
        match self.origin {
            Origin::Several => Senders::Several,
            Origin::Source(_) | Origin::Operator if alone => Senders::One,
            Origin::Source(source) => Senders::Instances(source),
            Origin::Operator => Senders::Several,
        }
    }

    /// Merges two streams. Event time advances only as far as it has in both.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        let stream = self.stream.concat(other.stream);
        let from = self.from.into_iter().chain(other.from).collect();
        Self { flow: self.flow, stream, from, origin: Origin::Several }
    }
}
