//! Adds keyed operators to a dataflow. Records go to the worker that owns the group of their key, into a [`Harness`].

use std::sync::Arc;

use tidegate_checkpoints::{Owners, stable_hash};
use timely::container::CapacityContainerBuilder;
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;

use super::appointment::Appointment;
use super::harness::{Harness, Intake, Ports, Prefetch};
use super::keeper::Keeper;
use super::logic::{Context, Logic};
use crate::checkpoint::Member;
use crate::dataflow::{Dataflow, Edge, Origin};
use crate::error::Error;
use crate::graph::{NodeId, Role, Route};
use crate::kind::OperatorSpec;
use crate::progress::Progress;
use crate::record::{Data, Record};
use crate::state::{Key, Upcoming};

/// The main and the side output of a keyed operator.
pub type Keyed<'s, L> = (Edge<'s, <L as Logic>::Out>, Edge<'s, <L as Logic>::Side>);

/// Routes records to the worker that owns the group of their key, and runs a logic there. `side` names the side
/// output in the graph, if the logic has one.
///
/// What the states with keys of type `K` hold for the keys of a batch is loaded before the batch is processed: from disk in one read per
/// state, and from memory into the processor's cache.
pub fn keyed<'s, L, K, F>(
    edge: Edge<'s, L::In>,
    name: &str,
    spec: impl Into<OperatorSpec>,
    side: Option<&'static str>,
    key: F,
    make: impl FnOnce(&mut Context) -> Result<L, Error>,
) -> Keyed<'s, L>
where
    L: Logic,
    L::In: Data,
    K: Key,
    F: Fn(&L::In) -> K + Clone + 'static,
{
    routed(edge, name, spec, side, move |value| Target::Key(key(value)), make)
}

/// The destination of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target<K> {
    /// The worker that owns this key.
    Key(K),
    /// This worker.
    Worker(usize),
}

/// Like [`keyed`], for records some of which have no key.
pub fn routed<'s, L, K, F>(
    edge: Edge<'s, L::In>,
    name: &str,
    spec: impl Into<OperatorSpec>,
    side: Option<&'static str>,
    target: F,
    make: impl FnOnce(&mut Context) -> Result<L, Error>,
) -> Keyed<'s, L>
where
    L: Logic,
    L::In: Data,
    K: Key,
    F: Fn(&L::In) -> Target<K> + Clone + 'static,
{
    let flow = edge.flow.clone();
    let node = flow.add(name, Role::Keyed, spec.into(), edge.inputs(Route::ByKey));
    let mut intake = Intake::new(&flow, node, edge.senders(Route::ByKey));
    let (control, metrics) = (flow.control(), flow.control().metrics.operator(node));
    let (logic, keeper) = declared(&flow, node, make);

    let mut builder = OperatorBuilder::new(name.to_owned(), flow.scope);
    let (main, main_stream) = builder.new_output::<Vec<Record<L::Out>>>();
    let (side_output, side_stream) = builder.new_output::<Vec<Record<L::Side>>>();
    let mut main = OutputBuilder::<_, CapacityContainerBuilder<_>>::from(main);
    let mut side_output = OutputBuilder::<_, CapacityContainerBuilder<_>>::from(side_output);
    let prefetch = prefetch(target.clone());
    let owners = Owners::new(control.key_groups, flow.spread(node));
    let owner = move |record: &Record<L::In>| match target(&record.value) {
        Target::Key(key) => owners.of(stable_hash(&key)),
        Target::Worker(worker) => worker as u64,
    };
    let mut input = builder.new_input(edge.stream, Exchange::new(owner));
    let appointment = Appointment::new(flow.scope.activator_for(builder.operator_info().address));
    let mut harness = Harness::new(logic, keeper, prefetch, metrics, appointment, Arc::clone(&control));
    let (name, worker) = (name.to_owned(), flow.worker());
    builder.build(move |capabilities| {
        harness.hold(capabilities);
        move |frontiers| {
            let mut ports = Ports { main: main.activate(), side: side_output.activate() };
            input.for_each(|capability, batch| intake.arrive(capability, std::mem::take(batch)));
            let progress = frontiers.first().map_or(Progress::ENDED, Progress::of);
            if let Err(error) = harness.activate(&mut intake, progress, &mut ports) {
                control.fail(&name, worker, error);
            }
        }
    });
    (Edge::new(flow.clone(), main_stream, node, None, Origin::Operator), Edge::new(flow, side_stream, node, side, Origin::Operator))
}

/// Makes a logic, declares its states in the graph, and gives them to a keeper. The logic is `None` if it could not be made.
fn declared<L>(flow: &Dataflow<'_>, node: NodeId, make: impl FnOnce(&mut Context) -> Result<L, Error>) -> (Option<L>, Keeper) {
    let control = flow.control();
    let metrics = control.metrics.operator(node);
    let mut context = Context::new(Arc::clone(&metrics), control.time_of_day.clone());
    let logic = flow.made(node, make(&mut context));
    flow.declare(node, context.states.schemas());
    let member = Member { node, worker: flow.worker() };
    (logic, Keeper::new(control, &flow.id(node), member, flow.spread(node), context.states, &metrics))
}

/// Returns the function that prepares the states for lookups of the keys of records.
fn prefetch<T: 'static, K: Key>(target: impl Fn(&T) -> Target<K> + 'static) -> Prefetch<T> {
    let mut upcoming = Upcoming(Vec::new());
    Box::new(move |keeper, records| {
        let keyed = |record: &Record<T>| match target(&record.value) {
            Target::Key(key) => Some((record.time, key)),
            Target::Worker(_) => None,
        };
        upcoming.0.clear();
        upcoming.0.extend(records.iter().filter_map(keyed));
        keeper.prefetch(&upcoming)
    })
}
