//! Tumbling windows of a minute over 100,000 keys, count and sum: bare timely, the typed API and a job file on the same events, with one
//! worker and with two.
//!
//! `cargo bench --bench tumbling -- [n=20000000] [keys=100000] [p=2]`

mod bare;
mod generator;

use std::time::{Duration, Instant};

use generator::{Event, EventRows, Events};
use tidegate::jobs::file::parse;
use tidegate::jobs::plan::plan;
use tidegate::prelude::*;
use tidegate::runtime::metrics::NodeMetrics;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let arg = |name: &str, default: u64| {
        std::env::args().find_map(|a| a.strip_prefix(&format!("{name}=")).and_then(|v| v.parse().ok())).unwrap_or(default)
    };
    let events = Events { count: arg("n", 20_000_000), keys: arg("keys", 100_000), per_ms: 10 };
    let workers: Vec<usize> = match arg("p", 0) {
        0 => vec![1, 2],
        p => vec![p as usize],
    };
    for &p in &workers {
        report("bare timely", p, events.count, || bare::run(events, p));
        report("typed API", p, events.count, || run(&typed(events), p));
        report("job file", p, events.count, || run(&job_file(events), p));
    }
}

#[allow(clippy::print_stdout)]
fn report(what: &str, workers: usize, events: u64, run: impl FnOnce() -> u64) {
    let start = Instant::now();
    let results = run();
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{what:<12} p={workers} {:>7.2} M events/s  ({events} events, {results} results, {seconds:.2} s)",
        events as f64 / seconds / 1e6
    );
}

fn typed(events: Events) -> Job {
    let job = Job::new(move |flow| {
        let minute = Window::tumbling(Duration::from_secs(60), 0).expect("a minute is a window");
        flow.source("events", events, WatermarkStrategy::bounded(Duration::from_secs(1)))
            .key_by(|e: &Event| e.user)
            .window(minute)
            .aggregate("per_user", (Count, Sum(|e: &Event| e.amount)))
            .sink("results", FnSink::new(|_| Ok(())));
    });
    job.expect("a valid job")
}

const JOB: &str = "
name: tumbling
sources:
  events:
    connector: file
    path: /dev/null
    format: json
    schema: { user: int, kind: int, amount: double, ts: int }
    event_time: { field: ts, max_delay: 1s }
streams:
  per_user: { from: events, key: user, window: { tumbling: 1m }, aggregate: { n: count(), total: sum(amount) } }
sinks:
  results: { from: per_user, connector: file, path: /dev/null }
";

fn job_file(events: Events) -> Job {
    let (file, mut problems) = parse("tumbling.yaml", JOB, &[]);
    let planned = file.and_then(|file| plan(&file, &mut problems));
    planned.expect("a valid job file").with_source("events", EventRows(events)).job().expect("a valid job")
}

/// Runs a job; returns how many results came to its sink.
fn run(job: &Job, workers: usize) -> u64 {
    let running = job.start(RunConfig::workers(workers)).expect("the job starts");
    while !running.is_finished() {
        std::thread::sleep(Duration::from_millis(1));
    }
    let sink = running.metrics().into_iter().flatten().last();
    running.wait().expect("the job ends well");
    if let Some(NodeMetrics::Operator(metrics)) = sink { metrics.records_in.get() } else { 0 }
}
