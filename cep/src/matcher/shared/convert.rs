//! From and to the other forms of a key's state.

use super::sets::{Node, Scratch, Shared, Slot};
use crate::matcher::runs::{One, Open};
use crate::matcher::separate::{NONE, Separate};

impl<E> From<One<E>> for Shared<E> {
    fn from(one: One<E>) -> Self {
        let One { event, time, deadline, state, step } = one;
        let node = Node::Event { step, event: 0, before: NONE, newest: 0 };
        Self { events: vec![(event, time)], nodes: vec![node], slots: vec![Slot { state, set: 0 }], deadline, ..Self::default() }
    }
}

impl<E> From<Separate<E>> for Shared<E> {
    fn from(runs: Separate<E>) -> Self {
        let mut sets = Self { deadline: runs.deadline().unwrap_or(i64::MAX), ..Self::default() };
        let (events, open) = runs.into_open();
        sets.events = events;
        for (state, path) in open {
            let (mut set, newest) = (NONE, path.first().map_or(0, |(first, _)| *first));
            for (event, step) in path {
                set = sets.add(Node::Event { step, event, before: set, newest });
            }
            match sets.slots.binary_search_by_key(&state, |slot| slot.state) {
                Ok(at) => sets.slots[at].set = sets.either(sets.slots[at].set, set),
                Err(at) => sets.slots.insert(at, Slot { state, set }),
            }
        }
        sets
    }
}

impl<E> Shared<E> {
    /// The events with their times, in order, and the matches of each state.
    pub fn into_open(mut self) -> Open<E> {
        let (mut open, mut paths, mut scratch) = (Vec::new(), Vec::new(), Scratch::default());
        for slot in std::mem::take(&mut self.slots) {
            self.list(slot.set, usize::MAX, &mut scratch, &mut paths);
            open.extend(paths.drain(..).map(|path| (slot.state, path)));
        }
        (self.events, open)
    }
}
