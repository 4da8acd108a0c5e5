//! The history of one key: what records have left in it, in order of event time, with summaries of whole stretches.
//!
//! A history is a B+-tree that is filled from the right. The newest items and the newest complete nodes of each level are inline; older
//! nodes are values of a state of their own, so a key with millions of items is never one value that is rewritten. Any range of ranks is
//! summed up by a number of steps that grows with the logarithm of its length, whatever the spans that ask for it. See Tangwongsan, Hirzel
//! and Schneider, "Optimal and General Out-of-Order Sliding-Window Aggregation" (PVLDB 12, 2019), whose finger B-tree also sums up
//! stretches but keeps the aggregate of one window only.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use tidegate_runtime::Error;
use tidegate_runtime::state::Stored;

use super::nodes::{drop_in, edit_in, insert_in, rank_in, scan, take_leaf, walk};

/// The number of items in a leaf. Tests use small ones, so that a few dozen records fill several levels.
pub(super) const LEAF: usize = if cfg!(test) { 2 } else { 64 };

/// The number of nodes in a node.
pub(super) const FAN: usize = if cfg!(test) { 2 } else { 16 };

/// Items without their times, in the order of those.
pub trait Column: Stored {
    /// What a record leaves.
    type Item;
    /// The summary of a stretch of items.
    type Part: Stored;

    /// An empty column of the same kind.
    #[must_use]
    fn fresh(&self) -> Self;
    /// Inserts an item before the one at `at`.
    fn insert(&mut self, at: usize, item: Self::Item);
    /// Splits off the items from `at` on.
    #[must_use]
    fn split_off(&mut self, at: usize) -> Self;
    /// The summary of no items.
    fn nothing(&self) -> Self::Part;
    /// Adds the items of a stretch, with these times, to the summary of what came before.
    fn sum_up(&self, times: &[i64], range: Range<usize>, into: &mut Self::Part);
    /// Adds the summary of what came after.
    fn merge(into: &mut Self::Part, later: &Self::Part);
}

/// The number of a node within its history.
pub type NodeId = u32;

/// A node of a history and the summary of its items.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry<P> {
    /// The time of its first item.
    pub first: i64,
    /// The time of its last item.
    pub last: i64,
    /// The longest time between two consecutive items.
    pub gap: u64,
    /// The number of its items.
    pub count: u64,
    /// The summary of its items.
    pub part: P,
    pub(super) node: NodeId,
}

/// Items with their times.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Leaf<C> {
    pub(super) times: Vec<i64>,
    pub(super) column: C,
}

/// A node that is kept apart from its history.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(bound(serialize = "C: Column", deserialize = "C: Column"))]
pub enum Node<C: Column> {
    /// Items.
    Leaf(Leaf<C>),
    /// Nodes, in order.
    Inner(Vec<Entry<C::Part>>),
}

impl<C: Column> Stored for Node<C> {
    const SCHEMA: &'static str = "indicator.node/1";

    fn schema() -> String {
        Self::schema_of(&[C::schema(), C::Part::schema()])
    }
}

/// The nodes of one history.
pub trait Nodes<C: Column> {
    /// The node with this number.
    ///
    /// # Errors
    /// The disk failed.
    fn get(&mut self, node: NodeId) -> Result<Option<&Node<C>>, Error>;
    /// The node with this number, to be changed.
    ///
    /// # Errors
    /// The disk failed.
    fn get_mut(&mut self, node: NodeId) -> Result<Option<&mut Node<C>>, Error>;
    /// Adds a node.
    ///
    /// # Errors
    /// The disk failed.
    fn put(&mut self, node: NodeId, content: Node<C>) -> Result<(), Error>;
    /// Removes a node.
    ///
    /// # Errors
    /// The disk failed.
    fn take(&mut self, node: NodeId) -> Result<Option<Node<C>>, Error>;
}

