//! What happens inside the nodes of a history.

use std::ops::Range;

use tidegate_runtime::Error;

use super::history::{Column, Entry, FAN, LEAF, Leaf, Node, NodeId, Nodes, Piece, See, entry_of, gone};

/// Goes through entries from `next` on, of which the first has the rank `before`. Returns the next node to go into, with the ranks within it.
pub(super) fn scan<C: Column>(
    entries: &[Entry<C::Part>],
    next: &mut usize,
    before: &mut u64,
    ranks: Range<u64>,
    see: See<'_, C>,
) -> Option<(NodeId, Range<u64>)> {
    while let Some(entry) = entries.get(*next) {
        let start = *before;
        if start >= ranks.end {
            return None;
        }
        *next += 1;
        *before += entry.count;
        let (low, high) = (ranks.start.max(start), ranks.end.min(*before));
        if low >= high || high - low == entry.count && see(Piece::Whole(entry)) {
            continue;
        }
        return Some((entry.node, low - start..high - start));
    }
    None
}

/// Shows the items of a node.
pub(super) fn walk<C: Column>(nodes: &mut impl Nodes<C>, node: NodeId, ranks: Range<u64>, see: See<'_, C>) -> Result<(), Error> {
    let (mut next, mut before) = (0, 0);
    loop {
        let inner = match nodes.get(node)?.ok_or_else(|| gone(node))? {
            Node::Leaf(leaf) => {
                let place = |rank: u64| usize::try_from(rank).unwrap_or(usize::MAX).min(leaf.times.len());
                see(Piece::Items(&leaf.times, &leaf.column, place(ranks.start)..place(ranks.end)));
                return Ok(());
            }
            Node::Inner(entries) => scan(entries, &mut next, &mut before, ranks.clone(), see),
        };
        let Some((node, within)) = inner else { return Ok(()) };
        walk(nodes, node, within, see)?;
    }
}

/// How many items of a node have a time of at most `time`.
pub(super) fn rank_in<C: Column>(nodes: &mut impl Nodes<C>, node: NodeId, time: i64) -> Result<u64, Error> {
    let mut rank = 0;
    let below = match nodes.get(node)?.ok_or_else(|| gone(node))? {
        Node::Leaf(leaf) => return Ok(leaf.times.partition_point(|other| *other <= time) as u64),
        Node::Inner(entries) => entries.iter().find(|entry| {
            let before = entry.last <= time;
            rank += if before { entry.count } else { 0 };
            !before
        }),
    };
    match below.map(|entry| (entry.first, entry.node)) {
        Some((first, node)) if first <= time => Ok(rank + rank_in(nodes, node, time)?),
        _ => Ok(rank),
    }
}

/// Inserts an item into a node. Returns the entry for it, or two if it had to be split.
pub(super) fn insert_in<C: Column>(
    nodes: &mut impl Nodes<C>,
    node: NodeId,
    time: i64,
    item: C::Item,
    next: &mut NodeId,
) -> Result<Vec<Entry<C::Part>>, Error> {
    let mut number = || {
        *next = next.wrapping_add(1);
        next.wrapping_sub(1)
    };
    let (at, child) = match nodes.get_mut(node)?.ok_or_else(|| gone(node))? {
        Node::Leaf(leaf) => {
            leaf.insert(time, item);
            if leaf.times.len() < 4 * LEAF {
                return Ok(vec![leaf.entry(node)]);
            }
            let newer = leaf.split_off(2 * LEAF);
            let number = number();
            let entries = vec![leaf.entry(node), newer.entry(number)];
            nodes.put(number, Node::Leaf(newer))?;
            return Ok(entries);
        }
        Node::Inner(entries) => {
            let at = entries.partition_point(|entry| entry.first <= time).saturating_sub(1);
            (at, entries.get(at).map(|entry| entry.node).ok_or_else(|| gone(node))?)
        }
    };
    let new = insert_in(nodes, child, time, item, next)?;
    let Node::Inner(entries) = nodes.get_mut(node)?.ok_or_else(|| gone(node))? else { return Err(gone(node)) };
    entries.splice(at..=at, new);
    if entries.len() < 4 * FAN {
        return Ok(entry_of::<C>(entries, node).into_iter().collect());
    }
    let newer = entries.split_off(2 * FAN);
    let number = *next;
    *next = next.wrapping_add(1);
    let both = entry_of::<C>(entries, node).into_iter().chain(entry_of::<C>(&newer, number)).collect();
    nodes.put(number, Node::Inner(newer))?;
    Ok(both)
}

