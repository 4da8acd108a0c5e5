//! Broadcast streams: they hold no event time back, are in step with checkpoints, and their map moves with a savepoint to any number of workers.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tempfile::TempDir;
use tidegate::checkpoints::Snapshot;
use tidegate::connectors::generator::mix;
use tidegate::prelude::*;
use tidegate::runtime::checkpoint::Restore;
use tidegate::runtime::{Backend, StateConfig};

use crate::script::{Script, Step, ms, run, until, wait_for};

fn bounded() -> WatermarkStrategy {
    WatermarkStrategy::bounded(ms(0))
}

/// Fires a timer at a second for each key.
struct Second;

impl BroadcastProcessFunction<u8, u8, u8> for Second {
    type Out = (u8, usize);
    type Name = u8;
    type Rule = u8;

    fn process(&mut self, _: u8, _: &SharedMap<u8, u8>, context: &mut ProcessContext<'_, u8, Self::Out>) -> Result<(), Error> {
        context.set_event_timer(1_000);
        Ok(())
    }

    fn process_broadcast(&mut self, rule: u8, rules: &mut SharedMap<u8, u8>, _: &mut BroadcastContext<'_, Self::Out>) -> Result<(), Error> {
        rules.insert(rule, rule);
        Ok(())
    }

    fn on_timer(&mut self, _: Timer, rules: &SharedMap<u8, u8>, context: &mut ProcessContext<'_, u8, Self::Out>) -> Result<(), Error> {
        context.emit((*context.key(), rules.len()));
        Ok(())
    }
}

/// The rules say nothing, or what they say is of long ago, until the timers of the events have fired; so do windows behind.
#[test]
fn neither_a_silent_nor_a_slow_broadcast_holds_event_time_back() {
    for (workers, first) in [(1, vec![]), (2, vec![]), (1, vec![Record::new(-9_000, 1_u8)]), (2, vec![Record::new(-9_000, 1)])] {
        let found = CollectSink::new();
        let (sink, fired, done) = (found.clone(), found.clone(), found.clone());
        let events = vec![Record::new(1, 7_u8), Record::new(2, 9), Record::new(3_500, 7)];
        let events = Script::new([vec![Step::Batch(0, events, false), until(move || done.len() == 2)]]);
        let rules = Script::new([vec![Step::Batch(0, first, false), until(move || fired.len() == 2)]]);
        let job = Job::new(move |flow| {
            let rules = flow.source("rules", rules.clone(), bounded());
            let keyed = flow.source("events", events.clone(), bounded()).key_by(|key: &u8| *key);
            let timed = keyed.connect_broadcast(rules).process("timers", Second);
            let windows = timed.key_by(|(key, _): &(u8, usize)| *key).window(Window::tumbling(ms(1_000), 0).expect("a window"));
            windows.aggregate("windows", Count).map("keys", |w| (w.key, w.start)).sink("out", sink.clone());
        });
        run(&job.expect("a job"), RunConfig::workers(workers).barrier_every(ms(3))).expect("it runs");
        let mut keys: Vec<_> = found.take().into_iter().map(|r| r.value).collect();
        keys.sort_unstable();
        assert_eq!(keys, [(7, 1_000), (9, 1_000)], "{workers} workers");
    }
}

const EVENTS: u64 = 20_000;
const RULES: u64 = 3_000;
const KEYS: u64 = 50;

/// What came out: how far the rules have come on a worker, or how often a key came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
enum Out {
    Count(u64, u64),
    Rules(u64, u64),
}

/// Sums up what rules there were, which no rule may do twice, and counts the events of each key. Every key remembers how many rules there were.
#[derive(Default)]
struct Totals {
    seen: Option<ValueState<u64, (u64, u64)>>,
    told: Told,
}

/// What the instances of [`Totals`] tell the test.
#[derive(Clone, Default)]
struct Told {
    /// How many rules all workers together have been given.
    given: Arc<AtomicU64>,
    /// How many rules each had after the restore, and their sum.
    restored: Arc<Mutex<Vec<(u64, u64)>>>,
}

