//! The built-in triggers, with Flink's semantics.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tidegate_runtime::Error;
use tidegate_runtime::state::Stored;

use super::InvalidWindow;
use super::assigner::length;
use super::trigger::{Decision, Trigger, TriggerContext};

/// A trigger that does not depend on the values of records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StandardTrigger(Kind);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Never,
    EventTime,
    ProcessingTime,
    Count(u64),
    /// Milliseconds.
    Every(i64),
    /// Milliseconds.
    EveryProcessing(i64),
    Timeout(Box<Timeout>),
    Purging(Box<Kind>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Timeout {
    inner: Kind,
    /// Milliseconds.
    after: i64,
    restart: bool,
    clear: bool,
}

/// The state that a [`StandardTrigger`] keeps per window.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StandardState {
    count: u64,
    /// When it fires next, if it fires at intervals.
    next: Option<i64>,
    /// When its timeout ends.
    deadline: Option<i64>,
}

impl Stored for StandardState {
    const SCHEMA: &'static str = "window.trigger/1";
}

impl StandardTrigger {
    /// Never fires: the default of the global window.
    #[must_use]
    pub fn never() -> Self {
        Self(Kind::Never)
    }

    /// Fires when the watermark reaches the window's end, and at every late record.
    #[must_use]
    pub fn event_time() -> Self {
        Self(Kind::EventTime)
    }

    /// Fires when the wall clock has passed the window's end.
    #[must_use]
    pub fn processing_time() -> Self {
        Self(Kind::ProcessingTime)
    }

    /// Fires at every `n`-th record of a window.
    #[must_use]
    pub fn count(n: u64) -> Self {
        Self(Kind::Count(n))
    }

    /// Fires at multiples of `interval` of event time after the first record, at the window's end, and at every late record.
    ///
    /// # Errors
    /// The interval is under a millisecond.
    pub fn every(interval: Duration) -> Result<Self, InvalidWindow> {
        Ok(Self(Kind::Every(length(interval)?)))
    }

    /// Fires at multiples of `interval` of the wall clock after the first record, the last of them at the window's end.
    ///
    /// # Errors
    /// The interval is under a millisecond.
    pub fn every_processing(interval: Duration) -> Result<Self, InvalidWindow> {
        Ok(Self(Kind::EveryProcessing(length(interval)?)))
    }

    /// Fires like this trigger, and also when the wall clock is `after` past the first record since it last fired; with `restart`, past the
    /// last record. With `clear`, the trigger's state is cleared whenever one of its timers fires.
    ///
    /// # Errors
    /// The time is under a millisecond.
    pub fn or_after(self, after: Duration, restart: bool, clear: bool) -> Result<Self, InvalidWindow> {
        Ok(Self(Kind::Timeout(Box::new(Timeout { inner: self.0, after: length(after)?, restart, clear }))))
    }

    /// Fires like this trigger, and purges the window each time.
    #[must_use]
    pub fn purging(self) -> Self {
        Self(Kind::Purging(Box::new(self.0)))
    }
}

impl Kind {
    /// The words of the form. They are stored and must not change.
    fn words(&self) -> String {
        match self {
            Self::Never => "never".to_owned(),
            Self::EventTime => "event_time".to_owned(),
            Self::ProcessingTime => "processing_time".to_owned(),
            Self::Count(n) => format!("count {n}"),
            Self::Every(ms) | Self::EveryProcessing(ms) => format!("every {}", super::assigner::words(*ms)),
            Self::Timeout(timeout) => format!("{} or after {}", timeout.inner.words(), super::assigner::words(timeout.after)),
            Self::Purging(inner) => format!("purging {}", inner.words()),
        }
    }

