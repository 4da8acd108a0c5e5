//! Lists: entries by key, each for a span of time and a number of uses.
//!
//! Entries come from the job and, later, from versions of the rules. What a version does to a key is kept as an [`Op`]: of those that are
//! active at a time, the highest version counts.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::hash_map::Entry as Place;
use serde::{Deserialize, Serialize};

/// How a value meets the entries of a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Match {
    /// It is the key.
    #[default]
    Exact,
    /// It begins with the key; the longest counts.
    Prefix,
    /// It is an address in the range that the key is; the narrowest counts.
    Cidr,
}

/// An entry of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// From when on it counts: event time in milliseconds.
    pub from: Option<i64>,
    /// Until when it counts, exclusively.
    pub to: Option<i64>,
    /// How many decisions may use it.
    pub uses: Option<u64>,
    /// Why it is there.
    pub reason: Option<String>,
}

/// What a version does to a key of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Op {
    /// The version, and the place of the change in it.
    pub by: (u64, u32),
    /// From when on: event time in milliseconds.
    pub active: i64,
    /// The key as it was written.
    pub key: String,
    /// The entry, or `None` if it is removed.
    pub entry: Option<Entry>,
}

/// When a list was cleared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cleared {
    /// The version, and the place of the change in it.
    pub by: (u64, u32),
    /// From when on: event time in milliseconds.
    pub active: i64,
}

/// Why a text is no key of a list, or can't be looked up in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoKey(pub String);

impl std::fmt::Display for NoKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NoKey {}

/// A list as the job has it.
#[derive(Clone, Debug, Default)]
pub struct List {
    /// Its name.
    pub name: String,
    /// How values meet its entries.
    pub by: Match,
    entries: hashbrown::HashMap<Box<[u8]>, Option<Box<Kept>>, FixedState>,
    /// The lengths of its keys.
    lengths: Lengths,
}

/// An entry that is more than a key.
#[derive(Clone, Debug)]
struct Kept {
    key: String,
    entry: Entry,
}

/// The lengths of the keys of a list, and how many keys have each: of prefixes in octets, of ranges in bits, with the family of addresses
/// above them.
#[derive(Clone, Debug, Default)]
pub struct Lengths(BTreeMap<usize, usize>);

/// An entry that a value meets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// The key as it is kept, which tells it from others of its list.
    pub stored: Box<[u8]>,
    /// The key as it was written.
    pub key: String,
    /// The version that made the entry, and the place of the change in it. Zeros for those of the job.
    pub by: (u64, u32),
    /// How many decisions may use it.
    pub uses: Option<u64>,
    /// Why it is there.
    pub reason: Option<String>,
}

/// What versions have done to lists.
pub trait Ops {
    /// What they have done to a key of the list with this name.
    fn ops(&self, list: &str, key: &[u8]) -> &[Op];
    /// When they cleared the list.
    fn cleared(&self, list: &str) -> &[Cleared];
    /// The lengths of the keys they have touched. `None`: they have touched none.
    fn lengths(&self, list: &str) -> Option<&Lengths>;
}

/// No versions.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoOps;

impl Ops for NoOps {
    fn ops(&self, _: &str, _: &[u8]) -> &[Op] {
        &[]
    }

    fn cleared(&self, _: &str) -> &[Cleared] {
        &[]
    }

    fn lengths(&self, _: &str) -> Option<&Lengths> {
        None
    }
}

/// The bits of an address, from the first.
fn octets(address: IpAddr) -> (u8, [u8; 16], usize) {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let mut all = [0; 16];
            all[..4].copy_from_slice(&v4.octets());
            (4, all, 32)
        }
        IpAddr::V6(v6) => (6, v6.octets(), 128),
    }
}

