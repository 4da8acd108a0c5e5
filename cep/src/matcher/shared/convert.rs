//! Conversions from and to the other forms of a key's state.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::Shared;
use super::reach::Reach;
use super::starts::Fate;
use super::waits::{Waits, leaves};
use crate::matcher::listing::Listing;
use crate::matcher::past::NONE;
use crate::matcher::runs::{One, Open, Path};
use crate::matcher::separate::Separate;
use crate::nfa::{StateId, StepId};

impl<E> From<One<E>> for Shared<E> {
    fn from(one: One<E>) -> Self {
        let One { event, time, deadline, state, step } = one;
        let mut sets = Self { deadline, ..Self::default() };
        let event = sets.past.store(event, time);
        let set = sets.past.begin(step, event);
        sets.add(state, set);
        sets
    }
}

impl<E> From<Separate<E>> for Shared<E> {
    fn from(runs: Separate<E>) -> Self {
        let mut sets = Self { deadline: runs.deadline().unwrap_or(i64::MAX), ..Self::default() };
        let Open { events, mut waiting, mut held } = runs.into_open();
        for (event, time) in events {
            sets.past.store(event, time);
        }
        waiting.sort_by_key(|(_, path)| path.last().map(|(event, _)| *event));
        held.sort_by_key(|(arrival, path)| (*arrival, Reverse(path.len())));
        let paths: Vec<&Path> = waiting.iter().map(|(_, path)| path).chain(held.iter().map(|(_, path)| path)).collect();
        let chains = sets.chains(&paths);
        for ((state, _), set) in waiting.iter().zip(&chains) {
            sets.add(*state, *set);
        }
        for ((_, path), set) in held.iter().zip(&chains[waiting.len()..]) {
            sets.held.add(*set, path.first().map(|(event, _)| *event).into_iter().collect());
        }
        sets
    }
}

impl<E> Shared<E> {
    /// Adds these chains. As in every past, their nodes are in the order of their events.
    fn chains(&mut self, paths: &[&Path]) -> Vec<u32> {
        let mut links: Vec<(u32, StepId, usize)> = Vec::new();
        for (at, path) in paths.iter().enumerate() {
            links.extend(path.iter().map(|(event, step)| (*event, *step, at)));
        }
        links.sort_by_key(|link| link.0);
        let mut chains = vec![NONE; paths.len()];
        for (event, step, at) in links {
            chains[at] = match chains[at] {
                NONE => self.past.begin(step, event),
                set => self.past.append(step, event, set, NONE),
            };
        }
        chains
    }

    /// Adds a set to a state. The sets of a state must be added in the order of their latest events.
    fn add(&mut self, state: StateId, set: u32) {
        let at = match self.waits.binary_search_by_key(&state, |waits| waits.state) {
            Ok(at) => at,
            Err(at) => {
                self.waits.insert(at, Waits::new(state));
                at
            }
        };
        self.waits[at].add(set, &mut self.past);
    }

    /// Finds the classes of first events, for a key that the other engine has followed.
    pub(super) fn count_starts(&mut self, fate: &Fate) {
        let mut places: BTreeMap<u32, Vec<(StateId, u32)>> = BTreeMap::new();
        for waits in &self.waits {
            let mut sets = Vec::new();
            waits.roots().for_each(|root| leaves(root, &self.past, &mut sets));
            for set in sets {
                let mut firsts = BTreeSet::new();
                Reach::new(&self.past, self.floor..NONE).firsts(set, &mut firsts);
                let latest = self.past.node(set).event;
                firsts.into_iter().for_each(|first| places.entry(first).or_default().push((waits.state, latest)));
            }
        }
        for (first, places) in places {
            self.starts.open(places.into_iter(), first, fate);
        }
    }

    /// Converts to the common form, with each match by itself.
    pub fn into_open(self) -> Open<E> {
        let (mut waiting, mut held, mut listing) = (Vec::new(), Vec::new(), Listing::default());
        let list = |listing: &mut Listing, root: u32, wanted: &mut dyn FnMut(u32) -> bool| {
            listing.clear();
            listing.add_chains(&self.past, root, wanted, usize::MAX);
        };
        for waits in &self.waits {
            let mut reach = Reach::new(&self.past, self.floor..NONE);
            for root in waits.roots() {
                list(&mut listing, root, &mut |node| reach.find(node));
                waiting.extend(listing.firsts.iter().map(|first| (waits.state, listing.events(*first).collect())));
            }
        }
        for (arrival, root, firsts) in self.held.batches() {
            for first in firsts {
                let mut reach = Reach::new(&self.past, *first..*first + 1);
                list(&mut listing, root, &mut |node| reach.find(node));
                held.extend(listing.firsts.iter().map(|first| (arrival, listing.events(*first).collect())));
            }
        }
        Open { events: self.past.events, waiting, held }
    }
}
