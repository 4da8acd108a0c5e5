//! Tests the state layer against a naive model, in any order of changes, evictions, captures, links and restores.
#![allow(clippy::type_complexity, clippy::single_range_in_vec_init, reason = "short closures, and ranges of key groups")]

mod disk;
mod expiry;
mod rig;

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use rig::{Contents, Rig, Snapshot};

use super::Upcoming;

/// What happens to an instance.
#[derive(Clone, Debug)]
enum Act {
    Keyed(u16, OfKey),
    /// In this namespace.
    Windowed(i64, OfWindow),
    /// Prefetches for records with these event times and keys. An event time is a namespace here.
    Prefetch(Vec<(i64, u16)>),
    End(i64),
    Timer(i64, u16),
    NoTimer(i64, u16),
    Fire(i64),
    /// Evicts up to this many entries of each state.
    Evict(usize),
    Relieve,
    Freeze,
    /// Captures up to this many entries.
    Sweep(usize),
    Ship,
    /// Compares all state with the model.
    All,
    /// Restores the last snapshot: from its files as they are, or from its rows.
    Restore(bool),
}

/// What happens to the value of a key.
#[derive(Clone, Debug)]
enum OfKey {
    Get,
    Change,
    Upsert(String),
    Insert(String),
    Remove,
}

/// What happens to the values in a namespace.
#[derive(Clone, Debug)]
enum OfWindow {
    Add(u16, u64),
    Read(u16),
    Drop(u16),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    use Act::*;
    let key = || 0..40u16;
    let text = || prop_oneof![Just(String::new()), "[a-z]{1,4}", Just("x".repeat(300))];
    let moment = || -3..12i64;
    let act = prop_oneof![
        3 => key().prop_map(|k| Keyed(k, OfKey::Get)),
        3 => key().prop_map(|k| Keyed(k, OfKey::Change)),
        6 => (key(), text()).prop_map(|(k, v)| Keyed(k, OfKey::Upsert(v))),
        3 => (key(), text()).prop_map(|(k, v)| Keyed(k, OfKey::Insert(v))),
        5 => key().prop_map(|k| Keyed(k, OfKey::Remove)),
        8 => (moment(), key(), 1..9u64).prop_map(|(n, k, v)| Windowed(n, OfWindow::Add(k, v))),
        2 => (moment(), key()).prop_map(|(n, k)| Windowed(n, OfWindow::Read(k))),
        3 => (moment(), key()).prop_map(|(n, k)| Windowed(n, OfWindow::Drop(k))),
        4 => proptest::collection::vec((moment(), key()), 0..12).prop_map(Prefetch),
        1 => moment().prop_map(End),
        3 => (-20..40i64, key()).prop_map(|(t, k)| Timer(t, k)),
        1 => (-20..40i64, key()).prop_map(|(t, k)| NoTimer(t, k)),
        1 => (-20..40i64).prop_map(Fire),
        4 => (1..30usize).prop_map(Evict),
        1 => Just(Relieve),
        3 => Just(Freeze),
        6 => (1..12usize).prop_map(Sweep),
        6 => Just(Ship),
        1 => Just(All),
        1 => any::<bool>().prop_map(Restore),
    ];
    proptest::collection::vec(act, 0..160)
}

#[derive(Clone, Debug, Default)]
struct Model {
    keyed: BTreeMap<u16, String>,
    windowed: BTreeMap<(i64, u16), u64>,
    timers: BTreeSet<(i64, u16)>,
}

impl Model {
    fn contents(&self) -> Contents {
        Contents {
            keyed: self.keyed.iter().map(|(k, v)| (*k, v.clone())).collect(),
            windowed: self.windowed.iter().map(|((n, k), v)| (*n, *k, *v)).collect(),
        }
    }

    fn fire(&mut self, now: i64) -> Vec<(i64, u16)> {
        let due: Vec<_> = self.timers.iter().copied().filter(|(time, _)| *time <= now).collect();
        self.timers.retain(|(time, _)| *time > now);
        due
    }
}

/// A rig, its model, and the model at the beginning of the snapshot in progress.
struct Trial {
    rig: Rig,
    model: Model,
    frozen: Option<Model>,
    last: Option<(Snapshot, Model)>,
    /// No namespace below this one is used again in this run.
    ended: i64,
    on_disk: bool,
    budget: usize,
    split: u16,
}

impl Trial {
    fn new(on_disk: bool, budget: usize, split: u16) -> Self {
        let rig = Rig::new(on_disk, budget);
        Self { rig, model: Model::default(), frozen: None, last: None, ended: i64::MIN, on_disk, budget, split }
    }