impl Told {
    fn restored(&self) -> MutexGuard<'_, Vec<(u64, u64)>> {
        self.restored.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The name under which the rules are counted, and that of their sum.
const NUMBER: &str = "number";
const SUM: &str = "sum";

fn entry(rules: &SharedMap<String, u64>, name: &str) -> u64 {
    rules.get(name).copied().unwrap_or(0)
}

impl BroadcastProcessFunction<u64, u64, u64> for Totals {
    type Out = Out;
    type Name = String;
    type Rule = u64;

    fn open(&mut self, states: &mut States) -> Result<(), Error> {
        self.seen = Some(states.value("seen")?);
        Ok(())
    }

    fn restored(&mut self, rules: &SharedMap<String, u64>) -> Result<(), Error> {
        self.told.restored().push((entry(rules, NUMBER), entry(rules, SUM)));
        Ok(())
    }

    fn process(&mut self, _: u64, rules: &SharedMap<String, u64>, context: &mut ProcessContext<'_, u64, Out>) -> Result<(), Error> {
        let seen = self.seen.as_ref().ok_or_else(|| Error::internal("not opened"))?;
        let (count, known) = seen.get(context.key())?.unwrap_or_default();
        let number = entry(rules, NUMBER);
        if known > number {
            return Err(Error::user(format!("a key knew of {known} rules, and now there are {number}")));
        }
        context.set_event_timer(i64::MAX - 1);
        seen.set(context.key(), (count + 1, number))
    }

    fn process_broadcast(
        &mut self,
        rule: u64,
        rules: &mut SharedMap<String, u64>,
        context: &mut BroadcastContext<'_, Out>,
    ) -> Result<(), Error> {
        self.told.given.fetch_add(1, SeqCst);
        let (number, sum) = (entry(rules, NUMBER) + 1, entry(rules, SUM) + rule);
        rules.insert(NUMBER.to_owned(), number);
        rules.insert(SUM.to_owned(), sum);
        rules.insert(format!("rule {rule}"), rule);
        if number == RULES {
            context.emit(Out::Rules(sum, rules.len() as u64));
        }
        Ok(())
    }

    fn on_timer(&mut self, _: Timer, _: &SharedMap<String, u64>, context: &mut ProcessContext<'_, u64, Out>) -> Result<(), Error> {
        let seen = self.seen.as_ref().ok_or_else(|| Error::internal("not opened"))?;
        let (count, _) = seen.get(context.key())?.unwrap_or_default();
        context.emit(Out::Count(*context.key(), count));
        Ok(())
    }
}

fn totals(rate: f64, told: &Told, out: &CollectSink<Out>) -> Job {
    let (told, out) = (told.clone(), out.clone());
    Job::new(move |flow| {
        let events = FnSource::new(|i| Record::new(i as i64, mix(i) % KEYS)).with_count(EVENTS).with_rate(rate);
        let rules = FnSource::new(|i| Record::new(i as i64, i)).with_count(RULES).with_rate(rate * RULES as f64 / EVENTS as f64);
        let rules = flow.source("rules", rules, bounded());
        let keyed = flow.source("events", events, bounded()).key_by(|key: &u64| *key);
        keyed.connect_broadcast(rules).process("totals", Totals { seen: None, told: told.clone() }).sink("out", out.clone());
    })
    .expect("a job")
}

/// What a job of so many workers must have emitted in the end.
fn expected(workers: usize) -> Vec<Out> {
    let counts = (0..KEYS).map(|key| Out::Count(key, (0..EVENTS).filter(|i| mix(*i) % KEYS == key).count() as u64));
    // Each worker tells of the last rule.
    let rules = std::iter::repeat_n(Out::Rules(RULES * (RULES - 1) / 2, RULES + 2), workers);
    counts.chain(rules).collect()
}

fn config(dir: &TempDir, workers: usize, backend: Backend) -> RunConfig {
    let state = StateConfig { backend, dir: dir.path().join("state"), memory: 1 << 20 };
    RunConfig { state, ..RunConfig::workers(workers) }
}

fn restored(place: &str) -> Option<Arc<Restore>> {
    Some(Arc::new(Restore::new(Snapshot::open(place).expect("a savepoint"))))
}

#[test]
fn every_worker_gets_every_rule_once_and_savepoints_hold_the_rules_their_keys_know_of() {
    for (backend, other) in [(Backend::Memory, Backend::RocksDb), (Backend::RocksDb, Backend::Memory)] {
        let dir = TempDir::new().expect("a directory");
        let place = |name: &str| dir.path().join(name).to_str().expect("a path in UTF-8").to_owned();
        let (told, out) = (Told::default(), CollectSink::new());
        let running = totals(10_000.0, &told, &out).start(config(&dir, 3, backend)).expect("it starts");
        for (name, given) in [("first", 300), ("second", 4_000)] {
            wait_for("rules", || told.given.load(SeqCst) > given);
            running.stopper().savepoint(place(name)).recv().expect("an answer").expect("a savepoint");
        }
        running.wait().expect("it ends");
        let sorted = |out: &CollectSink<Out>| {
            let mut all: Vec<_> = out.take().into_iter().map(|r| r.value).collect();
            all.sort_unstable();
            all
        };
        assert_eq!(sorted(&out), expected(3));
        for (name, workers) in [("first", 1), ("second", 2), ("first", 4), ("second", 3)] {
            let told = Told::default();
            let config = RunConfig { restore: restored(&place(name)), ..config(&dir, workers, other) };
            run(&totals(1e9, &told, &out), config).expect("it runs");
            assert_eq!(sorted(&out), expected(workers), "{workers} workers from the {name} savepoint");
            let found = told.restored().clone();
            assert_eq!(found.len(), workers, "the hook runs once on every worker");
            assert!(found[0].0 > 0 && found.iter().all(|one| *one == found[0]), "all have the same rules: {found:?}");
        }
    }
}

const MILLION: u64 = 1_000_000;

/// Keeps a list, and says of each event what the list has for it.
#[derive(Clone, Default)]
struct Listed;

impl BroadcastProcessFunction<u64, u64, u64> for Listed {
    type Out = (usize, Option<u64>);
    type Name = u64;
    type Rule = u64;

