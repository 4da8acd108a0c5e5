//! Finds, for each first event of a set, the match that is emitted before the others: the longest, and of those the one whose events came first.

use crate::matcher::listing::{Listing, compare};
use crate::matcher::past::{NONE, Past};

/// Not reached yet.
const UNREACHED: u32 = u32::MAX - 1;

/// The matches of a first event.
#[derive(Clone, Copy, Debug)]
pub(super) struct First {
    event: u32,
    /// The first entry of the longest match.
    pub entry: u32,
    /// The number of matches.
    pub matches: u32,
}

/// Searches a set from its last event towards its first ones, as far as needed.
#[derive(Clone, Debug)]
pub(super) struct Longest {
    root: u32,
    /// By distance of a node from the root: the entry of the event after it, on the best path to it.
    next: Vec<u32>,
    /// By distance: the number of paths to the node.
    ways: Vec<u32>,
    /// The distance of the next node to visit.
    at: u32,
    listing: Listing,
    /// The first events found so far, latest first.
    firsts: Vec<First>,
}

impl Longest {
    pub fn new(root: u32) -> Self {
        Self { root, next: vec![NONE], ways: vec![1], at: 0, listing: Listing::default(), firsts: Vec::new() }
    }

    pub fn listing(&self) -> &Listing {
        &self.listing
    }

    /// The matches that begin with this event, if there are any.
    pub fn of<E>(&mut self, first: u32, past: &Past<E>) -> Option<First> {
        while self.root >= self.at {
            let node = past.node(self.root - self.at);
            if !node.is_union() && node.event < first {
                break;
            }
            self.step(past);
        }
        let found = self.firsts.binary_search_by(|known| first.cmp(&known.event));
        found.ok().map(|at| self.firsts[at])
    }

    /// Visits a node. All nodes that lead to it have been visited.
    fn step<E>(&mut self, past: &Past<E>) {
        let node = past.node(self.root - self.at);
        let next = self.next.get(self.at as usize).copied().unwrap_or(UNREACHED);
        let ways = self.ways.get(self.at as usize).copied().unwrap_or(0);
        self.at += 1;
        if next == UNREACHED {
            return;
        }
        let entry = if node.is_union() { next } else { self.listing.add(node.event, node.step, next) };
        if node.is_first() {
            match self.firsts.last_mut() {
                Some(known) if known.event == node.event => {
                    known.entry = better(&self.listing, known.entry, entry);
                    known.matches = known.matches.saturating_add(ways);
                }
                _ => self.firsts.push(First { event: node.event, entry, matches: ways }),
            }
        }
        for child in node.children() {
            let place = (self.root - child) as usize;
            if self.next.len() <= place {
                self.next.resize(place + 1, UNREACHED);
                self.ways.resize(place + 1, 0);
            }
            let known = self.next[place];
            self.ways[place] = self.ways[place].saturating_add(ways);
            self.next[place] = if known == UNREACHED { entry } else { better(&self.listing, known, entry) };
        }
    }
}

/// The better of two paths on: the longer one, and of one length the one whose events came first.
fn better(listing: &Listing, a: u32, b: u32) -> u32 {
    let length = |entry: u32| listing.entries.get(entry as usize).map_or(0, |entry| entry.length);
    let order = length(b).cmp(&length(a)).then_with(|| compare(&listing.entries, a, b));
    if order.is_le() { a } else { b }
}
