//! The write-back cache: deserialized entries in a hash table, each with a mark that tells what the disk knows of it.
//!
//! Pure: it says what has to be read or written, [`Keyed`](super::keyed) and [`Windowed`](super::windowed) do it.
//!
//! **Snapshots that don't stop the worker.** [`Cache::freeze`] takes constant time: it steps the cache's generation. From then on an entry of an older
//! generation that the disk does not know is captured (encoded for the disk) before it is changed; those that nobody changes are captured by
//! [`Cache::sweep`], some at a time. Until [`Cache::release`] says that the rows have arrived, nothing is evicted that would have to be written or read back.
//!
//! **Eviction** is generalized CLOCK (Smith 1978; as in PostgreSQL): a hand goes round over the buckets of a piece of the table and takes down each entry's
//! use count, which new entries start at nought; an entry at nought goes. What is looked at once does not drive out what is used often.
//! Pieces that are full can be asked alone, so that the table does not grow.

use std::hash::{BuildHasher, Hash};

use foldhash::fast::FixedState;
use hashbrown::{HashSet, hash_table};

use super::extendible::{Extendible, Place};

/// What is known of an entry beside its value: uses (2 bits), stored, dirty, generation (4 bits).
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark(u8);

impl Mark {
    const USES: u8 = 0b11;
    /// The disk may have a row of the key.
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

/// The phase of the cache with regard to snapshots.
#[derive(Clone, Copy, Debug)]
struct Phase {
    /// The generation of what changes now, modulo 16.
    current: u8,
    /// Is there a snapshot whose rows have not all arrived?
    frozen: bool,
    /// Does every snapshot hold every entry? Otherwise those that have changed since the last.
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
        // Captured, but perhaps not yet arrived: of the generation before.
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
    /// Keys whose rows on disk are to go.
    removed: HashSet<K, FixedState>,
    /// The same, of the snapshot in progress.
    frozen_removed: HashSet<K, FixedState>,
    /// Are all entries in memory? Then a key that is not found is nowhere.
    complete: bool,
    /// The piece that is asked next for entries to evict.
    next: usize,
    /// Where the hand stands in each piece.
    hands: Vec<usize>,
    /// Where the search for expired entries is.
    expiry_hand: Place,
    /// Where the sweep of the snapshot in progress is.
    sweep: Option<Sweep>,
}

/// How far a sweep has come.
#[derive(Clone, Copy, Debug, Default)]
struct Sweep {
    /// Have the keys been captured whose rows are to go?
    removed: bool,
    /// The next bucket.
    at: Place,
}

/// Of what entries are to be evicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Victims {
    /// Of all entries.
    Any,
    /// Of those in pieces of the table that the next batches may fill.
    Full,
}

/// What became of a key that was looked for.
pub(super) enum Found<'a, K, V> {
    /// It is in memory.
    Here(&'a mut V),
    /// It has no value.
    Nowhere(Gap<'a, K, V>),
    /// It may be on disk.
    Perhaps(Gap<'a, K, V>),
}

/// A place for a key that is not in memory.
pub(super) struct Gap<'a, K, V> {
    entry: hash_table::VacantEntry<'a, Entry<K, V>>,
    removed: &'a mut HashSet<K, FixedState>,
    frozen_removed: &'a HashSet<K, FixedState>,
    phase: Phase,
}

impl<'a, K: Clone + Eq + Hash, V> Gap<'a, K, V> {
    /// Fills it with a value that the disk does not have.
    #[inline]
    pub(super) fn fill(self, key: &K, value: V) -> &'a mut V {
        // A row that was to go is overwritten instead.
        let stored = (!self.removed.is_empty() && self.removed.remove(key)) || self.frozen_removed.contains(key);
        let mark = Mark::new(self.phase.current, Mark::DIRTY | if stored { Mark::STORED } else { 0 });
        &mut self.entry.insert(Entry { key: key.clone(), value, mark }).into_mut().value
    }

    /// Fills it with a value in place of the one that the disk may have.
    pub(super) fn overwrite(self, key: K, value: V) -> &'a mut V {
        self.removed.remove(&key);
        let mark = Mark::new(self.phase.current, Mark::STORED | Mark::DIRTY);
        &mut self.entry.insert(Entry { key, value, mark }).into_mut().value
    }
}

/// The entries that some batches may add: pieces with less room than their share of it, and some for chance, may grow.
const BATCHES: usize = 8 * 1_024;

/// A table this small is not worth keeping from growing.
const SMALL: usize = 1_024;

/// As many pieces are asked in one go for entries to evict.
const PIECES: usize = 16;

#[inline]
fn hash<K: Hash>(key: &K) -> u64 {
    FixedState::default().hash_one(key)
}

fn hash_of<K: Hash, V>(entry: &Entry<K, V>) -> u64 {
    hash(&entry.key)
}

