//! The harness of operators that ask the outside about each record and go on while they wait.
//!
//! It keeps no state. Each record holds back the time it came under until its results have left. So watermarks and barriers wait for it: a
//! snapshot contains no record that is in flight, and after a restore the source reads again every record whose results had not left. A
//! barrier thus takes as long to pass as the slowest call.

mod calls;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use tidegate_checkpoints::Epoch;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::dataflow::operators::generic::{OutputBuilder, OutputBuilderSession};
use timely::dataflow::operators::{CapabilitySet, InputCapability};
use timely::progress::operate::FrontierInterest;

pub use calls::Order;
use calls::{Calls, Place};

use super::harness::meet;
use crate::dataflow::Edge;
use crate::error::Error;
use crate::graph::{Role, Route};
use crate::kind::OperatorSpec;
use crate::metrics::OperatorMetrics;
use crate::record::Record;
use crate::source::Waker;
use crate::time::{Time, Watermark};

/// An operator that asks the outside.
pub trait Ask: 'static {
    /// The records that come in.
    type In: 'static;
    /// The results for one of them.
    type Results: IntoIterator + Send + 'static;

    /// Begins a call for a record. Returns the results if they are known at once. Otherwise takes a ticket, to be redeemed when the results
    /// are there.
    ///
    /// # Errors
    /// The job fails with this cause.
    fn ask(&mut self, value: Self::In, ticket: impl FnOnce() -> Ticket<Self::Results>) -> Result<Option<Self::Results>, Error>;
}

type Answer<O> = (Place, Result<O, Error>);

/// Where the results of one call go, from any thread. Dropping a ticket without redeeming it fails the job, so that nothing waits for ever.
pub struct Ticket<O> {
    place: Place,
    answers: Sender<Answer<O>>,
    waker: Waker,
    redeemed: bool,
}

impl<O> Ticket<O> {
    /// Ends the call with its results. An error fails the job.
    pub fn redeem(mut self, results: Result<O, Error>) {
        self.send(results);
    }

    fn send(&mut self, results: Result<O, Error>) {
        self.redeemed = true;
        // This fails only if the operator is gone.
        if self.answers.send((self.place, results)).is_ok() {
            self.waker.wake();
        }
    }
}

impl<O> Drop for Ticket<O> {
    fn drop(&mut self) {
        if !self.redeemed {
            self.send(Err(Error::user("an asynchronous function panicked, or was dropped before it had a result")));
        }
    }
}

/// The capabilities under which results are sent, and what separates them from the results of other records.
struct Under {
    capabilities: CapabilitySet<Time>,
    divided: (Epoch, Watermark),
}

impl PartialEq for Under {
    fn eq(&self, other: &Self) -> bool {
        self.divided == other.divided
    }
}

/// Runs the operator that `make` returns, with at most `capacity` calls in flight on each worker. Records stay on their worker and keep
/// their times.
pub fn asynchronous<'s, A, O>(
    edge: Edge<'s, A::In>,
    name: &str,
    spec: impl Into<OperatorSpec>,
    order: Order,
    capacity: NonZeroUsize,
    make: impl FnOnce(Arc<OperatorMetrics>) -> A,
) -> Edge<'s, O>
where
    A: Ask,
    A::Results: IntoIterator<Item = O>,
    O: Clone + 'static,
{
    let flow = edge.flow.clone();
    let origin = edge.origin();
    let node = flow.add(name, Role::Stateless, spec.into(), edge.inputs(Route::Local));
    let (control, metrics, worker, name) = (flow.control(), flow.shared.control.metrics.operator(node), flow.worker(), name.to_owned());
    let asks = make(Arc::clone(&metrics));

    let mut builder = OperatorBuilder::new(name.clone(), flow.scope);
    let (output, stream) = builder.new_output::<Vec<Record<O>>>();
    let mut output = OutputBuilder::<_, CapacityContainerBuilder<_>>::from(output);
    let mut input = builder.new_input(edge.stream, Pipeline);
    // It holds the times of records in flight itself, so it does not need to see the frontier.
    builder.set_notify_for(0, FrontierInterest::Never);
    let waker = flow.waker(&builder.operator_info().address);
    let (sender, answers) = channel();
    let mut driver = Driver { asks, calls: Calls::new(order, capacity.get()), sender, answers, waker, metrics };
    builder.build(move |initial| {
        drop(initial);
        move |_| {
            if control.over() {
                return;
            }
            let mut arrived = Ok(());
            input.for_each(|capability, batch| {
                if arrived.is_ok() {
                    arrived = driver.arrive(&capability, std::mem::take(batch));
                }
            });
            let step = arrived.and_then(|()| driver.complete()).and_then(|()| driver.exchange(&mut output.activate()));
            if let Err(error) = step {
                control.fail(&name, worker, error);
            }
        }
    });
    Edge::new(flow, stream, node, None, origin)
}

type Output<'a, O> = OutputBuilderSession<'a, Time, CapacityContainerBuilder<Vec<Record<O>>>>;

/// One instance of the operator.
struct Driver<A: Ask> {
    asks: A,
    calls: Calls<Under, A::In, A::Results>,
    /// Given to each call for its answer.
    sender: Sender<Answer<A::Results>>,
    answers: Receiver<Answer<A::Results>>,
    waker: Waker,
    metrics: Arc<OperatorMetrics>,
}

impl<A: Ask> Driver<A> {
    /// Takes in records, whose calls begin as soon as there is room for them.
    fn arrive(&mut self, capability: &InputCapability<Time>, batch: Vec<Record<A::In>>) -> Result<(), Error> {
        let time = meet(capability.stamp())?;
        self.metrics.records_in.add(batch.len() as u64);
        let under = Under { capabilities: capability.retain_stamp(0), divided: (time.epoch, time.watermark) };
        self.calls.arrive(under, batch);
        Ok(())
    }

    /// Completes the calls that have been answered.
    fn complete(&mut self) -> Result<(), Error> {
        for (place, results) in self.answers.try_iter() {
            self.calls.complete(place, results?);
        }
        Ok(())
    }

    /// Emits the results that may leave, and begins the calls there is then room for.
    fn exchange<O>(&mut self, output: &mut Output<'_, O>) -> Result<(), Error>
    where
        A::Results: IntoIterator<Item = O>,
        O: Clone + 'static,
    {
        let mut sent = 0;
        // Results that leave make room for more calls, some of which may be answered at once.
        let mut more = true;
        while std::mem::take(&mut more) {
            self.calls.leave(|under, ready| {
                let mut session = output.session(&under.capabilities);
                for Record { time, value } in ready {
                    for result in value {
                        session.give(Record::new(time, result));
                        sent += 1;
                    }
                }
            });
            while let Some((place, value)) = self.calls.begin() {
                let ticket = || Ticket { place, answers: self.sender.clone(), waker: self.waker.clone(), redeemed: false };
                if let Some(results) = self.asks.ask(value, ticket)? {
                    self.calls.complete(place, results);
                    more = true;
                }
            }
        }
        self.metrics.records_out.add(sent);
        Ok(())
    }
}
