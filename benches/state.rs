//! Keyed state in memory and in RocksDB: running aggregates, windows, sessions and timers on the events of `benches/tumbling`. With RocksDB a checkpoint is taken
//! every 5 s and at the end.
//!
//! `cargo bench --bench state -- [only=part of a name] [p=2] [runs=3]`: every run is a process of its own, so that the memory it prints is its own.

#[path = "tumbling/generator.rs"]
#[allow(dead_code, reason = "shared with the benchmark of tumbling windows, which has rows too")]
mod generator;

use std::process::Command;
use std::time::{Duration, Instant};

use generator::{Event, Events, event, mix};
use tidegate::checkpoints::{Directory, Storage};
use tidegate::prelude::*;
use tidegate::runtime::checkpoint::CheckpointConfig;
use tidegate::runtime::source::{Batch, Poll, Reader, Source, SourceContext, SplitId};
use tidegate::runtime::{Backend, StateConfig};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const MIB: usize = 1 << 20;
const BOUND: Duration = Duration::from_secs(1);

/// How keys are drawn.
#[derive(Clone, Copy, PartialEq)]
enum Keys {
    Uniform,
    /// Rank r with a probability of about 1 / r.
    Zipf,
}

#[derive(Clone, Copy, PartialEq)]
enum Work {
    Running,
    Tumbling,
    Sliding,
    Session,
    Timers,
}

/// A row of the figures.
struct Case {
    name: &'static str,
    work: Work,
    backend: Backend,
    memory: usize,
    keys: u64,
    drawn: Keys,
    events: u64,
}

const fn case(name: &'static str, work: Work, backend: Backend, keys: u64, events: u64) -> Case {
    Case { name, work, backend, memory: 512 * MIB, keys, drawn: Keys::Uniform, events }
}

const CASES: &[Case] = &[
    case("running-memory", Work::Running, Backend::Memory, 100_000, 20_000_000),
    case("running-rocksdb", Work::Running, Backend::RocksDb, 100_000, 20_000_000),
    Case { memory: 256 * MIB, ..case("uniform-10m", Work::Running, Backend::RocksDb, 10_000_000, 20_000_000) },
    Case { memory: 256 * MIB, drawn: Keys::Zipf, ..case("zipf-10m", Work::Running, Backend::RocksDb, 10_000_000, 20_000_000) },
    case("tumbling", Work::Tumbling, Backend::RocksDb, 100_000, 20_000_000),
    case("sliding", Work::Sliding, Backend::RocksDb, 100_000, 20_000_000),
    case("session", Work::Session, Backend::RocksDb, 100_000, 20_000_000),
    Case { memory: 512 * MIB, ..case("timers-10m", Work::Timers, Backend::RocksDb, 10_000_000, 10_000_000) },
];

fn main() {
    let arg = |name: &str| std::env::args().find_map(|a| a.strip_prefix(&format!("{name}=")).map(str::to_owned));
    let number = |name: &str, default: usize| arg(name).and_then(|v| v.parse().ok()).unwrap_or(default);
    if let Some(case) = arg("run").and_then(|name| CASES.iter().find(|case| case.name == name)) {
        return run(case, number("p", 2));
    }
    let only = arg("only").unwrap_or_default();
    for case in CASES.iter().filter(|case| case.name.contains(&only)) {
        let workers: Vec<usize> = arg("p").map_or(vec![1, 2], |p| p.parse().into_iter().collect());
        for p in workers {
            let mut runs: Vec<(f64, u64)> = (0..number("runs", 3)).filter_map(|_| alone(case, p)).collect();
            runs.sort_by(|a, b| a.0.total_cmp(&b.0));
            if let Some((seconds, memory)) = runs.get(runs.len() / 2) {
                print(case, p, *seconds, *memory);
            }
        }
    }
}

#[allow(clippy::print_stdout)]
fn print(case: &Case, workers: usize, seconds: f64, memory: u64) {
    let rate = case.events as f64 / seconds / 1e6;
    println!(
        "{:<16} p={workers} {rate:>7.2} M events/s  {:>6} MiB resident at most  ({} events, {seconds:.2} s)",
        case.name,
        memory / 1024,
        case.events
    );
}

