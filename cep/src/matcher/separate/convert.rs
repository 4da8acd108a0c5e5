//! Conversions from and to the other forms of a key's state.

use super::runs::{Chain, Complete, Run, Separate};
use crate::matcher::past::NONE;
use crate::matcher::runs::{One, Open, Path};
use crate::matcher::shared::Shared;

impl<E> From<One<E>> for Separate<E> {
    fn from(one: One<E>) -> Self {
        let mut runs = Self::default();
        let event = runs.past.store(one.event, one.time);
        let node = runs.past.begin(one.step, event);
        runs.enter(Run { state: one.state, chain: Chain { node, first: event, length: 1 } });
        runs
    }
}

impl<E> From<Shared<E>> for Separate<E> {
    fn from(sets: Shared<E>) -> Self {
        let mut runs = Self::default();
        let Open { events, waiting, held } = sets.into_open();
        for (event, time) in events {
            runs.past.store(event, time);
        }
        for (state, path) in waiting {
            let chain = runs.chain(&path);
            runs.enter(Run { state, chain });
        }
        for (arrival, path) in held {
            let chain = runs.chain(&path);
            runs.held.push_back(Complete { chain, arrival });
            runs.arrivals = runs.arrivals.max(arrival + 1);
        }
        runs.open.sort_by_key(|run| run.chain.first);
        runs
    }
}

impl<E> Separate<E> {
    fn chain(&mut self, path: &Path) -> Chain {
        let mut chain = Chain { node: NONE, first: path.first().map_or(0, |(event, _)| *event), length: 0 };
        for (event, step) in path {
            let node = if chain.node == NONE { self.past.begin(*step, *event) } else { self.past.append(*step, *event, chain.node, NONE) };
            chain = Chain { node, length: chain.length + 1, ..chain };
        }
        chain
    }

    /// Converts to the common form.
    pub fn into_open(self) -> Open<E> {
        let path = |chain: Chain| {
            let mut path: Path = chain.nodes(&self.past).map(|node| (node.event, node.step)).collect();
            path.reverse();
            path
        };
        let waiting = self.open.iter().map(|run| (run.state, path(run.chain))).collect();
        let held = self.held.iter().map(|complete| (complete.arrival, path(complete.chain))).collect();
        Open { events: self.past.events, waiting, held }
    }
}
