//! What a keyed operator is to its harness: a [`Logic`] that sees records, watermarks and the clock, and emits into an [`Outbox`].

use std::sync::Arc;

use crate::clock::Clock;
use crate::error::Error;
use crate::metrics::OperatorMetrics;
use crate::record::Record;
use crate::state::States;
use crate::time::Watermark;

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
    pub(super) main: Chunks<Out>,
    pub(super) side: Chunks<Side>,
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

    /// The next records were sent under this watermark.
    pub(super) fn sent_under(&mut self, watermark: Watermark) {
        self.horizon = self.watermark.max(watermark);
    }
}

/// Records in chunks of a size that travels well.
#[derive(Debug)]
pub(super) struct Chunks<T> {
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
    pub(super) fn send(&mut self, mut send: impl FnMut(&mut Vec<Record<T>>)) -> u64 {
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