    fn on_element(&self, time: i64, state: &mut StandardState, cx: &mut TriggerContext<'_>) -> Decision {
        let end = cx.window().last();
        match self {
            Self::Never => Decision::Continue,
            Self::EventTime | Self::Every(_) if end <= cx.watermark() => Decision::Fire,
            Self::EventTime => {
                cx.set_event_timer(end);
                Decision::Continue
            }
            Self::ProcessingTime => {
                cx.set_clock_timer(end);
                Decision::Continue
            }
            Self::Count(n) => {
                state.count += 1;
                if state.count < *n {
                    return Decision::Continue;
                }
                state.count = 0;
                Decision::Fire
            }
            Self::Every(interval) => {
                cx.set_event_timer(end);
                if state.next.is_none() {
                    cx.set_event_timer(next(state, time - time % interval, *interval, end));
                }
                Decision::Continue
            }
            Self::EveryProcessing(interval) => {
                if state.next.is_none() {
                    cx.set_clock_timer(next(state, cx.now() - cx.now() % interval, *interval, end));
                }
                Decision::Continue
            }
            Self::Timeout(timeout) => {
                let decision = timeout.inner.on_element(time, state, cx);
                if decision.fires() {
                    self.clear(state, cx);
                    return decision;
                }
                if let Some(deadline) = state.deadline.take_if(|_| timeout.restart) {
                    cx.delete_clock_timer(deadline);
                }
                if state.deadline.is_none() {
                    let deadline = cx.now().saturating_add(timeout.after);
                    state.deadline = Some(deadline);
                    cx.set_clock_timer(deadline);
                }
                decision
            }
            Self::Purging(inner) => inner.on_element(time, state, cx).purging(),
        }
    }

    fn on_event_time(&self, time: i64, state: &mut StandardState, cx: &mut TriggerContext<'_>) -> Decision {
        let end = cx.window().last();
        match self {
            Self::EventTime | Self::Every(_) if time == end => Decision::Fire,
            Self::Every(interval) if state.next == Some(time) => {
                // At the end of input, a window without end has no further intervals.
                let from = if cx.watermark() == i64::MAX && end == i64::MAX { end } else { time };
                cx.set_event_timer(next(state, from, *interval, end));
                Decision::Fire
            }
            Self::Timeout(timeout) => self.out_of_patience(timeout.inner.on_event_time(time, state, cx), state, cx),
            Self::Purging(inner) => inner.on_event_time(time, state, cx).purging(),
            _ => Decision::Continue,
        }
    }

    fn on_processing_time(&self, time: i64, state: &mut StandardState, cx: &mut TriggerContext<'_>) -> Decision {
        let end = cx.window().last();
        match self {
            Self::ProcessingTime => Decision::Fire,
            Self::EveryProcessing(_) if time == end => Decision::Fire,
            Self::EveryProcessing(interval) if state.next == Some(time) => {
                cx.set_clock_timer(next(state, time, *interval, end));
                Decision::Fire
            }
            Self::Timeout(timeout) => self.out_of_patience(timeout.inner.on_processing_time(time, state, cx), state, cx),
            Self::Purging(inner) => inner.on_processing_time(time, state, cx).purging(),
            _ => Decision::Continue,
        }
    }

    /// Any timer of a trigger with a timeout makes it fire.
    fn out_of_patience(&self, inner: Decision, state: &mut StandardState, cx: &mut TriggerContext<'_>) -> Decision {
        if let Self::Timeout(timeout) = self
            && timeout.clear
        {
            self.clear(state, cx);
        }
        if inner.purges() { Decision::FireAndPurge } else { Decision::Fire }
    }

    fn on_merge(&self, merged: &[StandardState], state: &mut StandardState, cx: &mut TriggerContext<'_>) {
        let end = cx.window().last();
        match self {
            Self::Never => {}
            Self::EventTime if end > cx.watermark() => cx.set_event_timer(end),
            Self::ProcessingTime if end > cx.now() => cx.set_clock_timer(end),
            Self::EventTime | Self::ProcessingTime => {}
            Self::Count(_) => state.count += merged.iter().map(|m| m.count).sum::<u64>(),
            Self::Every(_) | Self::EveryProcessing(_) => {
                state.next = merged.iter().filter_map(|m| m.next).chain(state.next).min();
                if let Some(next) = state.next {
                    if matches!(self, Self::Every(_)) { cx.set_event_timer(next) } else { cx.set_clock_timer(next) }
                }
            }
            Self::Timeout(timeout) => {
                timeout.inner.on_merge(merged, state, cx);
                state.deadline = merged.iter().filter_map(|m| m.deadline).chain(state.deadline).min();
                if let Some(deadline) = state.deadline {
                    cx.set_clock_timer(deadline);
                }
            }
            Self::Purging(inner) => inner.on_merge(merged, state, cx),
        }
    }

