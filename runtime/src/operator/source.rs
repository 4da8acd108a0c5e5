//! The harness of sources: ticks, epochs, watermarks, back-pressure and idleness around a [`Reader`].

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value as Json;
use tidegate_checkpoints::Epoch;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::dataflow::operators::generic::{OutputBuilder, OutputBuilderSession};
use timely::dataflow::operators::probe::Handle;

use super::appointment::Appointment;
use super::positions::Positions;
use super::rest::Rest;
use crate::board::{Post, Status};
use crate::checkpoint::{Member, Report};
use crate::control::Control;
use crate::dataflow::{Dataflow, Edge, Origin};
use crate::error::Error;
use crate::flow::{Pacer, TICK};
use crate::graph::{Judge, NodeId, Role};
use crate::ingestion::Ingestion;
use crate::kind::OperatorSpec;
use crate::progress::Progress;
use crate::record::Record;
use crate::source::{Batch, Poll, Reader, Resumed, Shared, Source, SourceContext, SplitId, Waker};
use crate::time::{Time, Watermark};
use crate::watermarks::{Combined, IdleTimer, Splits, WatermarkStrategy, millis};

/// How long a paused source waits before it checks again.
const PAUSE: Duration = Duration::from_millis(1);

/// The batches that a source may emit in one activation, so that its worker's other operators get their turn.
const BATCHES: usize = 2;

/// How many records a source may be ahead of another source that has more to read and whose records meet its own. Whatever runs ahead is
/// kept in windows and patterns until the others catch up.
const AHEAD: usize = 32_768;

/// Reads `source` on every worker.
pub fn source<'s, T: Clone + 'static>(
    flow: &Dataflow<'s>,
    name: &str,
    label: &str,
    source: impl Source<T>,
    strategy: WatermarkStrategy,
) -> Edge<'s, T> {
    let ordinal = flow.graph().nodes().iter().filter(|n| n.role == Role::Source).count();
    let node = flow.add(name, Role::Source, OperatorSpec::new(source.kind()).labelled(label), Vec::new());
    let control = flow.control();
    let source = Arc::new(source);
    flow.listed(node, format!("{}.positions/{}", source.kind(), source.version()), judge(Arc::clone(&source)));

    let mut builder = OperatorBuilder::new(name.to_owned(), flow.scope);
    let (output, stream) = builder.new_output::<Vec<Record<T>>>();
    let mut output = OutputBuilder::<_, CapacityContainerBuilder<_>>::from(output);
    let address = builder.operator_info().address;
    let context = context(flow, node, ordinal, flow.waker(&address));
    let activator = flow.scope.activator_for(address);
    let waker = context.waker.clone();
    let (probe, name, worker) = (flow.shared.probe.clone(), name.to_owned(), flow.worker());
    let id = flow.id(node);
    builder.build_reschedule(move |capabilities| {
        let mut driver = Driver {
            shared: context.shared.clone(),
            input: Input::Unopened(Box::new(source), context),
            outset: Outset::Awaited,
            capability: capabilities.into_iter().next(),
            now: Time { epoch: control.first(), ..<Time as timely::progress::Timestamp>::minimum() },
            id,
            positions: Positions::default(),
            splits: Splits::new(strategy),
            ingestion: strategy.ingestion.then(|| Ingestion::new(control.time_of_day.clone())),
            strategy,
            pacer: Pacer::default(),
            probe,
            rest: Rest::new(Appointment::new(activator), control.board().bell.sleeper(waker)),
            ordinal,
            member: Member { node, worker },
            recent: Recent::default(),
            reading: Reading::On,
            left: strategy.idle_after.and_then(IdleTimer::new),
            left_alone: false,
            control: Arc::clone(&control),
        };
        move |_| {
            if !control.over()
                && let Err(error) = driver.drive(&mut output.activate())
            {
                control.fail(&name, worker, error);
            }
            driver.unconfirmed()
        }
    });
    Edge::new(flow.clone(), stream, node, None, Origin::Source(ordinal))
}

/// Judges whether a source can resume from the positions in a snapshot.
fn judge<T: 'static>(source: Arc<impl Source<T>>) -> Judge {
    Judge::new(move |list: &[Json]| match Positions::new("the snapshot", list.to_vec())?.restored() {
        Some(positions) => source.accepts(&positions),
        None => Ok(()),
    })
}

