//! The one match of a set that is emitted where a match ends all others: that which began first, and of those the one whose events came first.

use super::automaton::Program;
use super::sets::{Node, Scratch, Shared};
use crate::matcher::runs::Path;
use crate::matcher::separate::NONE;

/// Room to work in. Finding the match takes a step for each node of the key, all of which go with it: so it costs no more than they did.
#[derive(Clone, Debug, Default)]
pub(super) struct Best {
    /// By node: the end of the best chain in it, if any is left.
    chains: Vec<u32>,
    /// By node: the first event of that.
    starts: Vec<u32>,
}

impl Best {
    /// Adds the best of what is complete.
    pub fn of<E>(&mut self, sets: &Shared<E>, program: &Program, scratch: &Scratch, paths: &mut Vec<Path>) {
        let nodes = &*sets.nodes;
        self.chains.clear();
        self.starts.clear();
        for (at, node) in nodes.iter().enumerate() {
            let (chain, start) = match *node {
                _ if sets.is_over(at as u32) => (NONE, NONE),
                Node::Event { event, before: NONE, .. } => (at as u32, event),
                Node::Event { before, .. } => (at as u32, self.starts[before as usize]),
                Node::Either { left, right, .. } => self.better(nodes, left, right),
            };
            self.chains.push(chain);
            self.starts.push(start);
        }
        let complete = program.matches.iter().map(|part| sets.set(*part, scratch));
        let best = complete.reduce(|a, b| self.better(nodes, a, b).0);
        let mut path: Path = best.into_iter().flat_map(|set| self.chain(nodes, set)).map(|(_, event, step)| (event, step)).collect();
        path.reverse();
        paths.push(path);
    }

    fn better(&self, nodes: &[Node], left: u32, right: u32) -> (u32, u32) {
        let [(a, started), (b, other)] = [left, right].map(|node| (self.chains[node as usize], self.starts[node as usize]));
        let first = if started == other { self.came_first(nodes, a, b) } else { started < other };
        if first { (a, started) } else { (b, other) }
    }

    /// Of two chains of one first event and one length: did the events of `a` come first?
    fn came_first(&self, nodes: &[Node], a: u32, b: u32) -> bool {
        let differing = self.chain(nodes, a).zip(self.chain(nodes, b)).take_while(|(a, b)| a.0 != b.0);
        // The earliest event in which they differ decides.
        differing.filter(|(a, b)| a.1 != b.1).last().is_none_or(|(a, b)| a.1 < b.1)
    }

    /// The nodes, events and steps of the best chain of a node, last to first.
    fn chain(&self, nodes: &[Node], node: u32) -> impl Iterator<Item = (u32, u32, u32)> {
        let of = |node: u32| self.chains.get(node as usize).copied().filter(|chain| *chain != NONE);
        std::iter::successors(of(node), move |chain| match nodes[*chain as usize] {
            Node::Event { before, .. } => of(before),
            Node::Either { .. } => None,
        })
        .filter_map(|chain| match nodes[chain as usize] {
            Node::Event { event, step, .. } => Some((chain, event, step)),
            Node::Either { .. } => None,
        })
    }
}
