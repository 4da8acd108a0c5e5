//! Process functions: keyed state and timers in the hands of the user.

use std::cell::Cell;
use std::marker::PhantomData;

use tidegate_runtime::operator::{Context, Logic, Outbox};
use tidegate_runtime::state::{Handle, Key, States, Timers};
use tidegate_runtime::{Clock, Data, Error, Record, Watermark};

/// A function with keyed state and timers. Make states in `open` and keep them as fields.
pub trait ProcessFunction<K, T>: 'static {
    /// What it emits.
    type Out: Clone + 'static;

    /// Declares the states. Called once on every worker when the job is built; the states can be used from the first record on.
    ///
    /// # Errors
    /// The job can't be built for this cause.
    fn open(&mut self, _states: &mut States) -> Result<(), Error> {
        Ok(())
    }

    /// A record came.
    ///
    /// # Errors
    /// The job fails with this cause.
    fn process(&mut self, value: T, context: &mut ProcessContext<'_, K, Self::Out>) -> Result<(), Error>;

    /// A timer of the key fired.
    ///
    /// # Errors
    /// The job fails with this cause.
    fn on_timer(&mut self, _timer: Timer, _context: &mut ProcessContext<'_, K, Self::Out>) -> Result<(), Error> {
        Ok(())
    }
}

/// The timer that fired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timer {
    /// Event time has come to this moment.
    Event(i64),
    /// The wall clock has.
    Clock(i64),
}

/// What a process function sees of its surroundings.
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

    /// The event time of the record or of the event timer; [`Record::UNTIMED`] in a timer of the wall clock.
    #[must_use]
    pub fn time(&self) -> i64 {
        self.time
    }

    /// How far event time has come.
    #[must_use]
    pub fn watermark(&self) -> Watermark {
        self.out.watermark()
    }

    /// What the job's clock shows, in milliseconds since 1970: timers of the wall clock go by it.
    #[must_use]
    pub fn now(&self) -> i64 {
        self.timers.of_day.now()
    }

    /// Emits `value` with the current event time.
    pub fn emit(&mut self, value: Out) {
        self.out.emit(self.time, value);
    }

    /// Has `on_timer` called for this key once event time has come to `time`.
    pub fn set_event_timer(&mut self, time: i64) {
        self.timers.event.borrow_mut().set(time, self.key.clone());
    }

    /// Takes an event timer of this key back.
    pub fn delete_event_timer(&mut self, time: i64) {
        self.timers.event.borrow_mut().delete(time, self.key);
    }

    /// Has `on_timer` called for this key once the wall clock shows `time`. What is still set at the end of input doesn't fire.
    pub fn set_clock_timer(&mut self, time: i64) {
        self.timers.clock.borrow_mut().set(time, self.key.clone());
    }

    /// Takes a timer of the wall clock back.
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

    /// A record was processed: what it set a timer for is waited for. Not so what a timer sets in its turn, which may go on for ever.
    pub(crate) fn processed(&self) {
        self.waits.set(self.event.borrow().latest());
    }

    /// The latest event time that a record has set a timer for.
    pub(crate) fn wait_until(&self) -> Option<i64> {
        self.waits.get()
    }

    /// Gives every timer that is due at `watermark` to `fire`, which may set further ones that are due already.
    pub(crate) fn fire_events(&self, watermark: Watermark, mut fire: impl FnMut(&K, Timer) -> Result<(), Error>) -> Result<(), Error> {
        loop {
            let due = self.event.borrow_mut().take_due(watermark.0);
            let Some((time, keys)) = due else { return Ok(()) };
            for key in keys {
                fire(&key, Timer::Event(time))?;
            }
        }
    }

    /// The same with the wall clock; returns when the next timer is due.
    pub(crate) fn fire_clock(&self, now: i64, mut fire: impl FnMut(&K, Timer) -> Result<(), Error>) -> Result<Option<i64>, Error> {
        loop {
            let due = self.clock.borrow_mut().take_due(now);
            let Some((time, keys)) = due else { return Ok(self.clock.borrow().next()) };
            for key in keys {
                fire(&key, Timer::Clock(time))?;
            }
        }
    }
}

impl Timer {
    /// The event time of what it emits.
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
