//! The past that the open partial matches of a key share: their events, and chains of events that have as much in common as they can.
//!
//! A partial match is a chain of nodes from its latest event back to its first. A set of partial matches is a node, too: an event after either of two
//! sets, or the union of two sets. Every node knows the oldest and the newest first event in it. Time and skips end matches by their first events, so
//! what they have ended is passed over without being visited.

use std::collections::BTreeSet;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::nfa::StepId;

/// Stands for no node and for no event.
pub(crate) const NONE: u32 = u32::MAX;

/// Events and chains. Plain data, with numbers instead of pointers, so it can be stored as it is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Past<E> {
    /// The events with their times, in the order in which they were processed.
    pub events: Vec<(E, i64)>,
    /// The nodes in the order of their events, each after those it leads to.
    pub nodes: Vec<Node>,
    /// The number of nodes that the last sweep left.
    swept: u32,
}

/// A set of chains that end with the same event, or the union of two sets.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Node {
    /// The latest event; [`NONE`] for a union.
    pub event: u32,
    /// The step that took it.
    pub step: StepId,
    /// The sets that lead up to the event. Without any, the event is a first event.
    pub left: u32,
    pub right: u32,
    /// The oldest and the newest first event of the chains.
    pub oldest: u32,
    pub newest: u32,
}

impl Node {
    /// True if it begins a chain.
    pub fn is_first(self) -> bool {
        self.left == NONE && self.right == NONE
    }

    /// True if it is a union of sets, without an event of its own.
    pub fn is_union(self) -> bool {
        self.event == NONE
    }

    pub fn children(self) -> impl Iterator<Item = u32> {
        [self.left, self.right].into_iter().filter(|child| *child != NONE)
    }
}

/// What is left of a past after a sweep, and where it is now. Kept between sweeps only to reuse its memory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sweep {
    /// By former node: its new number.
    nodes: Vec<u32>,
    /// By former event: its new number.
    events: Vec<u32>,
    kept: Vec<bool>,
}

impl Sweep {
    /// The new number of a node; [`NONE`] if no chain of it is left.
    pub fn node(&self, former: u32) -> u32 {
        self.nodes.get(former as usize).copied().unwrap_or(NONE)
    }

    /// The new number of the first event that is left at or after this one.
    pub fn event(&self, former: u32) -> u32 {
        self.events.get(former as usize).copied().unwrap_or(NONE)
    }
}

impl<E> Default for Past<E> {
    fn default() -> Self {
        Self { events: Vec::new(), nodes: Vec::new(), swept: 0 }
    }
}

impl<E> Past<E> {
    pub fn time(&self, event: u32) -> i64 {
        self.events.get(event as usize).map_or(i64::MAX, |(_, time)| *time)
    }

    pub fn node(&self, node: u32) -> Node {
        self.nodes[node as usize]
    }

    /// About how many bytes it takes, if an event takes `event` bytes.
    pub fn bytes(&self, event: usize) -> usize {
        self.events.len() * (event + size_of::<i64>()) + self.nodes.capacity() * size_of::<Node>()
    }

    /// The number that the next event gets.
    pub fn next_event(&self) -> u32 {
        self.events.len() as u32
    }

    pub fn store(&mut self, event: E, time: i64) -> u32 {
        push(&mut self.events, (event, time));
        self.next_event() - 1
    }

    /// Adds the chain of a first event.
    pub fn begin(&mut self, step: StepId, event: u32) -> u32 {
        self.add(Node { event, step, left: NONE, right: NONE, oldest: event, newest: event })
    }

    /// Adds an event after the chains of one set or of two.
    pub fn append(&mut self, step: StepId, event: u32, left: u32, right: u32) -> u32 {
        self.join(event, step, left, right)
    }

    /// The union of two sets.
    pub fn either(&mut self, left: u32, right: u32) -> u32 {
        match (left, right) {
            (NONE, set) | (set, NONE) => set,
            _ => self.join(NONE, 0, left, right),
        }
    }

    fn join(&mut self, event: u32, step: StepId, left: u32, right: u32) -> u32 {
        let node = self.spanning(Node { event, step, left, right, oldest: event, newest: event });
        self.add(node)
    }

    /// Fills in the oldest and the newest first event, from what the node leads to. A first event is itself both.
    fn spanning(&self, mut node: Node) -> Node {
        if !node.is_first() {
            (node.oldest, node.newest) = (NONE, 0);
            for child in node.children() {
                let child = self.node(child);
                (node.oldest, node.newest) = (node.oldest.min(child.oldest), node.newest.max(child.newest));
            }
        }
        node
    }

    fn add(&mut self, node: Node) -> u32 {
        push(&mut self.nodes, node);
        (self.nodes.len() - 1) as u32
    }