impl<K: Clone + Eq + Hash, V> Cache<K, V> {
    /// An empty cache. `full`: every snapshot holds every entry, as nothing is ever written elsewhere; `complete`: the disk holds nothing that belongs
    /// here; `frozen`: it is made while a snapshot is in progress, to which nothing of it belongs.
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

    /// The piece that an entry of this hash belongs to, with room for one more.
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

    /// The entries of a piece move to other buckets, perhaps to a piece behind all others. A sweep that is in the middle of it begins the piece anew; what it has
    /// captured it passes over quickly.
    fn moved(&mut self, piece: usize) {
        if let Some(sweep) = &mut self.sweep
            && sweep.at.piece == piece
        {
            sweep.at.bucket = 0;
        }
    }

    /// Looks for a key in order to change its value; `capture` is given the entry if a snapshot still needs it as it is.
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

    /// Looks at the value of a key, if it is in memory.
    #[inline]
    pub(super) fn peek(&mut self, key: &K) -> Option<&V> {
        let hash = hash(key);
        let at = self.table.piece_of(hash);
        let entry = self.table.piece(at).find_mut(hash, |e| e.key == *key)?;
        entry.mark.used();
        Some(&entry.value)
    }

    /// Is the key in memory, or known to have no value?
    pub(super) fn knows(&self, key: &K) -> bool {
        self.complete
            || self.table.find(hash(key), |e| e.key == *key).is_some()
            || self.removed.contains(key)
            || self.frozen_removed.contains(key)
    }

    /// Takes a value that the disk has, for a key that is not in memory.
    pub(super) fn load(&mut self, key: K, value: V) {
        let hash = hash(&key);
        let at = self.room_for(hash);
        if let hash_table::Entry::Vacant(gap) = self.table.piece(at).entry(hash, |e| e.key == key, hash_of) {
            gap.insert(Entry { key, value, mark: Mark::new(self.phase.current, Mark::STORED) });
        }
    }

    /// Takes an entry out of memory; its row on disk, if there may be one, will go. `None` if it is not in memory.
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

    /// The row of this key, which is not in memory, is to go.
    pub(super) fn remove_row(&mut self, key: K) {
        self.removed.insert(key);
    }

    /// A snapshot begins, of everything as it is now. Constant time.
    pub(super) fn freeze(&mut self) {
        self.phase.current = self.phase.current.wrapping_add(1) & 0xf;
        self.phase.frozen = true;
        self.frozen_removed = std::mem::take(&mut self.removed);
        self.sweep = Some(Sweep::default());
    }

    /// Captures up to about `most` entries of the snapshot in progress, and all keys whose rows are to go. Returns how many entries of `most` are left,
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

    /// The rows of the snapshot have arrived where they can be read.
    pub(super) fn release(&mut self) {
        self.phase.frozen = false;
        self.frozen_removed = HashSet::default();
    }

    /// Evicts up to `most` entries, of any entries or of those in full pieces; `write` is given those the disk does not have, and the keys whose rows are to go.
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

    /// Evicts a sixteenth of the entries of a piece, at most `most`.
    fn evict_from<E>(&mut self, piece: usize, most: usize, write: &mut impl FnMut(&K, Option<&V>) -> Result<(), E>) -> Result<usize, E> {
        let (len, buckets) = (self.table.piece(piece).len(), self.table.piece(piece).num_buckets());
        let most = (len / 16).max(64).min(most);
        let (mut evicted, mut seen) = (0, 0);
        // Four rounds take every use count to nought. While most of it can't go, a round is not worth while.
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

    /// May one of the next batches fill a piece, so that it grows?
    fn may_fill(&self, at: usize) -> bool {
        let growth = self.table.growth(at);
        let capacity = growth / (size_of::<Entry<K, V>>() + 1);
        growth > SMALL * size_of::<Entry<K, V>>() && self.table.room(at) <= (BATCHES / self.table.pieces() + 16).min(capacity / 8)
    }

    /// Looks at a few entries, and takes those out of memory of which `expired` says that they are over; their rows on disk, if there are any, will go.
    /// No snapshot needs them.
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

    /// What [`Cache::evict`] wrote has arrived.
    pub(super) fn evicted(&mut self) {
        if !self.phase.frozen {
            self.removed.clear();
        }
    }

    /// The entries in memory.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.table.iter().map(|e| (&e.key, &e.value))
    }

    /// Some entry, to be weighed: another one for another `at`, as a rule.
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

    /// The bytes that the next batch may add at once, as pieces of the table grow.
    pub(super) fn growth(&self) -> usize {
        (0..self.table.pieces()).filter(|at| self.may_fill(*at)).map(|at| self.table.growth(at)).sum()
    }

    /// The bytes of the table, without what its entries own elsewhere.
    pub(super) fn bytes(&self) -> usize {
        self.table.bytes() + (self.removed.len() + self.frozen_removed.len()) * (size_of::<K>() + 1)
    }

    /// Are all entries in memory?
    pub(super) fn complete(&self) -> bool {
        self.complete
    }
}
