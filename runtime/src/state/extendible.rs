//! A hash table that grows piece by piece: extendible hashing (Fagin, Nievergelt, Pippenger, Strong 1979) where each piece is a hashbrown
//! table.
//!
//! A full piece is split in two by one more bit of the hash. A directory finds the piece for a hash by its leading bits. So an insertion
//! never moves more than the entries of one piece, however large the table is, and memory grows by one piece at a time instead of doubling.

use hashbrown::HashTable;

/// The number of buckets at which a full piece is split. Moving its entries takes about a millisecond.
const BUCKETS: usize = 1 << 14;

/// The number of entries that a piece of that size holds.
const FULL: usize = BUCKETS / 8 * 7;

/// The greatest number of hash bits that tell pieces apart. They lie below the seven bits with which hashbrown tags buckets, and above the
/// lowest bits, by which it places entries.
const BITS: u32 = 20;

/// A bucket of a piece.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) piece: usize,
    pub(super) bucket: usize,
}

#[derive(Debug)]
struct Piece<T> {
    entries: HashTable<T>,
    /// How many leading bits of the hash its entries share.
    depth: u32,
}

/// The table. Entries are found by hash and equality, as in [`HashTable`].
#[derive(Debug)]
pub(super) struct Extendible<T> {
    pieces: Vec<Piece<T>>,
    /// The piece for each value of the leading `depth` bits.
    directory: Vec<u32>,
    depth: u32,
    /// The bytes allocated by the pieces.
    bytes: usize,
}

/// The leading `count` bits of a hash, below those with which hashbrown tags buckets.
fn leading(hash: u64, count: u32) -> usize {
    (((hash << 7) >> 1) >> (63 - count)) as usize
}

impl<T> Default for Extendible<T> {
    fn default() -> Self {
        Self { pieces: vec![Piece { entries: HashTable::new(), depth: 0 }], directory: vec![0], depth: 0, bytes: 0 }
    }
}

impl<T> Extendible<T> {
    /// The number of the piece for this hash.
    #[inline]
    pub(super) fn piece_of(&self, hash: u64) -> usize {
        self.directory.get(leading(hash, self.depth)).map_or(0, |piece| *piece as usize)
    }

    /// The piece with this number. Only [`Extendible::grow`] may make it grow.
    #[inline]
    pub(super) fn piece(&mut self, at: usize) -> &mut HashTable<T> {
        &mut self.pieces[at].entries
    }

    /// The entry with this hash for which `same` holds.
    #[inline]
    pub(super) fn find(&self, hash: u64, same: impl FnMut(&T) -> bool) -> Option<&T> {
        self.pieces[self.piece_of(hash)].entries.find(hash, same)
    }

    /// The entry that a search for this hash looks at first. It may have another hash.
    #[inline]
    pub(super) fn first(&self, hash: u64) -> Option<&T> {
        let entries = &self.pieces[self.piece_of(hash)].entries;
        entries.find_bucket_index(hash, |_| true).and_then(|bucket| entries.get_bucket(bucket))
    }

    /// The number of pieces.
    pub(super) fn pieces(&self) -> usize {
        self.pieces.len()
    }

    /// How many more entries a piece can take before it has to grow.
    #[inline]
    pub(super) fn room(&self, at: usize) -> usize {
        let entries = &self.pieces[at].entries;
        entries.capacity() - entries.len()
    }

    /// The bytes by which the table grows when a piece is full.
    pub(super) fn growth(&self, at: usize) -> usize {
        self.pieces[at].entries.allocation_size()
    }

    /// Makes room for an entry with this hash in a full piece. Returns the piece for the entry. Entries of the piece move.
    pub(super) fn grow(&mut self, mut at: usize, hash: u64, hasher: impl Fn(&T) -> u64) -> usize {
        while self.room(at) == 0 {
            let Piece { entries, depth } = &mut self.pieces[at];
            if entries.num_buckets() < BUCKETS || *depth == BITS {
                self.bytes -= entries.allocation_size();
                entries.reserve(1, &hasher);
                self.bytes += entries.allocation_size();
            } else if entries.len() <= FULL / 8 * 7 {
                // It is full of tombstones.
                self.rebuild(at, FULL, &hasher);
            } else {
                self.split(at, &hasher);
                at = self.piece_of(hash);
            }
        }
        at
    }

    /// Moves those entries of a piece whose next bit is set to a new piece.
    fn split(&mut self, at: usize, hasher: impl Fn(&T) -> u64) {
        let depth = self.pieces[at].depth + 1;
        if depth > self.depth {
            self.directory = self.directory.iter().flat_map(|piece| [*piece, *piece]).collect();
            self.depth = depth;
        }
        let new = self.pieces.len() as u32;
        let entries = std::mem::replace(&mut self.pieces[at].entries, HashTable::with_capacity(FULL));
        let mut other = HashTable::with_capacity(FULL);
        for entry in entries {
            let hash = hasher(&entry);
            let to = if leading(hash, depth) & 1 == 0 { &mut self.pieces[at].entries } else { &mut other };
            to.insert_unique(hash, entry, &hasher);
        }
        self.bytes += other.allocation_size();
        self.pieces[at].depth = depth;
        self.pieces.push(Piece { entries: other, depth });
        // Directory slots that led to the piece and have the bit set now lead to the new one.
        let bit = self.depth - depth;
        for (place, piece) in self.directory.iter_mut().enumerate() {
            if *piece as usize == at && place >> bit & 1 == 1 {
                *piece = new;
            }
        }
    }

