//! The write-back cache: deserialized entries in a hash table, each with a mark that says what the disk knows of it.
//!
//! Pure: it says what has to be read or written. The shards of [`Keyed`](super::keyed) and [`Windowed`](super::windowed) do it.
//!
//! **Snapshots don't stop the worker.** [`Cache::freeze`] takes constant time: it steps the cache's generation. From then on, an entry of
//! an older generation that the disk does not know is captured (encoded for the disk) before it is changed. Entries that nobody changes are
//! captured by [`Cache::sweep`], a few at a time. Until [`Cache::release`] says that the rows have arrived, no entry is evicted that would
//! have to be written or read back.
//!
//! **Eviction** is generalized CLOCK (Smith 1978; as in PostgreSQL). A hand goes round the buckets of a piece of the table and decrements
//! each entry's use count, which starts at zero for new entries. An entry with a count of zero is evicted. So entries used once do not
//! displace those used often. Eviction can be limited to full pieces, so that the table does not grow.

use std::hash::{BuildHasher, Hash};

use foldhash::fast::FixedState;
use hashbrown::{HashSet, hash_table};

use super::extendible::{Extendible, Place};
use super::prefetch::prefetch;

/// What is known about an entry besides its value: uses (2 bits), stored, dirty, generation (4 bits).
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark(u8);

impl Mark {
    const USES: u8 = 0b11;
    /// The disk may have a row for the key.
    const STORED: u8 = 0b100;
    /// The disk does not have this value.
    const DIRTY: u8 = 0b1000;

    fn new(generation: u8, flags: u8) -> Self {
        Self(generation << 4 | flags)
    }

    fn generation(self) -> u8 {
        self.0 >> 4
    }

    fn is(self, flag: u8) -> bool {
        self.0 & flag != 0
    }

    #[inline]
    fn used(&mut self) {
        if self.0 & Self::USES != Self::USES {
            self.0 += 1;
        }
    }
}

/// A key, its value and its mark.
#[derive(Debug)]
pub(super) struct Entry<K, V> {
    pub(super) key: K,
    pub(super) value: V,
    mark: Mark,
}

/// The phase of the cache with respect to snapshots.
#[derive(Clone, Copy, Debug)]
struct Phase {
    /// The generation that changes get now, modulo 16.
    current: u8,
    /// Whether a snapshot is in progress whose rows have not all arrived.
    frozen: bool,
    /// Whether every snapshot holds every entry. Otherwise it holds those that have changed since the last.
    full: bool,
}

impl Phase {
    #[inline]
    fn needs_capture(self, mark: Mark) -> bool {
        self.frozen && mark.generation() != self.current && (self.full || mark.is(Mark::DIRTY))
    }

    /// The mark after the entry has been captured.
    fn captured(self, mark: Mark) -> Mark {
        if self.full { Mark::new(self.current, mark.0 & 0b1111) } else { Mark((mark.0 | Mark::STORED) & !Mark::DIRTY) }
    }

    fn evictable(self, mark: Mark) -> bool {
        // Captured, but perhaps not yet arrived: it has the previous generation.
        let on_its_way = mark.generation() == self.current.wrapping_sub(1) & 0xf;
        !self.frozen || (!mark.is(Mark::DIRTY) && !on_its_way)
    }

    #[inline]
    fn changed(self, mark: Mark) -> Mark {
        let mut mark = Mark::new(self.current, mark.0 & (Mark::USES | Mark::STORED) | Mark::DIRTY);
        mark.used();
        mark
    }
}

/// The entries of one state, or of one namespace of it, that are in memory.
#[derive(Debug)]
pub(super) struct Cache<K, V> {
    table: Extendible<Entry<K, V>>,
    phase: Phase,
    /// Keys whose rows on disk must be deleted.
    removed: HashSet<K, FixedState>,
    /// The same, for the snapshot in progress.
    frozen_removed: HashSet<K, FixedState>,
    /// Whether all entries are in memory. If so, a key that is not found does not exist.
    complete: bool,
    /// The last piece asked for entries to evict.
    next: usize,
    /// The position of the hand in each piece.
    hands: Vec<usize>,
    /// The position of the search for expired entries.
    expiry_hand: Place,
    /// The position of the sweep of the snapshot in progress.
    sweep: Option<Sweep>,
}

/// How far a sweep has come.
#[derive(Clone, Copy, Debug, Default)]
struct Sweep {
    /// Whether the deletions have been captured.
    removed: bool,
    /// The next bucket.
    at: Place,
}

/// Which entries may be evicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Victims {
    /// Any entry.
    Any,
    /// Entries in pieces of the table that the next batches may fill.
    Full,
}

