//! What versions have done, as every worker holds it.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap, VecDeque};

use serde::{Deserialize, Serialize};
use tidegate_rules::{Change, Cleared, Entry, Lengths, Lists, Op, Ops, Version, Versions, settle};
use tidegate_runtime::Error;
use tidegate_runtime::operator::Context;
use tidegate_runtime::state::{Broadcast, Handle, SharedMap, Stored};

use super::control::Accepted;
use super::timeline::{Layers, Timeline};

/// Names what is held: a tag, a number or the name of a list, and a key.
pub(super) type Name = Vec<u8>;

/// Something that is held.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Held {
    /// A version, without its changes of lists.
    Version(Version),
    /// What versions have done to a key of a list.
    Key(Vec<Op>),
    /// When versions have cleared a list.
    Cleared(Vec<Cleared>),
}

impl Stored for Held {
    const SCHEMA: &'static str = "rules.held/1";
}

const VERSION: u8 = 0;
const KEY: u8 = 1;
const CLEARED: u8 = 2;

fn version_name(version: u64) -> Name {
    let mut name = vec![VERSION];
    name.extend(version.to_be_bytes());
    name
}

/// The name of a key of a list, or of the list itself. The name of a list holds no zeros.
fn name_of(tag: u8, list: &str, key: &[u8], name: &mut Name) {
    name.clear();
    name.push(tag);
    name.extend_from_slice(list.as_bytes());
    name.push(0);
    name.extend_from_slice(key);
}

pub(super) fn list_of(name: &[u8]) -> Option<(&str, &[u8])> {
    let rest = name.get(1..)?;
    let end = rest.iter().position(|octet| *octet == 0)?;
    Some((std::str::from_utf8(&rest[..end]).ok()?, &rest[end + 1..]))
}

/// What is held, made fit for looking it up.
///
/// The map drops what no time from `settled` on asks for, as the control desk knows it: the same on all workers. This worker may be behind that
/// time. Until it has come to it, what the map has dropped is kept here. A checkpoint finds every worker at that time or later, so it need
/// not hold this.
#[derive(Debug, Default)]
pub(super) struct Store {
    pub(super) versions: Versions,
    touched: HashMap<String, Touched>,
    /// Entries that end, by their ends.
    ends: BTreeSet<(i64, Name)>,
    /// What was done to keys, whole, and how long that matters.
    whole: HashMap<Name, (i64, Vec<Op>)>,
    /// The keys in `whole`, by that time.
    matters: VecDeque<(i64, Name)>,
    /// Room for the name of what is looked up, so that a look costs no allocation.
    wanted: RefCell<Name>,
}

/// Versions of which an operator needs nothing but what they change, the same on every worker.
pub(super) struct KeptVersions {
    versions: Versions,
    map: Handle<Broadcast<u64, Version>>,
}

impl KeptVersions {
    /// Declares its state, `versions`.
    pub(super) fn new(context: &mut Context) -> Result<Self, Error> {
        Ok(Self { versions: Versions::default(), map: context.states.broadcast("versions")? })
    }

    /// Takes up what was stored, and puts it on a timeline.
    pub(super) fn restore<L: Layers>(&mut self, timeline: &mut Timeline<L>) {
        for (_, version) in self.map.borrow().map().iter() {
            self.versions.restore(version.clone());
        }
        timeline.restore(self.versions.iter());
    }

    /// The number of the highest, or 0.
    pub(super) fn last(&self) -> u64 {
        self.versions.last()
    }

    pub(super) fn add(&mut self, Accepted { version, settled }: &Accepted) {
        let Self { versions, map } = self;
        map.borrow_mut().change(|map| {
            for number in keep(versions, version, *settled) {
                match versions.get(number) {
                    Some(version) => map.insert(number, version.clone()),
                    None => _ = map.remove(&number),
                }
            }
        });
    }
}

