//! The state of a key whose partial matches are followed all at once.

use serde::{Deserialize, Serialize};

use super::automaton::{Part, Program};
use super::held::Held;
use super::starts::Starts;
use super::waits::Waits;
use crate::matcher::past::{NONE, Past, Sweep};

/// The open partial matches of a key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Shared<E> {
    pub(super) past: Past<E>,
    /// What waits, in ascending order of states.
    pub(super) waits: Vec<Waits>,
    /// Partial matches that began before this event have ended.
    pub(super) floor: u32,
    /// The classes of first events, for patterns whose matches may wait for earlier ones.
    pub(super) starts: Starts,
    pub(super) held: Held,
    /// When the key must be processed if no event comes; `i64::MAX` if never.
    pub(super) deadline: i64,
}

/// Scratch space, for all keys.
#[derive(Clone, Debug, Default)]
pub(super) struct Scratch {
    /// The nodes of the matches that took the event.
    taken: Vec<u32>,
    waits: Vec<Waits>,
    pub sweep: Sweep,
}

impl<E> Default for Shared<E> {
    fn default() -> Self {
        let (past, starts, held) = (Past::default(), Starts::default(), Held::default());
        Self { past, waits: Vec::new(), floor: 0, starts, held, deadline: i64::MAX }
    }
}

impl<E> Shared<E> {
    pub fn is_empty(&self) -> bool {
        self.waits.is_empty() && self.held.is_empty()
    }

    /// The number of events in partial matches and in complete ones that are held.
    pub fn events(&self) -> usize {
        let oldest = self.held.oldest().map_or(self.floor, |oldest| oldest.min(self.floor));
        self.past.count_events(self.waits.iter().flat_map(Waits::roots).chain(self.held.roots()), &(oldest..NONE))
    }

    /// The number of partial matches.
    pub fn open(&self) -> usize {
        self.past.count(self.waits.iter().flat_map(Waits::roots), &(self.floor..NONE))
    }

    /// True if a complete match waits for others.
    pub fn holds_matches(&self) -> bool {
        !self.held.is_empty()
    }

    pub fn deadline(&self) -> Option<i64> {
        Some(self.deadline).filter(|deadline| *deadline < i64::MAX)
    }

    /// Adds the event to the matches that take it, and returns its number.
    pub(super) fn take(&mut self, program: &Program, event: E, time: i64, scratch: &mut Scratch) -> u32 {
        scratch.taken.clear();
        let at = self.past.next_event();
        if program.takes.is_empty() {
            return at;
        }
        self.past.store(event, time);
        for take in &program.takes {
            let (left, right) = match *take.slots {
                [] => (NONE, NONE),
                [slot] => self.waits[slot].halves(&mut self.past),
                [first, ref others @ .., last] => {
                    let mut left = self.waits[first].union(&mut self.past);
                    for slot in others {
                        let other = self.waits[*slot].union(&mut self.past);
                        left = self.past.either(left, other);
                    }
                    (left, self.waits[last].union(&mut self.past))
                }
            };
            scratch.taken.push(if left == NONE { self.past.begin(take.step, at) } else { self.past.append(take.step, at, left, right) });
        }
        at
    }

    /// The set of all complete matches; [`NONE`] if there are none.
    pub(super) fn complete(&mut self, program: &Program, scratch: &Scratch) -> u32 {
        let mut all = NONE;
        for part in &program.matches {
            let set = match *part {
                Part::Slot(slot) => self.waits[slot].union(&mut self.past),
                Part::Take(take) => scratch.taken[take],
            };
            all = self.past.either(all, set);
        }
        all
    }

    /// Moves what is left after the event into the states where it belongs.
    pub(super) fn follow(&mut self, program: &Program, scratch: &mut Scratch) {
        let Scratch { taken, waits: before, .. } = scratch;
        std::mem::swap(&mut self.waits, before);
        for (state, parts) in &program.after {
            let mut waits = Waits::new(*state);
            for part in parts {
                match *part {
                    Part::Slot(slot) if waits.is_empty() && program.uses[slot] == 1 => {
                        waits = std::mem::replace(&mut before[slot], Waits::new(*state));
                        waits.state = *state;
                    }
                    Part::Slot(slot) => waits.join(&before[slot], &mut self.past),
                    Part::Take(take) => waits.add(taken[take], &mut self.past),
                }
            }
            self.waits.push(waits);
        }
        before.clear();
    }

    /// Drops matches that began before this event, complete or not.
    pub(super) fn drop_before(&mut self, floor: u32) {
        self.held.drop_before(floor);
        self.close_before(floor);
    }

    /// Ends the partial matches that began before this event.
    pub(super) fn close_before(&mut self, floor: u32) {
        self.floor = self.floor.max(floor);
        self.starts.drop_before(floor);
        let past = &self.past;
        self.waits.iter_mut().for_each(|waits| waits.drop_before(floor, past));
        self.waits.retain(|waits| !waits.is_empty());
    }

    /// Drops matches that began with this event or later. Returns how many first events of complete matches that were.
    pub(super) fn drop_from(&mut self, ceiling: u32, sweep: &mut Sweep) -> usize {
        self.starts.drop_from(ceiling);
        let dropped = self.held.drop_from(ceiling);
        self.sweep_to(ceiling, sweep);
        dropped
    }

    /// Forgets the events and nodes that no open or held match leads to.
    pub(super) fn sweep(&mut self, sweep: &mut Sweep) {
        self.sweep_to(NONE, sweep);
    }

    fn sweep_to(&mut self, ceiling: u32, sweep: &mut Sweep) {
        let oldest = self.held.oldest().map_or(self.floor, |oldest| oldest.min(self.floor));
        let events = self.past.next_event();
        let roots = self.waits.iter().flat_map(Waits::roots).chain(self.held.roots());
        self.past.sweep(roots, &(oldest..ceiling), sweep);
        self.waits.iter_mut().for_each(|waits| waits.moved(sweep));
        self.waits.retain(|waits| !waits.is_empty());
        self.floor = if self.floor < events { sweep.event(self.floor) } else { self.past.next_event() };
        self.starts.moved(sweep);
        self.held.moved(sweep);
    }
}
