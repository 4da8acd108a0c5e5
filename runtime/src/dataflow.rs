//! What a job is built on: the scope of one worker, the graph as it grows, and the edges between operators.

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
    /// What was said of operators that are yet to be built, by their names.
    about: RefCell<HashMap<String, About>>,
    pub(crate) control: Arc<Control>,
    /// Where the sinks are; sources measure by it what is in flight.
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

    /// Enters an operator into the graph.
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

    /// Says something of the operator that will be built under this name: what its state is kept under, what that rests on.
    pub fn describe(&self, operator: &str, about: About) {
        self.shared.about.borrow_mut().insert(operator.to_owned(), about);
    }

    /// On how many workers the keys of an operator lie: the first ones.
    pub(crate) fn spread(&self, node: NodeId) -> usize {
        let asked = self.shared.graph.borrow().node(node).and_then(|node| node.parallelism);
        asked.map_or(self.workers(), |asked| asked.get().min(self.workers()))
    }

    /// The name that the state of an operator is kept under.
    pub(crate) fn id(&self, node: NodeId) -> String {
        self.shared.graph.borrow().node(node).map_or_else(String::new, |node| node.id.clone())
    }

    /// The operator keeps a list of items of this schema, and judges what a snapshot holds of it.
    pub(crate) fn listed(&self, node: NodeId, schema: String, judge: Judge) {
        self.shared.graph.borrow_mut().listed(node, schema, judge);
    }

    /// The operator keeps these states.
    pub(crate) fn declare(&self, node: NodeId, states: Vec<Schema>) {
        self.shared.graph.borrow_mut().declare(node, states);
    }

    /// What was made of an operator, if it could be made. If not, the graph is not one that can run.
    pub(crate) fn made<L>(&self, node: NodeId, made: Result<L, Error>) -> Option<L> {
        made.map_err(|error| self.shared.graph.borrow_mut().fail(node, error.to_string())).ok()
    }
}

/// A stream on its way from one operator to the next.
pub struct Edge<'s, T: 'static> {
    pub(crate) flow: Dataflow<'s>,
    pub(crate) stream: StreamVec<'s, Time, Record<T>>,
    /// Where the records come from; several after a union.
    from: Vec<(NodeId, Option<&'static str>)>,
    origin: Origin,
}

/// What feeds a stream; each operator has a watermark of its own.
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
    /// The output of an operator that times it itself, or forwards the times of what comes from `origin`.
    pub(crate) fn new(
        flow: Dataflow<'s>,
        stream: StreamVec<'s, Time, Record<T>>,
        node: NodeId,
        port: Option<&'static str>,
        origin: Origin,
    ) -> Self {
        Self { flow, stream, from: vec![(node, port)], origin }
    }

    /// The job this is part of.
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

    /// The senders of which an operator that reads this over `route` has to make sense.
    pub(crate) fn senders(&self, route: Route) -> Senders {
        let alone = route == Route::Local || self.flow.workers() == 1;
        match self.origin {
            Origin::Several => Senders::Several,
            Origin::Source(_) | Origin::Operator if alone => Senders::One,
            Origin::Source(source) => Senders::Instances(source),
            Origin::Operator => Senders::Several,
        }
    }

    /// All records of both streams. Event time goes on only as far as both have come.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        let stream = self.stream.concat(other.stream);
        let from = self.from.into_iter().chain(other.from).collect();
        Self { flow: self.flow, stream, from, origin: Origin::Several }
    }
}
