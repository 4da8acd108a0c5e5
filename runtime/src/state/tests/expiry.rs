//! Tests time to live against a model that remembers the last use of each element.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::rig::{instance, scan};
use crate::clock::Clock;
use crate::state::{ListState, MapState, ReducingState, States, Ttl, ValueState};

const AFTER: i64 = 100;

struct Trial {
    states: States,
    clock: Clock,
    value: ValueState<u8, u32>,
    list: ListState<u8, u32>,
    map: MapState<u8, u8, u32>,
    sum: ReducingState<u8, u32, fn(&u32, &u32) -> u32>,
    _dir: tempfile::TempDir,
}

fn trial(on_disk: bool, reads: bool) -> Trial {
    let clock = Clock::manual(1_000);
    let mut states = States::with_clock(clock.clone());
    let written = Ttl::after(Duration::from_millis(AFTER as u64));
    let ttl = if reads { written.on_read_and_write() } else { written };
    let value = states.expiring(ttl).value("value").unwrap();
    let list = states.expiring(ttl).list("list").unwrap();
    let map = states.expiring(ttl).map("map").unwrap();
    let sum = states.expiring(ttl).reducing("sum", (|a, b| a + b) as fn(&u32, &u32) -> u32).unwrap();
    let dir = tempfile::tempdir().unwrap();
    states.bind(instance(on_disk.then(|| dir.path().join("db")), 0..128, 0), &[1, 2, 3, 4], false).unwrap();
    Trial { states, clock, value, list, map, sum, _dir: dir }
}

#[derive(Clone, Debug)]
enum Act {
    Pass(i64),
    Value(u8, OfValue),
    List(u8, OfList),
    Map(u8, OfMap),
    Add(u8, u32),
    Sum(u8),
    /// Background work: expiry, eviction, compaction.
    Relieve,
    Compact,
    All,
}

#[derive(Clone, Debug)]
enum OfValue {
    Set(u32),
    Get,
    Update(u32),
    Remove,
}

#[derive(Clone, Debug)]
enum OfList {
    Push(u32),
    Get,
    Take,
}

#[derive(Clone, Debug)]
enum OfMap {
    Insert(u8, u32),
    Get(u8),
    Remove(u8),
    Entries,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    use Act::*;
    let key = || 0..3u8;
    let act = prop_oneof![
        4 => prop_oneof![0..60i64, Just(AFTER - 1), Just(AFTER)].prop_map(Pass),
        2 => (key(), 0..9u32).prop_map(|(k, v)| Value(k, OfValue::Set(v))),
        2 => key().prop_map(|k| Value(k, OfValue::Get)),
        2 => (key(), 0..9u32).prop_map(|(k, v)| Value(k, OfValue::Update(v))),
        1 => key().prop_map(|k| Value(k, OfValue::Remove)),
        3 => (key(), 0..9u32).prop_map(|(k, v)| List(k, OfList::Push(v))),
        2 => key().prop_map(|k| List(k, OfList::Get)),
        1 => key().prop_map(|k| List(k, OfList::Take)),
        3 => (key(), key(), 0..9u32).prop_map(|(k, f, v)| Map(k, OfMap::Insert(f, v))),
        2 => (key(), key()).prop_map(|(k, f)| Map(k, OfMap::Get(f))),
        1 => (key(), key()).prop_map(|(k, f)| Map(k, OfMap::Remove(f))),
        2 => key().prop_map(|k| Map(k, OfMap::Entries)),
        2 => (key(), 0..9u32).prop_map(|(k, v)| Add(k, v)),
        2 => key().prop_map(Sum),
        2 => Just(Relieve),
        1 => Just(Compact),
        1 => Just(All),
    ];
    proptest::collection::vec(act, 0..80)
}

/// A value and the time of its last use.
type Used = (u32, i64);