/// The key of a range of addresses: its family, its bits, and the first octets with all else zero.
fn range(family: u8, mut octets: [u8; 16], bits: usize) -> ([u8; 18], usize) {
    for (at, octet) in octets.iter_mut().enumerate() {
        let left = bits.saturating_sub(at * 8).min(8);
        *octet &= if left == 0 { 0 } else { 0xff << (8 - left) };
    }
    let mut key = [0; 18];
    (key[0], key[1]) = (family, u8::try_from(bits).unwrap_or(u8::MAX));
    key[2..].copy_from_slice(&octets);
    (key, 2 + bits.div_ceil(8))
}

impl Match {
    /// How a key is kept.
    ///
    /// # Errors
    /// The text is no range of addresses.
    pub fn stored(self, key: &str) -> Result<Box<[u8]>, NoKey> {
        match self {
            Self::Exact | Self::Prefix => Ok(key.as_bytes().into()),
            Self::Cidr => {
                let wrong = || NoKey(format!("`{key}` is no address and no range of addresses such as 10.0.0.0/8"));
                let (address, bits) = key.split_once('/').map_or((key, None), |(address, bits)| (address, Some(bits)));
                let (family, octets, most) = octets(address.trim().parse().map_err(|_| wrong())?);
                let bits = bits.map_or(Ok(most), |bits| bits.parse::<usize>().map_err(|_| wrong()))?;
                let (key, length) = if bits <= most { range(family, octets, bits) } else { return Err(wrong()) };
                Ok(key[..length].into())
            }
        }
    }

    /// The length of a kept key, as [`Lengths`] counts it.
    fn length(self, stored: &[u8]) -> usize {
        match (self, stored) {
            (Self::Exact, _) => 0,
            (Self::Prefix, _) => stored.len(),
            (Self::Cidr, [family, bits, ..]) => usize::from(*family) << 8 | usize::from(*bits),
            (Self::Cidr, _) => 0,
        }
    }
}

impl Lengths {
    /// Counts a key.
    pub fn add(&mut self, by: Match, stored: &[u8]) {
        *self.0.entry(by.length(stored)).or_default() += 1;
    }

    /// No longer counts a key.
    pub fn remove(&mut self, by: Match, stored: &[u8]) {
        let length = by.length(stored);
        if let Some(count) = self.0.get_mut(&length) {
            *count -= 1;
            if *count == 0 {
                self.0.remove(&length);
            }
        }
    }
}

impl List {
    /// An empty list.
    #[must_use]
    pub fn new(name: impl Into<String>, by: Match) -> Self {
        Self { name: name.into(), by, ..Self::default() }
    }

    /// Adds an entry, in the place of another one with this key.
    ///
    /// # Errors
    /// The text is no key of this list.
    pub fn insert(&mut self, key: &str, entry: Entry) -> Result<(), NoKey> {
        let stored = self.by.stored(key)?;
        let plain = entry == Entry::default() && self.by != Match::Cidr;
        let kept = (!plain).then(|| Box::new(Kept { key: key.to_owned(), entry }));
        match self.entries.entry(stored) {
            Place::Occupied(mut place) => _ = place.insert(kept),
            Place::Vacant(place) => {
                self.lengths.add(self.by, place.key());
                place.insert(kept);
            }
        }
        Ok(())
    }

    /// The number of its entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether it has no entries.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether it has this key.
    #[must_use]
    pub fn has(&self, stored: &[u8]) -> bool {
        self.entries.contains_key(stored)
    }

    /// The entries that a value meets at a time, the best first. After the first that has no limit of uses there is none.
    ///
    /// # Errors
    /// The value can't be looked up in such a list.
    pub fn find(&self, value: &str, time: i64, ops: &impl Ops) -> Result<Vec<Found>, NoKey> {
        let mut found = Vec::new();
        match self.by {
            Match::Exact => _ = self.meet(value.as_bytes(), time, ops, &mut found),
            Match::Prefix => {
                for length in self.longest(ops).filter(|length| *length <= value.len()) {
                    if self.meet(&value.as_bytes()[..length], time, ops, &mut found) {
                        break;
                    }
                }
            }
            Match::Cidr => {
                let address = value.trim().parse().map_err(|_| NoKey(format!("`{value}` is no address")))?;
                let (family, octets, _) = octets(address);
                let of_family = self.longest(ops).filter(|length| length >> 8 == usize::from(family));
                for bits in of_family.map(|length| length & 0xff) {
                    let (key, length) = range(family, octets, bits);
                    if self.meet(&key[..length], time, ops, &mut found) {
                        break;
                    }
                }
            }
        }
        Ok(found)
    }

