//! What durability costs: checkpoints of a window job every second, and a gigabyte of state checkpointed, changed a little, and restored.
//!
//! `cargo bench --bench checkpoints -- [n=40000000] [big=10000000] [dir=/tmp]`

#[path = "tumbling/generator.rs"]
#[allow(dead_code)]
mod generator;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use generator::{Event, Events, mix};
use tidegate::checkpoints::{Directory, Snapshot, Storage};
use tidegate::prelude::*;
use tidegate::runtime::checkpoint::{CheckpointConfig, CheckpointStatus, Restore};
use tidegate::runtime::{Backend, StateConfig};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let arg = |name: &str| std::env::args().find_map(|a| a.strip_prefix(&format!("{name}=")).map(str::to_owned));
    let number = |name: &str, default: u64| arg(name).and_then(|v| v.parse().ok()).unwrap_or(default);
    let dir = tempfile::tempdir_in(arg("dir").map_or_else(std::env::temp_dir, PathBuf::from)).expect("a directory");
    tumbling(dir.path(), number("n", 40_000_000));
    big(&dir.path().join("big"), number("big", 10_000_000));
}

/// A run with two workers (or as many as said) in RocksDB.
fn config(dir: &Path, workers: usize, memory: usize, every: Option<Duration>) -> RunConfig {
    let mut config = RunConfig::workers(workers);
    config.state = StateConfig { backend: Backend::RocksDb, dir: dir.join("state"), memory };
    config.checkpoints = every.map(|every| {
        let storage = Storage::open(&dir.join("checkpoints").display().to_string()).expect("storage");
        let directory = Directory::open(&storage, "bench").expect("a directory");
        let generation = directory.begin_generation().expect("a generation");
        CheckpointConfig::new(directory, generation, every)
    });
    config
}

fn run(job: &Job, config: RunConfig) -> (Duration, CheckpointStatus) {
    let start = Instant::now();
    let running = job.start(config).expect("it starts");
    let stopper = running.stopper();
    running.wait().expect("it ends well");
    (start.elapsed(), stopper.checkpoints())
}

#[allow(clippy::print_stdout)]
fn tumbling(dir: &Path, count: u64) {
    let job = Job::new(move |flow| {
        let minute = Window::tumbling(Duration::from_secs(60), 0).expect("a minute is a window");
        flow.source("events", Events { count, keys: 100_000, per_ms: 10 }, WatermarkStrategy::bounded(Duration::from_secs(1)))
            .key_by(|e: &Event| e.user)
            .window(minute)
            .aggregate("per_user", (Count, Sum(|e: &Event| e.amount)))
            .sink("results", FnSink::new(|_| Ok(())));
    })
    .expect("a valid job");
    for (what, every) in [("without checkpoints", None), ("every second", Some(Duration::from_secs(1)))] {
        let mut rates: Vec<f64> = Vec::new();
        let mut last = CheckpointStatus::default();
        for _ in 0..3 {
            let (took, status) = run(&job, config(dir, 2, 512 << 20, every));
            rates.push(count as f64 / took.as_secs_f64() / 1e6);
            last = status;
        }
        rates.sort_by(f64::total_cmp);
        println!("tumbling, rocksdb, p=2, {what:<20} {:>6.2} M events/s  ({} checkpoints)", rates[1], last.completed);
    }
}

/// What a key keeps: about a hundred bytes.
type Kept = [u64; 12];

fn kept(count: u64, keys: u64, first: Arc<Mutex<Option<Instant>>>, gap: Arc<AtomicU64>) -> Job {
    Job::new(move |flow| {
        // All keys once, then one in a hundred again.
        let record = move |i: u64| Record::new(i as i64, if i < keys { i } else { mix(i) % keys });
        let (first, gap) = (Arc::clone(&first), Arc::clone(&gap));
        let mut before: Option<Instant> = None;
        let watch = move |_| {
            let now = Instant::now();
            if let Some(before) = before.replace(now) {
                gap.fetch_max(u64::try_from((now - before).as_micros()).unwrap_or(u64::MAX), Relaxed);
            }
            first.lock().expect("nobody panics").get_or_insert(now);
            Ok(())
        };
        let add = |kept: &mut Kept, key: &u64| {
            kept[0] += 1;
            kept[11] = mix(*key);
        };
        flow.source("events", FnSource::new(record).with_count(count), WatermarkStrategy::from_data())
            .key_by(|key: &u64| *key)
            .aggregate("kept", Fold::new([7; 12], add, |_: &mut Kept, _: &Kept| ()))
            .sink("results", FnSink::new(watch));
    })
    .expect("a valid job")
}

#[allow(clippy::print_stdout)]
fn big(dir: &Path, keys: u64) {
    let megabytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let memory = 1 << 30;
    let gap = Arc::new(AtomicU64::new(0));
    let (took, status) = run(&kept(keys, keys, Arc::default(), Arc::clone(&gap)), config(dir, 2, memory, Some(Duration::from_secs(3))));
    let size = status.last.map_or(0, |last| last.bytes);
    println!(
        "{keys} keys, {:.0} MiB of state: filled in {took:.1?} with {} checkpoints; the longest pause between two records {:.1} ms",
        megabytes(size),
        status.completed,
        gap.load(Relaxed) as f64 / 1e3
    );
    for (what, workers, count) in [("2 workers again", 2, keys + keys / 100), ("1 worker", 1, keys + keys / 50)] {
        let first = Arc::new(Mutex::new(None));
        let job = kept(count, keys, Arc::clone(&first), Arc::default());
        let mut config = config(dir, workers, memory, Some(Duration::from_secs(60)));
        let start = Instant::now();
        let snapshot = Snapshot::open(&dir.join("checkpoints/bench").display().to_string()).expect("a checkpoint");
        config.restore = Some(Arc::new(Restore::new(snapshot)));
        let (took, status) = run(&job, config);
        let output = first.lock().expect("nobody panics").map_or(took, |first| first - start);
        let last = status.last.expect("a last checkpoint");
        println!(
            "restored on {what:<16}: first output after {:.2} s; after 1 % of the keys changed a checkpoint stores {:.1} MiB of {:.0} ({:.1} %)",
            output.as_secs_f64(),
            megabytes(last.stored),
            megabytes(last.bytes),
            100.0 * last.stored as f64 / last.bytes.max(1) as f64
        );
    }
}
