//! A process function in Rust, with state and timers of event time, killed at random moments.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tidegate::checkpoints::{Directory, Snapshot, Storage};
use tidegate::connectors::generator::mix;
use tidegate::prelude::*;
use tidegate::runtime::checkpoint::{CheckpointConfig, Restore};
use tidegate::runtime::{Backend, StateConfig};

use crate::crashes::killed_again_and_again;
use crate::harness::{Dir, sorted};

const COUNT: u64 = 20_000;
const RATE: f64 = 20_000.0;
/// Of records, and of the spans they are counted in, in milliseconds.
const STEP: i64 = 5;
const SPAN: i64 = 2_000;

fn user(i: u64) -> u64 {
    mix(i) % 300
}

/// What a user has done: in all, and in spans that are not over.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Seen {
    total: u64,
    open: BTreeMap<i64, u64>,
}

impl Stored for Seen {
    const SCHEMA: &'static str = "seen/1";
}

/// Of whom, in the span that ends then or in all, how often.
type Found = (u64, Option<i64>, u64);

/// Tells of every tenth record of a user at once, and of every span when it is over.
#[derive(Default)]
struct Watch {
    seen: Option<ValueState<u64, Seen>>,
}

impl Watch {
    fn seen(&self) -> &ValueState<u64, Seen> {
        self.seen.as_ref().expect("it was opened")
    }
}

impl ProcessFunction<u64, u64> for Watch {
    type Out = Found;

    fn open(&mut self, states: &mut States) -> Result<(), Error> {
        self.seen = Some(states.value("seen")?);
        Ok(())
    }

    fn process(&mut self, user: u64, context: &mut ProcessContext<'_, u64, Found>) -> Result<(), Error> {
        let mut seen = self.seen().get(&user)?.unwrap_or_default();
        let end = (context.time() / SPAN + 1) * SPAN - 1;
        seen.total += 1;
        *seen.open.entry(end).or_default() += 1;
        context.set_event_timer(end);
        if seen.total.is_multiple_of(10) {
            // Not when: several workers make the records, and those of a user come in no order.
            context.emit((user, None, seen.total));
        }
        self.seen().set(&user, seen)
    }

    fn on_timer(&mut self, timer: Timer, context: &mut ProcessContext<'_, u64, Found>) -> Result<(), Error> {
        let Timer::Event(end) = timer else { return Ok(()) };
        let user = *context.key();
        let mut seen = self.seen().get(&user)?.unwrap_or_default();
        if let Some(n) = seen.open.remove(&end) {
            context.emit((user, Some(end), n));
        }
        self.seen().set(&user, seen)
    }
}

/// Runs the job in the working directory, from where it was.
fn run(workers: usize) -> Result<(), Box<dyn std::error::Error>> {
    let job = Job::new(|flow| {
        let records = FnSource::new(|i| Record::new(i as i64 * STEP, user(i))).with_count(COUNT).with_rate(RATE);
        flow.source("records", records, WatermarkStrategy::bounded(Duration::ZERO))
            .key_by(|user: &u64| *user)
            .process("watch", Watch::default())
            .sink("out", FileSink::new("out.jsonl", JsonLinesEncoder));
    })?;
    let directory = Directory::open(&Storage::open("ckpt")?, "process")?;
    let generation = directory.begin_generation()?;
    let latest = directory.latest_valid(&mut |_| {})?.map(|_| Snapshot::open("ckpt/process")).transpose()?;
    let mut config = RunConfig::workers(workers);
    config.job = "process".to_owned();
    // Too little for the keys: state leaves memory all the time.
    config.state = StateConfig { backend: Backend::RocksDb, dir: "state".into(), memory: 64 << 10 };
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

/// What the job should find, computed one record after the other.
fn expected() -> Vec<Value> {
    let (mut totals, mut spans, mut found) = (BTreeMap::<u64, u64>::new(), BTreeMap::<(u64, i64), u64>::new(), Vec::new());
    for i in 0..COUNT {
        let (user, time) = (user(i), i as i64 * STEP);
        let total = totals.entry(user).or_default();
        *total += 1;
        *spans.entry((user, time - time % SPAN + SPAN - 1)).or_default() += 1;
        if *total % 10 == 0 {
            found.push(json!([user, null, total]));
        }
    }
    found.extend(spans.into_iter().map(|((user, end), n)| json!([user, end, n])));
    sorted(found)
}

#[test]
fn killed_at_random_moments_a_process_function_writes_every_result_once() {
    let this = std::env::current_exe().expect("the path of this test");
    let start = |dir: &Dir, workers: &str| dir.command(&this, ["--exact", "process::victim", "--ignored"]).env(WORKERS, workers);
    let expected = expected();
    killed_again_and_again(7, start, |dir| {
        let found = sorted(dir.values("out.jsonl"));
        let missing: Vec<_> = expected.iter().filter(|result| !found.contains(result)).take(5).collect();
        let extra: Vec<_> = found.iter().filter(|result| !expected.contains(result)).take(5).collect();
        assert!(found == expected, "{} results instead of {}; missing {missing:?}, too much {extra:?}", found.len(), expected.len());
    });
}
