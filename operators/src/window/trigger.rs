//! Triggers: when a window fires.

use serde::{Deserialize, Serialize};
use tidegate_runtime::Error;
use tidegate_runtime::state::Stored;

use super::Bounds;

/// A trigger's decision about an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Do nothing.
    Continue,
    /// Emit the window's result, if it holds anything.
    Fire,
    /// Drop the window's contents. The trigger's state and timers stay.
    Purge,
    /// Fire, then purge.
    FireAndPurge,
}

impl Decision {
    pub(super) fn fires(self) -> bool {
        matches!(self, Self::Fire | Self::FireAndPurge)
    }

    pub(super) fn purges(self) -> bool {
        matches!(self, Self::Purge | Self::FireAndPurge)
    }

    /// The same decision, but firing also purges the window.
    #[must_use]
    pub fn purging(self) -> Self {
        if self.fires() { Self::FireAndPurge } else { self }
    }
}

/// Decides when the windows of an operator fire. One trigger serves all windows, with a separate state for each.
pub trait Trigger<T>: 'static {
    /// The trigger's state per window. It is part of the operator's state.
    type State: Stored + Default;

    /// Identifies the trigger, with all parameters that change when it fires, such as a count. The form is stored and compared: state of a
    /// trigger with another form is not restored into this one.
    fn form(&self) -> String;

    /// The description shown in the job graph.
    fn describe(&self) -> String {
        self.form()
    }

    /// Called when a record was added to the window.
    ///
    /// # Errors
    /// An error here fails the job.
    fn on_element(&mut self, value: &T, time: i64, state: &mut Self::State, context: &mut TriggerContext<'_>) -> Result<Decision, Error>;

    /// Called when event time has reached `time`, for which a timer was set: by this trigger, or for the clean-up of the window.
    ///
    /// # Errors
    /// An error here fails the job.
    fn on_event_time(&mut self, _time: i64, _state: &mut Self::State, _context: &mut TriggerContext<'_>) -> Result<Decision, Error> {
        Ok(Decision::Continue)
    }

    /// Like [`Trigger::on_event_time`], by the wall clock.
    ///
    /// # Errors
    /// An error here fails the job.
    fn on_processing_time(&mut self, _time: i64, _state: &mut Self::State, _context: &mut TriggerContext<'_>) -> Result<Decision, Error> {
        Ok(Decision::Continue)
    }

    /// Called when windows were merged. `merged` are the states of the old windows; `state` and the context belong to the new one. The old
    /// windows are cleared afterwards, and their timers are gone.
    ///
    /// # Errors
    /// An error here fails the job.
    fn on_merge(&mut self, merged: &[Self::State], state: &mut Self::State, context: &mut TriggerContext<'_>) -> Result<(), Error>;

    /// Whether this state holds nothing. An empty window with an idle trigger and no timers is removed.
    fn is_idle(&self, _state: &Self::State) -> bool {
        false
    }

    /// Called when the window is over. Its state and timers are dropped afterwards.
    fn clear(&mut self, _state: &mut Self::State, _context: &mut TriggerContext<'_>) {}
}

/// The timers of one window, in event time and by the wall clock. Setting a timer twice has no effect.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowTimers {
    event: Vec<i64>,
    clock: Vec<i64>,
}

/// The clock a timer goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Domain {
    Event,
    Clock,
}

impl WindowTimers {
    /// The event timers, in order.
    #[must_use]
    pub fn event(&self) -> &[i64] {
        &self.event
    }

    /// The wall-clock timers, in order.
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

    /// Removes a timer. Returns whether it was set.
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
    /// A window with these timers, at this watermark and wall-clock time, to drive a trigger without an operator.
    #[must_use]
    pub fn new(window: Bounds, watermark: i64, now: i64, timers: &'a mut WindowTimers) -> Self {
        Self { window, watermark, now, timers }
    }

    /// The window.
    #[must_use]
    pub fn window(&self) -> Bounds {
        self.window
    }

    /// The current watermark, in milliseconds since 1970.
    #[must_use]
    pub fn watermark(&self) -> i64 {
        self.watermark
    }

    /// The time of the wall clock, in milliseconds since 1970.
    #[must_use]
    pub fn now(&self) -> i64 {
        self.now
    }

    /// Sets an event timer: [`Trigger::on_event_time`] is called for this window once event time has reached `time`.
    pub fn set_event_timer(&mut self, time: i64) {
        self.timers.set(Domain::Event, time);
    }

    /// Deletes an event timer of this window.
    pub fn delete_event_timer(&mut self, time: i64) {
        self.timers.take(Domain::Event, time);
    }

    /// Sets a wall-clock timer: [`Trigger::on_processing_time`] is called for this window once the wall clock is past `time`.
    pub fn set_clock_timer(&mut self, time: i64) {
        self.timers.set(Domain::Clock, time);
    }

    /// Deletes a wall-clock timer of this window.
    pub fn delete_clock_timer(&mut self, time: i64) {
        self.timers.take(Domain::Clock, time);
    }
}
