//! Patterns in the typed API: two small ones over 100,000 keys, in RocksDB with a checkpoint every 5 s; sequences over a stream of trades, and many open partial
//! matches on one key, in memory.
//!
//! `cargo bench --bench cep -- [n=20000000] [keys=100000] [p=2] [trades=trades.csv]`
//!
//! Without a file of trades (`time_ms,id,symbol,BUY|SELL,...`, with a heading), those are made up in like shape.

#[path = "../tumbling/generator.rs"]
#[allow(dead_code, reason = "rows are for job files")]
mod generator;
mod stocks;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use generator::{Event, Events};
use tidegate::cep::{Pattern, Search, Where};
use tidegate::checkpoints::{Directory, Storage};
use tidegate::prelude::*;
use tidegate::runtime::checkpoint::CheckpointConfig;
use tidegate::runtime::metrics::NodeMetrics;
use tidegate::runtime::{Backend, StateConfig};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let text = |name: &str| std::env::args().find_map(|a| a.strip_prefix(name).map(str::to_owned));
    let arg = |name: &str, default: u64| text(name).and_then(|v| v.parse().ok()).unwrap_or(default);
    let events = Events { count: arg("n=", 20_000_000), keys: arg("keys=", 100_000), per_ms: 10 };
    let workers: Vec<usize> = match arg("p=", 0) {
        0 => vec![1, 2],
        p => vec![p as usize],
    };
    let dir = tempfile::tempdir().expect("a directory");
    for &p in &workers {
        for (name, pattern) in [("cep", three_in_a_row as fn() -> Pattern<Where<Event>>), ("cep2", a_then_b_then_c)] {
            let timed = Search::new(pattern()).expect("a valid pattern");
            report(name, p, events.count, || run(&by_user(events, timed.clone().without_timeouts()), durable(p, dir.path())));
            report(&format!("{name} + timeouts"), p, events.count, || run(&by_user(events, timed), durable(p, dir.path())));
        }
    }
    let trades =
        Arc::new(text("trades=").map_or_else(|| stocks::made_up(2_000_000), |path| stocks::read(&path).expect("a file of trades")));
    for length in [3, 6, 12, 24] {
        for seconds in [10, 40] {
            let search = Search::new(stocks::sequence(length, Duration::from_secs(seconds))).expect("a valid pattern").without_timeouts();
            let job = stocks::job(&trades, search);
            report(&format!("sequence of {length} in {seconds} s"), 1, trades.len() as u64, || run(&job, RunConfig::workers(1)));
        }
    }
    for open in [10, 10_000] {
        let count = 2_000_000 + open;
        report(&format!("{open} open on one key"), 1, count, || run(&one_key(open, count), RunConfig::workers(1)));
    }
}

#[allow(clippy::print_stdout)]
fn report(what: &str, workers: usize, events: u64, run: impl FnOnce() -> u64) {
    let start = Instant::now();
    let results = run();
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{what:<24} p={workers} {:>7.2} M events/s  ({events} events, {results} matches, {seconds:.2} s)",
        events as f64 / seconds / 1e6
    );
}

fn kind(kind: u32) -> Where<Event> {
    Where::event(move |e: &Event| e.kind == kind)
}

fn three_in_a_row() -> Pattern<Where<Event>> {
    Pattern::begin("fail").when(kind(1)).times(3).consecutive().within(Duration::from_secs(5)).skip_past_last_event()
}

fn a_then_b_then_c() -> Pattern<Where<Event>> {
    let pattern = Pattern::begin("a").when(kind(1)).followed_by("b").when(kind(2)).followed_by("c").when(kind(3));
    pattern.within(Duration::from_secs(5))
}

fn by_user(events: Events, search: Search<Event>) -> Job {
    let job = Job::new(move |flow| {
        flow.source("events", events, WatermarkStrategy::bounded(Duration::from_secs(1)))
            .key_by(|e: &Event| e.user)
            .pattern("pattern", search.clone())
            .matches
            .sink("matches", FnSink::new(|_| Ok(())));
    });
    job.expect("a valid job")
}

/// `open` beginnings, then events of which every eighth moves them all.
fn one_key(open: u64, count: u64) -> Job {
    let pattern = Pattern::begin("a").when(kind(0)).followed_by_any("b").when(kind(1)).followed_by_any("c").when(kind(2));
    let search = Search::new(pattern.within(Duration::from_secs(100_000))).expect("a valid pattern").without_timeouts();
    let event = move |i: u64| {
        let kind = match i {
            _ if i < open => 0,
            _ if i.is_multiple_of(8) => 1,
            _ => 7,
        };
        Record::new(i as i64, Event { user: 0, kind, amount: 0.0, ts: i as i64 })
    };
    let job = Job::new(move |flow| {
        flow.source("events", FnSource::new(event).with_count(count), WatermarkStrategy::bounded(Duration::from_secs(1)))
            .key_by(|e: &Event| e.user)
            .pattern("pattern", search.clone())
            .matches
            .sink("matches", FnSink::new(|_| Ok(())));
    });
    job.expect("a valid job")
}

/// State in RocksDB, with a checkpoint every 5 s.
fn durable(workers: usize, dir: &Path) -> RunConfig {
    let storage = Storage::open(&dir.join("checkpoints").display().to_string()).expect("storage");
    let directory = Directory::open(&storage, "bench").expect("a directory");
    let generation = directory.begin_generation().expect("a generation");
    let mut config = RunConfig::workers(workers);
    config.state = StateConfig { backend: Backend::RocksDb, dir: dir.join("state"), memory: 512 << 20 };
    config.checkpoints = Some(CheckpointConfig::new(directory, generation, Duration::from_secs(5)));
    config
}

/// Runs a job; returns how many results came to its sink.
fn run(job: &Job, config: RunConfig) -> u64 {
    let running = job.start(config).expect("the job starts");
    while !running.is_finished() {
        std::thread::sleep(Duration::from_millis(1));
    }
    let sink = running.metrics().into_iter().flatten().last();
    running.wait().expect("the job ends well");
    if let Some(NodeMetrics::Operator(metrics)) = sink { metrics.records_in.get() } else { 0 }
}
