//! Nexmark q5, q7, q8 and q11 in the typed API, state in memory: events per second and core, the generator included, which is on the same
//! cores; also what the generator alone makes.
//!
//! `cargo bench --bench nexmark -- [n=20000000] [rate=100000] [seed=1] [p=2]`; `rate` is events per second of event time.

mod events;
mod queries;

use std::time::{Duration, Instant};

use events::{Event, Nexmark};
use tidegate::prelude::*;
use tidegate::runtime::metrics::NodeMetrics;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let arg = |name: &str, default: u64| {
        std::env::args().find_map(|a| a.strip_prefix(&format!("{name}=")).and_then(|v| v.parse().ok())).unwrap_or(default)
    };
    let nexmark = Nexmark { seed: arg("seed", 1), count: arg("n", 20_000_000), rate: arg("rate", 100_000).max(1) };
    let workers: Vec<usize> = match arg("p", 0) {
        0 => vec![1, 2],
        p => vec![p as usize],
    };
    for &p in &workers {
        report("none", p, nexmark, |flow, nexmark| {
            let nothing = flow.source("events", nexmark, WatermarkStrategy::bounded(Duration::ZERO)).filter("none", |_: &Event| false);
            nothing.sink("results", FnSink::new(|_| Ok(())));
        });
        report("q5", p, nexmark, |flow, nexmark| queries::q5(flow, nexmark).sink("results", FnSink::new(|_| Ok(()))));
        report("q7", p, nexmark, |flow, nexmark| queries::q7(flow, nexmark).sink("results", FnSink::new(|_| Ok(()))));
        report("q8", p, nexmark, |flow, nexmark| queries::q8(flow, nexmark).sink("results", FnSink::new(|_| Ok(()))));
        report("q11", p, nexmark, |flow, nexmark| queries::q11(flow, nexmark).sink("results", FnSink::new(|_| Ok(()))));
    }
}

#[allow(clippy::print_stdout)]
fn report(query: &str, workers: usize, nexmark: Nexmark, build: impl for<'s> Fn(&Dataflow<'s>, Nexmark) + Send + Sync + 'static) {
    let job = Job::new(move |flow| build(flow, nexmark)).expect("a valid job");
    let start = Instant::now();
    let running = job.start(RunConfig::workers(workers)).expect("the job starts");
    while !running.is_finished() {
        std::thread::sleep(Duration::from_millis(1));
    }
    let sink = running.metrics().into_iter().flatten().last();
    running.wait().expect("the job ends well");
    let results = if let Some(NodeMetrics::Operator(metrics)) = sink { metrics.records_in.get() } else { 0 };
    let per_second = nexmark.count as f64 / start.elapsed().as_secs_f64() / 1e6;
    println!(
        "{query:<5} p={workers} {:>7.2} M events/s per core, {per_second:.2} M in all  ({} events, {results} results)",
        per_second / workers as f64,
        nexmark.count
    );
}
