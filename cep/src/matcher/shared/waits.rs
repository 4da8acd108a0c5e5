//! The sets of partial matches that wait in one state, in the order of their latest events.
//!
//! They lie in trees of unions. As in a binary counter, two trees of one size are joined. So the oldest sets are found and released in a logarithmic
//! number of steps, and the union of all of them costs a node or two each time.

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::matcher::past::{NONE, Past, Sweep};
use crate::nfa::StateId;

/// What waits in a state: at least one set.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Waits {
    pub state: StateId,
    /// The trees, the one with the oldest latest events first.
    trees: SmallVec<[Tree; 2]>,
}

/// A union of sets.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Tree {
    root: u32,
    /// A tree of rank n was joined from two of rank n - 1.
    rank: u8,
    /// The union with all trees before it, once that has been needed; else [`NONE`].
    union: u32,
}

impl Waits {
    pub fn new(state: StateId) -> Self {
        Self { state, trees: SmallVec::new() }
    }

    pub fn is_empty(&self) -> bool {
        self.trees.is_empty()
    }

    pub fn roots(&self) -> impl Iterator<Item = u32> {
        self.trees.iter().map(|tree| tree.root)
    }

    /// Adds a set whose latest event is at least as new as that of every other.
    pub fn add<E>(&mut self, set: u32, past: &mut Past<E>) {
        self.put(set, 0, past);
    }

    fn put<E>(&mut self, root: u32, rank: u8, past: &mut Past<E>) {
        let mut tree = Tree { root, rank, union: NONE };
        while let Some(last) = self.trees.last().filter(|last| last.rank == tree.rank) {
            tree = Tree { root: past.either(last.root, tree.root), rank: tree.rank.saturating_add(1), union: NONE };
            self.trees.pop();
        }
        self.trees.push(tree);
    }

    /// Adds everything that waits in another state.
    pub fn join<E>(&mut self, other: &Self, past: &mut Past<E>) {
        let latest = |waits: &Self, past: &Past<E>| waits.trees.last().map(|tree| last(tree.root, past));
        if self.is_empty() {
            self.trees.clone_from(&other.trees);
        } else if other.trees.first().is_none_or(|tree| Some(first(tree.root, past)) >= latest(self, past)) {
            other.trees.iter().for_each(|tree| self.put(tree.root, tree.rank, past));
        } else {
            let mut sets: Vec<u32> = Vec::new();
            self.roots().chain(other.roots()).for_each(|root| leaves(root, past, &mut sets));
            sets.sort_by_key(|set| past.node(*set).event);
            self.trees.clear();
            sets.into_iter().for_each(|set| self.add(set, past));
        }
    }

    /// The union of all sets.
    pub fn union<E>(&mut self, past: &mut Past<E>) -> u32 {
        let made = self.trees.iter().rposition(|tree| tree.union != NONE);
        let mut union = made.map_or(NONE, |at| self.trees[at].union);
        for tree in &mut self.trees[made.map_or(0, |at| at + 1)..] {
            union = past.either(union, tree.root);
            tree.union = union;
        }
        union
    }

    /// All of them as one set, or as two where that saves making a union.
    pub fn halves<E>(&mut self, past: &mut Past<E>) -> (u32, u32) {
        match *self.trees.as_slice() {
            [] => (NONE, NONE),
            [one] => (one.root, NONE),
            [one, other] if other.union == NONE => (one.root, other.root),
            _ => (self.union(past), NONE),
        }
    }

    /// The oldest of the latest events of the sets.
    pub fn oldest_latest<E>(&self, past: &Past<E>) -> Option<u32> {
        self.trees.first().map(|tree| first(tree.root, past))
    }

    /// The newest of the latest events of the sets.
    pub fn newest_latest<E>(&self, past: &Past<E>) -> Option<u32> {
        self.trees.last().map(|tree| last(tree.root, past))
    }

    /// The newest first event of all matches.
    pub fn newest<E>(&self, past: &Past<E>) -> Option<u32> {
        self.trees.iter().map(|tree| past.node(tree.root).newest).max()
    }

    /// Takes out the sets whose latest event came before `bound`.
    pub fn take_before<E>(&mut self, bound: u32, past: &Past<E>, taken: &mut Vec<u32>) {
        let mut kept: SmallVec<[Tree; 2]> = SmallVec::new();
        let mut trees = std::mem::take(&mut self.trees).into_iter();
        for tree in trees.by_ref() {
            if last(tree.root, past) < bound {
                taken.push(tree.root);
                continue;
            }
            // Some of this tree may be older than `bound`: look into the half that straddles it, and so on down.
            let mut halves = vec![(tree.root, tree.rank)];
            while let Some((root, rank)) = halves.pop() {
                let node = past.node(root);
                if last(root, past) < bound {
                    taken.push(root);
                } else if first(root, past) >= bound {
                    kept.push(Tree { root, rank, union: NONE });
                } else {
                    let below = rank.saturating_sub(1);
                    halves.extend([(node.right, below), (node.left, below)]);
                }
            }
            break;
        }
        kept.extend(trees.map(|tree| Tree { union: NONE, ..tree }));
        self.trees = kept;
    }

    /// Drops the trees in which every first event came before `floor`.
    pub fn drop_before<E>(&mut self, floor: u32, past: &Past<E>) {
        if self.trees.iter().any(|tree| past.node(tree.root).newest < floor) {
            self.trees.retain(|tree| past.node(tree.root).newest >= floor);
            self.trees.iter_mut().for_each(|tree| tree.union = NONE);
        }
    }

    /// Takes over the numbers that a sweep has given. Trees without a chain are dropped.
    pub fn moved(&mut self, sweep: &Sweep) {
        self.trees.retain_mut(|tree| {
            // Unions with the trees before are not roots of the sweep, so they are made anew.
            *tree = Tree { root: sweep.node(tree.root), union: NONE, ..*tree };
            tree.root != NONE
        });
    }
}

/// The oldest of the latest events in a tree.
fn first<E>(root: u32, past: &Past<E>) -> u32 {
    let mut node = past.node(root);
    while node.is_union() {
        node = past.node(node.left);
    }
    node.event
}

/// The newest of the latest events in a tree.
fn last<E>(root: u32, past: &Past<E>) -> u32 {
    let mut node = past.node(root);
    while node.is_union() {
        node = past.node(node.right);
    }
    node.event
}

/// Adds the sets of a tree, each with one latest event.
pub(super) fn leaves<E>(root: u32, past: &Past<E>, sets: &mut Vec<u32>) {
    let mut open = vec![root];
    while let Some(root) = open.pop() {
        let node = past.node(root);
        if node.is_union() { open.extend([node.right, node.left]) } else { sets.push(root) }
    }
}