    fn clear(&self, state: &mut StandardState, cx: &mut TriggerContext<'_>) {
        match self {
            Self::Never => {}
            Self::EventTime => cx.delete_event_timer(cx.window().last()),
            Self::ProcessingTime => cx.delete_clock_timer(cx.window().last()),
            Self::Count(_) => state.count = 0,
            Self::Every(_) => state.next.take().into_iter().for_each(|next| cx.delete_event_timer(next)),
            Self::EveryProcessing(_) => state.next.take().into_iter().for_each(|next| cx.delete_clock_timer(next)),
            Self::Timeout(timeout) => {
                state.deadline.take().into_iter().for_each(|deadline| cx.delete_clock_timer(deadline));
                timeout.inner.clear(state, cx);
            }
            Self::Purging(inner) => inner.clear(state, cx),
        }
    }
}

/// The next moment to fire after `time`, at the latest the end of the window.
fn next(state: &mut StandardState, time: i64, interval: i64, end: i64) -> i64 {
    let next = time.saturating_add(interval).min(end);
    state.next = Some(next);
    next
}

impl<T> Trigger<T> for StandardTrigger {
    type State = StandardState;

    fn form(&self) -> String {
        self.0.words()
    }

    fn on_element(&mut self, _: &T, time: i64, state: &mut StandardState, context: &mut TriggerContext<'_>) -> Result<Decision, Error> {
        Ok(self.0.on_element(time, state, context))
    }

    fn on_event_time(&mut self, time: i64, state: &mut StandardState, context: &mut TriggerContext<'_>) -> Result<Decision, Error> {
        Ok(self.0.on_event_time(time, state, context))
    }

    fn on_processing_time(&mut self, time: i64, state: &mut StandardState, context: &mut TriggerContext<'_>) -> Result<Decision, Error> {
        Ok(self.0.on_processing_time(time, state, context))
    }

    fn on_merge(&mut self, merged: &[StandardState], state: &mut StandardState, context: &mut TriggerContext<'_>) -> Result<(), Error> {
        self.0.on_merge(merged, state, context);
        Ok(())
    }

    fn is_idle(&self, state: &StandardState) -> bool {
        *state == StandardState::default()
    }

    fn clear(&mut self, state: &mut StandardState, context: &mut TriggerContext<'_>) {
        self.0.clear(state, context);
    }
}

/// Fires at a record whose distance from the one it last fired at exceeds a threshold.
#[derive(Clone, Debug)]
pub struct DeltaTrigger<D> {
    delta: D,
    threshold: f64,
}

impl<D> DeltaTrigger<D> {
    /// Fires when `delta(last, new)` is above `threshold`, where `last` is the first record of the window or the one it last fired at.
    pub fn new(delta: D, threshold: f64) -> Self {
        Self { delta, threshold }
    }
}

impl<T: Stored, D: Fn(&T, &T) -> f64 + 'static> Trigger<T> for DeltaTrigger<D> {
    type State = Option<T>;

    fn form(&self) -> String {
        format!("delta above {}", self.threshold)
    }

    fn on_element(&mut self, value: &T, _: i64, last: &mut Option<T>, _: &mut TriggerContext<'_>) -> Result<Decision, Error> {
        let Some(before) = last else {
            *last = Some(value.clone());
            return Ok(Decision::Continue);
        };
        if (self.delta)(before, value) <= self.threshold {
            return Ok(Decision::Continue);
        }
        *before = value.clone();
        Ok(Decision::Fire)
    }

    /// The order in which the windows' records arrived is no longer known, so the value of the latest window stays.
    fn on_merge(&mut self, merged: &[Option<T>], last: &mut Option<T>, _: &mut TriggerContext<'_>) -> Result<(), Error> {
        if last.is_none() {
            *last = merged.iter().rev().flatten().next().cloned();
        }
        Ok(())
    }
}