    /// Rebuilds a piece as a table with room for `capacity` entries.
    fn rebuild(&mut self, at: usize, capacity: usize, hasher: impl Fn(&T) -> u64) {
        let piece = &mut self.pieces[at].entries;
        self.bytes -= piece.allocation_size();
        let entries = std::mem::replace(piece, HashTable::with_capacity(capacity));
        for entry in entries {
            piece.insert_unique(hasher(&entry), entry, &hasher);
        }
        self.bytes += piece.allocation_size();
    }

    /// Call after entries of a piece were removed. Shrinks the piece if it is mostly empty, and clears its tombstones if they take up too
    /// much room. Returns whether entries moved.
    pub(super) fn tidy(&mut self, at: usize, hasher: impl Fn(&T) -> u64) -> bool {
        let entries = &self.pieces[at].entries;
        let (len, buckets) = (entries.len(), entries.num_buckets());
        if len == 0 && buckets > 1 {
            self.rebuild(at, 0, hasher);
        } else if buckets > 16 && len * 16 <= buckets * 6 {
            self.rebuild(at, len * 8 / 7, hasher);
        } else if self.room(at) * 32 < buckets && len * 16 <= buckets * 13 {
            self.rebuild(at, buckets / 8 * 7, hasher);
        } else {
            return false;
        }
        true
    }

    /// The entries.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.pieces.iter().flat_map(|piece| piece.entries.iter())
    }

    /// The number of entries.
    pub(super) fn len(&self) -> usize {
        self.pieces.iter().map(|piece| piece.entries.len()).sum()
    }

    /// The bytes allocated, without what entries own outside the table.
    pub(super) fn bytes(&self) -> usize {
        self.bytes + self.pieces.len() * size_of::<Piece<T>>() + self.directory.len() * 4
    }

    /// The entry at a place, if there is one.
    #[inline]
    pub(super) fn get(&mut self, place: Place) -> Option<&mut T> {
        self.pieces.get_mut(place.piece)?.entries.get_bucket_mut(place.bucket)
    }

    /// Removes and returns the entry at a place.
    pub(super) fn take(&mut self, place: Place) -> Option<T> {
        let piece = self.pieces.get_mut(place.piece)?;
        piece.entries.get_bucket_entry(place.bucket).ok().map(|entry| entry.remove().0)
    }

    /// The place after this one; `None` after the last.
    #[inline]
    pub(super) fn after(&self, Place { piece, bucket }: Place) -> Option<Place> {
        let buckets = self.pieces.get(piece).map_or(0, |piece| piece.entries.num_buckets());
        if bucket + 1 < buckets {
            Some(Place { piece, bucket: bucket + 1 })
        } else {
            (piece + 1 < self.pieces.len()).then_some(Place { piece: piece + 1, bucket: 0 })
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use proptest::prelude::*;

    fn hash(n: &u64) -> u64 {
        // A weak hash on purpose: the table must use all of its bits.
        n.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    fn insert(table: &mut Extendible<u64>, n: u64) {
        let mut at = table.piece_of(hash(&n));
        if table.room(at) == 0 {
            at = table.grow(at, hash(&n), hash);
        }
        assert_eq!(at, table.piece_of(hash(&n)));
        if table.find(hash(&n), |m| *m == n).is_none() {
            table.piece(at).insert_unique(hash(&n), n, |_| unreachable!("there is room"));
        }
    }

    fn walk(table: &mut Extendible<u64>) -> BTreeSet<u64> {
        let (mut place, mut all) = (Some(Place::default()), BTreeSet::new());
        while let Some(here) = place {
            all.extend(table.get(here).map(|n| *n));
            place = table.after(here);
        }
        all
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]
        #[test]
        fn it_is_a_set(rounds in proptest::collection::vec((0..90_000u64, 0..60_000u64, any::<bool>()), 1..5)) {
            let (mut table, mut model) = (Extendible::default(), BTreeSet::new());
            for (from, count, remove) in rounds {
                for n in from..from + count {
                    if remove {
                        let at = table.piece_of(hash(&n));
                        if let Ok(found) = table.piece(at).find_entry(hash(&n), |m| *m == n) {
                            found.remove();
                        }
                        model.remove(&n);
                    } else {
                        insert(&mut table, n);
                        model.insert(n);
                    }
                }
                for at in 0..table.pieces() {
                    table.tidy(at, hash);
                }
                prop_assert_eq!(table.len(), model.len());
                prop_assert_eq!(walk(&mut table), model.clone());
                prop_assert!(model.iter().all(|n| table.find(hash(n), |m| m == n).is_some()));
                let allocated: usize = table.pieces.iter().map(|piece| piece.entries.allocation_size()).sum();
                prop_assert_eq!(table.bytes, allocated);
                prop_assert!(table.pieces.iter().all(|piece| piece.entries.num_buckets() <= BUCKETS));
            }
        }
    }

    #[test]
    fn hashes_that_agree_in_all_leading_bits_fit_in_one_piece() {
        let same = |n: &u64| *n;
        let mut table = Extendible::default();
        for n in 0..80_000u64 {
            let mut at = table.piece_of(n);
            if table.room(at) == 0 {
                at = table.grow(at, n, same);
            }
            table.piece(at).insert_unique(n, n, same);
        }
        assert_eq!(table.len(), 80_000);
    }

    #[test]
    fn it_grows_by_a_piece_at_a_time() {
        let mut table = Extendible::default();
        let mut before = 0;
        for n in 0..400_000 {
            insert(&mut table, n);
            let grown = table.bytes() - before;
            before = table.bytes();
            assert!(grown <= BUCKETS * 10 + 8_192, "{grown} bytes at {n}");
        }
    }
}
