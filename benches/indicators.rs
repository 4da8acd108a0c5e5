//! Indicators: ten of them over one key, from Rust and from a job file; over four keys; a hundred; short and long spans; and one key with all records.
//! RocksDB with a checkpoint every 5 s, unless the name says otherwise.
//!
//! `cargo bench --bench indicators -- [n=2000000] [only=part of a name]`: every case is a process of its own.

use std::fmt::Write as _;
use std::process::Command;
use std::time::{Duration, Instant};

#[path = "tumbling/generator.rs"]
#[allow(dead_code, reason = "shared with the benchmark of tumbling windows, which has rows too")]
mod generator;

use generator::{Event, Events};
use tidegate::checkpoints::{Directory, Storage};
use tidegate::jobs::{file, plan};
use tidegate::operators::indicator::{Numbers, Records, Span, Values};
use tidegate::prelude::*;
use tidegate::runtime::checkpoint::CheckpointConfig;
use tidegate::runtime::{Backend, StateConfig};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A row of the figures: its name, the number of workers, and the keys of the generator.
const CASES: &[(&str, usize, u64)] = &[
    ("typed-10-of-1-key", 1, 100_000),
    ("file-10-of-1-key", 1, 100_000),
    ("file-10-of-4-keys", 2, 100_000),
    ("file-100-of-4-keys", 2, 100_000),
    ("file-10m", 1, 100),
    ("file-30d", 1, 100),
    ("one-key", 1, 1),
];

fn main() {
    let arg = |name: &str| std::env::args().find_map(|a| a.strip_prefix(&format!("{name}=")).map(str::to_owned));
    let n = arg("n").and_then(|v| v.parse().ok()).unwrap_or(2_000_000);
    if let Some(case) = arg("run").and_then(|name| CASES.iter().find(|case| case.0 == name)) {
        return run(case, n);
    }
    let only = arg("only").unwrap_or_default();
    for (name, ..) in CASES.iter().filter(|case| case.0.contains(&only)) {
        let this = std::env::current_exe().expect("this program");
        let _ = Command::new(this).args([format!("run={name}"), format!("n={n}")]).status();
    }
}

#[allow(clippy::print_stdout)]
fn run(&(name, workers, keys): &(&str, usize, u64), n: u64) {
    let dir = std::env::temp_dir().join(format!("tidegate-bench-indicators-{}", std::process::id()));
    let mut config = RunConfig::workers(workers);
    config.state = StateConfig { backend: Backend::RocksDb, dir: dir.join("state"), ..StateConfig::default() };
    let storage = Storage::open(&dir.join("checkpoints").display().to_string()).expect("storage");
    let directory = Directory::open(&storage, "bench").expect("a directory");
    let generation = directory.begin_generation().expect("a generation");
    config.checkpoints = Some(CheckpointConfig::new(directory, generation, Duration::from_secs(5)));
    let job = if name.starts_with("typed") {
        typed(Events { count: n, keys, per_ms: 1 })
    } else {
        of_file(name, keys, n, &dir.join("out").display().to_string())
    };
    let start = Instant::now();
    job.run(config).expect("the job ends well");
    let seconds = start.elapsed().as_secs_f64();
    let _ = std::fs::remove_dir_all(dir);
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
    let rate = n as f64 / seconds / 1e3;
    println!("{name:<20} p={workers} {rate:>8.0} K events/s  {:>6} MiB resident at most", resident.unwrap_or(0) / 1024);
}

/// Five functions over three spans.
fn typed(events: Events) -> Job {
    let job = Job::new(move |flow| {
        let all = Records::that("all", |_: &Event| true);
        let amounts = Numbers::of("amount", |event: &Event| Some(event.amount));
        let kinds = Values::of("kind", |event: &Event| Some(i64::from(event.kind)));
        let minutes = |minutes: u64| Span::trailing(Duration::from_secs(minutes * 60));
        flow.source("events", events, WatermarkStrategy::bounded(Duration::from_secs(1)))
            .key_by(|event: &Event| event.user)
            .indicators(
                "features",
                (
                    all.count(minutes(1)),
                    all.count(minutes(10)),
                    all.count(minutes(60)),
                    amounts.sum(minutes(1)),
                    amounts.sum(minutes(10)),
                    amounts.sum(minutes(60)),
                    amounts.avg(minutes(10)),
                    amounts.max(minutes(60)),
                    kinds.count_distinct(minutes(10)),
                    kinds.count_distinct(minutes(60)),
                ),
            )
            .sink("results", FnSink::new(|_| Ok(())));
    });
    job.expect("a valid job")
}

/// Indicators of a job file, as it has them.
fn indicators(name: &str) -> String {
    const VALUES: [&str; 10] = [
        "count()",
        "count()",
        "count()",
        "sum(amount)",
        "sum(amount)",
        "sum(amount)",
        "avg(amount)",
        "max(amount)",
        "count_distinct(kind)",
        "count_distinct(kind)",
    ];
    const SPANS: [&str; 10] = ["1m", "10m", "1h", "1m", "10m", "1h", "10m", "1h", "10m", "1h"];
    const KEYS: [&str; 4] = ["user", "device", "'user % 1000'", "'device % 1000'"];
    let mut text = String::new();
    let mut add = |at: usize, value: &str, over: &str, key: &str| {
        let _ = writeln!(text, "      i{at}: {{ value: {value}, over: {over}, key: [{key}] }}");
    };
    match name {
        "file-100-of-4-keys" => (0..100).for_each(|at| add(at, VALUES[at % 10], SPANS[(at + at / 10) % 10], KEYS[at % 4])),
        "file-10-of-4-keys" => (0..10).for_each(|at| add(at, VALUES[at], SPANS[at], KEYS[at % 4])),
        "file-10m" => [0, 3, 6, 7, 8].into_iter().for_each(|at| add(at, VALUES[at], "10m", "user")),
        "file-30d" => [0, 3, 6, 7, 8].into_iter().for_each(|at| add(at, VALUES[at], "30d", "user")),
        "one-key" => [0, 3, 6, 7, 8].into_iter().for_each(|at| add(at, VALUES[at], "30d", "")),
        _ => (0..10).for_each(|at| add(at, VALUES[at], SPANS[at], "user")),
    }
    text
}

fn of_file(name: &str, keys: u64, n: u64, out: &str) -> Job {
    let indicators = indicators(name);
    let text = format!(
        "name: bench
sources:
  events:
    connector: generator
    count: {n}
    fields:
      user: {{ uniform: [0, {}] }}
      device: {{ uniform: [0, 99999] }}
      kind: {{ uniform: [0, 7] }}
      amount: {{ uniform: [0.0, 1000.0] }}
      ts: {{ time: {{ start: 2026-01-01T00:00:00Z, step: 1ms }} }}
    event_time: {{ field: ts, max_delay: 1s }}
streams:
  features:
    from: events
    indicators:
{indicators}
sinks:
  out: {{ from: features, connector: file, path: {out}/features.jsonl, format: json }}
",
        keys - 1
    );
    let (parsed, mut problems) = file::parse("bench.yaml", &text, &[]);
    let planned = parsed.and_then(|parsed| plan::plan(&parsed, &mut problems));
    planned.unwrap_or_else(|| panic!("{problems}")).job().expect("a job")
}
