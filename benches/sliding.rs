//! Windows of a minute that begin every minute, every 6 s, every second and every 100 ms: what sharing slices costs, with count and a sum of whole numbers
//! (which take back what leaves them) and with count and a sum of doubles (which don't). One worker.
//!
//! Every window of every key is a result; the figure in brackets is how many there were. Fewer keys make fewer results.
//!
//! `cargo bench --bench sliding -- [n=10000000] [keys=1000]`

#[path = "tumbling/generator.rs"]
#[allow(dead_code, reason = "the rows of job files are for another benchmark")]
mod generator;

use std::time::{Duration, Instant};

use generator::{Event, Events};
use tidegate::operators::{Aggregate, IntegerSum};
use tidegate::prelude::*;
use tidegate::runtime::metrics::NodeMetrics;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let arg = |name: &str, default: u64| {
        std::env::args().find_map(|a| a.strip_prefix(&format!("{name}=")).and_then(|v| v.parse().ok())).unwrap_or(default)
    };
    let events = Events { count: arg("n", 10_000_000), keys: arg("keys", 1_000), per_ms: 10 };
    for every in [60_000, 6_000, 1_000, 100] {
        report("ints", every, events, || (Count, IntegerSum(|e: &Event| i64::from(e.kind))));
    }
    for every in [60_000, 6_000, 1_000, 100] {
        report("doubles", every, events, || (Count, Sum(|e: &Event| e.amount)));
    }
}

#[allow(clippy::print_stdout)]
fn report<A: Aggregate<Event, Out: Send + serde::Serialize + serde::de::DeserializeOwned>>(
    what: &str,
    every: u64,
    events: Events,
    aggregate: impl Fn() -> A + Clone + Send + Sync + 'static,
) {
    let job = Job::new(move |flow| {
        let window = Window::sliding(Duration::from_secs(60), Duration::from_millis(every), 0).expect("a window");
        flow.source("events", events, WatermarkStrategy::bounded(Duration::from_secs(1)))
            .key_by(|e: &Event| e.user)
            .window(window)
            .aggregate("per_user", aggregate())
            .sink("results", FnSink::new(|_| Ok(())));
    });
    let start = Instant::now();
    let running = job.expect("a valid job").start(RunConfig::workers(1)).expect("the job starts");
    while !running.is_finished() {
        std::thread::sleep(Duration::from_millis(1));
    }
    let sink = running.metrics().into_iter().flatten().last();
    running.wait().expect("the job ends well");
    let results = if let Some(NodeMetrics::Operator(metrics)) = sink { metrics.records_in.get() } else { 0 };
    let seconds = start.elapsed().as_secs_f64();
    println!("{what:<8} every {every:>6} ms {:>7.2} M events/s  ({results} results)", events.count as f64 / seconds / 1e6);
}
