//! The harness of sinks: alignment by epoch, and writers that may be slow.
//!
//! - [`Driver`](driver::Driver) is the operator. It holds the time of the oldest batch that has not been written, and decides what is written, sealed and
//!   committed next. It never waits: whatever it waits for activates it.
//! - [`Desk`](desk::Desk) is where it hands batches over: to a thread of the writer's own, or to a writer on the worker.
//! - [`Commits`](commits::Commits) keeps what was sealed until it is committed, on another thread.
//! - [`Threads`](threads::Threads) end before the operator does.

mod commits;
mod desk;
mod driver;
mod threads;

use std::sync::Arc;

use timely::dataflow::channels::pact::{Exchange, ParallelizationContract, Pipeline};
use timely::dataflow::operators::Probe as _;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;

use self::driver::{Driver, Setup};
use super::harness::meet;
use crate::align::Align;
use crate::checkpoint::Member;
use crate::dataflow::Edge;
use crate::graph::{Judge, Role, Route};
use crate::kind::OperatorSpec;
use crate::progress::Progress;
use crate::record::{Data, Record};
use crate::sink::Sink;
use crate::time::Time;

/// Writes a stream to `sink`.
pub fn sink<T: Data>(edge: Edge<'_, T>, name: &str, label: &str, sink: impl Sink<T>) {
    if sink.single_writer() {
        build(edge, name, label, Arc::new(sink), Route::ToOne, Exchange::new(|_: &Record<T>| 0));
    } else {
        build(edge, name, label, Arc::new(sink), Route::Local, Pipeline);
    }
}

fn build<T, P>(edge: Edge<'_, T>, name: &str, label: &str, sink: Arc<dyn Sink<T>>, route: Route, pact: P)
where
    T: Data,
    P: ParallelizationContract<Time, Vec<Record<T>>>,
{
    let flow = edge.flow.clone();
    let node = flow.add(name, Role::Sink, OperatorSpec::new(sink.kind()).labelled(label), edge.inputs(route));
    let judging = Arc::clone(&sink);
    let schema = format!("{}.committables/{}", sink.kind(), sink.version());
    flow.listed(node, schema, Judge::new(move |list| judging.accepts(list)));
    let control = flow.control();
    let (worker, name) = (flow.worker(), name.to_owned());
    let align = Align::new(control.mode, edge.senders(route), control.first());

    let mut builder = OperatorBuilder::new(name.clone(), flow.scope);
    let mut input = builder.new_input(edge.stream, pact);
    // Nothing is ever sent on this output: its capability tells the probe what has been written.
    let (_, written) = builder.new_output::<Vec<()>>();
    let address = builder.operator_info().address;
    let waker = flow.waker(&address);
    let setup = Setup {
        name: name.clone(),
        id: flow.id(node),
        member: Member { node, worker },
        workers: flow.workers(),
        control: Arc::clone(&control),
        metrics: control.metrics.operator(node),
        sink,
    };
    let activator = flow.scope.activator_for(address);
    builder.build(move |capabilities| {
        let mut driver = Driver::new(setup, align, capabilities.into_iter().next(), activator, waker);
        move |frontiers| {
            let mut arrived = Ok(());
            input.for_each(|capability, batch| {
                if arrived.is_ok() && !control.over() {
                    arrived = meet(capability.stamp()).and_then(|time| driver.arrive(time, std::mem::take(batch)));
                }
            });
            if control.over() {
                return;
            }
            let progress = frontiers.first().map_or(Progress::ENDED, Progress::of);
            if let Err(error) = arrived.and_then(|()| driver.turn(progress)) {
                control.fail(&name, worker, error);
            }
        }
    });
    written.probe_with(&flow.shared.probe);
}

#[cfg(test)]
mod tests;