/// Runs a case in a process of its own: the seconds it took, and the most memory it had resident, in KiB.
fn alone(case: &Case, workers: usize) -> Option<(f64, u64)> {
    let out = Command::new(std::env::current_exe().ok()?).args([format!("run={}", case.name), format!("p={workers}")]).output().ok()?;
    let text = String::from_utf8(out.stdout).ok()?;
    let (seconds, memory) = text.trim().split_once(' ')?;
    Some((seconds.parse().ok()?, memory.parse().ok()?))
}

#[allow(clippy::print_stdout)]
fn run(case: &Case, workers: usize) {
    let dir = std::env::temp_dir().join(format!("tidegate-bench-state-{}", std::process::id()));
    let mut config = RunConfig::workers(workers);
    config.state = StateConfig { backend: case.backend, dir: dir.join("state"), memory: case.memory };
    config.checkpoints = (case.backend == Backend::RocksDb).then(|| {
        let storage = Storage::open(&dir.join("checkpoints").display().to_string()).expect("storage");
        let directory = Directory::open(&storage, "bench").expect("a directory");
        let generation = directory.begin_generation().expect("a generation");
        CheckpointConfig::new(directory, generation, Duration::from_secs(5))
    });
    let job = job(case);
    let start = Instant::now();
    job.run(config).expect("the job ends well");
    let seconds = start.elapsed().as_secs_f64();
    let _ = std::fs::remove_dir_all(dir);
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
    println!("{seconds} {}", resident.unwrap_or(0));
}

fn job(case: &Case) -> Job {
    let source = Drawn { events: Events { count: case.events, keys: case.keys, per_ms: 10 }, drawn: case.drawn };
    let work = case.work;
    let sum = || Sum(|e: &Event| e.amount);
    let job = Job::new(move |flow| {
        let keyed = flow.source("events", source, WatermarkStrategy::bounded(BOUND)).key_by(|e: &Event| e.user);
        let seconds = Duration::from_secs;
        match work {
            Work::Running => keyed.aggregate("running", sum()).sink("results", FnSink::new(|_| Ok(()))),
            Work::Timers => keyed.process("timers", Far).sink("results", FnSink::new(|_| Ok(()))),
            Work::Tumbling | Work::Sliding | Work::Session => {
                let window = match work {
                    Work::Tumbling => Window::tumbling(seconds(60), 0),
                    Work::Sliding => Window::sliding(seconds(60), seconds(6), 0),
                    _ => Window::session(seconds(5)),
                };
                keyed.window(window.expect("a window")).aggregate("windows", (Count, sum())).sink("results", FnSink::new(|_| Ok(())));
            }
        }
    });
    job.expect("a valid job")
}

/// Sets a timer far ahead for every event.
struct Far;

impl ProcessFunction<u64, Event> for Far {
    type Out = u64;

    fn process(&mut self, event: Event, context: &mut ProcessContext<'_, u64, u64>) -> Result<(), Error> {
        context.set_event_timer(event.ts + 1_000_000_000 + event.user as i64);
        Ok(())
    }
}

/// The events of the side-by-side benchmark, or the same with other keys.
#[derive(Clone, Copy)]
struct Drawn {
    events: Events,
    drawn: Keys,
}

struct DrawnReader {
    drawn: Drawn,
    next: u64,
    step: u64,
}

impl Source<Event> for Drawn {
    fn open(&self, context: SourceContext) -> Result<Box<dyn Reader<Event>>, Error> {
        Ok(Box::new(DrawnReader { drawn: *self, next: context.worker as u64, step: context.workers as u64 }))
    }
}

impl Drawn {
    fn event(self, i: u64) -> Event {
        let mut event = event(i, self.events.keys, self.events.per_ms);
        if self.drawn == Keys::Zipf {
            // The inverse of the distribution function of 1 / x on 1..keys.
            let uniform = mix(i) as f64 / u64::MAX as f64;
            event.user = mix((self.events.keys as f64).powf(uniform) as u64) % self.events.keys;
        }
        event
    }
}

impl Reader<Event> for DrawnReader {
    fn poll(&mut self) -> Result<Poll<Event>, Error> {
        if self.next >= self.drawn.events.count {
            return Ok(Poll::Finished);
        }
        let indices = (self.next..self.drawn.events.count).step_by(self.step as usize).take(1_024);
        let records: Vec<_> = indices.map(|i| self.drawn.event(i)).map(|e| Record::new(e.ts, e)).collect();
        self.next += self.step * records.len() as u64;
        Ok(Poll::Batch(Batch::new(SplitId(0), records)))
    }
}