/// Adds a version. Returns the numbers of those that are to be stored anew, or removed.
fn keep(versions: &mut Versions, version: &Version, settled: i64) -> impl Iterator<Item = u64> + use<> {
    let number = version.version;
    versions.add(version.clone(), settled).into_iter().chain([number])
}

/// What versions have done to a list.
#[derive(Debug, Default)]
struct Touched {
    lengths: Lengths,
    cleared: Vec<Cleared>,
}

/// Until when everything is settled, and what lists there are.
#[derive(Clone, Copy)]
pub(super) struct Settled<'a> {
    /// No time before this is asked for once a checkpoint is complete.
    pub(super) by_all: i64,
    /// No time before this is asked for on this worker.
    pub(super) here: i64,
    pub(super) lists: &'a Lists,
}

impl Store {
    /// Takes up what was stored.
    pub(super) fn restore(&mut self, map: &SharedMap<Name, Held>, lists: &Lists) {
        for (name, held) in map.iter() {
            match held {
                Held::Version(version) => self.versions.restore(version.clone()),
                Held::Key(ops) => {
                    let Some((list, key)) = list_of(name) else { continue };
                    let Some(of) = lists.named(list) else { continue };
                    self.touched.entry(list.to_owned()).or_default().lengths.add(of.by, key);
                    let ends = ops.iter().filter_map(|op| op.entry.as_ref()?.to);
                    self.ends.extend(ends.map(|end| (end, name.clone())));
                }
                Held::Cleared(cleared) => {
                    if let Some((list, _)) = list_of(name) {
                        self.touched.entry(list.to_owned()).or_default().cleared.clone_from(cleared);
                    }
                }
            }
        }
    }

    /// Applies a version. All workers make the same of the map with the same version.
    pub(super) fn apply(&mut self, map: &mut SharedMap<Name, Held>, version: &Version, settled: Settled<'_>) {
        for (place, change) in (0..).zip(&version.changes) {
            let (by, active) = ((version.version, place), version.active);
            match change {
                Change::Set { .. } | Change::Remove { .. } => {}
                Change::Add { list, key, entry } => {
                    self.operate(map, list, Op { by, active, key: key.clone(), entry: Some(entry.clone()) }, settled);
                }
                Change::Drop { list, key } => self.operate(map, list, Op { by, active, key: key.clone(), entry: None }, settled),
                Change::Clear { list } => {
                    let all = &mut self.touched.entry(list.clone()).or_default().cleared;
                    settle(all, settled.here, |cleared| (cleared.by, cleared.active));
                    all.push(Cleared { by, active });
                    let mut kept = all.clone();
                    settle(&mut kept, settled.by_all, |cleared| (cleared.by, cleared.active));
                    let mut name = Name::new();
                    name_of(CLEARED, list, &[], &mut name);
                    map.insert(name, Held::Cleared(kept));
                }
            }
        }
        for number in keep(&mut self.versions, version, settled.by_all) {
            match self.versions.get(number) {
                Some(version) => map.insert(version_name(number), Held::Version(version.clone())),
                None => _ = map.remove(version_name(number).as_slice()),
            }
        }
        self.expire(map, settled);
    }

    fn operate(&mut self, map: &mut SharedMap<Name, Held>, list: &str, op: Op, settled: Settled<'_>) {
        // The control desk knows the list, and has checked the key.
        let Some(of) = settled.lists.named(list) else { return };
        let Ok(key) = of.by.stored(&op.key) else { return };
        let mut name = Name::new();
        name_of(KEY, list, &key, &mut name);
        let mut kept = if let Some(Held::Key(ops)) = map.get(name.as_slice()) { ops.clone() } else { Vec::new() };
        if kept.is_empty() && !self.whole.contains_key(&name) {
            self.touched.entry(list.to_owned()).or_default().lengths.add(of.by, &key);
        }
        if let Some(end) = op.entry.as_ref().and_then(|entry| entry.to) {
            self.ends.insert((end, name.clone()));
        }
        self.keep_whole(&name, &kept, Some(&op), settled);
        kept.push(op);
        self.keep(map, name, kept, settled);
    }

