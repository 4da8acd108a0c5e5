//! What a condition is given to judge: the event, and the events matched so far.

use std::sync::Arc;

use super::past::Past;
use super::separate::Chain;

/// An event that may be taken, and the partial match that may take it.
pub struct Candidate<'a, E> {
    /// The event.
    pub event: &'a E,
    /// The event time of the event, in milliseconds since 1970.
    pub time: i64,
    /// The events matched so far. Empty for a condition that is not [iterative](crate::pattern::Condition::is_iterative).
    pub matched: Matched<'a, E>,
}

/// The events of a partial match.
pub struct Matched<'a, E>(Option<Events<'a, E>>);

/// Events that lie in the past of a key.
struct Events<'a, E> {
    past: &'a Past<E>,
    names: &'a [Arc<str>],
    chain: Chain,
}

impl<'a, E> Matched<'a, E> {
    pub(super) fn none() -> Self {
        Self(None)
    }

    pub(super) fn of_chain(past: &'a Past<E>, names: &'a [Arc<str>], chain: Chain) -> Self {
        Self(Some(Events { past, names, chain }))
    }

    /// All events with the names of their steps, the latest first.
    pub fn backwards(&self) -> impl Iterator<Item = (&'a str, &'a E)> + use<'a, E> {
        let of = |Events { past, names, chain }: &Events<'a, E>| {
            let (past, names) = (*past, *names);
            chain.nodes(past).map(move |node| (&*names[node.step as usize], &past.events[node.event as usize].0))
        };
        self.0.as_ref().map(of).into_iter().flatten()
    }

    /// The events of a step, in order. Empty if the step has none, or if there is no such step.
    #[must_use]
    pub fn of(&self, step: &str) -> Vec<&'a E> {
        let mut events: Vec<&E> = self.backwards().filter(|(name, _)| *name == step).map(|(_, event)| event).collect();
        events.reverse();
        events
    }

    /// The latest event of a step.
    #[must_use]
    pub fn last(&self, step: &str) -> Option<&'a E> {
        self.backwards().find(|(name, _)| *name == step).map(|(_, event)| event)
    }
}
