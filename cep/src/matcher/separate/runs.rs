//! The state of a key whose partial matches (runs) are kept one by one, and the events they hold.
//!
//! An event is stored once, however many runs hold it. What a run has matched is a chain of links back to its first event, and runs that share a past
//! share the links. Events and links are counted, and go with the last run that holds them.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::slab::{NONE, Slab};
use crate::nfa::{StateId, StepId};

/// A first event: by time, then by arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Origin {
    pub time: i64,
    pub arrival: u64,
}

/// A partial match.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Run {
    pub state: StateId,
    /// The link of its latest event.
    pub link: u32,
    pub start: Origin,
    /// The time of its latest event.
    pub previous: i64,
}

/// A complete match that is not emitted yet.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Complete {
    pub link: u32,
    pub start: Origin,
    /// When it was completed, in order of arrival.
    pub arrival: u64,
    /// The number of its events.
    pub depth: u32,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Stored<E> {
    pub event: E,
    pub origin: Origin,
    links: u32,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Link {
    pub step: StepId,
    pub event: u32,
    /// The link of the event before, or none.
    pub before: u32,
    pub depth: u32,
    /// Runs, complete matches and later links that hold it.
    holders: u32,
}

/// The open partial matches of one key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Separate<E> {
    events: Slab<Stored<E>>,
    links: Slab<Link>,
    /// In order of their first events.
    pub(crate) open: Vec<Run>,
    /// In the order they will be emitted.
    pub(crate) held: VecDeque<Complete>,
    /// The number the next event gets.
    pub(crate) arrivals: u64,
    /// No run runs out of time before this.
    pub(crate) deadline: i64,
    /// A bit for each state that any of them is in, and perhaps for others; of patterns with few states.
    pub(crate) occupied: u64,
}

impl<E> Default for Separate<E> {
    fn default() -> Self {
        let (events, links) = (Slab::default(), Slab::default());
        Self { events, links, open: Vec::new(), held: VecDeque::new(), arrivals: 0, deadline: i64::MAX, occupied: 0 }
    }
}

impl<E> Separate<E> {
    /// The number of events kept.
    pub fn events(&self) -> usize {
        self.events.len()
    }

    /// When the next run is out of time.
    pub fn deadline(&self) -> Option<i64> {
        (!self.open.is_empty() && self.deadline < i64::MAX).then_some(self.deadline)
    }

    /// Counts an event that changes something; returns its place among those.
    pub fn arrive(&mut self, time: i64) -> Origin {
        self.arrivals += 1;
        Origin { time, arrival: self.arrivals - 1 }
    }

    /// Adds a run.
    pub(crate) fn enter(&mut self, run: Run) {
        self.occupied |= 1u64.wrapping_shl(run.state);
        if self.open.capacity() == 0 {
            // Most keys hold very little.
            self.open.reserve_exact(1);
        }
        self.open.push(run);
    }

    pub(crate) fn store(&mut self, event: E, origin: Origin) -> u32 {
        self.events.insert(Stored { event, origin, links: 0 })
    }

    /// Lets go of an event that no link holds.
    pub(crate) fn unstore(&mut self, event: u32) {
        if self.stored(event).is_some_and(|stored| stored.links == 0) {
            self.events.remove(event);
        }
    }

    pub(crate) fn stored(&self, event: u32) -> Option<&Stored<E>> {
        self.events.get(event)
    }

    pub(super) fn take_stored(&mut self, event: u32) -> Option<Stored<E>> {
        self.events.remove(event)
    }

    pub(crate) fn link(&self, link: u32) -> Option<&Link> {
        self.links.get(link)
    }

    /// A new link, which nobody holds yet.
    pub(crate) fn add_link(&mut self, step: StepId, event: u32, before: u32) -> u32 {
        if let Some(stored) = self.events.get_mut(event) {
            stored.links += 1;
        }
        let depth = self.link(before).map_or(0, |link| link.depth) + 1;
        self.hold(before);
        self.links.insert(Link { step, event, before, depth, holders: 0 })
    }

    pub(crate) fn hold(&mut self, link: u32) {
        if let Some(link) = self.links.get_mut(link) {
            link.holders += 1;
        }
    }

    /// Lets go of a link, and of all that was held through it alone.
    pub(crate) fn release(&mut self, link: u32) {
        let mut at = link;
        while let Some(link) = self.links.get_mut(at) {
            link.holders = link.holders.saturating_sub(1);
            if link.holders > 0 {
                return;
            }
            let Link { event, before, .. } = *link;
            self.links.remove(at);
            if let Some(stored) = self.events.get_mut(event) {
                stored.links -= 1;
                if stored.links == 0 {
                    self.events.remove(event);
                }
            }
            at = before;
        }
    }

    /// The links from this one back to the first.
    pub(crate) fn chain(&self, link: u32) -> impl Iterator<Item = &Link> {
        std::iter::successors(self.link(link), |link| if link.before == NONE { None } else { self.link(link.before) })
    }
}