/// What the instance of a source on this worker is told before it is opened.
fn context(flow: &Dataflow<'_>, node: NodeId, ordinal: usize, waker: Waker) -> SourceContext {
    let control = flow.control();
    SourceContext {
        worker: flow.worker(),
        workers: flow.workers(),
        restored: None,
        waker,
        shared: control.shared(ordinal),
        metrics: control.metrics.source(node),
    }
}

type Output<'a, T> = OutputBuilderSession<'a, Time, CapacityContainerBuilder<Vec<Record<T>>>>;

/// A source before and after it is opened. It is not opened while the graph is built, because that may be a rehearsal.
enum Input<T> {
    Unopened(Box<dyn Source<T>>, SourceContext),
    Open(Box<dyn Reader<T>>),
    Closed,
}

/// The last batches: as many as it takes to hold [`AHEAD`] records.
#[derive(Default)]
struct Recent {
    /// For each batch, the watermark before it and its number of records.
    batches: VecDeque<(Watermark, usize)>,
    records: usize,
}

impl Recent {
    fn push(&mut self, before: Watermark, records: usize) {
        self.batches.push_back((before, records));
        self.records += records;
        while let Some((_, oldest)) = self.batches.front()
            && self.records - oldest >= AHEAD
        {
            self.records -= oldest;
            self.batches.pop_front();
        }
    }

    /// The watermark before these batches, or `None` if they hold fewer than [`AHEAD`] records.
    fn before(&self) -> Option<Watermark> {
        self.batches.front().filter(|_| self.records >= AHEAD).map(|(before, _)| *before)
    }
}

/// Whether the source's initial splits are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outset {
    /// Not yet. A snapshot would miss them, so the source stays where it is and barriers wait for it.
    Awaited,
    Known,
    /// The job was stopped first, so there is nothing to keep.
    GivenUp,
}

/// One instance of a source.
struct Driver<T: 'static> {
    /// The name under which its positions are kept.
    id: String,
    input: Input<T>,
    outset: Outset,
    shared: Shared,
    /// Held at `now`. `None` once the input has ended.
    capability: Option<Capability<Time>>,
    now: Time,
    splits: Splits,
    /// Assigns the times of records in ingestion time.
    ingestion: Option<Ingestion>,
    positions: Positions,
    strategy: WatermarkStrategy,
    pacer: Pacer,
    control: Arc<Control>,
    probe: Handle<Time>,
    rest: Rest,
    ordinal: usize,
    member: Member,
    /// The batches emitted last.
    recent: Recent,
    reading: Reading,
    /// Measures how long no source has been active that this source's records may meet. `None` without `idle_after`.
    left: Option<IdleTimer>,
    /// Whether that has lasted for as long as a split may be silent.
    left_alone: bool,
}

/// The outcome of reading.
struct Outcome {
    /// Whether the reader returned anything.
    any: bool,
    next: Next,
}

/// When to poll the reader again.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    /// At once, because there may be more.
    Now,
    /// When it has woken its operator.
    Woken,
    /// After this time.
    After(Duration),
}

/// How far a source has come in a job whose end takes a savepoint.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reading {
    /// There may be more.
    On,
    /// This instance has read everything.
    Out,
    /// All instances of the source have read everything, and event time is at the highest watermark of any of them. As far as this instance
    /// is concerned, the job may stop.
    Told,
}

