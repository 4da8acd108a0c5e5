//! The one harness of all keyed operators: routing by key group, alignment, watermarks, wall-clock timers, capabilities.
//!
//! Windows, joins, patterns and rules are a [`Logic`] and know nothing of frontiers.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use tidegate_checkpoints::{Owners, stable_hash};
use timely::container::CapacityContainerBuilder;
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::dataflow::operators::generic::{OutputBuilder, OutputBuilderSession};
use timely::progress::Stamp;

use super::appointment::Appointment;
use super::keeper::{Again, Keeper};
use crate::align::{Align, Step};
use crate::board::Post;
use crate::checkpoint::Member;
use crate::clock::Clock;
use crate::control::Control;
use crate::dataflow::{Edge, Origin};
use crate::error::Error;
use crate::graph::{Role, Route};
use crate::kind::OperatorSpec;
use crate::metrics::OperatorMetrics;
use crate::progress::Progress;
use crate::record::{Data, Record};
use crate::state::States;
use crate::time::{Time, Watermark};

/// How long one activation may process records before the worker's other operators get their turn.
const TURN: Duration = Duration::from_millis(10);

/// What a keyed operator does. All its state is its own. The harness calls it in the order of the time model.
pub trait Logic: 'static {
    /// The records that come in.
    type In;
    /// The records of the main output.
    type Out: Clone + 'static;
    /// The records of the side output: late records, timed-out matches. `()` where there is none.
    type Side: Clone + 'static;

    /// Called once, before anything else. The states hold what they held in the snapshot that the job resumes from, or nothing on a fresh
    /// start.
    ///
    /// # Errors
    /// The job fails with this cause.
    fn opened(&mut self) -> Result<(), Error> {
        Ok(())
    }

    /// Called before these records are processed, when some of the state is on disk. A logic can load the state they need in one read.
    ///
    /// # Errors
    /// The job fails with this cause.
    fn prefetch(&mut self, _records: &[Record<Self::In>]) -> Result<(), Error> {
        Ok(())
    }

    /// Processes a record. `out.watermark()` is how far event time had advanced before it.
    ///
    /// # Errors
    /// The job fails with this cause.
    fn record(&mut self, record: Record<Self::In>, out: &mut Outbox<Self::Out, Self::Side>) -> Result<(), Error>;

    /// Event time has advanced to `watermark`. Everything due up to and including it fires, in time order.
    ///
    /// # Errors
    /// The job fails with this cause.
    fn watermark(&mut self, watermark: Watermark, out: &mut Outbox<Self::Out, Self::Side>) -> Result<(), Error>;

    /// The latest event time that something in state waits for, such as the end of a window. When all sources that bring records have
    /// ended, event time advances up to it and no further, because the others are idle and may wake.
    fn waits_until(&self) -> Option<i64> {
        None
    }

    /// The wall clock shows `now`, in milliseconds since 1970. Returns when to call again, if ever.
    ///
    /// # Errors
    /// The job fails with this cause.
    fn clock(&mut self, _now: i64, _out: &mut Outbox<Self::Out, Self::Side>) -> Result<Option<i64>, Error> {
        Ok(None)
    }
}

/// Collects what a logic emits.
#[derive(Debug)]
pub struct Outbox<Out, Side> {
    main: Chunks<Out>,
    side: Chunks<Side>,
    watermark: Watermark,
    horizon: Watermark,
}

impl<Out, Side> Default for Outbox<Out, Side> {
    fn default() -> Self {
        Self { main: Chunks::default(), side: Chunks::default(), watermark: Watermark::NONE, horizon: Watermark::NONE }
    }
}

impl<Out, Side> Outbox<Out, Side> {
    /// How far event time has advanced. [`Watermark::END`] while the remaining timers fire at the end of input.
    #[must_use]
    #[inline]
    pub fn watermark(&self) -> Watermark {
        self.watermark
    }

    /// The watermark under which the current record was sent, or the operator's own if that is later. A record behind it is late, even if
    /// the operator itself has not advanced as far because it waits for other senders. So lateness depends on the order of the data, not on
    /// which sender was faster.
    #[must_use]
    #[inline]
    pub fn horizon(&self) -> Watermark {
        self.horizon
    }

    /// Emits `value` with this event time.
    #[inline]
    pub fn emit(&mut self, time: i64, value: Out) {
        self.main.push(Record { time, value });
    }

    /// Emits `value` into the side output with this event time.
    #[inline]
    pub fn emit_side(&mut self, time: i64, value: Side) {
        self.side.push(Record { time, value });
    }

