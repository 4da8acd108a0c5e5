//! Process functions: keyed state and timers in the hands of the user.

use std::hash::Hash;
use std::marker::PhantomData;

use tidegate_runtime::operator::{Logic, Outbox};
use tidegate_runtime::state::States;
use tidegate_runtime::timers::Timers;
use tidegate_runtime::{Data, Error, Record, Watermark};

/// A function with keyed state and timers. Make states in `open` and keep them as fields.
pub trait ProcessFunction<K, T>: 'static {
    /// What it emits.
    type Out: Clone + 'static;

    /// Called once, before the first record.
    ///
    /// # Errors
    /// The job fails with this cause.
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
    event_timers: &'a mut Timers<K>,
    clock_timers: &'a mut Timers<K>,
    out: &'a mut Outbox<Out, ()>,
}

impl<K: Clone + Eq + Hash, Out> ProcessContext<'_, K, Out> {
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

    /// Emits `value` with the current event time.
    pub fn emit(&mut self, value: Out) {
        self.out.emit(self.time, value);
    }

    /// Has `on_timer` called for this key once event time has come to `time`.
    pub fn set_event_timer(&mut self, time: i64) {
        self.event_timers.set(time, self.key.clone());
    }

    /// Takes an event timer of this key back.
    pub fn delete_event_timer(&mut self, time: i64) {
        self.event_timers.delete(time, self.key);
    }

    /// Has `on_timer` called for this key once the wall clock shows `time`. What is still set at the end of input doesn't fire.
    pub fn set_clock_timer(&mut self, time: i64) {
        self.clock_timers.set(time, self.key.clone());
    }

    /// Takes a timer of the wall clock back.
    pub fn delete_clock_timer(&mut self, time: i64) {
        self.clock_timers.delete(time, self.key);
    }
}

pub(crate) struct ProcessLogic<K, T, F, P> {
    key: F,
    function: P,
    opened: bool,
    event_timers: Timers<K>,
    clock_timers: Timers<K>,
    records: PhantomData<fn(T)>,
}

impl<K, T, F, P> ProcessLogic<K, T, F, P>
where
    K: Clone + Eq + Hash,
    P: ProcessFunction<K, T>,
{
    pub(crate) fn new(key: F, function: P) -> Self {
        let (event_timers, clock_timers) = (Timers::default(), Timers::default());
        Self { key, function, opened: false, event_timers, clock_timers, records: PhantomData }
    }

    fn fire(&mut self, key: &K, timer: Timer, out: &mut Outbox<P::Out, ()>) -> Result<(), Error> {
        let time = if let Timer::Event(time) = timer { time } else { Record::UNTIMED };
        let (event_timers, clock_timers) = (&mut self.event_timers, &mut self.clock_timers);
        self.function.on_timer(timer, &mut ProcessContext { key, time, event_timers, clock_timers, out })
    }
}

impl<K, T, F, P> Logic for ProcessLogic<K, T, F, P>
where
    K: Data + Eq + Hash,
    T: Data,
    F: Fn(&T) -> K + 'static,
    P: ProcessFunction<K, T>,
{
    type In = T;
    type Out = P::Out;
    type Side = ();

    fn record(&mut self, record: Record<T>, out: &mut Outbox<P::Out, ()>) -> Result<(), Error> {
        if !std::mem::replace(&mut self.opened, true) {
            self.function.open(&mut States::default())?;
        }
        let key = (self.key)(&record.value);
        let (event_timers, clock_timers) = (&mut self.event_timers, &mut self.clock_timers);
        self.function.process(record.value, &mut ProcessContext { key: &key, time: record.time, event_timers, clock_timers, out })
    }

    fn watermark(&mut self, watermark: Watermark, out: &mut Outbox<P::Out, ()>) -> Result<(), Error> {
        // A callback may set further timers that are due already.
        while let Some((time, keys)) = self.event_timers.take_due(watermark.0) {
            for key in keys {
                self.fire(&key, Timer::Event(time), out)?;
            }
        }
        Ok(())
    }

    fn clock(&mut self, now: i64, out: &mut Outbox<P::Out, ()>) -> Result<Option<i64>, Error> {
        while let Some((time, keys)) = self.clock_timers.take_due(now) {
            for key in keys {
                self.fire(&key, Timer::Clock(time), out)?;
            }
        }
        Ok(self.clock_timers.next())
    }
}