/// The result of looking for a key.
pub(super) enum Found<'a, K, V> {
    /// It is in memory.
    Here(&'a mut V),
    /// It has no value, in memory or on disk.
    Nowhere(Gap<'a, K, V>),
    /// It may be on disk.
    Perhaps(Gap<'a, K, V>),
}

/// An empty slot for a key that is not in memory.
pub(super) struct Gap<'a, K, V> {
    entry: hash_table::VacantEntry<'a, Entry<K, V>>,
    removed: &'a mut HashSet<K, FixedState>,
    frozen_removed: &'a HashSet<K, FixedState>,
    phase: Phase,
}

impl<'a, K: Clone + Eq + Hash, V> Gap<'a, K, V> {
    /// Fills the slot with a value that the disk does not have.
    #[inline]
    pub(super) fn fill(self, key: &K, value: V) -> &'a mut V {
        // A row that was to be deleted is overwritten instead.
        let stored = (!self.removed.is_empty() && self.removed.remove(key)) || self.frozen_removed.contains(key);
        let mark = Mark::new(self.phase.current, Mark::DIRTY | if stored { Mark::STORED } else { 0 });
        &mut self.entry.insert(Entry { key: key.clone(), value, mark }).into_mut().value
    }

    /// Fills the slot with a value that replaces the one the disk may have.
    pub(super) fn overwrite(self, key: K, value: V) -> &'a mut V {
        self.removed.remove(&key);
        let mark = Mark::new(self.phase.current, Mark::STORED | Mark::DIRTY);
        &mut self.entry.insert(Entry { key, value, mark }).into_mut().value
    }
}

/// The number of entries that the next batches may add. A piece with less room than its share of them, plus a margin, may grow.
const BATCHES: usize = 8 * 1_024;

/// Tables of up to this many entries may grow freely: preventing that is not worthwhile.
const SMALL: usize = 1_024;

/// Bytes of a table that the processor keeps close by itself.
const NEAR: usize = 256 << 10;

/// The number of pieces asked for entries to evict in one call.
const PIECES: usize = 16;

#[inline]
fn hash<K: Hash>(key: &K) -> u64 {
    FixedState::default().hash_one(key)
}

fn hash_of<K: Hash, V>(entry: &Entry<K, V>) -> u64 {
    hash(&entry.key)
}

impl<K: Clone + Eq + Hash, V> Cache<K, V> {
    /// An empty cache.
    ///
    /// - `full`: every snapshot holds every entry, because nothing is ever written elsewhere.
    /// - `complete`: the disk holds nothing that belongs here.
    /// - `frozen`: the cache is made while a snapshot is in progress, to which none of its entries belong.
    pub(super) fn new(full: bool, complete: bool, frozen: bool) -> Self {
        Self {
            table: Extendible::default(),
            phase: Phase { current: 0, frozen, full },
            removed: HashSet::default(),
            frozen_removed: HashSet::default(),
            complete,
            next: 0,
            hands: Vec::new(),
            expiry_hand: Place::default(),
            sweep: None,
        }
    }

    /// The piece for an entry with this hash, with room for one more.
    #[inline]
    fn room_for(&mut self, hash: u64) -> usize {
        let at = self.table.piece_of(hash);
        if self.table.room(at) > 0 { at } else { self.grow(at, hash) }
    }

    #[cold]
    fn grow(&mut self, at: usize, hash: u64) -> usize {
        self.moved(at);
        self.table.grow(at, hash, hash_of)
    }

    /// The entries of a piece have moved to other buckets, perhaps to a new last piece. A sweep in the middle of the piece restarts it and
    /// quickly skips what it has already captured.
    fn moved(&mut self, piece: usize) {
        if let Some(sweep) = &mut self.sweep
            && sweep.at.piece == piece
        {
            sweep.at.bucket = 0;
        }
    }