    /// Takes what was emitted so far, for use without a dataflow.
    pub fn take(&mut self) -> (Vec<Record<Out>>, Vec<Record<Side>>) {
        (self.main.take(), self.side.take())
    }

    /// Sets the watermark, for driving a logic without a dataflow.
    pub fn set_watermark(&mut self, watermark: Watermark) {
        (self.watermark, self.horizon) = (watermark, watermark);
    }
}

/// Records in chunks of a size that travels well.
#[derive(Debug)]
struct Chunks<T> {
    full: Vec<Vec<Record<T>>>,
    open: Vec<Record<T>>,
}

impl<T> Default for Chunks<T> {
    fn default() -> Self {
        Self { full: Vec::new(), open: Vec::new() }
    }
}

impl<T> Chunks<T> {
    const SIZE: usize = 1_024;

    #[inline]
    fn push(&mut self, record: Record<T>) {
        self.open.push(record);
        if self.open.len() == Self::SIZE {
            self.full.push(std::mem::take(&mut self.open));
        }
    }

    fn take(&mut self) -> Vec<Record<T>> {
        self.full.drain(..).flatten().chain(self.open.drain(..)).collect()
    }

    /// Gives each chunk to `send`. Returns the number of records.
    fn send(&mut self, mut send: impl FnMut(&mut Vec<Record<T>>)) -> u64 {
        let mut sent = 0;
        for chunk in self.full.iter_mut().chain(Some(&mut self.open)).filter(|c| !c.is_empty()) {
            sent += chunk.len() as u64;
            send(chunk);
            chunk.clear();
        }
        self.full.clear();
        sent
    }
}

/// What a logic can see when it is made, and where it declares its state.
#[derive(Default)]
pub struct Context {
    /// The operator's counters.
    pub metrics: Arc<OperatorMetrics>,
    /// The operator's states. They can be used from the first record on.
    pub states: States,
}

impl Context {
    /// The context of an operator with these counters, in a job that uses `clock`.
    #[must_use]
    pub fn new(metrics: Arc<OperatorMetrics>, clock: Clock) -> Self {
        Self { metrics, states: States::with_clock(clock) }
    }

    /// The job's clock. Calls to [`Logic::clock`] follow it, too.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        self.states.clock()
    }
}

/// The main and the side output of a keyed operator.
pub type Keyed<'s, L> = (Edge<'s, <L as Logic>::Out>, Edge<'s, <L as Logic>::Side>);