    /// Does the same to the instance and to the model, and compares what both answer.
    fn act(&mut self, act: Act) -> Result<(), TestCaseError> {
        let (rig, model) = (&mut self.rig, &mut self.model);
        match act {
            Act::Keyed(key, act) => self.keyed(key, act)?,
            Act::Windowed(namespace, act) => self.windowed(namespace.max(self.ended), act)?,
            Act::Prefetch(records) => {
                let records = records.into_iter().map(|(time, key)| (time.max(self.ended), key)).collect();
                rig.states.prefetch(&Upcoming(records)).unwrap();
            }
            Act::End(namespace) => {
                rig.windowed.borrow_mut().end_below(namespace);
                model.windowed.retain(|(n, _), _| *n >= namespace);
                self.ended = self.ended.max(namespace);
            }
            Act::Timer(time, key) => {
                rig.timers.borrow_mut().set(time, key);
                model.timers.insert((time, key));
            }
            Act::NoTimer(time, key) => {
                rig.timers.borrow_mut().delete(time, &key);
                model.timers.remove(&(time, key));
            }
            Act::Fire(now) => prop_assert_eq!(rig.fire(now), model.fire(now)),
            Act::Evict(most) => rig.evict(most),
            Act::Relieve => rig.states.relieve().unwrap(),
            Act::Freeze => {
                if !rig.frozen() {
                    rig.freeze();
                    self.frozen = Some(model.clone());
                }
            }
            Act::Sweep(most) => rig.sweep(most),
            Act::Ship => {
                if let Some(snapshot) = rig.ship() {
                    self.check(snapshot)?;
                }
            }
            Act::All => prop_assert_eq!(rig.all(), model.contents()),
            Act::Restore(as_they_are) => {
                if let Some((snapshot, then)) = &self.last {
                    self.rig = Rig::restored(&[snapshot], 0..128, self.on_disk, self.budget, as_they_are);
                    self.model = then.clone();
                    // Event time starts over.
                    self.ended = i64::MIN;
                    self.frozen = None;
                }
            }
        }
        let (told, counted) = self.rig.windowed.borrow_mut().sizes();
        prop_assert_eq!(told, counted);
        Ok(())
    }

    fn keyed(&mut self, key: u16, act: OfKey) -> Result<(), TestCaseError> {
        let (mut keyed, model) = (self.rig.keyed.borrow_mut(), &mut self.model.keyed);
        match act {
            OfKey::Get => prop_assert_eq!(keyed.get(&key).unwrap().cloned(), model.get(&key).cloned()),
            OfKey::Change => {
                let found = keyed.get_mut(&key).unwrap();
                prop_assert_eq!(found.as_deref(), model.get(&key));
                found.into_iter().chain(model.get_mut(&key)).for_each(|value| value.push('!'));
            }
            OfKey::Upsert(value) => {
                let expected = model.entry(key).or_insert_with(|| value.clone());
                expected.push('+');
                let found = keyed.get_or_insert_with(&key, || value).unwrap();
                found.push('+');
                prop_assert_eq!(found, expected);
            }
            OfKey::Insert(value) => {
                keyed.insert(&key, value.clone()).unwrap();
                model.insert(key, value);
            }
            OfKey::Remove => prop_assert_eq!(keyed.remove(&key).unwrap(), model.remove(&key)),
        }
        Ok(())
    }

    fn windowed(&mut self, namespace: i64, act: OfWindow) -> Result<(), TestCaseError> {
        let (mut windowed, model) = (self.rig.windowed.borrow_mut(), &mut self.model.windowed);
        match act {
            OfWindow::Add(key, value) => {
                *windowed.get_or_insert_with(namespace, &key, || 0).unwrap() += value;
                *model.entry((namespace, key)).or_default() += value;
            }
            OfWindow::Read(key) => {
                prop_assert_eq!(windowed.get(namespace, &key).unwrap().copied(), model.get(&(namespace, key)).copied());
            }
            OfWindow::Drop(key) => prop_assert_eq!(windowed.remove(namespace, &key).unwrap(), model.remove(&(namespace, key))),
        }
        Ok(())
    }

    /// Checks that the snapshot holds the state at its beginning, restored into one instance or two, on either backend.
    fn check(&mut self, snapshot: Snapshot) -> Result<(), TestCaseError> {
        let then = self.frozen.take().unwrap();
        for (groups, on_disk) in [(vec![0..0, 0..128], self.on_disk), (vec![0..self.split, self.split..128], !self.on_disk)] {
            let mut contents = Contents::default();
            let mut fired = Vec::new();
            for groups in groups {
                let rig = Rig::restored(&[&snapshot], groups, on_disk, self.budget, true);
                let part = rig.all();
                contents.keyed.extend(part.keyed);
                contents.windowed.extend(part.windowed);
                fired.extend(rig.fire(i64::MAX));
            }
            contents.keyed.sort();
            contents.windowed.sort();
            fired.sort_unstable();
            prop_assert_eq!(contents, then.contents());
            prop_assert_eq!(fired, then.clone().fire(i64::MAX));
        }
        self.last = Some((snapshot, then));
        Ok(())
    }
}

