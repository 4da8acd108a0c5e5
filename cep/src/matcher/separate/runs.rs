//! The state of a key whose partial matches (runs) are followed one by one.
//!
//! What a run has matched is a chain of nodes back to its first event. Runs share chains: as long as both take the same events, a run that began later
//! holds the latest part of the chain of one that began earlier, and says itself where its part ends. So a loop that a thousand runs are in takes one
//! node per event.

use std::collections::{BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use crate::matcher::past::{NONE, Node, Past, Sweep};
use crate::nfa::StateId;

/// A partial match.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Run {
    pub state: StateId,
    pub chain: Chain,
}

/// The events of a partial or complete match.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Chain {
    /// The node of the latest event.
    pub node: u32,
    /// The first event, where the chain ends.
    pub first: u32,
    /// The number of events.
    pub length: u32,
}

/// A complete match that is not emitted yet.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Complete {
    pub chain: Chain,
    /// When it was completed: the number of the event that did it.
    pub arrival: u64,
}

/// The open partial matches of one key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Separate<E> {
    pub(crate) past: Past<E>,
    /// The runs, in the order of their first events.
    pub(crate) open: Vec<Run>,
    /// Complete matches, in the order in which they will be emitted.
    pub(crate) held: VecDeque<Complete>,
    /// The number of the next event, for the order in which matches are completed.
    pub(crate) arrivals: u64,
    /// No run runs out of time before this.
    pub(crate) deadline: i64,
    /// For patterns with few states: a bit for each state that a run is in. Bits of states that runs have left may be set, too.
    pub(crate) occupied: u64,
}

impl<E> Default for Separate<E> {
    fn default() -> Self {
        Self { past: Past::default(), open: Vec::new(), held: VecDeque::new(), arrivals: 0, deadline: i64::MAX, occupied: 0 }
    }
}

impl<E> Separate<E> {
    /// The number of events in partial matches and in complete ones that are held.
    pub fn events(&self) -> usize {
        let chains = self.open.iter().map(|run| run.chain).chain(self.held.iter().map(|complete| complete.chain));
        let events: BTreeSet<u32> = chains.flat_map(|chain| chain.nodes(&self.past)).map(|node| node.event).collect();
        events.len()
    }

    /// When the next run runs out of time.
    pub fn deadline(&self) -> Option<i64> {
        (!self.open.is_empty() && self.deadline < i64::MAX).then_some(self.deadline)
    }

    /// About how many bytes it takes, if an event takes `event` bytes.
    pub fn bytes(&self, event: usize) -> usize {
        self.past.bytes(event) + self.open.capacity() * size_of::<Run>()
    }

    /// Adds a run.
    pub(crate) fn enter(&mut self, run: Run) {
        self.occupied |= 1u64.wrapping_shl(run.state);
        if self.open.capacity() == 0 {
            // Most keys hold very few runs.
            self.open.reserve_exact(1);
        }
        self.open.push(run);
    }

    /// The time of the latest event of a chain.
    pub(crate) fn latest(&self, chain: Chain) -> i64 {
        self.past.time(self.past.node(chain.node).event)
    }

    /// Forgets the events and nodes that no run and no match holds.
    pub(crate) fn sweep(&mut self, sweep: &mut Sweep) {
        let chains = || self.open.iter().map(|run| run.chain).chain(self.held.iter().map(|complete| complete.chain));
        let first = chains().map(|chain| chain.first).min().unwrap_or(NONE);
        let roots: Vec<u32> = chains().map(|chain| chain.node).collect();
        self.past.sweep_cut(roots.into_iter(), first, sweep);
        let moved = |chain: Chain| Chain { node: sweep.node(chain.node), first: sweep.event(chain.first), ..chain };
        self.open.iter_mut().for_each(|run| run.chain = moved(run.chain));
        self.held.iter_mut().for_each(|complete| complete.chain = moved(complete.chain));
    }
}

impl Chain {
    /// The nodes of the chain, from the latest event back to the first.
    pub(crate) fn nodes<E>(self, past: &Past<E>) -> impl Iterator<Item = Node> + use<'_, E> {
        let of = |at: u32| past.nodes.get(at as usize).copied();
        std::iter::successors(of(self.node), move |node| if node.event == self.first { None } else { of(node.left) })
    }
}
