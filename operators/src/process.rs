//! Process functions: user code with keyed state and timers.

use std::cell::Cell;
use std::marker::PhantomData;

use tidegate_runtime::operator::{Context, Logic, Outbox};
use tidegate_runtime::state::{Handle, Key, States, Timers};
use tidegate_runtime::{Clock, Data, Error, Record, Watermark};

/// A function with keyed state and timers. Declare states in `open` and keep them as fields.
pub trait ProcessFunction<K, T>: 'static {
    /// The type of the records it emits.
    type Out: Clone + 'static;

    /// Declares the states. Called once on every worker when the job is built. The states are usable from the first record on.
    ///
    /// # Errors
    /// An error here means that the job can't be built.
    fn open(&mut self, _states: &mut States) -> Result<(), Error> {
        Ok(())
    }

    /// Called for each record.
    ///
    /// # Errors
    /// An error here fails the job.
    fn process(&mut self, value: T, context: &mut ProcessContext<'_, K, Self::Out>) -> Result<(), Error>;

    /// Called when a timer of the key fires.
    ///
    /// # Errors
    /// An error here fails the job.
    fn on_timer(&mut self, _timer: Timer, _context: &mut ProcessContext<'_, K, Self::Out>) -> Result<(), Error> {
        Ok(())
    }
}

/// The timer that fired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timer {
    /// Event time has reached this moment, in milliseconds since 1970.
    Event(i64),
    /// The wall clock has reached this moment, in milliseconds since 1970.
    Clock(i64),
}

/// What a process function can see and do: the key, the time, timers and output.
pub struct ProcessContext<'a, K, Out> {
    key: &'a K,
    time: i64,
    timers: &'a TimersOf<K>,
    out: &'a mut Outbox<Out, ()>,
}

impl<K: Key, Out> ProcessContext<'_, K, Out> {
    /// The current key.
    #[must_use]
    pub fn key(&self) -> &K {
        self.key
    }

    /// The event time of the record or of the event timer; [`Record::UNTIMED`] in a wall-clock timer.
    #[must_use]
    pub fn time(&self) -> i64 {
        self.time
    }

    /// The current watermark.
    #[must_use]
    pub fn watermark(&self) -> Watermark {
        self.out.watermark()
    }

    /// The time of the job's clock, in milliseconds since 1970. Wall-clock timers go by it.
    #[must_use]
    pub fn now(&self) -> i64 {
        self.timers.of_day.now()
    }

    /// Emits `value` with the current event time.
    pub fn emit(&mut self, value: Out) {
        self.out.emit(self.time, value);
    }

    /// Sets an event timer: `on_timer` is called for this key once event time has reached `time`.
    pub fn set_event_timer(&mut self, time: i64) {
        self.timers.event.borrow_mut().set(time, self.key.clone());
    }

    /// Deletes an event timer of this key.
    pub fn delete_event_timer(&mut self, time: i64) {
        self.timers.event.borrow_mut().delete(time, self.key);
    }

    /// Sets a wall-clock timer: `on_timer` is called for this key once the wall clock has reached `time`. Timers still pending at the end
    /// of input do not fire.
    pub fn set_clock_timer(&mut self, time: i64) {
        self.timers.clock.borrow_mut().set(time, self.key.clone());
    }

    /// Deletes a wall-clock timer of this key.
    pub fn delete_clock_timer(&mut self, time: i64) {
        self.timers.clock.borrow_mut().delete(time, self.key);
    }
}

impl<'a, K, Out> ProcessContext<'a, K, Out> {
    pub(crate) fn new(key: &'a K, time: i64, timers: &'a TimersOf<K>, out: &'a mut Outbox<Out, ()>) -> Self {
        Self { key, time, timers, out }
    }
}

/// The timers of an operator.
pub(crate) struct TimersOf<K> {
    event: Handle<Timers<K>>,
    clock: Handle<Timers<K>>,
    /// The job's clock.
    of_day: Clock,
    waits: Cell<Option<i64>>,
}

impl<K: Key> TimersOf<K> {
    pub(crate) fn new(context: &mut Context) -> Result<Self, Error> {
        let (event, clock) = (context.states.timers("event timers")?, context.states.timers("clock timers")?);
        Ok(Self { event, clock, of_day: context.clock().clone(), waits: Cell::new(None) })
    }

    /// Called after each record. At the end of input, event time advances to the latest timer set by then. Timers that only timers set
    /// later are not waited for, as they could go on forever.
    pub(crate) fn processed(&self) {
        self.waits.set(self.event.borrow().latest());
    }

    /// The latest event time that a record has set a timer for.
    pub(crate) fn wait_until(&self) -> Option<i64> {
        self.waits.get()
    }

    /// Calls `fire` for every timer due at `watermark`, including those that `fire` itself sets and that are already due.
    pub(crate) fn fire_events(&self, watermark: Watermark, mut fire: impl FnMut(&K, Timer) -> Result<(), Error>) -> Result<(), Error> {
        self.event.fire(watermark.0, |time, key| fire(&key, Timer::Event(time)))
    }

    /// Like [`fire_events`](Self::fire_events), by the wall clock. Returns when the next timer is due.
    pub(crate) fn fire_clock(&self, now: i64, mut fire: impl FnMut(&K, Timer) -> Result<(), Error>) -> Result<Option<i64>, Error> {
        self.clock.fire(now, |time, key| fire(&key, Timer::Clock(time)))?;
        Ok(self.clock.borrow().next())
    }
}

impl Timer {
    /// The event time of records emitted in this timer.
    pub(crate) fn event_time(self) -> i64 {
        if let Self::Event(time) = self { time } else { Record::UNTIMED }
    }
}

pub(crate) struct ProcessLogic<K, T, F, P> {
    key: F,
    function: P,
    timers: TimersOf<K>,
    records: PhantomData<fn(T)>,
}

impl<K, T, F, P> ProcessLogic<K, T, F, P>
where
    K: Key,
    P: ProcessFunction<K, T>,
{
    pub(crate) fn new(key: F, mut function: P, context: &mut Context) -> Result<Self, Error> {
        function.open(&mut context.states)?;
        let timers = TimersOf::new(context)?;
        Ok(Self { key, function, timers, records: PhantomData })
    }
}

impl<K, T, F, P> Logic for ProcessLogic<K, T, F, P>
where
    K: Key,
    T: Data,
    F: Fn(&T) -> K + 'static,
    P: ProcessFunction<K, T>,
{
    type In = T;
    type Out = P::Out;
    type Side = ();

    fn record(&mut self, record: Record<T>, out: &mut Outbox<P::Out, ()>) -> Result<(), Error> {
        let key = (self.key)(&record.value);
        self.function.process(record.value, &mut ProcessContext::new(&key, record.time, &self.timers, out))?;
        self.timers.processed();
        Ok(())
    }

    fn waits_until(&self) -> Option<i64> {
        self.timers.wait_until()
    }

    fn watermark(&mut self, watermark: Watermark, out: &mut Outbox<P::Out, ()>) -> Result<(), Error> {
        let Self { function, timers, .. } = self;
        timers.fire_events(watermark, |key, timer| function.on_timer(timer, &mut ProcessContext::new(key, timer.event_time(), timers, out)))
    }

    fn clock(&mut self, now: i64, out: &mut Outbox<P::Out, ()>) -> Result<Option<i64>, Error> {
        let Self { function, timers, .. } = self;
        timers.fire_clock(now, |key, timer| function.on_timer(timer, &mut ProcessContext::new(key, timer.event_time(), timers, out)))
    }
}
