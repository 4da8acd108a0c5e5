//! The write-back cache: deserialized entries in a hash table, each with a mark that tells what the disk knows of it.
//!
//! Pure: it says what has to be read or written, [`Keyed`](super::keyed) and [`Windowed`](super::windowed) do it.
//!
//! **Snapshots that don't stop the worker.** [`Cache::freeze`] takes constant time: it steps the cache's generation. From then on an entry of an older
//! generation that the disk does not know is captured (encoded for the disk) before it is changed; those that nobody changes are captured by
//! [`Cache::sweep`], some at a time. Until [`Cache::release`] says that the rows have arrived, nothing is evicted that would have to be written or read back.
//!
//! **Eviction** is generalized CLOCK (Smith 1978; as in PostgreSQL): a hand goes round over the buckets and takes down each entry's
//! use count, which new entries start at nought; an entry at nought goes. What is looked at once does not drive out what is used often.

use std::hash::{BuildHasher, Hash};

use foldhash::fast::FixedState;
use hashbrown::{HashSet, HashTable, hash_table};

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
    table: HashTable<Entry<K, V>>,
    phase: Phase,
    /// Keys whose rows on disk are to go.
    removed: HashSet<K, FixedState>,
    /// The same, of the snapshot in progress.
    frozen_removed: HashSet<K, FixedState>,
    /// Are all entries in memory? Then a key that is not found is nowhere.
    complete: bool,
    hand: usize,
    /// Where the search for expired entries is.
    expiry_hand: usize,
    /// Where the sweep of the snapshot in progress is.
    sweep: Option<Sweep>,
}

/// How far a sweep has come.
#[derive(Clone, Copy, Debug, Default)]
struct Sweep {
    /// Have the keys been captured whose rows are to go?
    removed: bool,
    /// The next bucket.
    at: usize,
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

/// The entries there is room for in a table that was made smaller.
const SPARE: usize = 2_048;

const HASHER: fn() -> FixedState = FixedState::default;

impl<K: Clone + Eq + Hash, V> Cache<K, V> {
    /// An empty cache. `full`: every snapshot holds every entry, as nothing is ever written elsewhere; `complete`: the disk holds nothing that belongs
    /// here; `frozen`: it is made while a snapshot is in progress, to which nothing of it belongs.
    pub(super) fn new(full: bool, complete: bool, frozen: bool) -> Self {
        Self {
            table: HashTable::new(),
            phase: Phase { current: 0, frozen, full },
            removed: HashSet::default(),
            frozen_removed: HashSet::default(),
            complete,
            hand: 0,
            expiry_hand: 0,
            sweep: None,
        }
    }

    /// One more entry may make the others move, to other buckets or a larger table: a sweep in progress begins anew then. What it has captured it passes
    /// over quickly.
    #[inline]
    fn mind_the_sweep(&mut self) {
        if let Some(sweep) = &mut self.sweep
            && self.table.capacity() == self.table.len()
        {
            sweep.at = 0;
        }
    }

    /// Looks for a key in order to change its value; `capture` is given the entry if a snapshot still needs it as it is.
    #[inline]
    pub(super) fn find<E>(&mut self, key: &K, capture: impl FnOnce(&K, &V) -> Result<(), E>) -> Result<Found<'_, K, V>, E> {
        self.mind_the_sweep();
        let hasher = HASHER();
        let Self { table, phase, removed, frozen_removed, complete, .. } = self;
        let entry = table.entry(hasher.hash_one(key), |e| e.key == *key, |e| hasher.hash_one(&e.key));
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
        let entry = self.table.find_mut(HASHER().hash_one(key), |e| e.key == *key)?;
        entry.mark.used();
        Some(&entry.value)
    }

    /// Is the key in memory, or known to have no value?
    pub(super) fn knows(&self, key: &K) -> bool {
        self.complete
            || self.table.find(HASHER().hash_one(key), |e| e.key == *key).is_some()
            || self.removed.contains(key)
            || self.frozen_removed.contains(key)
    }

    /// Takes a value that the disk has, for a key that is not in memory.
    pub(super) fn load(&mut self, key: K, value: V) {
        self.mind_the_sweep();
        let hasher = HASHER();
        if let hash_table::Entry::Vacant(gap) = self.table.entry(hasher.hash_one(&key), |e| e.key == key, |e| hasher.hash_one(&e.key)) {
            gap.insert(Entry { key, value, mark: Mark::new(self.phase.current, Mark::STORED) });
        }
    }

