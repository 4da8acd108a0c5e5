//! The one harness of all keyed operators: alignment, watermarks, wall-clock timers, capabilities.
//!
//! Windows, joins, patterns and rules are a [`Logic`] and know nothing of frontiers.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tidegate_checkpoints::Epoch;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::operators::generic::OutputBuilderSession;
use timely::dataflow::operators::{Capability, InputCapability};
use timely::progress::Stamp;

use super::appointment::Appointment;
use super::keeper::{Again, Keeper};
use super::logic::{Logic, Outbox};
use crate::align::{Align, Senders, Step};
use crate::board::Post;
use crate::control::Control;
use crate::dataflow::Dataflow;
use crate::error::Error;
use crate::graph::NodeId;
use crate::metrics::OperatorMetrics;
use crate::progress::Progress;
use crate::record::Record;
use crate::time::{Time, Watermark};

/// How long one activation may process records before the worker's other operators get their turn.
const TURN: Duration = Duration::from_millis(10);

/// The single time that stands for a message's stamp, which may hold several.
pub(super) fn meet(stamp: &Stamp<Time>) -> Result<Time, Error> {
    stamp.iter().copied().reduce(|a, b| a.meet(&b)).ok_or_else(|| Error::internal("a message arrived without a time"))
}

/// A batch, and the watermark it was sent under.
type Sent<T> = (Watermark, Vec<Record<T>>);

/// What has arrived and what is known of its order.
pub(super) struct Intake<T> {
    /// The batches that have arrived, with the capabilities that hold back the frontier until they are processed.
    queue: VecDeque<(InputCapability<Time>, Vec<Record<T>>)>,
    align: Align<Sent<T>>,
    /// The sources above, and those whose records come by broadcast only.
    sources: Vec<usize>,
    broadcast: Vec<usize>,
    control: Arc<Control>,
}

impl<T> Intake<T> {
    /// The intake of an operator whose records come from `senders`.
    pub(super) fn new(flow: &Dataflow<'_>, node: NodeId, senders: Senders) -> Self {
        let control = flow.control();
        let graph = flow.shared.graph.borrow();
        Self {
            queue: VecDeque::new(),
            align: Align::new(control.mode, senders, control.first()),
            sources: graph.sources_of(node),
            broadcast: graph.broadcast_to(node),
            control,
        }
    }

    pub(super) fn arrive(&mut self, capability: InputCapability<Time>, batch: Vec<Record<T>>) {
        self.queue.push_back((capability, batch));
    }

    /// Settles how many instances of its source send, once the first batch has arrived.
    fn settle_senders(&mut self) {
        if !self.queue.is_empty()
            && let Some(source) = self.align.undecided()
        {
            self.align.decide(self.control.board().reads_alone(source));
        }
    }

    /// Follows the frontier of the input. `act` receives the steps that this allows.
    fn follow(&mut self, progress: Progress, act: &mut impl FnMut(Step<Sent<T>>) -> Result<(), Error>) -> Result<(), Error> {
        let Self { align, sources, broadcast, control, .. } = self;
        let board = control.board();
        let put_in = |epoch| board.barrier(sources, epoch).or_else(|| board.barrier(broadcast, epoch).map(|_| Watermark::END));
        // No source injects its barrier before the job steps the epoch, so there is no need to look until then.
        let barrier = |epoch| if control.epoch() > epoch { put_in(epoch) } else { None };
        align.progress(progress, barrier, act)
    }

    fn epoch(&self) -> Epoch {
        self.align.epoch()
    }
}

type Port<'a, T> = OutputBuilderSession<'a, Time, CapacityContainerBuilder<Vec<Record<T>>>>;

/// The open outputs of one activation.
pub(super) struct Ports<'a, L: Logic> {
    pub(super) main: Port<'a, L::Out>,
    pub(super) side: Port<'a, L::Side>,
}

/// Prepares the states for lookups of the keys of records.
pub(super) type Prefetch<T> = Box<dyn FnMut(&Keeper, &[Record<T>]) -> Result<(), Error>>;

/// A logic, what it has emitted, and the capabilities for sending that.
pub(super) struct Harness<L: Logic> {
    /// `None` if it could not be made. The job has then failed.
    logic: Option<L>,
    keeper: Keeper,
    prefetch: Prefetch<L::In>,
    outbox: Outbox<L::Out, L::Side>,
    /// One capability per output, both at the meet of everything that may still be emitted. `None` once the input has ended.
    held: Option<(Capability<Time>, Capability<Time>)>,
    metrics: Arc<OperatorMetrics>,
    appointment: Appointment,
    control: Arc<Control>,
    /// When the logic wants to see the clock next.
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
    /// A harness that is yet to [`hold`](Self::hold) the operator's capabilities.
    pub(super) fn new(
        logic: Option<L>,
        keeper: Keeper,
        prefetch: Prefetch<L::In>,
        metrics: Arc<OperatorMetrics>,
        appointment: Appointment,
        control: Arc<Control>,
    ) -> Self {
        Self {
            logic,
            keeper,
            prefetch,
            outbox: Outbox::default(),
            held: None,
            metrics,
            appointment,
            control,
            next_clock: None,
            waits: Watermark::NONE,
            steps: VecDeque::new(),
            ended: false,
        }
    }

