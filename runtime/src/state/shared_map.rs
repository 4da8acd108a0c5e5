//! A persistent map: cloning takes constant time, clones share what they have in common, and a change copies only the path to it.
//!
//! It is a trie over the stable hashes of the keys (Bagwell, "Ideal Hash Trees", 2001), four bits per level, with small lists as leaves.
//! Its order is that of the hashes, so it is the same in every run, and a walk can stop and resume.

use std::borrow::Borrow;
use std::sync::Arc;

use serde::Serialize;
use tidegate_checkpoints::stable_hash;

use crate::error::Error;

/// A map of which several owners hold a version each. See [`Broadcast`](super::Broadcast).
#[derive(Debug)]
pub struct SharedMap<M, V> {
    root: Option<Arc<Node<M, V>>>,
    len: usize,
}

#[derive(Debug)]
enum Node<M, V> {
    Leaf(Vec<Entry<M, V>>),
    Branch([Option<Arc<Node<M, V>>>; FANOUT]),
}

#[derive(Debug)]
struct Entry<M, V> {
    hash: u64,
    pair: Arc<(M, V)>,
}

/// The bits of a hash used by one level of branches.
const BITS: u32 = 4;
const FANOUT: usize = 1 << BITS;
/// The greatest depth of a leaf. All entries of a leaf that deep have the same hash.
const DEPTH: u32 = u64::BITS / BITS;
/// A leaf with more entries than this becomes a branch.
const LEAF: usize = 16;

impl<M, V> Default for SharedMap<M, V> {
    fn default() -> Self {
        Self { root: None, len: 0 }
    }
}

impl<M, V> Clone for SharedMap<M, V> {
    fn clone(&self) -> Self {
        Self { root: self.root.clone(), len: self.len }
    }
}

impl<M, V> Clone for Entry<M, V> {
    fn clone(&self) -> Self {
        Self { hash: self.hash, pair: Arc::clone(&self.pair) }
    }
}

impl<M, V> Clone for Node<M, V> {
    fn clone(&self) -> Self {
        match self {
            Self::Leaf(entries) => Self::Leaf(entries.clone()),
            Self::Branch(children) => Self::Branch(children.clone()),
        }
    }
}

/// The child that leads to this hash, in a branch `depth` levels below the root.
fn slot(hash: u64, depth: u32) -> usize {
    (hash >> shift(depth)) as usize % FANOUT
}

fn shift(depth: u32) -> u32 {
    u64::BITS - BITS * (depth + 1)
}

impl<M: Serialize + Eq, V> SharedMap<M, V> {
    /// The value of `key`.
    #[must_use]
    pub fn get<Q: Serialize + Eq + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        M: Borrow<Q>,
    {
        let hash = stable_hash(key);
        let (mut node, mut depth) = (self.root.as_deref()?, 0);
        loop {
            match node {
                Node::Leaf(entries) => {
                    let entry = entries.iter().find(|entry| entry.hash == hash && Borrow::<Q>::borrow(&entry.pair.0) == key)?;
                    return Some(&entry.pair.1);
                }
                Node::Branch(children) => {
                    node = children[slot(hash, depth)].as_deref()?;
                    depth += 1;
                }
            }
        }
    }

    /// Whether `key` has a value.
    #[must_use]
    pub fn contains_key<Q: Serialize + Eq + ?Sized>(&self, key: &Q) -> bool
    where
        M: Borrow<Q>,
    {
        self.get(key).is_some()
    }

    /// Sets the value of `key`.
    pub fn insert(&mut self, key: M, value: V) {
        let entry = Entry { hash: stable_hash(&key), pair: Arc::new((key, value)) };
        let root = self.root.get_or_insert_with(|| Arc::new(Node::Leaf(Vec::new())));
        self.len += usize::from(Arc::make_mut(root).insert(0, entry));
    }

    /// Removes `key`. Returns whether it had a value.
    pub fn remove<Q: Serialize + Eq + ?Sized>(&mut self, key: &Q) -> bool
    where
        M: Borrow<Q>,
    {
        // Don't copy the path to a key that isn't there.
        let found = self.contains_key(key);
        if found && let Some(root) = &mut self.root {
            Arc::make_mut(root).remove(0, stable_hash(key), key);
            self.len -= 1;
        }
        found
    }
}

impl<M, V> SharedMap<M, V> {
    /// The number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether the map has no entries.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The entries, in an order that is the same in every run.
    pub fn iter(&self) -> impl Iterator<Item = (&M, &V)> {
        let mut nodes: Vec<&Node<M, V>> = self.root.as_deref().into_iter().collect();
        let mut entries = [].iter();
        std::iter::from_fn(move || {
            loop {
                if let Some(Entry { pair, .. }) = entries.next() {
                    return Some((&pair.0, &pair.1));
                }
                match nodes.pop()? {
                    Node::Leaf(leaf) => entries = leaf.iter(),
                    Node::Branch(children) => nodes.extend(children.iter().rev().flatten().map(|child| &**child)),
                }
            }
        })
    }

    /// Calls `each` with the entries from hash `from` on, leaf by leaf, until there have been at least `most`. Subtracts their number from
    /// `most`. Returns the hash to resume from.
    pub(super) fn walk(&self, from: u64, most: &mut usize, each: &mut Each<'_, M, V>) -> Result<Option<u64>, Error> {
        self.root.as_deref().map_or(Ok(None), |root| root.walk((0, 0), from, most, each))
    }
}

