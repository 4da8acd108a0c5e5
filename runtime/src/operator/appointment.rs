//! The next time an operator wants to be called.

use std::time::{Duration, Instant};

use timely::scheduling::Activator;

/// An operator's activator and the appointments it has. Timely keeps every request made of it, and one that is renewed each time an
/// operator runs would soon be thousands.
pub(super) struct Appointment {
    activator: Activator,
    /// The requests to come, the next one last: each was made because it was nearer than all others.
    at: Vec<Instant>,
}

impl Appointment {
    pub(super) fn new(activator: Activator) -> Self {
        Self { activator, at: Vec::new() }
    }

    /// Calls the operator again as soon as the others have had their turn.
    pub(super) fn now(&self) {
        self.activator.activate();
    }

    /// Calls the operator again within `wait`. It may be called earlier, and then asks again.
    pub(super) fn within(&mut self, wait: Duration) {
        let now = Instant::now();
        while self.at.pop_if(|at| *at <= now).is_some() {}
        if self.at.last().is_none_or(|at| *at > now + wait) {
            self.activator.activate_after(wait);
            self.at.push(now + wait);
        }
    }
}
