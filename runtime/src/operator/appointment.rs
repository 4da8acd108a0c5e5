//! The next time an operator wants to be called.

use std::time::{Duration, Instant};

use timely::scheduling::Activator;

/// An operator's activator and the one appointment it has. Timely keeps every request made of it, and one that is renewed each time an
/// operator runs would soon be thousands.
pub(super) struct Appointment {
    activator: Activator,
    at: Option<Instant>,
}

impl Appointment {
    pub(super) fn new(activator: Activator) -> Self {
        Self { activator, at: None }
    }

    /// Calls the operator again as soon as the others have had their turn.
    pub(super) fn now(&self) {
        self.activator.activate();
    }

    /// Calls the operator again within `wait`, unless it is called before then anyway.
    pub(super) fn within(&mut self, wait: Duration) {
        let now = Instant::now();
        if self.at.is_none_or(|at| at <= now || at > now + wait) {
            self.activator.activate_after(wait);
            self.at = Some(now + wait);
        }
    }
}
