//! When a source is called again.

use std::time::Duration;

use super::appointment::Appointment;
use crate::bell::Sleeper;

/// How long a source sleeps at most. Its reader wakes it; a reader that forgets to is asked again all the same.
const LONGEST: Duration = Duration::from_secs(1);

/// A source that has work is called again at once; one that is waiting, in a moment. One that found everything as it was, twice, sleeps until its reader
/// wakes it, its deadline comes, or the bell rings; a second at most.
pub(super) struct Rest {
    appointment: Appointment,
    sleeper: Sleeper,
    state: State,
    /// Was it asleep, and has the bell woken it?
    rung: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Awake,
    /// The last activation found everything as it was.
    Calm,
    /// So did the one before, and the bell will ring for what changes.
    Asleep,
}

impl Rest {
    pub(super) fn new(appointment: Appointment, sleeper: Sleeper) -> Self {
        Self { appointment, sleeper, state: State::Awake, rung: false }
    }

    /// An activation begins: nothing has been looked at yet.
    pub(super) fn begin(&mut self) {
        self.rung = match self.state {
            State::Awake => false,
            State::Calm | State::Asleep => !self.sleeper.take_seat() && self.state == State::Asleep,
        };
    }

    /// Did the last activation find everything as it was?
    pub(super) fn is_calm(&self) -> bool {
        self.state != State::Awake
    }

    /// There is more to do.
    pub(super) fn none(&mut self) {
        self.wake(State::Awake);
        self.appointment.now();
    }

    /// Calls the source again within `wait`, whatever happens.
    pub(super) fn briefly(&mut self, wait: Duration) {
        self.wake(State::Awake);
        self.appointment.within(wait);
    }

    /// Calls the source again within `wait`, or when something happens if this activation (`calm`) and the one before found everything as it was: at the
    /// latest at the deadline. One that was rung for in vain waits, too: others that are busy ring often.
    pub(super) fn until_news(&mut self, calm: bool, wait: Duration, deadline: Option<Duration>) {
        if calm && self.is_calm() && !self.rung {
            self.state = State::Asleep;
            self.appointment.within(deadline.map_or(LONGEST, |deadline| deadline.min(LONGEST)));
        } else {
            self.wake(if calm { State::Calm } else { State::Awake });
            self.appointment.within(deadline.map_or(wait, |deadline| deadline.min(wait)));
        }
    }

    /// The source has ended.
    pub(super) fn end(&mut self) {
        self.wake(State::Awake);
    }

    fn wake(&mut self, state: State) {
        self.state = state;
        self.sleeper.leave();
    }
}
