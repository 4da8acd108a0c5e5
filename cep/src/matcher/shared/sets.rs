//! Sets of partial matches that share what they have in common.
//!
//! A match is a chain of nodes from its last event to its first; a set of matches is a node, too: that of a chain, or of either of two sets. Every node
//! knows the newest first event in it. Time, which ends matches in the order of their first events, thus ends a whole set at once or leaves something in
//! it: to list a set is to walk along what is left, and cut what is not.

use std::cmp::Reverse;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::automaton::{Part, Program, Source};
use crate::matcher::runs::Path;
use crate::matcher::separate::NONE;
use crate::matcher::{Sequence, listed};
use crate::nfa::{StateId, StepId};

/// The open partial matches of a key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Shared<E> {
    /// In the order they came.
    pub(super) events: Vec<(E, i64)>,
    /// Each behind those it rests on.
    pub(super) nodes: Vec<Node>,
    /// By ascending state.
    pub(super) slots: Vec<Slot>,
    /// Matches that began before this event are over.
    pub(super) floor: u32,
    /// The nodes there were when last swept.
    pub(super) swept: u32,
    /// When the last of them is over, or earlier; at the end of time if never.
    pub(super) deadline: i64,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) enum Node {
    /// An event after the matches of the node before, or the first one.
    Event { step: StepId, event: u32, before: u32, newest: u32 },
    /// The matches of two nodes.
    Either { left: u32, right: u32, newest: u32 },
}

/// The matches that wait in a state; at least one.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Slot {
    pub state: StateId,
    pub set: u32,
}

/// Room to work in, for all keys.
#[derive(Clone, Debug, Default)]
pub(super) struct Scratch {
    /// The nodes of those that took the event.
    taken: Vec<u32>,
    slots: Vec<Slot>,
    nodes: Vec<u32>,
    events: Vec<u32>,
    open: Vec<(u32, usize)>,
    trail: Path,
}

impl Node {
    pub fn newest(self) -> u32 {
        let (Self::Event { newest, .. } | Self::Either { newest, .. }) = self;
        newest
    }
}

impl<E> Default for Shared<E> {
    fn default() -> Self {
        Self { events: Vec::new(), nodes: Vec::new(), slots: Vec::new(), floor: 0, swept: 0, deadline: i64::MAX }
    }
}

impl<E> Shared<E> {
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// The states in which matches wait.
    pub(super) fn states(&self) -> impl Iterator<Item = StateId> {
        self.slots.iter().map(|slot| slot.state)
    }

    /// The number of events kept.
    pub fn events(&self) -> usize {
        self.events.len()
    }

    /// The number of matches.
    pub fn open(&self) -> usize {
        let mut counts: Vec<usize> = Vec::with_capacity(self.nodes.len());
        for (at, node) in self.nodes.iter().enumerate() {
            counts.push(match *node {
                _ if self.is_over(at as u32) => 0,
                Node::Event { before: NONE, .. } => 1,
                Node::Event { before, .. } => counts[before as usize],
                Node::Either { left, right, .. } => counts[left as usize].saturating_add(counts[right as usize]),
            });
        }
        self.slots.iter().fold(0, |sum, slot| sum.saturating_add(counts[slot.set as usize]))
    }

    pub fn deadline(&self) -> Option<i64> {
        Some(self.deadline).filter(|deadline| *deadline < i64::MAX)
    }

    /// Lets go of what has run out of time. Was there any?
    pub(super) fn expire(&mut self, time: i64, within: i64) -> bool {
        let floor = self.floor;
        while self.events.get(self.floor as usize).is_some_and(|(_, start)| start.saturating_add(within) <= time) {
            self.floor += 1;
        }
        if self.floor > floor {
            let mut slots = std::mem::take(&mut self.slots);
            slots.retain(|slot| !self.is_over(slot.set));
            self.slots = slots;
        }
        if time >= self.deadline {
            self.set_deadline(within);
        }
        self.floor > floor
    }

    fn set_deadline(&mut self, within: i64) {
        let newest = self.slots.iter().map(|slot| self.nodes[slot.set as usize].newest()).max();
        let start = newest.and_then(|newest| self.events.get(newest as usize));
        self.deadline = start.map_or(i64::MAX, |(_, start)| start.saturating_add(within));
    }

    /// Has every match of this node run out of time?
    pub(super) fn is_over(&self, node: u32) -> bool {
        self.nodes[node as usize].newest() < self.floor
    }

    /// The set that a part stands for.
    pub(super) fn set(&self, part: Part, scratch: &Scratch) -> u32 {
        match part {
            Part::Slot(slot) => self.slots[slot].set,
            Part::Take(take) => scratch.taken[take],
        }
    }

    /// Has the event be taken by those that take it.
    pub(super) fn take(&mut self, program: &Program, event: E, time: i64, scratch: &mut Scratch) {
        scratch.taken.clear();
        if program.takes.is_empty() {
            return;
        }
        let at = self.events.len() as u32;
        self.events.push((event, time));
        for (source, step) in &program.takes {
            let (before, newest) = match source {
                Source::Fresh => (NONE, at),
                Source::Slot(slot) => {
                    let set = self.slots[*slot].set;
                    (set, self.nodes[set as usize].newest())
                }
            };
            scratch.taken.push(self.add(Node::Event { step: *step, event: at, before, newest }));
        }
    }

