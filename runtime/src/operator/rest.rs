//! When a source is activated again.

use std::time::Duration;

use super::appointment::Appointment;
use crate::bell::Sleeper;

/// The longest time a source sleeps. Its reader wakes it; a reader that forgets to is polled again all the same.
const LONGEST: Duration = Duration::from_secs(1);

/// Schedules the next activation of a source. A source that has work is activated at once; one that waits, in a moment. One that has twice
/// found nothing changed sleeps until its reader wakes it, its deadline comes or the bell rings, but for a second at most.
pub(super) struct Rest {
    appointment: Appointment,
    sleeper: Sleeper,
    state: State,
    /// Whether it was asleep and the bell has woken it.
    rung: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Awake,
    /// The last activation found nothing changed.
    Calm,
    /// The last two activations found nothing changed, and the bell will ring when something does.
    Asleep,
}

impl Rest {
    pub(super) fn new(appointment: Appointment, sleeper: Sleeper) -> Self {
        Self { appointment, sleeper, state: State::Awake, rung: false }
    }

    /// Begins an activation, before anything has been checked.
    pub(super) fn begin(&mut self) {
        self.rung = match self.state {
            State::Awake => false,
            State::Calm | State::Asleep => !self.sleeper.take_seat() && self.state == State::Asleep,
        };
    }

    /// Whether the last activation found nothing changed.
    pub(super) fn is_calm(&self) -> bool {
        self.state != State::Awake
    }

    /// Activates the source again at once: there is more to do.
    pub(super) fn none(&mut self) {
        self.wake(State::Awake);
        self.appointment.now();
    }

    /// Activates the source again within `wait`, whatever happens.
    pub(super) fn briefly(&mut self, wait: Duration) {
        self.wake(State::Awake);
        self.appointment.within(wait);
    }

    /// Activates the source again within `wait`. If this activation (`calm`) and the one before found nothing changed, lets it sleep until
    /// something happens. Either way the deadline is kept. A source that the bell woke in vain waits instead of sleeping, because busy
    /// sources ring often.
    pub(super) fn until_news(&mut self, calm: bool, wait: Duration, deadline: Option<Duration>) {
        let most = if calm && self.is_calm() && !self.rung {
            self.state = State::Asleep;
            LONGEST
        } else {
            self.wake(if calm { State::Calm } else { State::Awake });
            wait
        };
        self.appointment.within(deadline.map_or(most, |deadline| deadline.min(most)));
    }

    /// Called when the source has ended.
    pub(super) fn end(&mut self) {
        self.wake(State::Awake);
    }

    fn wake(&mut self, state: State) {
        self.state = state;
        self.sleeper.leave();
    }
}
