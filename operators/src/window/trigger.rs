//! When a window fires: what a trigger is.

use serde::{Deserialize, Serialize};
use tidegate_runtime::Error;
use tidegate_runtime::state::Stored;

use super::Bounds;

/// What a trigger makes of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Nothing.
    Continue,
    /// The window's result is emitted, if it holds anything.
    Fire,
    /// What the window holds is dropped. The trigger's state and timers stay.
    Purge,
    /// Both, in this order.
    FireAndPurge,
}

impl Decision {
    pub(super) fn fires(self) -> bool {
        matches!(self, Self::Fire | Self::FireAndPurge)
    }

    pub(super) fn purges(self) -> bool {
        matches!(self, Self::Purge | Self::FireAndPurge)
    }

    /// Firing empties the window, too.
    #[must_use]
    pub fn purging(self) -> Self {
        if self.fires() { Self::FireAndPurge } else { self }
    }
}

/// Decides when the windows of an operator fire. One trigger serves all windows; what it remembers of one is in a state of that window.
pub trait Trigger<T>: 'static {
    /// What is remembered of one window. It is part of the operator's state.
    type State: Stored + Default;

    /// Which trigger it is, with what makes it fire otherwise than others, such as a count. It is stored and compared: state goes to no other trigger.
    fn form(&self) -> String;

    /// In the words of the graph.
    fn describe(&self) -> String {
        self.form()
    }

    /// A record was added.
    ///
    /// # Errors
    /// The job fails with this cause.
    fn on_element(&mut self, value: &T, time: i64, state: &mut Self::State, context: &mut TriggerContext<'_>) -> Result<Decision, Error>;

    /// Event time has come to `time`, for which a timer was set: by this trigger, or at the moment the window is cleaned up.
    ///
    /// # Errors
    /// The job fails with this cause.
    fn on_event_time(&mut self, _time: i64, _state: &mut Self::State, _context: &mut TriggerContext<'_>) -> Result<Decision, Error> {
        Ok(Decision::Continue)
    }

    /// As [`Trigger::on_event_time`], by the wall clock.
    ///
    /// # Errors
    /// The job fails with this cause.
    fn on_processing_time(&mut self, _time: i64, _state: &mut Self::State, _context: &mut TriggerContext<'_>) -> Result<Decision, Error> {
        Ok(Decision::Continue)
    }

    /// Windows became one, of which `state` and the context are. The merged ones are cleared afterwards, and their timers are gone.
    ///
    /// # Errors
    /// The job fails with this cause.
    fn on_merge(&mut self, merged: &[Self::State], state: &mut Self::State, context: &mut TriggerContext<'_>) -> Result<(), Error>;

    /// Is there nothing in this state? A window that is empty, too, and has no timer, is let go of.
    fn is_idle(&self, _state: &Self::State) -> bool {
        false
    }

    /// The window is over. Its state and timers are dropped afterwards.
    fn clear(&mut self, _state: &mut Self::State, _context: &mut TriggerContext<'_>) {}
}

/// The timers of one window: moments of event time and of the wall clock, each set once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowTimers {
    event: Vec<i64>,
    clock: Vec<i64>,
}

/// Whose time it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Domain {
    Event,
    Clock,
}

impl WindowTimers {
    /// Those of event time, in order.
    #[must_use]
    pub fn event(&self) -> &[i64] {
        &self.event
    }

    /// Those of the wall clock, in order.
    #[must_use]
    pub fn clock(&self) -> &[i64] {
        &self.clock
    }

    fn of(&mut self, domain: Domain) -> &mut Vec<i64> {
        match domain {
            Domain::Event => &mut self.event,
            Domain::Clock => &mut self.clock,
        }
    }

    pub(super) fn set(&mut self, domain: Domain, time: i64) {
        let times = self.of(domain);
        if let Err(at) = times.binary_search(&time) {
            times.insert(at, time);
        }
    }

    /// Takes a timer out; returns whether it was there.
    pub(super) fn take(&mut self, domain: Domain, time: i64) -> bool {
        let times = self.of(domain);
        times.binary_search(&time).map(|at| times.remove(at)).is_ok()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.event.is_empty() && self.clock.is_empty()
    }

    pub(super) fn first(&self, domain: Domain) -> Option<i64> {
        match domain {
            Domain::Event => self.event.first().copied(),
            Domain::Clock => self.clock.first().copied(),
        }
    }
}

/// A window as its trigger sees it.
pub struct TriggerContext<'a> {
    window: Bounds,
    watermark: i64,
    now: i64,
    timers: &'a mut WindowTimers,
}

impl<'a> TriggerContext<'a> {
    /// A window with these timers at this watermark and time of the clock, to drive a trigger without an operator.
    #[must_use]
    pub fn new(window: Bounds, watermark: i64, now: i64, timers: &'a mut WindowTimers) -> Self {
        Self { window, watermark, now, timers }
    }

    /// The window.
    #[must_use]
    pub fn window(&self) -> Bounds {
        self.window
    }

    /// How far event time has come.
    #[must_use]
    pub fn watermark(&self) -> i64 {
        self.watermark
    }

    /// What the wall clock shows.
    #[must_use]
    pub fn now(&self) -> i64 {
        self.now
    }

    /// Has [`Trigger::on_event_time`] called for this window once event time has come to `time`.
    pub fn set_event_timer(&mut self, time: i64) {
        self.timers.set(Domain::Event, time);
    }

    /// Takes an event timer of this window back.
    pub fn delete_event_timer(&mut self, time: i64) {
        self.timers.take(Domain::Event, time);
    }

    /// Has [`Trigger::on_processing_time`] called for this window once the wall clock is past `time`.
    pub fn set_clock_timer(&mut self, time: i64) {
        self.timers.set(Domain::Clock, time);
    }

    /// Takes a timer of the wall clock back.
    pub fn delete_clock_timer(&mut self, time: i64) {
        self.timers.take(Domain::Clock, time);
    }
}