    /// Puts what there is after the event into the states where it belongs.
    pub(super) fn follow(&mut self, program: &Program, within: Option<i64>, scratch: &mut Scratch) {
        let mut slots = std::mem::take(&mut scratch.slots);
        for (state, parts) in &program.after {
            let mut together = None;
            for part in parts {
                let set = self.set(*part, scratch);
                together = Some(together.map_or(set, |others| self.either(others, set)));
            }
            slots.extend(together.map(|set| Slot { state: *state, set }));
        }
        self.slots.clear();
        if self.slots.capacity() == 0 {
            self.slots.reserve_exact(slots.len());
        }
        self.slots.append(&mut slots);
        scratch.slots = slots;
        if self.nodes.len() > 2 * self.swept as usize + 32 {
            self.sweep(scratch);
        }
        if let Some(within) = within {
            self.set_deadline(within);
        }
    }

    pub(super) fn add(&mut self, node: Node) -> u32 {
        self.nodes.push(node);
        (self.nodes.len() - 1) as u32
    }

    pub(super) fn either(&mut self, left: u32, right: u32) -> u32 {
        let newest = self.nodes[left as usize].newest().max(self.nodes[right as usize].newest());
        self.add(Node::Either { left, right, newest })
    }

    /// Cuts what is over from a node that is not, so that nobody comes to it again.
    fn cut(&mut self, node: u32) -> Node {
        let mut left_of = node;
        while let Some(next) = self.only(left_of) {
            left_of = next;
        }
        let now = self.nodes[left_of as usize];
        let mut at = node;
        while let Some(next) = self.only(at) {
            self.nodes[at as usize] = now;
            at = next;
        }
        now
    }

    /// The one of two nodes that is not over, if the other is.
    fn only(&self, node: u32) -> Option<u32> {
        match self.nodes[node as usize] {
            Node::Either { left, right, .. } if self.is_over(left) => Some(right),
            Node::Either { left, right, .. } if self.is_over(right) => Some(left),
            _ => None,
        }
    }

    /// Lists what is complete: those that began first come first; of one first event, the longest; of one length, those whose events came first.
    ///
    /// Are they no more than `most`?
    pub(super) fn paths(&mut self, program: &Program, most: usize, scratch: &mut Scratch, paths: &mut Vec<Path>) -> bool {
        for part in &program.matches {
            let set = self.set(*part, scratch);
            if !self.list(set, most, scratch, paths) {
                return false;
            }
        }
        fn order(path: &Path) -> (Option<u32>, Reverse<usize>, &Path) {
            (path.first().map(|(event, _)| *event), Reverse(path.len()), path)
        }
        paths.sort_unstable_by(|a, b| order(a).cmp(&order(b)));
        true
    }

    /// Adds the matches of a set, so that there are no more than `most`. Are that all?
    pub(super) fn list(&mut self, set: u32, most: usize, scratch: &mut Scratch, paths: &mut Vec<Path>) -> bool {
        scratch.open.clear();
        scratch.open.push((set, 0));
        while let Some((node, depth)) = scratch.open.pop() {
            scratch.trail.truncate(depth);
            match self.cut(node) {
                Node::Event { step, event, before, .. } => {
                    scratch.trail.push((event, step));
                    if before == NONE && paths.len() == most {
                        return false;
                    }
                    if before == NONE {
                        paths.push(scratch.trail.iter().rev().copied().collect());
                    } else {
                        scratch.open.push((before, depth + 1));
                    }
                }
                Node::Either { left, right, .. } => scratch.open.extend([(right, depth), (left, depth)]),
            }
        }
        true
    }

    /// Forgets what no match in a state holds.
    pub(super) fn sweep(&mut self, scratch: &mut Scratch) {
        const HELD: u32 = 0;
        let Scratch { nodes, events, .. } = scratch;
        nodes.clear();
        nodes.resize(self.nodes.len(), NONE);
        events.clear();
        events.resize(self.events.len(), NONE);
        for slot in &self.slots {
            nodes[slot.set as usize] = HELD;
        }
        for at in (0..self.nodes.len()).rev() {
            if nodes[at] == NONE {
                continue;
            }
            match self.cut(at as u32) {
                Node::Event { event, before, .. } => {
                    events[event as usize] = HELD;
                    if before != NONE {
                        nodes[before as usize] = HELD;
                    }
                }
                Node::Either { left, right, .. } => (nodes[left as usize], nodes[right as usize]) = (HELD, HELD),
            }
        }
        renumber(&mut self.events, events);
        renumber(&mut self.nodes, nodes);
        for node in &mut self.nodes {
            match node {
                Node::Event { event, before, newest, .. } => {
                    (*event, *newest) = (events[*event as usize], events[*newest as usize]);
                    if *before != NONE {
                        *before = nodes[*before as usize];
                    }
                }
                Node::Either { left, right, newest } => {
                    (*left, *right, *newest) = (nodes[*left as usize], nodes[*right as usize], events[*newest as usize]);
                }
            }
        }
        for slot in &mut self.slots {
            slot.set = nodes[slot.set as usize];
        }
        // What began before the floor is gone.
        self.floor = 0;
        self.swept = self.nodes.len() as u32;
    }
}

/// Keeps what has a number, and writes down the new ones.
fn renumber<T>(items: &mut Vec<T>, numbers: &mut [u32]) {
    let mut held = numbers.iter_mut();
    let mut next = 0;
    items.retain(|_| {
        let Some(number) = held.next().filter(|number| **number != NONE) else { return false };
        *number = next;
        next += 1;
        true
    });
}

impl<E: Clone> Shared<E> {
    /// The events of a match.
    pub(super) fn sequence(&self, names: &[Arc<str>], path: &Path, time: i64) -> Sequence<E> {
        let events = path.iter().map(|(event, step)| {
            let (event, time) = &self.events[*event as usize];
            (*step, event, *time)
        });
        listed(names, events, time)
    }
}
