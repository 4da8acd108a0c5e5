//! Rules that are broadcast to a function with keyed state, in a process that is killed at random moments.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tidegate::checkpoints::{Directory, Snapshot, Storage};
use tidegate::connectors::generator::mix;
use tidegate::prelude::*;
use tidegate::runtime::StateConfig;
use tidegate::runtime::checkpoint::{CheckpointConfig, Restore};

use crate::crashes::killed_again_and_again;
use crate::harness::Dir;

const EVENTS: u64 = 16_000;
const RULES: u64 = 8_000;
const KEYS: u64 = 100;
const RATE: f64 = 20_000.0;

/// The map holds how many rules there were, and their sum, which a rule that is applied twice or not at all would change. A key holds how often it came, and how
/// many rules it knew of, which can't be more than there are.
#[derive(Default)]
struct Totals {
    seen: Option<ValueState<u64, (u64, u64)>>,
    /// What `restored` was given.
    found: (u64, u64),
}

fn totals(rules: &SharedMap<u8, (u64, u64)>) -> (u64, u64) {
    rules.get(&0).copied().unwrap_or_default()
}

impl BroadcastProcessFunction<u64, u64, u64> for Totals {
    type Out = (String, u64, u64);
    type Name = u8;
    type Rule = (u64, u64);

    fn open(&mut self, states: &mut States) -> Result<(), Error> {
        self.seen = Some(states.value("seen")?);
        Ok(())
    }

    fn restored(&mut self, rules: &SharedMap<u8, (u64, u64)>) -> Result<(), Error> {
        self.found = totals(rules);
        Ok(())
    }

    fn process(
        &mut self,
        _: u64,
        rules: &SharedMap<u8, (u64, u64)>,
        context: &mut ProcessContext<'_, u64, Self::Out>,
    ) -> Result<(), Error> {
        let seen = self.seen.as_ref().ok_or_else(|| Error::internal("not opened"))?;
        let (count, known) = seen.get(context.key())?.unwrap_or_default();
        let (number, _) = totals(rules);
        if known > number || self.found.0 > number {
            return Err(Error::user(format!("{known} and {} rules were known, and now there are {number}", self.found.0)));
        }
        context.set_event_timer(EVENTS as i64);
        seen.set(context.key(), (count + 1, number))
    }

    fn process_broadcast(
        &mut self,
        rule: u64,
        rules: &mut SharedMap<u8, (u64, u64)>,
        context: &mut BroadcastContext<'_, Self::Out>,
    ) -> Result<(), Error> {
        let (number, sum) = totals(rules);
        rules.insert(0, (number + 1, sum + rule));
        if number + 1 == RULES {
            context.emit(("rules".to_owned(), number + 1, sum + rule));
        }
        Ok(())
    }

    fn on_timer(&mut self, _: Timer, _: &SharedMap<u8, (u64, u64)>, context: &mut ProcessContext<'_, u64, Self::Out>) -> Result<(), Error> {
        let seen = self.seen.as_ref().ok_or_else(|| Error::internal("not opened"))?;
        let (count, _) = seen.get(context.key())?.unwrap_or_default();
        context.emit(("key".to_owned(), *context.key(), count));
        Ok(())
    }
}

/// Runs the job in the working directory, from where it was.
fn run(workers: usize) -> Result<(), Box<dyn std::error::Error>> {
    let job = Job::new(|flow| {
        let bounded = WatermarkStrategy::bounded(Duration::ZERO);
        let rules = FnSource::new(|i| Record::new(i as i64, i)).with_count(RULES).with_rate(RATE / 2.0);
        let events = FnSource::new(|i| Record::new(i as i64, mix(i) % KEYS)).with_count(EVENTS).with_rate(RATE);
        let rules = flow.source("rules", rules, bounded);
        flow.source("events", events, bounded)
            .key_by(|key: &u64| *key)
            .connect_broadcast(rules)
            .process("totals", Totals::default())
            .sink("out", FileSink::new("out.jsonl", JsonLinesEncoder));
    })?;
    let directory = Directory::open(&Storage::open("ckpt")?, "broadcast")?;
    let generation = directory.begin_generation()?;
    let latest = directory.latest_valid(&mut |_| {})?.map(|_| Snapshot::open("ckpt/broadcast")).transpose()?;
    let mut config = RunConfig::workers(workers);
    config.job = "broadcast".to_owned();
    config.state = StateConfig { dir: "state".into(), ..StateConfig::default() };
    config.checkpoints = Some(CheckpointConfig::new(directory, generation, Duration::from_millis(40)));
    config.restore = latest.map(|snapshot| Arc::new(Restore::new(snapshot)));
    Ok(job.run(config)?)
}

const WORKERS: &str = "TIDEGATE_TEST_WORKERS";

#[test]
#[ignore = "run by the test below, in a process that dies"]
fn victim() {
    if let Ok(workers) = std::env::var(WORKERS) {
        run(workers.parse().expect("a number of workers")).expect("the job runs");
    }
}

#[test]
fn killed_at_random_moments_every_worker_has_every_rule_once() {
    let this = std::env::current_exe().expect("the path of this test");
    let start = |dir: &Dir, workers: &str| dir.command(&this, ["--exact", "broadcast::victim", "--ignored"]).env(WORKERS, workers);
    let mut counts = BTreeMap::<u64, u64>::new();
    (0..EVENTS).for_each(|i| *counts.entry(mix(i) % KEYS).or_default() += 1);
    let last = json!(["rules", RULES, RULES * (RULES - 1) / 2]);
    killed_again_and_again(11, start, |dir| {
        let (rules, keys): (Vec<Value>, Vec<Value>) = dir.values("out.jsonl").into_iter().partition(|value| value[0] == "rules");
        // Each worker of the run in which the last rule came says so.
        assert!((1..4).contains(&rules.len()) && rules.iter().all(|one| *one == last), "{rules:?}");
        let found: BTreeMap<u64, u64> = keys.iter().filter_map(|value| value[1].as_u64().zip(value[2].as_u64())).collect();
        assert_eq!((keys.len(), found), (counts.len(), counts.clone()));
    });
}