    fn process(&mut self, key: u64, list: &SharedMap<u64, u64>, context: &mut ProcessContext<'_, u64, Self::Out>) -> Result<(), Error> {
        context.emit((list.len(), list.get(&key).copied()));
        Ok(())
    }

    fn process_broadcast(
        &mut self,
        key: u64,
        list: &mut SharedMap<u64, u64>,
        _: &mut BroadcastContext<'_, Self::Out>,
    ) -> Result<(), Error> {
        list.insert(key, key + 1);
        Ok(())
    }
}

#[test]
fn a_list_of_a_million_entries_moves_with_a_savepoint_of_a_small_manifest() {
    let dir = TempDir::new().expect("a directory");
    let place = dir.path().join("save").to_str().expect("a path in UTF-8").to_owned();
    let out = CollectSink::new();
    let job = |events: u64, rules: u64, out: &CollectSink<(usize, Option<u64>)>| {
        let out = out.clone();
        Job::new(move |flow| {
            let rules = flow.source("rules", FnSource::new(|i| Record::new(i as i64, i)).with_count(rules), bounded());
            let events = FnSource::new(|i| Record::new(i as i64, i * 1_001)).with_count(events);
            let keyed = flow.source("events", events, bounded()).key_by(|key: &u64| *key);
            keyed.connect_broadcast(rules).process("listed", Listed).sink("out", out.clone());
        })
        .expect("a job")
    };
    let first = RunConfig { savepoint_at_end: Some(place.clone()), ..config(&dir, 2, Backend::Memory) };
    run(&job(0, MILLION, &out), first).expect("it runs");
    let manifest = std::fs::metadata(format!("{place}/manifest.json")).expect("a manifest").len();
    assert!(manifest < 16 << 10, "the manifest has {manifest} bytes");
    assert!(out.is_empty());
    let second = RunConfig { restore: restored(&place), ..config(&dir, 3, Backend::RocksDb) };
    run(&job(1_000, MILLION, &out), second).expect("it runs");
    let mut found: Vec<_> = out.take().into_iter().map(|r| r.value).collect();
    found.sort_unstable();
    let mut expected: Vec<_> =
        (0..1_000_u64).map(|i| (MILLION as usize, Some(i * 1_001).filter(|key| *key < MILLION).map(|key| key + 1))).collect();
    expected.sort_unstable();
    assert_eq!(found, expected);
}