impl<T: 'static> Driver<T> {
    /// Runs one activation: a bounded amount of work, then an appointment for the next.
    fn drive(&mut self, output: &mut Output<'_, T>) -> Result<(), Error> {
        self.rest.begin();
        if self.capability.is_none() {
            self.leave();
            return Ok(());
        }
        self.open()?;
        if self.outset == Outset::Awaited && !self.begin()? {
            self.rest.briefly(PAUSE);
            return Ok(());
        }
        let before = self.now;
        let oldest = self.oldest_tick();
        self.follow_clock(oldest);
        self.advance();
        self.confirm();
        self.tell();
        if self.control.stopping() || self.reading != Reading::On {
            // The barrier is in. What lies before it is processed, and the worker ends once all of it has left.
            self.rest.until_news(self.is_calm_since(before, oldest), TICK, None);
            return Ok(());
        }
        // Before the first batch, operators must know which instances may send any.
        if !self.control.board().opened(self.ordinal) {
            self.pause();
            self.rest.briefly(PAUSE);
            return Ok(());
        }
        if self.drifted() {
            self.pause();
            self.rest.until_news(self.is_calm_since(before, oldest), PAUSE, None);
            return Ok(());
        }
        let allowance = self.pacer.allowance(self.now.tick, oldest);
        if allowance == 0 {
            self.pause();
            self.rest.briefly(PAUSE);
            return Ok(());
        }
        let outcome = self.read(allowance, output)?;
        self.post(Post::Backlog(outcome.next == Next::Now));
        let deadline = self.look();
        self.advance();
        let deadline = match outcome.next {
            Next::Now => {
                self.rest.none();
                return Ok(());
            }
            Next::Woken => deadline,
            Next::After(wait) => deadline.into_iter().chain([wait]).min(),
        };
        self.rest.until_news(!outcome.any && self.is_calm_since(before, oldest), TICK, deadline);
        Ok(())
    }

    /// Updates the tick. While nothing happens the clock stands still, because each tick would pass through all operators.
    fn follow_clock(&mut self, oldest: u32) {
        let clock = &self.control.clock;
        let tick = clock.tick();
        self.now.tick = if self.rest.is_calm() { tick } else { clock.step(oldest) };
        if self.now.tick != tick {
            // A source that stays behind would hold the tick back.
            self.control.board().bell.ring();
        }
    }

    /// Whether nothing has changed since the beginning of this activation and nothing is in flight.
    fn is_calm_since(&self, before: Time, oldest: u32) -> bool {
        (before.epoch, before.watermark) == (self.now.epoch, self.now.watermark) && oldest >= before.tick
    }

    /// Checks which splits have gone idle and whether other sources are still active. Returns the time until that may change.
    fn look(&mut self) -> Option<Duration> {
        let now = self.control.clock.elapsed();
        self.splits.look(now);
        if let Some(left) = &mut self.left {
            if self.control.board().least_active(self.ordinal).is_some() {
                left.activity();
            }
            self.left_alone = left.is_idle(now);
        }
        self.splits.wait(now).into_iter().chain(self.left.as_ref().and_then(|left| left.wait(now))).min()
    }

    /// The reader was not polled, so its silence must not count against it.
    fn pause(&mut self) {
        self.splits.rest();
        self.left.iter_mut().for_each(IdleTimer::rest);
    }

    /// Reads and emits about `allowance` records.
    fn read(&mut self, mut allowance: usize, output: &mut Output<'_, T>) -> Result<Outcome, Error> {
        if self.control.draining() {
            self.end();
            return Ok(Outcome { any: true, next: Next::Woken });
        }
        let mut any = false;
        for _ in 0..BATCHES {
            match self.reader()?.poll()? {
                Poll::Batch(batch) => allowance = allowance.saturating_sub(self.emit(batch, output)),
                Poll::Pending => return Ok(Outcome { any, next: Next::Woken }),
                Poll::After(wait) => return Ok(Outcome { any, next: Next::After(wait) }),
                Poll::Finished => {
                    self.end();
                    return Ok(Outcome { any: true, next: Next::Woken });
                }
            }
            any = true;
            // A batch in the epoch of a stop would not be written.
            if allowance == 0 || self.control.stopping() {
                break;
            }
        }
        Ok(Outcome { any, next: Next::Now })
    }

    /// Opens the reader if it is not open. This comes before anything is reported about the source's positions.
    fn open(&mut self) -> Result<(), Error> {
        if matches!(self.input, Input::Unopened(..))
            && let Input::Unopened(source, mut context) = std::mem::replace(&mut self.input, Input::Closed)
        {
            if let Some(restore) = self.control.restore() {
                let parts = restore.list(&self.id).unwrap_or_default();
                self.positions = Positions::new(restore.snapshot().place(), parts)?;
            }
            context.restored = self.positions.restored();
            if let Some(reached) = self.positions.reached() {
                self.splits.resume(reached);
                self.ingestion.iter_mut().for_each(|ingestion| ingestion.resume(reached));
            }
            self.input = Input::Open(source.open(context)?);
        }
        Ok(())
    }

    /// Asks for the initial splits. Returns whether it is now known how the source begins.
    fn begin(&mut self) -> Result<bool, Error> {
        let known = self.reader()?.resumed();
        let Some(splits) = known.filter(|_| self.shared.begins(true)) else {
            if self.control.stopping() && !self.shared.begins(false) {
                (self.outset, self.input) = (Outset::GivenUp, Input::Closed);
                return Ok(true);
            }
            // The reader may have failed.
            return match self.reader()?.poll()? {
                Poll::Pending | Poll::After(_) => Ok(false),
                Poll::Batch(_) | Poll::Finished => Err(Error::internal("a source began before it knew its splits")),
            };
        };
        for Resumed { split, position, ended } in splits {
            let watermark = self.positions.resume(split, position, ended);
            if !ended {
                self.splits.announce(split);
                self.splits.set(split, watermark);
            }
        }
        self.outset = Outset::Known;
        let vacant = self.reader()?.is_vacant();
        self.post(Post::Opened { vacant });
        Ok(true)
    }

    fn post(&self, post: Post) {
        self.control.post(self.ordinal, self.member.worker, post);
    }

    fn reader(&mut self) -> Result<&mut Box<dyn Reader<T>>, Error> {
        match &mut self.input {
            Input::Open(reader) => Ok(reader),
            Input::Unopened(..) | Input::Closed => Err(Error::internal("a source was asked after its end")),
        }
    }

    /// Sends a batch under the present capability, then advances the watermark. So the order of the data alone decides what is late.
    fn emit(&mut self, mut batch: Batch<T>, output: &mut Output<'_, T>) -> usize {
        let records = batch.records.len();
        if records > 0 {
            self.recent.push(self.now.watermark, records);
        }
        self.splits.announce(batch.split);
        if let Some(ingestion) = &mut self.ingestion {
            let now = ingestion.now();
            batch.records.iter_mut().for_each(|record| record.time = now);
            batch.watermark = None;
        }
        if records > 0 {
            if self.strategy.every_record {
                self.emit_one_by_one(batch.split, std::mem::take(&mut batch.records), output);
            } else {
                self.send(batch.split, &mut batch.records, output);
            }
            self.pacer.emitted(self.now.tick, records);
        }
        if let Some(watermark) = batch.watermark {
            self.splits.set(batch.split, watermark);
        }
        if let Some(position) = batch.position {
            self.positions.set(batch.split, position, batch.last);
        }
        if batch.idle {
            self.splits.set_idle(batch.split);
        }
        if batch.last {
            // Its watermark counts even if this was the last split.
            self.splits.combined();
            self.splits.finish(batch.split);
        }
        self.advance();
        records
    }

    /// Sends records of a split, at least one, and observes their times.
    fn send(&mut self, split: SplitId, records: &mut Vec<Record<T>>, output: &mut Output<'_, T>) {
        if let Some(newest) = records.iter().map(|r| r.time).max() {
            self.splits.observe(split, newest);
        }
        if let Some(capability) = &self.capability {
            output.session(capability).give_container(records);
        }
    }

    /// Sends records one by one as the watermark rises: each goes under the watermark that the records before it have led to. They all
    /// belong to one epoch, because they share one position.
    fn emit_one_by_one(&mut self, split: SplitId, records: Vec<Record<T>>, output: &mut Output<'_, T>) {
        let mut alike = Vec::new();
        for record in records {
            let raises = self.splits.would_raise(split, record.time);
            alike.push(record);
            if raises {
                self.send(split, &mut alike, output);
                alike.clear();
                self.advance_in(self.now.epoch);
            }
        }
        if !alike.is_empty() {
            self.send(split, &mut alike, output);
        }
    }

    /// Called when everything has been read. Either event time ends, too, or the job stops with a savepoint once all sources have come this
    /// far.
    fn end(&mut self) {
        let checkpoints = self.control.checkpoints();
        if checkpoints.savepoint_at_end() {
            self.reading = Reading::Out;
            return;
        }
        // Report even if no checkpoints are taken: a savepoint may be in progress.
        let list = if checkpoints.on() {
            self.positions.seal(self.now.epoch, &self.splits, None)
        } else {
            self.positions.report(&self.splits, None)
        };
        checkpoints.report(self.member, self.now.epoch, Report { list, ..Report::default() }, true);
        self.capability = None;
        self.leave();
    }

    /// Closes the reader, once it has been told that its last positions are part of a checkpoint.
    fn leave(&mut self) {
        self.confirm();
        if self.positions.is_confirmed() || !self.control.checkpoints().may_complete() {
            self.input = Input::Closed;
            self.rest.end();
        } else {
            self.rest.until_news(true, TICK, None);
        }
    }

    /// Reports that this instance has read everything, once event time is where it would be if one instance had read the whole source.
    fn tell(&mut self) {
        let last = || self.control.board().read_out(self.ordinal);
        if self.reading == Reading::Out && last().is_some_and(|last| self.now.watermark >= last) {
            self.reading = Reading::Told;
            self.control.read_out();
        }
    }

    /// Reports the positions and the watermark of the source at the end of each epoch that ends now. `next` is the time behind the barrier.
    fn seal(&mut self, next: Time) {
        for epoch in (self.now.epoch.0..next.epoch.0).map(Epoch) {
            self.post(Post::Barrier(epoch, next.watermark));
            let checkpoints = self.control.checkpoints();
            if checkpoints.plan(epoch, false).is_some() {
                let known = self.outset == Outset::Known;
                let list = if known { self.positions.seal(epoch, &self.splits, Some(next.watermark)) } else { Vec::new() };
                checkpoints.report(self.member, epoch, Report { list, ..Report::default() }, false);
            }
        }
    }

    /// Whether the source has ended but its reader is not yet closed.
    fn unconfirmed(&self) -> bool {
        self.capability.is_none() && matches!(self.input, Input::Open(_))
    }

    /// Tells the reader which of its positions are part of a complete checkpoint.
    fn confirm(&mut self) {
        if let Some(positions) = self.positions.completed(|| self.control.checkpoints().completed())
            && let Input::Open(reader) = &mut self.input
        {
            reader.completed(&positions);
        }
    }

    /// Moves the capability to the present epoch, tick and watermark, and posts the watermark.
    fn advance(&mut self) {
        self.advance_in(self.now.epoch.max(self.control.epoch()));
    }

    /// Does the same in the given epoch.
    fn advance_in(&mut self, epoch: Epoch) {
        let combined = self.combined();
        let status = match &self.capability {
            None => Status::Ended,
            Some(_) if self.reading != Reading::On => Status::ReadOut,
            Some(_) if combined.idle => Status::Idle,
            Some(_) => Status::Active,
        };
        self.post(Post::At(combined.watermark.max(self.now.watermark), status));
        let followed = match status {
            Status::Idle => self.control.board().follow(self.ordinal, self.left_alone),
            Status::ReadOut => self.control.board().read_out(self.ordinal).unwrap_or(Watermark::NONE),
            Status::Active | Status::Ended => Watermark::NONE,
        };
        let next = Time { epoch, tick: self.now.tick, watermark: self.now.watermark.max(combined.watermark).max(followed) };
        if next.epoch > self.now.epoch && self.capability.is_some() {
            self.seal(next);
        }
        self.now = next;
        if let Some(capability) = &mut self.capability
            && *capability.time() != next
        {
            capability.downgrade(&next);
        }
    }

    /// The watermark given by what this instance has read, or by the clock.
    fn combined(&mut self) -> Combined {
        let Some(ingestion) = &mut self.ingestion else { return self.splits.combined() };
        // Once reading has stopped, event time stands still, so that a stop leaves windows open.
        if self.reading == Reading::On && !self.control.stopping() {
            ingestion.now();
        }
        Combined { watermark: ingestion.watermark(), idle: false }
    }

    /// The oldest tick that some sink has not yet finished.
    fn oldest_tick(&self) -> u32 {
        let oldest = self.probe.with_frontier(|frontier| Progress::at(frontier.iter()).oldest());
        oldest.map_or(self.now.tick, |(_, tick)| tick)
    }

    /// Whether this source is further ahead of the others than allowed.
    fn drifted(&self) -> bool {
        let board = self.control.board();
        let Some(drift) = self.strategy.max_drift else {
            return self.recent.before().zip(board.least_busy(self.ordinal)).is_some_and(|(before, slowest)| slowest < before);
        };
        let slowest = board.least_active(self.ordinal);
        slowest.is_some_and(|w| w != Watermark::NONE && self.now.watermark.0.saturating_sub(w.0) > millis(drift))
    }
}

impl<T: 'static> Drop for Driver<T> {
    /// Confirms once more: the checkpoint of a stop completes only after the last activation.
    fn drop(&mut self) {
        self.confirm();
    }
}
