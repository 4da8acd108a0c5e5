//! When an operator is next activated.

use std::time::{Duration, Instant};

use timely::scheduling::Activator;

/// An operator's activator and its pending activations. Timely keeps every request, so a request renewed on every activation would soon be
/// thousands.
pub(super) struct Appointment {
    activator: Activator,
    /// The pending requests, the next one last. Each was made because it was earlier than all others.
    at: Vec<Instant>,
}

impl Appointment {
    pub(super) fn new(activator: Activator) -> Self {
        Self { activator, at: Vec::new() }
    }

    /// Activates the operator again as soon as the others have had their turn.
    pub(super) fn now(&self) {
        self.activator.activate();
    }

    /// Activates the operator again within `wait`. It may be activated earlier and must then ask again.
    pub(super) fn within(&mut self, wait: Duration) {
        let now = Instant::now();
        while self.at.pop_if(|at| *at <= now).is_some() {}
        if self.at.last().is_none_or(|at| *at > now + wait) {
            self.activator.activate_after(wait);
            self.at.push(now + wait);
        }
    }
}
