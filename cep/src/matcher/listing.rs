//! Matches written out event by event. Matches that end alike share what they have in common here, too.
//!
//! An entry leads to the entry of the event after it, and the entry of a first event is a match. So a thousand matches that differ only in where they
//! begin take a thousand entries, not a million.

use std::cmp::{Ordering, Reverse};

use super::past::{NONE, Past};
use crate::nfa::StepId;

/// An event of a match, and where the match goes on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub event: u32,
    pub step: StepId,
    /// The entry of the next event, or [`NONE`].
    pub next: u32,
    /// The last entry of the run of entries of one step that begins here.
    segment: u32,
    /// The number of events from here on.
    pub length: u32,
}

/// Matches, as entries.
#[derive(Clone, Debug, Default)]
pub(crate) struct Listing {
    pub entries: Vec<Entry>,
    /// The entries of first events, one for each match.
    pub firsts: Vec<u32>,
}

impl Listing {
    pub fn clear(&mut self) {
        self.entries.clear();
        self.firsts.clear();
    }

    /// Adds the event that comes before `next`, and returns its entry.
    pub fn add(&mut self, event: u32, step: StepId, next: u32) -> u32 {
        let at = self.entries.len() as u32;
        let (segment, length) = match self.entries.get(next as usize) {
            Some(after) if after.step == step => (after.segment, after.length + 1),
            Some(after) => (at, after.length + 1),
            None => (at, 1),
        };
        self.entries.push(Entry { event, step, next, segment, length });
        at
    }

    /// Adds a match, given from its last event to its first, and returns the entry of its first event.
    pub fn add_match(&mut self, events: impl Iterator<Item = (u32, StepId)>) -> u32 {
        let first = events.fold(NONE, |next, (event, step)| self.add(event, step, next));
        self.firsts.push(first);
        first
    }

    /// Adds the chains of a set in which every node is `wanted`, up to `most` entries. Returns false if there are more.
    pub fn add_chains<E>(&mut self, past: &Past<E>, root: u32, mut wanted: impl FnMut(u32) -> bool, most: usize) -> bool {
        let mut open = vec![(root, NONE)];
        while let Some((at, next)) = open.pop() {
            if !wanted(at) {
                continue;
            }
            let node = past.node(at);
            let mut entry = next;
            if !node.is_union() {
                if self.entries.len() >= most {
                    return false;
                }
                entry = self.add(node.event, node.step, next);
            }
            if node.is_first() {
                self.firsts.push(entry);
            }
            open.extend([node.right, node.left].into_iter().filter(|child| *child != NONE).map(|child| (child, entry)));
        }
        true
    }

    /// Sorts the matches: those that began first come first; of one first event, the longest; of one length, those whose events came first.
    pub fn sort(&mut self) {
        let Self { entries, firsts } = self;
        let key = |first: &u32| (entries[*first as usize].event, Reverse(entries[*first as usize].length));
        firsts.sort_by(|a, b| key(a).cmp(&key(b)).then_with(|| compare(entries, *a, *b)));
    }

    /// The last event of a match.
    pub fn last(&self, first: u32) -> Option<u32> {
        segments(&self.entries, first).last().map(|(_, last)| last.event)
    }

    /// The first and the last event of a step in a match.
    pub fn of_step(&self, first: u32, step: StepId) -> Option<(u32, u32)> {
        let mut of_step = segments(&self.entries, first).filter(|(first, _)| first.step == step);
        let (first, last) = of_step.next()?;
        Some((first.event, of_step.last().map_or(last, |(_, last)| last).event))
    }

    /// The events of a match and their steps, in order.
    pub fn events(&self, first: u32) -> impl Iterator<Item = (u32, StepId)> {
        walk(&self.entries, first).map(|entry| (entry.event, entry.step))
    }
}

/// The entries of a match from `first` on.
pub(super) fn walk(entries: &[Entry], first: u32) -> impl Iterator<Item = &Entry> {
    std::iter::successors(entries.get(first as usize), |entry| entries.get(entry.next as usize))
}

/// The runs of entries of one step in a row: the first and the last entry of each.
pub(super) fn segments(entries: &[Entry], first: u32) -> impl Iterator<Item = (&Entry, &Entry)> {
    let of = |at: u32| entries.get(at as usize).map(|entry| (entry, &entries[entry.segment as usize]));
    std::iter::successors(of(first), move |(_, last)| of(last.next))
}

/// Orders two matches of one length: the one with the earlier event at the first difference comes first.
pub(super) fn compare(entries: &[Entry], a: u32, b: u32) -> Ordering {
    let differing = walk(entries, a).zip(walk(entries, b)).find(|(a, b)| (a.event, a.step) != (b.event, b.step));
    differing.map_or(Ordering::Equal, |(a, b)| (a.event, a.step).cmp(&(b.event, b.step)))
}