    /// Looks up a key in order to change its value. `capture` receives the entry if a snapshot still needs its present value.
    #[inline]
    pub(super) fn find<E>(&mut self, key: &K, capture: impl FnOnce(&K, &V) -> Result<(), E>) -> Result<Found<'_, K, V>, E> {
        let hash = hash(key);
        let at = self.room_for(hash);
        let Self { table, phase, removed, frozen_removed, complete, .. } = self;
        let entry = table.piece(at).entry(hash, |e| e.key == *key, hash_of);
        match entry {
            hash_table::Entry::Occupied(found) => {
                let entry = found.into_mut();
                if phase.needs_capture(entry.mark) {
                    capture(&entry.key, &entry.value)?;
                    entry.mark = phase.captured(entry.mark);
                }
                entry.mark = phase.changed(entry.mark);
                Ok(Found::Here(&mut entry.value))
            }
            hash_table::Entry::Vacant(entry) => {
                let nowhere = *complete || removed.contains(key) || frozen_removed.contains(key);
                let gap = Gap { entry, removed, frozen_removed, phase: *phase };
                Ok(if nowhere { Found::Nowhere(gap) } else { Found::Perhaps(gap) })
            }
        }
    }

    /// The value of a key, if it is in memory.
    #[inline]
    pub(super) fn peek(&mut self, key: &K) -> Option<&V> {
        let hash = hash(key);
        let at = self.table.piece_of(hash);
        let entry = self.table.piece(at).find_mut(hash, |e| e.key == *key)?;
        entry.mark.used();
        Some(&entry.value)
    }

    /// Whether the table is so large that most lookups miss the processor's cache.
    pub(super) fn scattered(&self) -> bool {
        self.table.bytes() > NEAR
    }

    /// Fetches the entries of these keys into the processor's cache, all at once. Records that are processed one by one would wait for each
    /// of them in turn.
    pub(super) fn warm<'a>(&self, keys: impl Iterator<Item = &'a K>)
    where
        K: 'a,
    {
        keys.filter_map(|key| self.table.first(hash(key))).for_each(prefetch);
    }

    /// Whether the key is in memory or known to have no value.
    pub(super) fn knows(&self, key: &K) -> bool {
        self.complete
            || self.table.find(hash(key), |e| e.key == *key).is_some()
            || self.removed.contains(key)
            || self.frozen_removed.contains(key)
    }

    /// Loads the value that the disk has for a key that is not in memory.
    pub(super) fn load(&mut self, key: K, value: V) {
        let hash = hash(&key);
        let at = self.room_for(hash);
        if let hash_table::Entry::Vacant(gap) = self.table.piece(at).entry(hash, |e| e.key == key, hash_of) {
            gap.insert(Entry { key, value, mark: Mark::new(self.phase.current, Mark::STORED) });
        }
    }

    /// Removes an entry from memory. Its row on disk, if it may have one, is marked for deletion. Returns `None` if the key is not in
    /// memory.
    pub(super) fn remove<E>(&mut self, key: &K, capture: impl FnOnce(&K, &V) -> Result<(), E>) -> Result<Option<V>, E> {
        let hash = hash(key);
        let at = self.table.piece_of(hash);
        let Ok(mut found) = self.table.piece(at).find_entry(hash, |e| e.key == *key) else { return Ok(None) };
        let entry = found.get_mut();
        if self.phase.needs_capture(entry.mark) {
            capture(&entry.key, &entry.value)?;
            entry.mark = self.phase.captured(entry.mark);
        }
        let (entry, _) = found.remove();
        if entry.mark.is(Mark::STORED) && !self.phase.full {
            self.removed.insert(entry.key);
        }
        Ok(Some(entry.value))
    }

    /// Marks for deletion the row of a key that is not in memory.
    pub(super) fn remove_row(&mut self, key: K) {
        self.removed.insert(key);
    }

    /// Begins a snapshot of everything as it is now. Takes constant time.
    pub(super) fn freeze(&mut self) {
        self.phase.current = self.phase.current.wrapping_add(1) & 0xf;
        self.phase.frozen = true;
        self.frozen_removed = std::mem::take(&mut self.removed);
        self.sweep = Some(Sweep::default());
    }

    /// Captures up to about `most` entries of the snapshot in progress, and all deletions. Returns how many entries of `most` are left, or
    /// `None` if there is more to capture.
    pub(super) fn sweep<E>(&mut self, most: usize, mut capture: impl FnMut(&K, Option<&V>) -> Result<(), E>) -> Result<Option<usize>, E> {
        let Some(Sweep { removed, at }) = self.sweep else { return Ok(Some(most)) };
        if !removed {
            self.frozen_removed.iter().try_for_each(|key| capture(key, None))?;
        }
        let (mut captured, mut seen, mut next) = (0, 0, Some(at));
        while let Some(at) = next.filter(|_| captured < most && seen < most * 16) {
            if let Some(entry) = self.table.get(at)
                && self.phase.needs_capture(entry.mark)
            {
                capture(&entry.key, Some(&entry.value))?;
                entry.mark = self.phase.captured(entry.mark);
                captured += 1;
            }
            next = self.table.after(at);
            seen += 1;
        }
        self.sweep = next.map(|at| Sweep { removed: true, at });
        Ok(self.sweep.is_none().then(|| most - captured))
    }

    /// Ends the snapshot in progress: its rows have arrived where they can be read.
    pub(super) fn release(&mut self) {
        self.phase.frozen = false;
        self.frozen_removed = HashSet::default();
    }

    /// Evicts up to `most` entries, chosen from `of`. `write` receives the entries that the disk does not have, and the keys whose rows
    /// must be deleted.
    pub(super) fn evict<E>(
        &mut self,
        of: Victims,
        most: usize,
        mut write: impl FnMut(&K, Option<&V>) -> Result<(), E>,
    ) -> Result<usize, E> {
        if !self.phase.frozen {
            self.removed.iter().try_for_each(|key| write(key, None))?;
        }
        let pieces = self.table.pieces();
        self.hands.resize(pieces, 0);
        let (mut evicted, mut asked) = (0, 0);
        for _ in 0..pieces.max(PIECES) {
            if evicted >= most || asked == PIECES {
                break;
            }
            self.next = if self.next + 1 < pieces { self.next + 1 } else { 0 };
            if of == Victims::Any || self.may_fill(self.next) {
                evicted += self.evict_from(self.next, most - evicted, &mut write)?;
                asked += 1;
            }
        }
        self.complete &= evicted == 0;
        Ok(evicted)
    }

    /// Evicts up to a sixteenth of the entries of a piece (but at least 64), and at most `most`.
    fn evict_from<E>(&mut self, piece: usize, most: usize, write: &mut impl FnMut(&K, Option<&V>) -> Result<(), E>) -> Result<usize, E> {
        let (len, buckets) = (self.table.piece(piece).len(), self.table.piece(piece).num_buckets());
        let most = (len / 16).max(64).min(most);
        let (mut evicted, mut seen) = (0, 0);
        // Four rounds bring every use count to zero. During a snapshot most entries can't be evicted, and a whole round is not worthwhile.
        let rounds = if self.phase.frozen { (most * 4).min(buckets) } else { buckets * 4 };
        let mut hand = self.hands[piece];
        while evicted < most && seen < rounds {
            let place = Place { piece, bucket: hand };
            hand = if hand + 1 < buckets { hand + 1 } else { 0 };
            seen += 1;
            let Some(entry) = self.table.get(place) else { continue };
            if !self.phase.evictable(entry.mark) {
                continue;
            }
            if entry.mark.0 & Mark::USES > 0 {
                entry.mark.0 -= 1;
                continue;
            }
            if entry.mark.is(Mark::DIRTY) {
                write(&entry.key, Some(&entry.value))?;
            }
            self.table.take(place);
            evicted += 1;
        }
        self.hands[piece] = hand;
        if self.table.tidy(piece, hash_of) {
            self.moved(piece);
        }
        Ok(evicted)
    }

    /// Whether one of the next batches may fill a piece, so that it grows.
    fn may_fill(&self, at: usize) -> bool {
        let growth = self.table.growth(at);
        let capacity = growth / (size_of::<Entry<K, V>>() + 1);
        growth > SMALL * size_of::<Entry<K, V>>() && self.table.room(at) <= (BATCHES / self.table.pieces() + 16).min(capacity / 8)
    }

    /// Checks a few entries and removes from memory those for which `expired` returns true. Their rows on disk, if any, are marked for
    /// deletion. No snapshot needs expired entries.
    pub(super) fn expire(&mut self, look: usize, mut expired: impl FnMut(&mut V) -> bool) {
        for _ in 0..look.min(self.table.len() * 2) {
            let at = self.expiry_hand;
            self.expiry_hand = self.table.after(at).unwrap_or_default();
            let over = self.table.get(at).is_some_and(|entry| expired(&mut entry.value));
            if over
                && let Some(entry) = self.table.take(at)
                && entry.mark.is(Mark::STORED)
                && !self.phase.full
            {
                self.removed.insert(entry.key);
            }
        }
    }

    /// Called when what [`Cache::evict`] wrote has arrived.
    pub(super) fn evicted(&mut self) {
        if !self.phase.frozen {
            self.removed.clear();
        }
    }

    /// The entries in memory.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.table.iter().map(|e| (&e.key, &e.value))
    }

    /// Some entry to weigh, usually a different one for a different `at`.
    pub(super) fn sample(&mut self, at: usize) -> Option<(&K, &V)> {
        let piece = at % self.table.pieces();
        let buckets = self.table.piece(piece).num_buckets();
        let entries = self.table.piece(piece);
        let found = (0..64).find_map(|i| entries.get_bucket((at / 7 + i) % buckets.max(1)));
        found.map(|e| (&e.key, &e.value))
    }

    /// The number of entries in memory.
    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    /// The bytes that the next batch may add at once because pieces of the table grow.
    pub(super) fn growth(&self) -> usize {
        (0..self.table.pieces()).filter(|at| self.may_fill(*at)).map(|at| self.table.growth(at)).sum()
    }

    /// The bytes of the table, without what its entries own outside it.
    pub(super) fn bytes(&self) -> usize {
        self.table.bytes() + (self.removed.len() + self.frozen_removed.len()) * (size_of::<K>() + 1)
    }

    /// Whether all entries are in memory.
    pub(super) fn complete(&self) -> bool {
        self.complete
    }
}