/// Routes records to the worker that owns the group of their key, and runs a logic there. `side` names the side
/// output in the graph, if the logic has one.
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
    K: Serialize,
    F: Fn(&L::In) -> K + 'static,
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
    K: Serialize,
    F: Fn(&L::In) -> Target<K> + 'static,
{
    let flow = edge.flow.clone();
    let node = flow.add(name, Role::Keyed, spec.into(), edge.inputs(Route::ByKey));
    let senders = edge.senders(Route::ByKey);
    let control = flow.control();
    let metrics = control.metrics.operator(node);
    let mut context = Context::new(Arc::clone(&metrics), control.time_of_day.clone());
    let logic = flow.made(node, make(&mut context));
    flow.declare(node, context.states.schemas());
    let keeper = Keeper::new(
        Arc::clone(&control),
        &flow.id(node),
        Member { node, worker: flow.worker() },
        flow.spread(node),
        context.states,
        &metrics,
    );

    let mut builder = OperatorBuilder::new(name.to_owned(), flow.scope);
    let (main, main_stream) = builder.new_output::<Vec<Record<L::Out>>>();
    let (side_output, side_stream) = builder.new_output::<Vec<Record<L::Side>>>();
    let mut main = OutputBuilder::<_, CapacityContainerBuilder<_>>::from(main);
    let mut side_output = OutputBuilder::<_, CapacityContainerBuilder<_>>::from(side_output);
    let owners = Owners::new(control.key_groups, flow.spread(node));
    let owner = move |record: &Record<L::In>| match target(&record.value) {
        Target::Key(key) => owners.of(stable_hash(&key)),
        Target::Worker(worker) => worker as u64,
    };
    let mut input = builder.new_input(edge.stream, Exchange::new(owner));
    let activator = flow.scope.activator_for(builder.operator_info().address);
    let (name, worker) = (name.to_owned(), flow.worker());
    let mut align = Align::new(control.mode, senders, control.first());
    let (sources, broadcast) = {
        let graph = flow.shared.graph.borrow();
        (graph.sources_of(node), graph.broadcast_to(node))
    };
    builder.build(move |capabilities| {
        let mut capabilities = capabilities.into_iter();
        let mut harness = Harness {
            logic,
            keeper,
            outbox: Outbox::default(),
            held: capabilities.next().zip(capabilities.next()),
            metrics,
            appointment: Appointment::new(activator),
            clock: control.time_of_day.clone(),
            next_clock: None,
            waits: Watermark::NONE,
            steps: VecDeque::new(),
            ended: false,
        };
        // The batches that have arrived, with the capabilities that hold back the frontier until they are processed.
        let mut queue = VecDeque::new();
        move |frontiers| {
            let mut ports = Ports { main: main.activate(), side: side_output.activate() };
            input.for_each(|capability, batch| queue.push_back((capability, std::mem::take(batch))));
            let result = harness.drive(&control, |harness| {
                let turn = Instant::now();
                if !queue.is_empty()
                    && let Some(source) = align.undecided()
                {
                    align.decide(control.board().reads_alone(source));
                }
                harness.take_steps(&mut ports)?;
                while !harness.waits_at_a_seal()
                    && let Some((capability, batch)) = queue.pop_front()
                {
                    let sent = meet(capability.stamp())?;
                    align.arrive(sent, (sent.watermark, batch), &mut |step| harness.queue(step))?;
                    harness.take_steps(&mut ports)?;
                    if turn.elapsed() > TURN && !queue.is_empty() {
                        harness.appointment.now();
                        break;
                    }
                }
                let progress = frontiers.first().map_or(Progress::ENDED, Progress::of);
                if !harness.waits_at_a_seal() {
                    // No source injects its barrier before the job steps the epoch, so there is no need to look until then.
                    let board = control.board();
                    let put_in =
                        |epoch| board.barrier(&sources, epoch).or_else(|| board.barrier(&broadcast, epoch).map(|_| Watermark::END));
                    let barrier = |epoch| if control.epoch() > epoch { put_in(epoch) } else { None };
                    align.progress(progress, barrier, &mut |step| harness.queue(step))?;
                    harness.take_steps(&mut ports)?;
                }
                harness.look_at_clock(&mut ports)?;
                match harness.keeper.work()? {
                    Again::Now => harness.appointment.now(),
                    Again::Within(wait) => harness.appointment.within(wait),
                    // The snapshot that a seal waited for has ended.
                    Again::Anytime if harness.waits_at_a_seal() => harness.appointment.now(),
                    Again::Anytime => {}
                }
                harness.follow(progress, &align);
                if let Some(until) = harness.waits_until() {
                    sources.iter().for_each(|source| control.post(*source, 0, Post::Waits(until)));
                }
                Ok(())
            });
            if let Err(error) = result {
                control.fail(&name, worker, error);
            }
        }
    });
    (Edge::new(flow.clone(), main_stream, node, None, Origin::Operator), Edge::new(flow, side_stream, node, side, Origin::Operator))
}

/// The single time that stands for a message's stamp, which may hold several.
pub(super) fn meet(stamp: &Stamp<Time>) -> Result<Time, Error> {
    stamp.iter().copied().reduce(|a, b| a.meet(&b)).ok_or_else(|| Error::internal("a message arrived without a time"))
}

type Port<'a, T> = OutputBuilderSession<'a, Time, CapacityContainerBuilder<Vec<Record<T>>>>;

/// The open outputs of one activation.
struct Ports<'a, L: Logic> {
    main: Port<'a, L::Out>,
    side: Port<'a, L::Side>,
}

type Held = (Capability<Time>, Capability<Time>);

/// A batch, and the watermark it was sent under.
type Sent<T> = (Watermark, Vec<Record<T>>);

/// A logic, what it has emitted, and the capabilities for sending that.
struct Harness<L: Logic> {
    /// `None` if it could not be made. The job has then failed.
    logic: Option<L>,
    keeper: Keeper,
    outbox: Outbox<L::Out, L::Side>,
    /// One capability per output, both at the meet of everything that may still be emitted. `None` once the input has ended.
    held: Option<Held>,
    metrics: Arc<OperatorMetrics>,
    appointment: Appointment,
    clock: Clock,
    next_clock: Option<i64>,
    /// The latest time that something waits for, as reported to the sources.
    waits: Watermark,
    /// The alignment steps still to be taken, in order. If any are left between two activations, the first is a seal that waits for the
    /// previous snapshot. Until then no more input is taken in.
    steps: VecDeque<Step<Sent<L::In>>>,
    /// Whether the last epoch has been sealed.
    ended: bool,
}