fn run(on_disk: bool, acts: Vec<Act>, split: u16) -> Result<(), TestCaseError> {
    let mut trial = Trial::new(on_disk, 2 << 10, split);
    acts.into_iter().try_for_each(|act| trial.act(act))?;
    prop_assert_eq!(trial.rig.all(), trial.model.contents());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn state_in_memory_is_what_a_map_would_be_and_snapshots_hold_a_moment(acts in acts(), split in 0..=128u16) {
        run(false, acts, split)?;
    }

    #[test]
    fn state_on_disk_is_what_a_map_would_be_and_snapshots_hold_a_moment(acts in acts(), split in 0..=128u16) {
        run(true, acts, split)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4))]

    #[test]
    fn generations_wrap_around(on_disk: bool, rounds in proptest::collection::vec((proptest::collection::vec((0..40u16, 0..3u8), 0..10), 0..5usize), 20..40)) {
        let mut trial = Trial::new(on_disk, 2 << 10, 50);
        for (changes, evicted) in rounds {
            trial.act(Act::Freeze)?;
            for (key, what) in changes {
                trial.act(match what {
                    0 => Act::Keyed(key, OfKey::Upsert("new".to_owned())),
                    1 => Act::Keyed(key, OfKey::Remove),
                    _ => Act::Sweep(3),
                })?;
                trial.act(Act::Evict(evicted))?;
            }
            trial.last = Some((trial.rig.finish(5), trial.frozen.take().unwrap()));
        }
        let (snapshot, then) = trial.last.take().unwrap();
        trial.frozen = Some(then);
        trial.check(snapshot)?;
    }
}

/// A table full of tombstones is rehashed in place when an entry is added, so entries move under the sweep.
#[test]
fn a_sweep_misses_nothing_when_a_table_is_put_in_order_under_it() {
    for on_disk in [false, true] {
        let rig = &mut Rig::new(on_disk, usize::MAX);
        let key = |i: u16| i.wrapping_mul(40_503);
        (0..1_700).for_each(|i| rig.keyed.borrow_mut().insert(&key(i), i.to_string()).unwrap());
        (0..1_300).for_each(|i| _ = rig.keyed.borrow_mut().remove(&key(i)).unwrap());
        let then = rig.all();
        rig.freeze();
        rig.sweep(60);
        // One in, one out: tombstones use up the room.
        for i in 2_000..6_000 {
            rig.keyed.borrow_mut().insert(&key(i), String::new()).unwrap();
            rig.keyed.borrow_mut().remove(&key(i)).unwrap();
        }
        let snapshot = rig.finish(60);
        assert_eq!(Rig::restored(&[&snapshot], 0..128, on_disk, usize::MAX, true).all(), then);
    }
}

#[test]
fn what_is_evicted_gives_its_memory_back_and_what_is_used_often_stays() {
    let budget = 256 << 10;
    let rig = Rig::new(true, budget);
    let memory = |rig: &Rig| rig.instance().metrics.memory.get();
    for i in 0..30_000u32 {
        let key = (i % 20_000) as u16;
        rig.keyed.borrow_mut().get_or_insert_with(&key, String::new).unwrap();
        rig.keyed.borrow_mut().get_or_insert_with(&7, String::new).unwrap();
        if i % 1_000 == 0 {
            rig.states.relieve().unwrap();
            rig.states.tell();
            assert!(memory(&rig) <= budget as u64, "{} bytes", memory(&rig));
        }
    }
    assert_eq!(rig.all().keyed.len(), 20_000);
}

#[test]
fn a_snapshot_that_held_memory_up_leaves_a_cache_of_its_budget() {
    let budget = 1 << 20;
    let rig = &mut Rig::new(true, budget);
    rig.freeze();
    for i in 0..60_000 {
        rig.keyed.borrow_mut().insert(&i, String::new()).unwrap();
        if i % 1_000 == 0 {
            rig.states.relieve().unwrap();
        }
    }
    rig.finish(10_000);
    // Eviction is spread over several calls.
    (0..40).for_each(|_| rig.states.relieve().unwrap());
    rig.states.tell();
    assert!(rig.instance().metrics.memory.get() <= budget as u64);
    // It still is a cache.
    assert!(rig.instance().metrics.entries.get() > 4_000);
}

/// The joined instances had reached different event times. What one of them had ended stays ended.
#[test]
fn instances_that_are_joined_keep_what_each_had_not_ended() {
    let whole = Rig::new(false, usize::MAX);
    let keys: Vec<u16> = (0..200).collect();
    keys.iter().for_each(|key| *whole.windowed.borrow_mut().get_or_insert_with(10, key, || 0).unwrap() += 1);
    let rig = &mut { whole };
    rig.freeze();
    let snapshot = rig.finish(50);
    for on_disk in [false, true] {
        let (mut ahead, mut behind) = (
            Rig::restored(&[&snapshot], 0..64, on_disk, usize::MAX, false),
            Rig::restored(&[&snapshot], 64..128, on_disk, usize::MAX, false),
        );
        let later = behind.all();
        [&mut ahead, &mut behind].into_iter().for_each(|rig| rig.evict(500));
        ahead.windowed.borrow_mut().end_below(20);
        let parts = [&mut ahead, &mut behind].map(|rig| {
            rig.freeze();
            rig.finish(50)
        });
        let joined = Rig::restored(&[&parts[0], &parts[1]], 0..128, on_disk, usize::MAX, false);
        assert_eq!(joined.all(), later);
        // The other way round, too.
        let joined = Rig::restored(&[&parts[1], &parts[0]], 0..128, on_disk, usize::MAX, false);
        assert_eq!(joined.all(), later);
    }
}