/// A stretch of a history.
pub enum Piece<'a, C: Column> {
    /// Some items, with the times of all that are stored with them.
    Items(&'a [i64], &'a C, Range<usize>),
    /// All items of a node.
    Whole(&'a Entry<C::Part>),
}

/// Looks at a piece. Returns whether that will do; if not, and the piece is whole, it is shown in smaller pieces.
pub type See<'a, C> = &'a mut dyn FnMut(Piece<'_, C>) -> bool;

/// What records have left for one key.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(bound(serialize = "C: Column", deserialize = "C: Column"))]
pub struct History<C: Column> {
    /// The newest items.
    pub(super) tail: Leaf<C>,
    /// The complete nodes that are in no other, in order: those of the last level come first, then those of the level before.
    spine: Vec<Vec<Entry<C::Part>>>,
    /// The number of the next node.
    next: NodeId,
    /// The number of items in nodes.
    within: u64,
    /// The newest time of an item that has been dropped.
    pub(super) dropped: i64,
    /// The summary of the items that have been dropped, if that is asked for.
    pub(crate) past: Option<Box<Entry<C::Part>>>,
}

pub(super) fn gone(node: NodeId) -> Error {
    Error::internal(format!("node {node} of a history is not there"))
}

impl<C: Column> Leaf<C> {
    /// The entry for this leaf.
    pub(super) fn entry(&self, node: NodeId) -> Entry<C::Part> {
        let mut part = self.column.nothing();
        self.column.sum_up(&self.times, 0..self.times.len(), &mut part);
        Entry {
            first: self.times.first().copied().unwrap_or(i64::MAX),
            last: self.times.last().copied().unwrap_or(i64::MIN),
            gap: self.times.windows(2).map(|pair| pair[0].abs_diff(pair[1])).max().unwrap_or(0),
            count: self.times.len() as u64,
            part,
            node,
        }
    }

    pub(super) fn insert(&mut self, time: i64, item: C::Item) {
        let at = self.times.partition_point(|other| *other <= time);
        self.times.insert(at, time);
        self.column.insert(at, item);
    }

    pub(super) fn split_off(&mut self, at: usize) -> Self {
        Self { times: self.times.split_off(at), column: self.column.split_off(at) }
    }
}

/// The entry for a node of these nodes; `None` if there are none.
pub(super) fn entry_of<C: Column>(entries: &[Entry<C::Part>], node: NodeId) -> Option<Entry<C::Part>> {
    let (first, rest) = entries.split_first()?;
    let mut all = Entry { node, ..first.clone() };
    rest.iter().for_each(|entry| all.add::<C>(entry));
    Some(all)
}

impl<P: Clone> Entry<P> {
    /// Adds what comes after it.
    pub(super) fn add<C: Column<Part = P>>(&mut self, later: &Self) {
        self.gap = self.gap.max(later.gap).max(self.last.abs_diff(later.first));
        self.last = later.last;
        self.count += later.count;
        C::merge(&mut self.part, &later.part);
    }
}

impl<C: Column> History<C> {
    /// A history without items, for a column of this kind.
    pub fn new(column: &C) -> Self {
        let tail = Leaf { times: Vec::new(), column: column.fresh() };
        Self { tail, spine: Vec::new(), next: 0, within: 0, dropped: i64::MIN, past: None }
    }

    /// The number of its items.
    #[inline]
    pub fn len(&self) -> u64 {
        self.within + self.tail.times.len() as u64
    }

    /// Whether it has no items.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The time of the newest item.
    #[inline]
    pub fn newest(&self) -> Option<i64> {
        self.tail.times.last().copied().or_else(|| self.last_node().map(|entry| entry.last))
    }

    /// The time of the oldest item.
    pub fn oldest(&self) -> Option<i64> {
        self.spine.iter().rev().find_map(|level| level.first()).map(|entry| entry.first).or_else(|| self.tail.times.first().copied())
    }

    fn last_node(&self) -> Option<&Entry<C::Part>> {
        self.spine.iter().find_map(|level| level.last())
    }

    /// How many items have a time of at most `time`.
    #[inline]
    pub fn rank(&self, nodes: &mut impl Nodes<C>, time: i64) -> Result<u64, Error> {
        if self.tail.times.last().is_some_and(|newest| *newest <= time) {
            return Ok(self.len());
        }
        if self.within == 0 || self.last_node().is_some_and(|entry| entry.last <= time) {
            return Ok(self.within + self.tail.times.partition_point(|other| *other <= time) as u64);
        }
        let mut rank = 0;
        for entry in self.spine.iter().rev().flatten() {
            if entry.last > time {
                return Ok(rank + if entry.first > time { 0 } else { rank_in(nodes, entry.node, time)? });
            }
            rank += entry.count;
        }
        Ok(rank)
    }

    /// Shows the items of these ranks, oldest first.
    #[inline]
    pub fn visit(&self, nodes: &mut impl Nodes<C>, ranks: Range<u64>, see: See<'_, C>) -> Result<(), Error> {
        let Range { start, end } = ranks;
        if start < self.within {
            let mut before = 0;
            for level in self.spine.iter().rev() {
                let mut next = 0;
                while let Some((node, within)) = scan(level, &mut next, &mut before, start..end, see) {
                    walk(nodes, node, within, see)?;
                }
            }
        }
        let from = usize::try_from(start.saturating_sub(self.within)).unwrap_or(usize::MAX);
        let to = usize::try_from(end.saturating_sub(self.within)).unwrap_or(usize::MAX).min(self.tail.times.len());
        if from < to {
            see(Piece::Items(&self.tail.times, &self.tail.column, from..to));
        }
        Ok(())
    }

    /// The time of the item at this rank.
    pub fn time_at(&self, nodes: &mut impl Nodes<C>, rank: u64) -> Result<Option<i64>, Error> {
        let mut found = None;
        self.visit(nodes, rank..rank.saturating_add(1), &mut |piece| match piece {
            Piece::Items(times, _, range) => {
                found = times.get(range.start).copied();
                true
            }
            Piece::Whole(_) => false,
        })?;
        Ok(found)
    }

    /// Inserts an item after those of the same time. `closed` is shown each leaf that leaves the history for a node.
    #[inline]
    pub fn insert(
        &mut self,
        nodes: &mut impl Nodes<C>,
        time: i64,
        item: C::Item,
        closed: &mut dyn FnMut(&Leaf<C>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        if self.is_below(time) {
            return self.insert_below(nodes, time, item);
        }
        self.tail.insert(time, item);
        if self.tail.times.len() >= 2 * LEAF {
            self.close(nodes, closed)?;
        }
        Ok(())
    }

    /// Whether an item of this time goes into a node.
    #[inline]
    pub(super) fn is_below(&self, time: i64) -> bool {
        self.within > 0 && self.last_node().is_some_and(|entry| time < entry.last)
    }

    /// Moves the older half of the tail into a node.
    #[cold]
    fn close(&mut self, nodes: &mut impl Nodes<C>, closed: &mut dyn FnMut(&Leaf<C>) -> Result<(), Error>) -> Result<(), Error> {
        let newer = self.tail.split_off(LEAF);
        let leaf = std::mem::replace(&mut self.tail, newer);
        closed(&leaf)?;
        let node = self.number();
        let mut entry = leaf.entry(node);
        self.within += entry.count;
        nodes.put(node, Node::Leaf(leaf))?;
        for level in 0.. {
            if self.spine.len() == level {
                self.spine.push(Vec::new());
            }
            self.spine[level].push(entry);
            if self.spine[level].len() < 2 * FAN {
                break;
            }
            let newer = self.spine[level].split_off(FAN);
            let older = std::mem::replace(&mut self.spine[level], newer);
            let node = self.number();
            let Some(above) = entry_of::<C>(&older, node) else { break };
            nodes.put(node, Node::Inner(older))?;
            entry = above;
        }
        Ok(())
    }

    fn number(&mut self) -> NodeId {
        let node = self.next;
        self.next = self.next.wrapping_add(1);
        node
    }

    /// Inserts an item that is older than the newest node.
    #[cold]
    fn insert_below(&mut self, nodes: &mut impl Nodes<C>, time: i64, item: C::Item) -> Result<(), Error> {
        self.within += 1;
        let (level, at) = self.place(time);
        let (node, mut next) = (self.spine[level][at].node, self.next);
        let new = insert_in(nodes, node, time, item, &mut next)?;
        self.next = next;
        self.spine[level].splice(at..=at, new);
        Ok(())
    }

    /// The newest node that begins at or before `time`, or else the oldest.
    fn place(&self, time: i64) -> (usize, usize) {
        let mut oldest = (0, 0);
        for (level, entries) in self.spine.iter().enumerate() {
            let at = entries.partition_point(|entry| entry.first <= time);
            if at > 0 {
                return (level, at - 1);
            }
            if !entries.is_empty() {
                oldest = (level, 0);
            }
        }
        oldest
    }

    /// Changes items of this time. `change` is called with the items, newest first, until it returns true. Returns whether it did.
    pub fn edit(&mut self, nodes: &mut impl Nodes<C>, time: i64, change: &mut dyn FnMut(&mut C, usize) -> bool) -> Result<bool, Error> {
        if self.tail.edit(time, change) {
            return Ok(true);
        }
        if self.dropped >= time && self.oldest().is_none_or(|oldest| oldest > time) {
            return Ok(false);
        }
        for level in &mut self.spine {
            for entry in level.iter_mut().rev() {
                if entry.last < time {
                    return Ok(false);
                }
                if entry.first <= time
                    && let Some(new) = edit_in(nodes, entry.node, time, change)?
                {
                    *entry = new;
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Drops leaves that only have items below this rank, but not more than `most`. `drop` is shown each of them, oldest first.
    pub fn drop_below(
        &mut self,
        nodes: &mut impl Nodes<C>,
        mut rank: u64,
        most: usize,
        drop: &mut dyn FnMut(&Leaf<C>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut most = most;
        while most > 0 {
            let Some(level) = self.spine.iter().rposition(|level| !level.is_empty()) else { break };
            let before = self.spine[level][0].count;
            if level == 0 {
                if before > rank {
                    return Ok(());
                }
                let entry = self.spine[0].remove(0);
                take_leaf(nodes, entry.node, drop)?;
                self.within -= before;
                rank -= before;
                most -= 1;
                continue;
            }
            let node = self.spine[level][0].node;
            let (left, taken) = drop_in(nodes, node, level, rank, &mut most, drop)?;
            match left {
                Some(entry) => self.spine[level][0] = entry,
                None => _ = self.spine[level].remove(0),
            }
            self.within -= taken;
            rank -= taken;
            if taken == 0 {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Drops items below this rank from the tail, if nothing older is left.
    pub fn trim(&mut self, rank: u64, drop: &mut dyn FnMut(&Leaf<C>) -> Result<(), Error>) -> Result<(), Error> {
        let n = usize::try_from(rank).unwrap_or(usize::MAX).min(self.tail.times.len());
        if self.within > 0 || n == 0 {
            return Ok(());
        }
        let newer = self.tail.split_off(n);
        let older = std::mem::replace(&mut self.tail, newer);
        drop(&older)
    }

    /// The number of nodes that hold items, about.
    pub fn leaves(&self) -> usize {
        usize::try_from(self.within).unwrap_or(usize::MAX).div_ceil(LEAF)
    }
}

impl<C: Column> Leaf<C> {
    pub(super) fn edit(&mut self, time: i64, change: &mut dyn FnMut(&mut C, usize) -> bool) -> bool {
        let after = self.times.partition_point(|other| *other <= time);
        let equal = self.times[..after].iter().rev().take_while(|other| **other == time).count();
        (after - equal..after).rev().any(|at| change(&mut self.column, at))
    }
}