/// Receives the hash of an entry, its key and its value.
pub(super) type Each<'a, M, V> = dyn FnMut(u64, &M, &V) -> Result<(), Error> + 'a;

impl<M: Eq, V> Node<M, V> {
    /// Inserts an entry. Returns whether its key is new.
    fn insert(&mut self, depth: u32, entry: Entry<M, V>) -> bool {
        match self {
            Self::Branch(children) => match &mut children[slot(entry.hash, depth)] {
                Some(child) => Arc::make_mut(child).insert(depth + 1, entry),
                none => {
                    *none = Some(Arc::new(Self::Leaf(vec![entry])));
                    true
                }
            },
            Self::Leaf(entries) => {
                if let Some(same) = entries.iter_mut().find(|old| old.hash == entry.hash && old.pair.0 == entry.pair.0) {
                    *same = entry;
                    return false;
                }
                entries.push(entry);
                if entries.len() > LEAF && depth < DEPTH {
                    let entries = std::mem::take(entries);
                    *self = Self::Branch(std::array::from_fn(|_| None));
                    entries.into_iter().for_each(|entry| _ = self.insert(depth, entry));
                }
                true
            }
        }
    }

    fn remove<Q: Eq + ?Sized>(&mut self, depth: u32, hash: u64, key: &Q)
    where
        M: Borrow<Q>,
    {
        match self {
            Self::Leaf(entries) => entries.retain(|entry| entry.hash != hash || Borrow::<Q>::borrow(&entry.pair.0) != key),
            Self::Branch(children) => {
                let place = &mut children[slot(hash, depth)];
                if let Some(child) = place {
                    let child = Arc::make_mut(child);
                    child.remove(depth + 1, hash, key);
                    if child.is_empty() {
                        *place = None;
                    }
                }
            }
        }
    }
}

impl<M, V> Node<M, V> {
    fn is_empty(&self) -> bool {
        match self {
            Self::Leaf(entries) => entries.is_empty(),
            Self::Branch(children) => children.iter().all(Option::is_none),
        }
    }

    /// `at` is the depth of this node and the lowest hash that may lie below it.
    fn walk(&self, at: (u32, u64), from: u64, most: &mut usize, each: &mut Each<'_, M, V>) -> Result<Option<u64>, Error> {
        let (depth, least) = at;
        match self {
            Self::Leaf(entries) => {
                entries.iter().try_for_each(|entry| each(entry.hash, &entry.pair.0, &entry.pair.1))?;
                *most = most.saturating_sub(entries.len());
            }
            Self::Branch(children) => {
                for (i, child) in (0_u64..).zip(children) {
                    let least = least | (i << shift(depth));
                    let greatest = least | ((1 << shift(depth)) - 1);
                    let Some(child) = child.as_deref().filter(|_| greatest >= from) else { continue };
                    if *most == 0 {
                        return Ok(Some(least));
                    }
                    if let Some(next) = child.walk((depth + 1, least), from, most, each)? {
                        return Ok(Some(next));
                    }
                }
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn sorted<V: Clone>(map: &SharedMap<u64, V>) -> BTreeMap<u64, V> {
        map.iter().map(|(key, value)| (*key, value.clone())).collect()
    }

    proptest! {
        #[test]
        fn it_is_a_map_and_copies_keep_what_they_had(changes in proptest::collection::vec((0u64..300, any::<Option<u8>>()), 0..600)) {
            let (mut map, mut model) = (SharedMap::default(), BTreeMap::new());
            let mut copies = Vec::new();
            for (i, (key, value)) in changes.into_iter().enumerate() {
                match value {
                    Some(value) => {
                        map.insert(key, value);
                        model.insert(key, value);
                    }
                    None => prop_assert_eq!(map.remove(&key), model.remove(&key).is_some()),
                }
                prop_assert_eq!((map.len(), map.get(&key)), (model.len(), model.get(&key)));
                if i % 50 == 0 {
                    copies.push((map.clone(), model.clone()));
                }
            }
            for (map, model) in copies {
                prop_assert_eq!(sorted(&map), model);
            }
        }

        #[test]
        fn a_walk_in_pieces_sees_every_entry_once(keys in proptest::collection::btree_set(any::<u64>(), 0..500), piece in 1usize..100) {
            let mut map = SharedMap::default();
            keys.iter().for_each(|key| map.insert(*key, ()));
            let (mut seen, mut from) = (Vec::new(), Some(0));
            while let Some(at) = from {
                let mut most = piece;
                from = map.walk(at, &mut most, &mut |_, key, ()| { seen.push(*key); Ok(()) }).unwrap();
            }
            prop_assert_eq!(&seen, &map.iter().map(|(key, ())| *key).collect::<Vec<_>>());
            seen.sort_unstable();
            prop_assert_eq!(seen, keys.into_iter().collect::<Vec<_>>());
        }
    }

    /// Keys that all have the same hash.
    #[derive(Clone, Debug, PartialEq, Eq)]
    struct Alike(u32);

    impl Serialize for Alike {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_str("alike")
        }
    }

    #[test]
    fn keys_of_one_hash_share_a_leaf() {
        let mut map = SharedMap::default();
        (0..100).for_each(|i| map.insert(Alike(i), i));
        assert!((0..100).all(|i| map.get(&Alike(i)) == Some(&i)));
        assert!(map.remove(&Alike(7)) && !map.remove(&Alike(7)));
        assert_eq!((map.len(), map.iter().count()), (99, 99));
    }
}