/// Changes an item in a node. Returns the new entry for it if `change` returned true.
pub(super) fn edit_in<C: Column>(
    nodes: &mut impl Nodes<C>,
    node: NodeId,
    time: i64,
    change: &mut dyn FnMut(&mut C, usize) -> bool,
) -> Result<Option<Entry<C::Part>>, Error> {
    let below: Vec<(usize, NodeId)> = match nodes.get(node)?.ok_or_else(|| gone(node))? {
        Node::Leaf(_) => {
            let Some(Node::Leaf(leaf)) = nodes.get_mut(node)? else { return Err(gone(node)) };
            return Ok(leaf.edit(time, change).then(|| leaf.entry(node)));
        }
        Node::Inner(entries) => {
            let may = |(_, entry): &(usize, &Entry<C::Part>)| entry.first <= time && time <= entry.last;
            entries.iter().enumerate().filter(may).map(|(at, entry)| (at, entry.node)).collect()
        }
    };
    for (at, child) in below.into_iter().rev() {
        if let Some(new) = edit_in(nodes, child, time, change)? {
            let Some(Node::Inner(entries)) = nodes.get_mut(node)? else { return Err(gone(node)) };
            entries[at] = new;
            return Ok(entry_of::<C>(entries, node));
        }
    }
    Ok(None)
}

pub(super) fn take_leaf<C: Column>(
    nodes: &mut impl Nodes<C>,
    node: NodeId,
    drop: &mut dyn FnMut(&Leaf<C>) -> Result<(), Error>,
) -> Result<(), Error> {
    match nodes.take(node)? {
        Some(Node::Leaf(leaf)) => drop(&leaf),
        _ => Err(gone(node)),
    }
}

/// The entry for what is left of a node, and the number of items dropped.
type Left<C> = (Option<Entry<<C as Column>::Part>>, u64);

/// Drops leaves of a node at this level. Returns the entry for what is left, and the number of items dropped.
pub(super) fn drop_in<C: Column>(
    nodes: &mut impl Nodes<C>,
    node: NodeId,
    level: usize,
    rank: u64,
    most: &mut usize,
    drop: &mut dyn FnMut(&Leaf<C>) -> Result<(), Error>,
) -> Result<Left<C>, Error> {
    let mut taken = 0;
    loop {
        let Some(Node::Inner(entries)) = nodes.get(node)? else { return Err(gone(node)) };
        let Some((child, count)) = entries.first().map(|entry| (entry.node, entry.count)) else {
            nodes.take(node)?;
            return Ok((None, taken));
        };
        let left = if *most == 0 {
            break;
        } else if level == 1 {
            if count > rank - taken {
                break;
            }
            take_leaf(nodes, child, drop)?;
            *most -= 1;
            taken += count;
            None
        } else {
            let (left, of_child) = drop_in(nodes, child, level - 1, rank - taken, most, drop)?;
            if of_child == 0 {
                break;
            }
            taken += of_child;
            left
        };
        let Some(Node::Inner(entries)) = nodes.get_mut(node)? else { return Err(gone(node)) };
        match left {
            Some(entry) => entries[0] = entry,
            None => _ = entries.remove(0),
        }
    }
    let Some(Node::Inner(entries)) = nodes.get(node)? else { return Err(gone(node)) };
    Ok((entry_of::<C>(entries, node), taken))
}