    /// Keeps everything that was done to a key as long as this worker is behind.
    fn keep_whole(&mut self, name: &Name, kept: &[Op], new: Option<&Op>, settled: Settled<'_>) {
        if settled.by_all <= settled.here {
            return;
        }
        let (until, ops) = self.whole.entry(name.clone()).or_insert_with(|| (settled.by_all, kept.to_vec()));
        ops.extend(new.cloned());
        *until = settled.by_all;
        self.matters.push_back((settled.by_all, name.clone()));
    }

    /// Stores what was done to a key, unless it comes to nothing.
    fn keep(&mut self, map: &mut SharedMap<Name, Held>, name: Name, mut ops: Vec<Op>, settled: Settled<'_>) {
        settle(&mut ops, settled.by_all, |op| (op.by, op.active));
        let over = |entry: &Entry| entry.to.is_some_and(|to| to <= settled.by_all);
        let gone = |op: &Op| op.active <= settled.by_all && op.entry.as_ref().is_none_or(over);
        // A removed entry of the job stays removed.
        let hides = list_of(&name).is_some_and(|(list, key)| settled.lists.named(list).is_some_and(|list| list.has(key)));
        if hides || !ops.iter().all(gone) {
            map.insert(name, Held::Key(ops));
        } else {
            map.remove(name.as_slice());
            if !self.whole.contains_key(&name) {
                self.uncount(&name, settled.lists);
            }
        }
    }

    /// Drops entries that have ended.
    fn expire(&mut self, map: &mut SharedMap<Name, Held>, settled: Settled<'_>) {
        while let Some((end, _)) = self.ends.first()
            && *end <= settled.by_all
            && let Some((_, name)) = self.ends.pop_first()
        {
            let Some(Held::Key(ops)) = map.get(name.as_slice()) else { continue };
            let ops = ops.clone();
            self.keep_whole(&name, &ops, None, settled);
            self.keep(map, name, ops, settled);
        }
    }

    /// This worker has come to a time: lets go of what it kept because it was behind.
    pub(super) fn reach(&mut self, map: &SharedMap<Name, Held>, settled: i64, lists: &Lists) {
        while let Some((until, _)) = self.matters.front()
            && *until <= settled
            && let Some((until, name)) = self.matters.pop_front()
        {
            if self.whole.get(&name).is_some_and(|(last, _)| *last <= until) {
                self.whole.remove(&name);
                if !map.contains_key(name.as_slice()) {
                    self.uncount(&name, lists);
                }
            }
        }
    }

    /// Nothing is known of a key any longer.
    fn uncount(&mut self, name: &[u8], lists: &Lists) {
        if let Some((list, key)) = list_of(name)
            && let Some(of) = lists.named(list)
        {
            self.touched.entry(list.to_owned()).or_default().lengths.remove(of.by, key);
        }
    }
}

/// The store as lists look into it.
pub(super) struct View<'a> {
    pub(super) store: &'a Store,
    pub(super) map: &'a SharedMap<Name, Held>,
}

impl Ops for View<'_> {
    fn ops(&self, list: &str, key: &[u8]) -> &[Op] {
        if !self.store.touched.contains_key(list) {
            return &[];
        }
        let mut name = self.store.wanted.borrow_mut();
        name_of(KEY, list, key, &mut name);
        match (self.store.whole.get(&*name), self.map.get(name.as_slice())) {
            (Some((_, ops)), _) | (None, Some(Held::Key(ops))) => ops,
            _ => &[],
        }
    }

    fn cleared(&self, list: &str) -> &[Cleared] {
        self.store.touched.get(list).map_or(&[], |touched| &touched.cleared)
    }

    fn lengths(&self, list: &str) -> Option<&Lengths> {
        self.store.touched.get(list).map(|touched| &touched.lengths)
    }
}