    /// Takes an entry out of memory; its row on disk, if there may be one, will go. `None` if it is not in memory.
    pub(super) fn remove<E>(&mut self, key: &K, capture: impl FnOnce(&K, &V) -> Result<(), E>) -> Result<Option<V>, E> {
        let Ok(mut found) = self.table.find_entry(HASHER().hash_one(key), |e| e.key == *key) else { return Ok(None) };
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
        let Some(Sweep { removed, mut at }) = self.sweep else { return Ok(Some(most)) };
        if !removed {
            self.frozen_removed.iter().try_for_each(|key| capture(key, None))?;
        }
        let (mut captured, mut seen) = (0, 0);
        let end = self.table.num_buckets();
        while at < end && captured < most && seen < most * 16 {
            if let Some(entry) = self.table.get_bucket_mut(at)
                && self.phase.needs_capture(entry.mark)
            {
                capture(&entry.key, Some(&entry.value))?;
                entry.mark = self.phase.captured(entry.mark);
                captured += 1;
            }
            at += 1;
            seen += 1;
        }
        self.sweep = (at < end).then_some(Sweep { removed: true, at });
        Ok(self.sweep.is_none().then(|| most - captured))
    }

    /// The rows of the snapshot have arrived where they can be read.
    pub(super) fn release(&mut self) {
        self.phase.frozen = false;
        self.frozen_removed = HashSet::default();
    }

    /// Evicts up to `most` entries; `write` is given those the disk does not have, and the keys whose rows are to go.
    pub(super) fn evict<E>(&mut self, most: usize, mut write: impl FnMut(&K, Option<&V>) -> Result<(), E>) -> Result<usize, E> {
        if !self.phase.frozen {
            self.removed.iter().try_for_each(|key| write(key, None))?;
        }
        let buckets = self.table.num_buckets();
        let (mut evicted, mut seen) = (0, 0);
        // Four rounds take every use count to nought. While most of it can't go, a round is not worth while.
        let rounds = if self.phase.frozen { (most * 32).min(buckets) } else { buckets * 4 };
        while evicted < most && seen < rounds {
            let at = self.hand;
            self.hand = if at + 1 < buckets { at + 1 } else { 0 };
            seen += 1;
            let Some(entry) = self.table.get_bucket_mut(at) else { continue };
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
            if let Ok(entry) = self.table.get_bucket_entry(at) {
                entry.remove();
                evicted += 1;
            }
        }
        self.complete &= evicted == 0;
        if self.sweep.is_none() {
            self.shrink();
        }
        Ok(evicted)
    }

    /// Gives back half of a table, or more, that has become empty.
    fn shrink(&mut self) {
        let (len, buckets) = (self.table.len(), self.table.num_buckets());
        if len == 0 {
            self.table = HashTable::new();
        } else if (len + SPARE) * 16 <= buckets * 7 {
            let hasher = HASHER();
            self.table.shrink_to(len + SPARE, |e| hasher.hash_one(&e.key));
        }
        if self.table.num_buckets() != buckets {
            self.hand = 0;
            self.expiry_hand = 0;
        }
    }

    /// Looks at a few entries, and takes those out of memory of which `expired` says that they are over; their rows on disk, if there are any, will go.
    /// No snapshot needs them.
    pub(super) fn expire(&mut self, look: usize, mut expired: impl FnMut(&mut V) -> bool) {
        let buckets = self.table.num_buckets();
        for _ in 0..look.min(buckets) {
            let at = self.expiry_hand;
            self.expiry_hand = if at + 1 < buckets { at + 1 } else { 0 };
            let over = self.table.get_bucket_mut(at).is_some_and(|entry| expired(&mut entry.value));
            if over && let Ok(entry) = self.table.get_bucket_entry(at) {
                let (entry, _) = entry.remove();
                if entry.mark.is(Mark::STORED) && !self.phase.full {
                    self.removed.insert(entry.key);
                }
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

    /// An entry somewhere near the hand, to be weighed.
    pub(super) fn sample(&self, at: usize) -> Option<(&K, &V)> {
        let buckets = self.table.num_buckets();
        let found = (0..64).find_map(|i| self.table.get_bucket((at + i) % buckets.max(1)));
        found.map(|e| (&e.key, &e.value))
    }

    /// The number of entries in memory.
    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    /// How many entries there is room for before the table doubles.
    pub(super) fn room(&self) -> usize {
        self.table.capacity() - self.table.len()
    }

    /// The bytes of the table, without what its entries own elsewhere.
    pub(super) fn bytes(&self) -> usize {
        self.table.allocation_size() + (self.removed.len() + self.frozen_removed.len()) * (size_of::<K>() + 1)
    }

    /// Are all entries in memory?
    pub(super) fn complete(&self) -> bool {
        self.complete
    }
}
