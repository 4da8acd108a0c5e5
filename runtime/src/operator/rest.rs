//! When a source is called again.

use std::time::Duration;

use super::appointment::Appointment;
use crate::bell::Sleeper;

/// A source that has work is called again at once; one that is waiting, in a moment. One that found everything as it was sleeps until its reader wakes
/// it, its deadline comes, or the bell rings.
pub(super) struct Rest {
    appointment: Appointment,
    sleeper: Sleeper,
    /// Did the last activation find everything as it was?
    calm: bool,
}

impl Rest {
    pub(super) fn new(appointment: Appointment, sleeper: Sleeper) -> Self {
        Self { appointment, sleeper, calm: false }
    }

    /// An activation begins: nothing has been looked at yet.
    pub(super) fn begin(&self) {
        if self.calm {
            self.sleeper.take_seat();
        }
    }

    /// Did the last activation find everything as it was?
    pub(super) fn is_calm(&self) -> bool {
        self.calm
    }

    /// There is more to do.
    pub(super) fn none(&mut self) {
        self.wake();
        self.appointment.now();
    }

    /// Calls the source again within `wait`, whatever happens.
    pub(super) fn briefly(&mut self, wait: Duration) {
        self.wake();
        self.appointment.within(wait);
    }

    /// Calls the source again within `wait`, or when something happens if this activation (`calm`) and the one before found everything as it was: at the
    /// latest at the deadline.
    pub(super) fn until_news(&mut self, calm: bool, wait: Duration, deadline: Option<Duration>) {
        if !(self.calm && calm) {
            self.wake();
            self.calm = calm;
            self.appointment.within(deadline.map_or(wait, |deadline| deadline.min(wait)));
        } else if let Some(deadline) = deadline {
            self.appointment.within(deadline);
        }
    }

    fn wake(&mut self) {
        self.calm = false;
        self.sleeper.leave();
    }
}