    /// Takes the initial capabilities of the main and the side output.
    pub(super) fn hold(&mut self, capabilities: Vec<Capability<Time>>) {
        let mut capabilities = capabilities.into_iter();
        self.held = capabilities.next().zip(capabilities.next());
    }

    /// Runs one activation, unless the job or this operator is over.
    pub(super) fn activate(&mut self, intake: &mut Intake<L::In>, progress: Progress, ports: &mut Ports<'_, L>) -> Result<(), Error> {
        if self.control.over() || self.held.is_none() {
            return Ok(());
        }
        self.open()?;
        self.take_in(intake, ports)?;
        if !self.waits_at_a_seal() {
            intake.follow(progress, &mut |step| self.queue(step))?;
            self.take_steps(ports)?;
        }
        self.look_at_clock(ports)?;
        self.keep_state()?;
        self.follow(progress, intake.epoch());
        if let Some(until) = self.waits_until() {
            intake.sources.iter().for_each(|source| self.control.post(*source, 0, Post::Waits(until)));
        }
        Ok(())
    }

    /// Restores the states on the first activation.
    fn open(&mut self) -> Result<(), Error> {
        if self.keeper.open()? {
            self.logic.iter_mut().try_for_each(Logic::opened)?;
            if let Some(now) = self.held.as_ref().map(|(main, _)| *main.time()) {
                self.downgrade(Time { epoch: self.control.first(), ..now });
            }
        }
        Ok(())
    }

    /// Processes the steps that are left and then what has arrived, for one turn or up to a seal that has to wait.
    fn take_in(&mut self, intake: &mut Intake<L::In>, ports: &mut Ports<'_, L>) -> Result<(), Error> {
        let turn = Instant::now();
        intake.settle_senders();
        self.take_steps(ports)?;
        while !self.waits_at_a_seal()
            && let Some((capability, batch)) = intake.queue.pop_front()
        {
            let sent = meet(capability.stamp())?;
            intake.align.arrive(sent, (sent.watermark, batch), &mut |step| self.queue(step))?;
            self.take_steps(ports)?;
            if turn.elapsed() > TURN && !intake.queue.is_empty() {
                self.appointment.now();
                break;
            }
        }
        Ok(())
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
                self.outbox.sent_under(sent);
                let count = records.len();
                self.metrics.records_in.add(count as u64);
                let ahead = self.keeper.prefetches(count);
                let mut records = records.into_iter();
                while !records.as_slice().is_empty() {
                    if let Some(ahead) = ahead {
                        let upcoming = records.as_slice();
                        (self.prefetch)(&self.keeper, &upcoming[..ahead.min(upcoming.len())])?;
                    }
                    for record in records.by_ref().take(ahead.unwrap_or(count)) {
                        logic.record(record, &mut self.outbox)?;
                    }
                }
                self.keeper.relieve(count)?;
            }
            Step::Advance(watermark) => {
                self.outbox.set_watermark(watermark);
                logic.watermark(watermark, &mut self.outbox)?;
                self.keeper.changed();
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
            let now = self.control.time_of_day.now();
            let due = self.next_clock.is_some_and(|at| at <= now);
            self.next_clock = logic.clock(now, &mut self.outbox)?;
            if due {
                self.keeper.changed();
            }
            self.send(ports);
        }
        Ok(())
    }

    /// Continues the snapshot in progress and updates the metrics of the states. Schedules the next activation for that.
    fn keep_state(&mut self) -> Result<(), Error> {
        match self.keeper.work()? {
            Again::Now => self.appointment.now(),
            Again::Within(wait) => self.appointment.within(wait),
            // The snapshot that a seal waited for has ended.
            Again::Anytime if self.waits_at_a_seal() => self.appointment.now(),
            Again::Anytime => {}
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

    /// Advances the tick with the input, if that is in the `current` epoch, or drops the capabilities once the input has ended and the last snapshot is captured.
    /// Schedules the next activation for the clock.
    fn follow(&mut self, progress: Progress, current: Epoch) {
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
            && epoch == current
            && tick > now.tick
        {
            self.downgrade(Time { tick, ..now });
        }
        if let Some(at) = self.next_clock {
            self.appointment.within(self.control.time_of_day.wait(at));
        }
    }
}