    /// The number of chains of the sets with a first event in `range`, saturating.
    pub fn count(&self, roots: impl Iterator<Item = u32>, range: &Range<u32>) -> usize {
        let mut counts: Vec<usize> = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            counts.push(if node.is_first() {
                usize::from(range.contains(&node.event))
            } else {
                node.children().fold(0, |sum, child| sum.saturating_add(counts[child as usize]))
            });
        }
        roots.fold(0, |sum, root| sum.saturating_add(counts[root as usize]))
    }

    /// The number of events in the chains of the sets that begin in `range`.
    pub fn count_events(&self, roots: impl Iterator<Item = u32>, range: &Range<u32>) -> usize {
        let mut is_left: Vec<bool> = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            let has_left = node.is_first() && range.contains(&node.event) || node.children().any(|child| is_left[child as usize]);
            is_left.push(has_left);
        }
        let (mut seen, mut open) = (vec![false; self.nodes.len()], roots.collect::<Vec<_>>());
        let mut events = BTreeSet::new();
        while let Some(at) = open.pop() {
            if is_left[at as usize] && !std::mem::replace(&mut seen[at as usize], true) {
                let node = self.node(at);
                events.extend(Some(node.event).filter(|event| *event != NONE));
                open.extend(node.children());
            }
        }
        events.len()
    }

    /// True if the number of nodes has doubled since the last sweep.
    pub fn wants_sweep(&self) -> bool {
        self.nodes.len() > 2 * self.swept as usize + 32
    }

    /// Forgets everything except the chains of the roots that begin in `range`.
    pub fn sweep(&mut self, roots: impl Iterator<Item = u32>, range: &Range<u32>, sweep: &mut Sweep) {
        // First, from the oldest node on, find out which nodes have a chain left. A union with one side left becomes that side.
        sweep.nodes.clear();
        for at in 0..self.nodes.len() {
            let node = self.nodes[at];
            let [left, right] = [node.left, node.right].map(|child| sweep.node(child));
            let is_left = if node.is_first() { range.contains(&node.event) } else { left != NONE || right != NONE };
            (self.nodes[at].left, self.nodes[at].right) = if left == NONE { (right, NONE) } else { (left, right) };
            sweep.nodes.push(match (is_left, node.is_union() && (left == NONE || right == NONE)) {
                (false, _) => NONE,
                (true, true) => self.nodes[at].left,
                (true, false) => at as u32,
            });
        }
        let roots = roots.map(|root| sweep.nodes[root as usize]).filter(|root| *root != NONE).collect::<Vec<_>>();
        self.keep(roots.into_iter(), sweep);
    }

    /// Sweeps chains without unions, each of which ends where its owner says. What came before `first` is cut off.
    pub fn sweep_cut(&mut self, roots: impl Iterator<Item = u32>, first: u32, sweep: &mut Sweep) {
        sweep.nodes.clear();
        sweep.nodes.extend(0..self.nodes.len() as u32);
        for at in 0..self.nodes.len() {
            let before = self.nodes[at].left;
            if before != NONE && self.node(before).event < first {
                self.nodes[at].left = NONE;
            }
        }
        self.keep(roots, sweep);
    }

    /// Keeps what the roots lead to. On entry, `sweep` gives for each old number the old number of the node it has become; on return, the new number.
    fn keep(&mut self, roots: impl Iterator<Item = u32>, sweep: &mut Sweep) {
        let Sweep { nodes, events, kept } = sweep;
        kept.clear();
        kept.resize(self.nodes.len(), false);
        roots.for_each(|root| kept[root as usize] = true);
        events.clear();
        events.resize(self.events.len(), NONE);
        for at in (0..self.nodes.len()).rev() {
            if kept[at] {
                let node = self.nodes[at];
                node.children().for_each(|child| kept[child as usize] = true);
                if !node.is_union() {
                    events[node.event as usize] = 0;
                }
            }
        }
        let mut next = 0;
        let mut held = events.iter().map(|mark| *mark != NONE).collect::<Vec<_>>().into_iter();
        self.events.retain(|_| held.next().unwrap_or(false));
        for number in events.iter_mut() {
            let is_held = *number != NONE;
            *number = next;
            next += u32::from(is_held);
        }
        // New numbers by old ones. What is left moves up, children before the nodes that lead to them.
        let mut numbers = vec![NONE; self.nodes.len()];
        let mut len = 0u32;
        for at in 0..self.nodes.len() {
            if !kept[at] {
                continue;
            }
            let Node { event, step, left, right, .. } = self.nodes[at];
            let event = if event == NONE { NONE } else { events[event as usize] };
            let [left, right] = [left, right].map(|child| if child == NONE { NONE } else { numbers[child as usize] });
            self.nodes[len as usize] = self.spanning(Node { event, step, left, right, oldest: event, newest: event });
            numbers[at] = len;
            len += 1;
        }
        self.nodes.truncate(len as usize);
        for node in nodes.iter_mut().filter(|node| **node != NONE) {
            *node = numbers[*node as usize];
        }
        self.swept = len;
        if self.nodes.capacity() > 4 * self.nodes.len() {
            self.nodes.shrink_to(2 * self.nodes.len());
            self.events.shrink_to(2 * self.events.len());
        }
    }
}

/// Pushes to a vector that grows by a quarter only: there may be one for every key, and most hold very little.
fn push<T>(items: &mut Vec<T>, item: T) {
    if items.len() == items.capacity() {
        items.reserve_exact((items.len() / 4).max(1));
    }
    items.push(item);
}
