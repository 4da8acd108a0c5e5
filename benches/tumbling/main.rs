//! Tumbling windows over 100,000 keys, count and sum: the typed API beside bare timely, with one worker and with two.
//!
//! `cargo bench --bench tumbling -- [n=20000000] [keys=100000] [p=2]`

mod bare;
mod generator;

use std::time::{Duration, Instant};

use generator::{Event, Events};
use tidegate::operators::{Count, DataflowExt, Sum, Window, WindowResult};
use tidegate::runtime::sink::{Sink, SinkContext, Writer};
use tidegate::runtime::watermarks::WatermarkStrategy;
use tidegate::runtime::{Error, Job, Record, RunConfig};

fn main() -> Result<(), Box<dyn std::error::Error>> {
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
        report("typed API", p, events.count, || typed(events, p).expect("the job runs"));
    }
    Ok(())
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

fn typed(events: Events, workers: usize) -> Result<u64, Box<dyn std::error::Error>> {
    let job = Job::new(move |flow| {
        let window = Window::tumbling(Duration::from_secs(60), 0).expect("a valid window");
        flow.source("events", events, WatermarkStrategy::bounded(Duration::from_secs(1)))
            .key_by(|e: &Event| e.user)
            .window(window)
            .aggregate("per_user", (Count, Sum(|e: &Event| e.amount)))
            .sink("results", Discard);
    })?;
    let running = job.start(RunConfig::workers(workers))?;
    while !running.is_finished() {
        std::thread::sleep(Duration::from_millis(1));
    }
    let results = running.metrics().into_iter().flatten().last();
    running.wait()?;
    Ok(match results {
        Some(tidegate::runtime::metrics::NodeMetrics::Operator(metrics)) => metrics.records_in.get(),
        _ => 0,
    })
}

struct Discard;

impl<T> Sink<T> for Discard {
    fn open(&self, _: SinkContext) -> Result<Box<dyn Writer<T>>, Error> {
        Ok(Box::new(Self))
    }
}

impl<T> Writer<T> for Discard {
    fn write(&mut self, records: &mut Vec<Record<T>>) -> Result<(), Error> {
        records.clear();
        Ok(())
    }
    fn flush(&mut self) -> Result<(), Error> {
        Ok(())
    }
}

/// Keeps the result type in sight of the reader.
#[allow(dead_code)]
type Results = WindowResult<u64, (u64, f64)>;
