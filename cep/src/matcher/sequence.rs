//! A match as it is reported: its events, borrowed from the state of the key.

use std::sync::Arc;

use super::listing::{Entry, Listing, segments, walk};
use super::past::Past;

/// The events of a match, or of a partial match. It borrows them, so reporting matches that share events copies none.
#[derive(Debug)]
pub struct Sequence<'a, E> {
    names: &'a [Arc<str>],
    past: &'a Past<E>,
    listing: &'a Listing,
    first: u32,
    /// For a match, when it was emitted: the time of the completing event, unless the match was held back. For a timeout, when time ran out. In
    /// milliseconds since 1970.
    pub time: i64,
}

impl<E> Clone for Sequence<'_, E> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<E> Copy for Sequence<'_, E> {}

impl<'a, E> Sequence<'a, E> {
    pub(super) fn new(names: &'a [Arc<str>], past: &'a Past<E>, listing: &'a Listing, first: u32, time: i64) -> Self {
        Self { names, past, listing, first, time }
    }

    fn event(&self, entry: &Entry) -> &'a E {
        &self.past.events[entry.event as usize].0
    }

    /// The time of the first event, in milliseconds since 1970.
    #[must_use]
    pub fn start(&self) -> i64 {
        walk(&self.listing.entries, self.first).next().map_or(self.time, |entry| self.past.time(entry.event))
    }

    /// The time of the last event, in milliseconds since 1970.
    #[must_use]
    pub fn end(&self) -> i64 {
        self.listing.last(self.first).map_or(self.time, |last| self.past.time(last))
    }

    /// All events with the names of their steps, in order.
    pub fn events(&self) -> impl Iterator<Item = (&'a Arc<str>, &'a E)> + use<'a, E> {
        let (names, past) = (self.names, self.past);
        self.listing.events(self.first).map(move |(event, step)| (&names[step as usize], &past.events[event as usize].0))
    }

    /// The events of a step, in order.
    pub fn of<'s>(&self, step: &'s str) -> impl Iterator<Item = &'a E> + use<'a, 's, E> {
        self.events().filter(move |(name, _)| ***name == *step).map(|(_, event)| event)
    }

    /// The number of events of a step. The cost depends on how often the match changes from step to step, not on how many events it has.
    #[must_use]
    pub fn count(&self, step: &str) -> usize {
        self.segments(step).map(|(first, last)| (first.length - last.length + 1) as usize).sum()
    }

    /// The first and the last event of a step. Costs as much as [`count`](Self::count).
    #[must_use]
    pub fn ends(&self, step: &str) -> Option<(&'a E, &'a E)> {
        let mut segments = self.segments(step);
        let (first, last) = segments.next()?;
        let (_, last) = segments.last().unwrap_or((first, last));
        Some((self.event(first), self.event(last)))
    }

    /// Copies the events by step, in the order matched. Steps without events are left out.
    #[must_use]
    pub fn by_step(&self) -> Vec<(Arc<str>, Vec<E>)>
    where
        E: Clone,
    {
        let mut by_step: Vec<(Arc<str>, Vec<E>)> = Vec::new();
        for (name, event) in self.events() {
            // The step is most likely one of the latest, which are at the end.
            match by_step.iter_mut().rev().find(|(known, _)| known == name) {
                Some((_, events)) => events.push(event.clone()),
                None => by_step.push((Arc::clone(name), vec![event.clone()])),
            }
        }
        by_step
    }

    /// The runs of events in a row that a step has: the first and the last of each.
    fn segments(&self, step: &str) -> impl Iterator<Item = (&'a Entry, &'a Entry)> {
        segments(&self.listing.entries, self.first).filter(move |(first, _)| *self.names[first.step as usize] == *step)
    }
}