impl<L: Logic> Harness<L> {
    /// Runs one activation, unless the job or this operator is over.
    fn drive(&mut self, control: &Control, activation: impl FnOnce(&mut Self) -> Result<(), Error>) -> Result<(), Error> {
        if control.over() || self.held.is_none() {
            return Ok(());
        }
        if self.keeper.open()? {
            self.logic.iter_mut().try_for_each(Logic::opened)?;
            if let Some(now) = self.held.as_ref().map(|(main, _)| *main.time()) {
                self.downgrade(Time { epoch: control.first(), ..now });
            }
        }
        activation(self)
    }

    fn queue(&mut self, step: Step<Sent<L::In>>) -> Result<(), Error> {
        self.steps.push_back(step);
        Ok(())
    }

    /// Takes alignment steps, up to a seal that has to wait.
    fn take_steps(&mut self, ports: &mut Ports<'_, L>) -> Result<(), Error> {
        while let Some(step) = self.steps.pop_front() {
            if let Step::Seal { epoch, last } = step
                && !self.keeper.seal(epoch, last)?
            {
                self.steps.push_front(step);
                return Ok(());
            }
            self.step(step, ports)?;
        }
        Ok(())
    }

    fn waits_at_a_seal(&self) -> bool {
        !self.steps.is_empty()
    }

    /// Takes one step. Emits first, downgrades afterwards.
    fn step(&mut self, step: Step<Sent<L::In>>, ports: &mut Ports<'_, L>) -> Result<(), Error> {
        let (Some(held), Some(logic)) = (&self.held, &mut self.logic) else { return Ok(()) };
        let mut next = *held.0.time();
        match step {
            Step::Process((sent, records)) => {
                self.outbox.horizon = self.outbox.watermark.max(sent);
                let count = records.len();
                self.metrics.records_in.add(count as u64);
                if self.keeper.spilled() {
                    logic.prefetch(&records)?;
                }
                for record in records {
                    logic.record(record, &mut self.outbox)?;
                }
                self.keeper.relieve(count)?;
            }
            Step::Advance(watermark) => {
                self.outbox.set_watermark(watermark);
                logic.watermark(watermark, &mut self.outbox)?;
                next.watermark = watermark;
            }
            Step::Seal { epoch, last } => {
                self.ended |= last;
                next.epoch = epoch.next();
            }
        }
        self.send(ports);
        self.downgrade(next);
        Ok(())
    }

    /// Fires what is due on the wall clock.
    fn look_at_clock(&mut self, ports: &mut Ports<'_, L>) -> Result<(), Error> {
        // Anything fired after the last seal would belong to no epoch.
        if let Some(logic) = self.logic.as_mut().filter(|_| !self.ended) {
            self.next_clock = logic.clock(self.clock.now(), &mut self.outbox)?;
            self.send(ports);
        }
        Ok(())
    }

    /// The latest time that something waits for, if it has increased.
    fn waits_until(&mut self) -> Option<Watermark> {
        let until = Watermark(self.logic.as_ref()?.waits_until()?);
        (until > self.waits).then(|| {
            self.waits = until;
            until
        })
    }

    fn send(&mut self, ports: &mut Ports<'_, L>) {
        if let Some((main, side)) = &self.held {
            let sent = self.outbox.main.send(|chunk| ports.main.session(main).give_container(chunk));
            self.outbox.side.send(|chunk| ports.side.session(side).give_container(chunk));
            self.metrics.records_out.add(sent);
        }
    }

    fn downgrade(&mut self, next: Time) {
        if let Some((main, side)) = &mut self.held
            && *main.time() != next
        {
            main.downgrade(&next);
            side.downgrade(&next);
        }
    }

    /// Advances the tick with the input, or drops the capabilities once the input has ended and the last snapshot is captured. Schedules
    /// the next activation for the clock.
    fn follow(&mut self, progress: Progress, align: &Align<Sent<L::In>>) {
        if self.waits_at_a_seal() {
            return;
        }
        let Some((epoch, tick)) = progress.oldest() else {
            if self.keeper.swept() {
                self.held = None;
            }
            return;
        };
        if let Some(now) = self.held.as_ref().map(|(main, _)| *main.time())
            && epoch == align.epoch()
            && tick > now.tick
        {
            self.downgrade(Time { tick, ..now });
        }
        if let Some(at) = self.next_clock {
            self.appointment.within(self.clock.wait(at));
        }
    }
}