    /// The lengths of keys, the longest first.
    fn longest<'l>(&'l self, ops: &'l impl Ops) -> impl Iterator<Item = usize> + 'l {
        let (mut own, mut more) = (
            self.lengths.0.keys().rev().copied().peekable(),
            ops.lengths(&self.name).into_iter().flat_map(|lengths| lengths.0.keys().rev().copied()).peekable(),
        );
        std::iter::from_fn(move || match (own.peek().copied(), more.peek().copied()) {
            (Some(a), Some(b)) if a == b => {
                more.next();
                own.next()
            }
            (Some(a), Some(b)) if a < b => more.next(),
            (None, _) => more.next(),
            _ => own.next(),
        })
    }

    /// Adds the entry with this key, if it counts at this time. Returns whether it counts without a limit.
    fn meet(&self, stored: &[u8], time: i64, ops: &impl Ops, found: &mut Vec<Found>) -> bool {
        let counts = |entry: &Entry| entry.from.is_none_or(|from| from <= time) && entry.to.is_none_or(|to| time < to);
        let cleared = newest(ops.cleared(&self.name), time, |cleared| (cleared.by, cleared.active));
        let op = newest(ops.ops(&self.name, stored), time, |op| (op.by, op.active));
        let one = |key: &str, by, entry: &Entry| Found {
            stored: stored.into(),
            key: key.to_owned(),
            by,
            uses: entry.uses,
            reason: entry.reason.clone(),
        };
        let one = match (op.filter(|op| cleared.is_none_or(|cleared| cleared.by < op.by)), cleared) {
            (Some(Op { by, key, entry: Some(entry), .. }), _) if counts(entry) => one(key, *by, entry),
            (Some(_), _) | (None, Some(_)) => return false,
            (None, None) => match self.entries.get(stored) {
                Some(None) => one(&String::from_utf8_lossy(stored), (0, 0), &Entry::default()),
                Some(Some(kept)) if counts(&kept.entry) => one(&kept.key, (0, 0), &kept.entry),
                _ => return false,
            },
        };
        let limited = one.uses.is_some();
        found.push(one);
        !limited
    }
}

/// The one of the highest version among those that are active at a time.
fn newest<T>(all: &[T], time: i64, of: impl Fn(&T) -> ((u64, u32), i64)) -> Option<&T> {
    all.iter().filter(|one| of(one).1 <= time).max_by_key(|one| of(one).0)
}

/// Drops from `all` what no time from `settled` on asks for: what a higher version has replaced by then.
pub fn settle<T>(all: &mut Vec<T>, settled: i64, of: impl Fn(&T) -> ((u64, u32), i64)) {
    if let Some(newest) = newest(all, settled, &of).map(|one| of(one).0) {
        // What is older than that can't count again, whenever it would become active.
        all.retain(|one| of(one).0 >= newest);
    }
}

/// All lists of a job. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Lists(Arc<[List]>);

impl Lists {
    /// These lists.
    #[must_use]
    pub fn new(lists: impl IntoIterator<Item = List>) -> Self {
        Self(lists.into_iter().collect())
    }

    /// The place of the list with this name.
    #[must_use]
    pub fn place(&self, name: &str) -> Option<usize> {
        self.0.iter().position(|list| list.name == name)
    }

    /// The list in this place.
    #[must_use]
    pub fn get(&self, place: usize) -> Option<&List> {
        self.0.get(place)
    }

    /// The list with this name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&List> {
        self.0.iter().find(|list| list.name == name)
    }

    /// Their names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|list| list.name.as_str())
    }
}