#[derive(Default)]
struct Model {
    now: i64,
    /// Whether reading is a use.
    reads: bool,
    value: BTreeMap<u8, Used>,
    list: BTreeMap<u8, Vec<Used>>,
    map: BTreeMap<(u8, u8), Used>,
    sum: BTreeMap<u8, Used>,
}

impl Model {
    fn expire(&mut self) {
        let now = self.now;
        let alive = |used: &Used| used.1 + AFTER > now;
        self.value.retain(|_, used| alive(used));
        self.list.values_mut().for_each(|list| list.retain(alive));
        self.map.retain(|_, used| alive(used));
        self.sum.retain(|_, used| alive(used));
    }

    /// How to read a value now.
    fn read(&self) -> impl Fn(&mut Used) -> u32 + use<> {
        let now = self.reads.then_some(self.now);
        move |used| {
            used.1 = now.unwrap_or(used.1);
            used.0
        }
    }
}

impl Trial {
    /// Does the same to the states and to the model, and compares what both answer.
    fn act(&self, model: &mut Model, act: Act) -> Result<(), TestCaseError> {
        model.expire();
        let (now, read) = (model.now, model.read());
        match act {
            Act::Pass(by) => {
                model.now += by;
                self.clock.set(model.now);
            }
            Act::Value(k, act) => self.act_on_value(model, k, act)?,
            Act::List(k, act) => self.act_on_list(model, k, act)?,
            Act::Map(k, act) => self.act_on_map(model, k, act)?,
            Act::Add(k, v) => {
                self.sum.add(&k, v).unwrap();
                let used = model.sum.entry(k).or_default();
                *used = (used.0 + v, now);
            }
            Act::Sum(k) => prop_assert_eq!(self.sum.get(&k).unwrap(), model.sum.get_mut(&k).map(read)),
            Act::Relieve => self.states.relieve().unwrap(),
            Act::Compact => self.states.instance().unwrap().opened_disk().into_iter().for_each(|disk| disk.compact()),
            Act::All => {
                let mut all = BTreeMap::new();
                self.value.for_each(|k, v| Ok(_ = all.insert(*k, *v))).unwrap();
                prop_assert_eq!(all, model.value.iter().map(|(k, used)| (*k, used.0)).collect::<BTreeMap<_, _>>());
            }
        }
        Ok(())
    }

    fn act_on_value(&self, model: &mut Model, k: u8, act: OfValue) -> Result<(), TestCaseError> {
        let (now, read) = (model.now, model.read());
        match act {
            OfValue::Set(v) => {
                self.value.set(&k, v).unwrap();
                model.value.insert(k, (v, now));
            }
            OfValue::Get => prop_assert_eq!(self.value.get(&k).unwrap(), model.value.get_mut(&k).map(read)),
            OfValue::Update(v) => {
                let next = |old: u32| old * 2 % 1_000 + v;
                let update = |old: &mut u32| {
                    *old = next(*old);
                    *old
                };
                let updated = self.value.update(&k, || 1, update).unwrap();
                let used = model.value.entry(k).or_insert((1, now));
                *used = (next(used.0), now);
                prop_assert_eq!(updated, used.0);
            }
            OfValue::Remove => prop_assert_eq!(self.value.remove(&k).unwrap(), model.value.remove(&k).map(|used| used.0)),
        }
        Ok(())
    }

    fn act_on_list(&self, model: &mut Model, k: u8, act: OfList) -> Result<(), TestCaseError> {
        let (now, read) = (model.now, model.read());
        match act {
            OfList::Push(v) => {
                self.list.push(&k, v).unwrap();
                model.list.entry(k).or_default().push((v, now));
            }
            OfList::Get => {
                let expected: Vec<u32> = model.list.entry(k).or_default().iter_mut().map(read).collect();
                prop_assert_eq!(self.list.get(&k).unwrap(), expected);
            }
            OfList::Take => {
                let expected: Vec<u32> = model.list.remove(&k).into_iter().flatten().map(|used| used.0).collect();
                prop_assert_eq!(self.list.take(&k).unwrap(), expected);
            }
        }
        Ok(())
    }

