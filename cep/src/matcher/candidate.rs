//! What a condition may look at.

use std::sync::Arc;

use super::separate::Separate;

/// An event that may be taken, and what the partial match that may take it holds.
pub struct Candidate<'a, E> {
    /// The event.
    pub event: &'a E,
    /// Its event time.
    pub time: i64,
    /// The events matched so far. Empty where a condition says that it is not iterative.
    pub matched: Matched<'a, E>,
}

/// The events a partial match holds.
pub struct Matched<'a, E> {
    pub(super) runs: Option<&'a Separate<E>>,
    pub(super) names: &'a [Arc<str>],
    pub(super) link: u32,
}

impl<'a, E> Matched<'a, E> {
    /// All of them with the names of their steps, the latest first.
    pub fn backwards(&self) -> impl Iterator<Item = (&'a str, &'a E)> + use<'a, E> {
        let (runs, names, link) = (self.runs, self.names, self.link);
        runs.into_iter().flat_map(move |runs| {
            runs.chain(link).filter_map(move |link| Some((&*names[link.step as usize], &runs.stored(link.event)?.event)))
        })
    }

    /// Those of a step, in order; none if it has none, or there is no such step.
    #[must_use]
    pub fn of(&self, step: &str) -> Vec<&'a E> {
        let mut events: Vec<&E> = self.backwards().filter(|(name, _)| *name == step).map(|(_, event)| event).collect();
        events.reverse();
        events
    }

    /// The latest of a step.
    #[must_use]
    pub fn last(&self, step: &str) -> Option<&'a E> {
        self.backwards().find(|(name, _)| *name == step).map(|(_, event)| event)
    }
}
