//! Which first events have open partial matches, for patterns in which a match may have to wait for an earlier one.
//!
//! What becomes of the partial matches of a first event depends only on the states they wait in. So first events whose partial matches wait in the same
//! states share their fate for good, and form a class. There are only as many classes as there are combinations of states to be in, whatever the number
//! of events. Where a state has a window of its own, it also matters when the latest event came.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use super::automaton::{Program, Way};
use crate::matcher::past::{NONE, Sweep};
use crate::nfa::StateId;

/// The classes, each with at least one first event.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Starts(Vec<Class>);

/// First events that share their fate.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Class {
    /// The states in ascending order, each with the latest event where that matters, and [`NONE`] elsewhere.
    places: Places,
    /// Whether a match of each first event has been completed and no other is wanted.
    is_done: bool,
    firsts: BTreeSet<u32>,
}

type Places = SmallVec<[(StateId, u32); 2]>;

/// What classes must know about the pattern.
#[derive(Clone, Debug)]
pub(super) struct Fate {
    /// By state: whether it matters when the latest event came.
    pub by_latest: Vec<bool>,
    /// Whether at most one match is emitted for each first event.
    pub one_each: bool,
}

impl Starts {
    /// The oldest first event that has a partial match.
    pub fn oldest(&self) -> Option<u32> {
        self.0.iter().filter_map(|class| class.firsts.first().copied()).min()
    }

    pub fn occupies(&self, state: StateId) -> bool {
        self.0.iter().any(|class| class.places.iter().any(|place| place.0 == state))
    }

    /// Carries out a program. `states` are those that the program is for. Returns the first events of the matches that it completes.
    pub fn follow(&mut self, program: &Program, states: &[StateId], event: u32, fate: &Fate) -> BTreeSet<u32> {
        let mut completed = BTreeSet::new();
        let place = |to: StateId, takes: bool, latest: u32| match (fate.by_latest[to as usize], takes) {
            (false, _) => (to, NONE),
            (true, true) => (to, event),
            (true, false) => (to, latest),
        };
        let before = std::mem::take(&mut self.0);
        let mut follow = |ways: &[(&Way, u32)], is_done: bool, firsts: BTreeSet<u32>| {
            let mut places: Places =
                ways.iter().flat_map(|(way, latest)| way.targets.iter().map(|(to, takes)| place(*to, *takes, *latest))).collect();
            places.sort_unstable();
            places.dedup();
            let completes = !is_done && ways.iter().any(|(way, _)| way.completes);
            match (completes, places.is_empty()) {
                (true, true) => return merge(&mut completed, firsts),
                (true, false) => merge(&mut completed, firsts.clone()),
                (false, true) => return,
                (false, false) => {}
            }
            self.add(Class { places, is_done: is_done || (completes && fate.one_each), firsts });
        };
        let mut ways: SmallVec<[(&Way, u32); 2]> = SmallVec::new();
        for Class { places, is_done, firsts } in before {
            ways.clear();
            let way = |(state, latest): &(StateId, u32)| states.binary_search(state).ok().map(|slot| (&program.ways[slot], *latest));
            ways.extend(places.iter().filter_map(way));
            follow(&ways, is_done, firsts);
        }
        if program.begins.completes || !program.begins.targets.is_empty() {
            follow(&[(&program.begins, event)], false, BTreeSet::from([event]));
        }
        completed
    }

    /// Adds a first event whose partial matches wait in these states, each with its latest event.
    pub fn open(&mut self, states: impl Iterator<Item = (StateId, u32)>, first: u32, fate: &Fate) {
        let mut places: Places =
            states.map(|(state, latest)| (state, if fate.by_latest[state as usize] { latest } else { NONE })).collect();
        places.sort_unstable();
        places.dedup();
        self.add(Class { places, is_done: false, firsts: BTreeSet::from([first]) });
    }

    fn add(&mut self, class: Class) {
        match self.0.iter_mut().find(|known| known.is_done == class.is_done && known.places == class.places) {
            Some(known) => merge(&mut known.firsts, class.firsts),
            None => self.0.push(class),
        }
    }

    /// Drops first events before `floor`.
    pub fn drop_before(&mut self, floor: u32) {
        for class in &mut self.0 {
            while class.firsts.first().is_some_and(|first| *first < floor) {
                class.firsts.pop_first();
            }
        }
        self.0.retain(|class| !class.firsts.is_empty());
    }

    /// Drops first events from `ceiling` on.
    pub fn drop_from(&mut self, ceiling: u32) {
        self.0.iter_mut().for_each(|class| drop(class.firsts.split_off(&ceiling)));
        self.0.retain(|class| !class.firsts.is_empty());
    }

    /// Drops what has waited in a state since an event before `bound`.
    pub fn leave(&mut self, state: StateId, bound: u32) {
        let is_over = |place: &(StateId, u32)| place.0 == state && place.1 < bound;
        if !self.0.iter().any(|class| class.places.iter().any(is_over)) {
            return;
        }
        for mut class in std::mem::take(&mut self.0) {
            class.places.retain(|place| !is_over(place));
            if !class.places.is_empty() {
                self.add(class);
            }
        }
    }

    pub fn moved(&mut self, sweep: &Sweep) {
        for class in &mut self.0 {
            class.firsts = class.firsts.iter().map(|first| sweep.event(*first)).collect();
            for (_, latest) in &mut class.places {
                *latest = sweep.event(*latest);
            }
        }
    }
}

/// Adds disjoint sets, the smaller to the larger, so that each number is moved a logarithmic number of times at most.
fn merge(into: &mut BTreeSet<u32>, mut other: BTreeSet<u32>) {
    if into.len() < other.len() {
        std::mem::swap(into, &mut other);
    }
    into.extend(other);
}
