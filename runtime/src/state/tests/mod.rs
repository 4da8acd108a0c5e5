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
    Get(u16),
    Change(u16),
    Upsert(u16, String),
    Insert(u16, String),
    Remove(u16),
    Add(i64, u16, u64),
    Read(i64, u16),
    Drop(i64, u16),
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

fn acts() -> impl Strategy<Value = Vec<Act>> {
    use Act::*;
    let key = || 0..40u16;
    let text = || prop_oneof![Just(String::new()), "[a-z]{1,4}", Just("x".repeat(300))];
    let moment = || -3..12i64;
    let act = prop_oneof![
        3 => key().prop_map(Get),
        3 => key().prop_map(Change),
        6 => (key(), text()).prop_map(|(k, v)| Upsert(k, v)),
        3 => (key(), text()).prop_map(|(k, v)| Insert(k, v)),
        5 => key().prop_map(Remove),
        8 => (moment(), key(), 1..9u64).prop_map(|(n, k, v)| Add(n, k, v)),
        2 => (moment(), key()).prop_map(|(n, k)| Read(n, k)),
        3 => (moment(), key()).prop_map(|(n, k)| Drop(n, k)),
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

    fn act(&mut self, act: Act) -> Result<(), TestCaseError> {
        let (rig, model) = (&mut self.rig, &mut self.model);
        let open = |namespace: i64| namespace.max(self.ended);
        match act {
            Act::Get(key) => prop_assert_eq!(rig.keyed.borrow_mut().get(&key).unwrap().cloned(), model.keyed.get(&key).cloned()),
            Act::Change(key) => {
                let mut keyed = rig.keyed.borrow_mut();
                let found = keyed.get_mut(&key).unwrap();
                prop_assert_eq!(found.as_deref(), model.keyed.get(&key));
                found.into_iter().chain(model.keyed.get_mut(&key)).for_each(|value| value.push('!'));
            }
            Act::Upsert(key, value) => {
                let expected = model.keyed.entry(key).or_insert_with(|| value.clone());
                expected.push('+');
                let mut keyed = rig.keyed.borrow_mut();
                let found = keyed.get_or_insert_with(&key, || value).unwrap();
                found.push('+');
                prop_assert_eq!(found, expected);
            }
            Act::Insert(key, value) => {
                rig.keyed.borrow_mut().insert(&key, value.clone()).unwrap();
                model.keyed.insert(key, value);
            }
            Act::Remove(key) => prop_assert_eq!(rig.keyed.borrow_mut().remove(&key).unwrap(), model.keyed.remove(&key)),
            Act::Add(namespace, key, value) => {
                let namespace = open(namespace);
                *rig.windowed.borrow_mut().get_or_insert_with(namespace, &key, || 0).unwrap() += value;
                *model.windowed.entry((namespace, key)).or_default() += value;
            }
            Act::Read(namespace, key) => {
                let namespace = open(namespace);
                prop_assert_eq!(
                    rig.windowed.borrow_mut().get(namespace, &key).unwrap().copied(),
                    model.windowed.get(&(namespace, key)).copied()
                );
            }
            Act::Drop(namespace, key) => {
                let namespace = open(namespace);
                let removed = rig.windowed.borrow_mut().remove(namespace, &key).unwrap();
                prop_assert_eq!(removed, model.windowed.remove(&(namespace, key)));
            }
            Act::Prefetch(records) => {
                rig.states.prefetch(&Upcoming(records.into_iter().map(|(time, key)| (open(time), key)).collect())).unwrap();
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
                    0 => Act::Upsert(key, "new".to_owned()),
                    1 => Act::Remove(key),
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
