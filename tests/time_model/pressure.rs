//! Slow sinks hold sources back, whatever is offered.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use tidegate::prelude::*;
use tidegate::runtime::Epoch;
use tidegate::runtime::sink::{Committable, SinkContext};

use crate::script::{ms, wait_for};

#[derive(Default)]
struct Counts {
    emitted: AtomicU64,
    written: AtomicU64,
    seals: AtomicU64,
}

/// Takes its time for each record.
#[derive(Clone)]
struct SlowSink(Arc<Counts>, Duration);

impl<T: 'static> Sink<T> for SlowSink {
    fn open(&self, _: SinkContext) -> Result<Box<dyn Writer<T>>, Error> {
        Ok(Box::new(self.clone()))
    }
}

impl<T: 'static> Writer<T> for SlowSink {
    fn write(&mut self, records: &mut Vec<Record<T>>) -> Result<(), Error> {
        for _ in records.drain(..) {
            thread::sleep(self.1);
            self.0.written.fetch_add(1, SeqCst);
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Error> {
        Ok(())
    }

    fn seal(&mut self, _: Epoch) -> Result<Vec<Committable>, Error> {
        self.0.seals.fetch_add(1, SeqCst);
        Ok(Vec::new())
    }
}

/// Five million records, each of some weight, through a keyed operator to a slow sink.
fn job(counts: &Arc<Counts>, each: Duration) -> Job {
    let counts = Arc::clone(counts);
    Job::new(move |flow| {
        let emitted = Arc::clone(&counts);
        let records = FnSource::new(move |i| {
            emitted.emitted.fetch_add(1, SeqCst);
            Record::new(i as i64, (i, [i; 8]))
        });
        flow.source("in", records.with_count(5_000_000), WatermarkStrategy::bounded(ms(0)))
            .key_by(|(i, _): &(u64, [u64; 8])| i % 1_000)
            .reduce("latest", |_, new| *new)
            .sink("out", SlowSink(Arc::clone(&counts), each));
    })
    .expect("a job")
}

/// The most memory this process ever held, in KiB.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux tells");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("the peak");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

const CHILD: &str = "TIDEGATE_TEST_PRESSURE";

/// Not a test of its own: what [`memory_stays_flat_while_a_sink_is_slow`] runs in a process of its own, to measure that process.
#[test]
fn child() {
    let Ok(workers) = std::env::var(CHILD) else { return };
    let counts = Arc::new(Counts::default());
    let before = peak_memory();
    let config = RunConfig::workers(workers.parse().expect("a number")).barrier_every(ms(20));
    let _running = job(&counts, ms(1)).start(config).expect("it starts");
    wait_for("a thousand records", || counts.written.load(SeqCst) > 1_000);
    thread::sleep(Duration::from_secs(1));
    let (written, emitted) = (counts.written.load(SeqCst), counts.emitted.load(SeqCst));
    eprintln!("measured {written} {emitted} {}", peak_memory() - before);
    // What is in flight would take seconds to write.
    std::process::exit(0);
}

#[test]
fn memory_stays_flat_while_a_sink_is_slow() {
    for workers in ["1", "2"] {
        let binary = std::env::current_exe().expect("a test is a binary");
        let output =
            Command::new(binary).args(["--exact", "pressure::child", "--nocapture"]).env(CHILD, workers).output().expect("it runs");
        let stderr = String::from_utf8_lossy(&output.stderr);
        let measured =
            stderr.lines().find_map(|line| line.strip_prefix("measured ")).unwrap_or_else(|| panic!("nothing measured:\n{stderr}"));
        let numbers: Vec<u64> = measured.split(' ').map(|n| n.parse().expect("a number")).collect();
        let [written, emitted, grown] = numbers[..] else { panic!("{measured}") };
        assert!(written > 1_000);
        assert!(emitted - written < 100_000, "{emitted} records emitted, and {written} written");
        assert!(grown < 64 * 1_024, "memory grew by {grown} KiB");
    }
}

#[test]
fn barriers_pass_while_a_sink_is_slow() {
    let counts = Arc::new(Counts::default());
    let running = job(&counts, Duration::from_micros(50)).start(RunConfig::workers(2).barrier_every(ms(10))).expect("it starts");
    wait_for("ten barriers", || counts.seals.load(SeqCst) >= 10);
    assert!(counts.emitted.load(SeqCst) < 5_000_000 && !running.is_finished());
    running.stop();
    running.wait().expect("it stops");
    // Asked to stop, it has written all that was read.
    assert_eq!(counts.written.load(SeqCst), counts.emitted.load(SeqCst));
}
