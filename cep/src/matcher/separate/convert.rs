//! From the other forms of a key's state.

use super::runs::{Origin, Run, Separate};
use super::slab::NONE;
use crate::matcher::runs::{One, Open, Path};
use crate::matcher::shared::Shared;
use crate::nfa::StateId;

impl<E> From<One<E>> for Separate<E> {
    fn from(one: One<E>) -> Self {
        let mut runs = Self::default();
        let origin = runs.arrive(one.time);
        let event = runs.store(one.event, origin);
        let link = runs.add_link(one.step, event, NONE);
        runs.hold(link);
        runs.enter(Run { state: one.state, link, start: origin, previous: one.time });
        runs
    }
}

impl<E> From<Shared<E>> for Separate<E> {
    fn from(sets: Shared<E>) -> Self {
        let mut runs = Self::default();
        let (kept, open) = sets.into_open();
        let mut events = Vec::with_capacity(kept.len());
        for (event, time) in kept {
            let origin = runs.arrive(time);
            events.push((runs.store(event, origin), origin));
        }
        for (state, path) in open {
            let mut run = Run { state, link: NONE, start: Origin { time: 0, arrival: 0 }, previous: 0 };
            for (event, step) in path {
                let (stored, origin) = events[event as usize];
                if run.link == NONE {
                    run.start = origin;
                }
                (run.link, run.previous) = (runs.add_link(step, stored, run.link), origin.time);
            }
            runs.hold(run.link);
            runs.enter(run);
        }
        events.into_iter().for_each(|(event, _)| runs.unstore(event));
        runs.open.sort_by_key(|run| run.start);
        runs
    }
}

impl<E> Separate<E> {
    /// The events with their times, in order, and the partial matches with their states.
    pub fn into_open(mut self) -> Open<E> {
        let mut paths: Vec<(StateId, Path)> = Vec::with_capacity(self.open.len());
        for run in &self.open {
            let mut path: Path = self.chain(run.link).map(|link| (link.event, link.step)).collect();
            path.reverse();
            paths.push((run.state, path));
        }
        let mut places: Vec<u32> = paths.iter().flat_map(|(_, path)| path.iter().map(|(event, _)| *event)).collect();
        places.sort_unstable_by_key(|place| (self.stored(*place).map(|stored| stored.origin), *place));
        places.dedup();
        for (event, _) in paths.iter_mut().flat_map(|(_, path)| path) {
            let origin = self.stored(*event).map(|stored| stored.origin);
            *event = places.partition_point(|place| self.stored(*place).map(|stored| stored.origin) < origin) as u32;
        }
        let events = places.into_iter().filter_map(|place| self.take_stored(place)).map(|stored| (stored.event, stored.origin.time));
        (events.collect(), paths)
    }
}