    fn act_on_map(&self, model: &mut Model, k: u8, act: OfMap) -> Result<(), TestCaseError> {
        let (now, read) = (model.now, model.read());
        match act {
            OfMap::Insert(f, v) => {
                let old = model.map.insert((k, f), (v, now)).map(|used| used.0);
                prop_assert_eq!(self.map.insert(&k, f, v).unwrap(), old);
            }
            OfMap::Get(f) => prop_assert_eq!(self.map.get(&k, &f).unwrap(), model.map.get_mut(&(k, f)).map(read)),
            OfMap::Remove(f) => prop_assert_eq!(self.map.remove(&k, &f).unwrap(), model.map.remove(&(k, f)).map(|used| used.0)),
            OfMap::Entries => {
                let fields = model.map.iter_mut().filter(|((key, _), _)| *key == k);
                let expected: Vec<(u8, u32)> = fields.map(|((_, f), used)| (*f, read(used))).collect();
                prop_assert_eq!(self.map.len(&k).unwrap(), expected.len());
                let mut entries = self.map.entries(&k).unwrap();
                entries.sort_unstable();
                prop_assert_eq!(entries, expected);
            }
        }
        Ok(())
    }
}

fn run(on_disk: bool, reads: bool, acts: Vec<Act>) -> Result<(), TestCaseError> {
    let trial = trial(on_disk, reads);
    let mut model = Model { now: 1_000, reads, ..Model::default() };
    acts.into_iter().try_for_each(|act| trial.act(&mut model, act))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_has_expired_is_never_seen(reads: bool, acts in acts()) {
        run(false, reads, acts)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn what_has_expired_is_never_seen_on_disk(reads: bool, acts in acts()) {
        run(true, reads, acts)?;
    }
}

fn fill(t: &Trial) {
    for key in 0..=255 {
        t.value.set(&key, 1).unwrap();
        t.list.push(&key, 1).unwrap();
        t.map.insert(&key, 1, 1).unwrap();
        t.sum.add(&key, 1).unwrap();
    }
}

#[test]
fn nobody_has_to_ask_for_what_expires_to_go_from_memory() {
    let t = trial(false, false);
    fill(&t);
    t.clock.set(1_000 + AFTER);
    t.value.set(&9, 9).unwrap();
    for _ in 0..8 {
        t.states.relieve().unwrap();
    }
    t.states.tell();
    assert_eq!(t.states.instance().unwrap().metrics.entries.get(), 1);
    assert_eq!(t.value.get(&9).unwrap(), Some(9));
}

#[test]
fn compaction_drops_what_has_expired() {
    let t = trial(true, false);
    fill(&t);
    t.states.relieve().unwrap();
    t.clock.set(1_000 + AFTER / 2);
    t.value.set(&9, 9).unwrap();
    t.list.push(&9, 9).unwrap();
    t.states.relieve().unwrap();
    t.clock.set(1_000 + AFTER);
    let disk = t.states.instance().unwrap().disk().unwrap();
    assert_eq!(scan(disk).len(), 4 * 256);
    disk.compact();
    assert_eq!(scan(disk).len(), 2);
    assert_eq!((t.value.get(&9).unwrap(), t.list.get(&9).unwrap()), (Some(9), vec![9]));
}

#[test]
fn snapshots_leave_out_what_has_expired() {
    for on_disk in [false, true] {
        let mut t = trial(on_disk, false);
        fill(&t);
        t.clock.set(1_000 + AFTER / 2);
        t.value.set(&9, 9).unwrap();
        t.clock.set(1_000 + AFTER);
        t.states.freeze().unwrap();
        while !t.states.sweep(100).unwrap() {}
        let captured = t.states.instance().unwrap().take_captured();
        let rows = if on_disk { captured.disk } else { captured.full };
        assert_eq!(rows.iter().filter(|row| row.value.is_some()).count(), 1);
    }
}
