//! Finds which nodes lead to first events in a range.

use std::ops::Range;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::matcher::past::Past;

/// Finds out whether a chain of a node begins in a range, visiting as few nodes as possible.
#[derive(Debug)]
pub(super) struct Reach<'p, E> {
    past: &'p Past<E>,
    range: Range<u32>,
    known: HashMap<u32, bool, FixedState>,
}

impl<'p, E> Reach<'p, E> {
    pub fn new(past: &'p Past<E>, range: Range<u32>) -> Self {
        Self { past, range, known: HashMap::default() }
    }

    /// The answer, if the node itself or an earlier search gives it.
    fn at_a_glance(&self, at: u32) -> Option<bool> {
        let node = self.past.node(at);
        if node.newest < self.range.start || node.oldest >= self.range.end {
            return Some(false);
        }
        let is_in = |first: u32| self.range.contains(&first);
        if is_in(node.oldest) || is_in(node.newest) || node.is_first() {
            return Some(is_in(node.oldest) || is_in(node.newest));
        }
        self.known.get(&at).copied()
    }

    /// True if a chain of this set begins in the range.
    pub fn find(&mut self, root: u32) -> bool {
        let mut open = vec![root];
        while let Some(at) = open.last().copied() {
            if self.at_a_glance(at).is_some() {
                open.pop();
                continue;
            }
            let (mut is_found, mut unknown) = (false, None);
            for child in self.past.node(at).children() {
                match self.at_a_glance(child) {
                    Some(found) => is_found |= found,
                    None => unknown = Some(child),
                }
            }
            match unknown {
                Some(child) if !is_found => open.push(child),
                _ => {
                    self.known.insert(at, is_found);
                    open.pop();
                }
            }
        }
        self.at_a_glance(root).unwrap_or(false)
    }

    /// Adds the first events of this set that lie in the range.
    pub fn firsts(&mut self, root: u32, firsts: &mut std::collections::BTreeSet<u32>) {
        let mut seen: HashMap<u32, (), FixedState> = HashMap::default();
        let mut open = vec![root];
        while let Some(at) = open.pop() {
            if seen.insert(at, ()).is_some() || !self.find(at) {
                continue;
            }
            let node = self.past.node(at);
            if node.is_first() {
                firsts.insert(node.event);
            }
            open.extend(node.children());
        }
    }
}
