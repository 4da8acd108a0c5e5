//! Jobs without an end: what comes while they run.

use std::time::Duration;

use crate::broker::broker;
use crate::harness::Dir;
use crate::topic::{Topic, fresh_name};

fn has(n: i64) -> impl Fn(&str) -> bool {
    move |out| out.contains(&format!("\"{n:04}\""))
}

#[test]
fn partitions_and_topics_made_while_a_job_runs_are_read_from_their_beginning() {
    let Some(broker) = broker() else { return };
    let prefix = fresh_name("live");
    let mut topic = Topic::with(broker, &format!("{prefix}-a"), 1, &[]);
    topic.fill([(0, "k", "0000".to_owned(), 0)]);
    let job = format!(
        "name: t\nsources: {{ in: {{ connector: kafka, brokers: '{}', topic: {{ pattern: '{prefix}-.*' }}, start: latest, discover: 100ms, format: text }} }}
sinks: {{ out: {{ from: in, connector: stdout }} }}\n",
        broker.plain
    );
    let dir = Dir::new();
    let mut running = dir.job(&job).args(["-p", "3"]).start();
    // `latest` is behind what was there at the start, so the first to be seen is one of those that keep coming.
    let topic_a = Topic { brokers: topic.brokers.clone(), name: topic.name.clone(), partitions: 1 };
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let stopping = std::sync::Arc::clone(&stop);
    let feeder = std::thread::spawn(move || {
        while !stopping.load(std::sync::atomic::Ordering::Relaxed) {
            topic_a.fill([(0, "k", "0001".to_owned(), 0)]);
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    running.until("a record after the start", has(1));
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    feeder.join().expect("the feeder ends");
    topic.grow(3);
    topic.fill([(1, "k", "0002".to_owned(), 0), (2, "k", "0003".to_owned(), 0)]);
    let other = Topic::with(broker, &format!("{prefix}-b"), 2, &[]);
    other.fill([(0, "k", "0004".to_owned(), 0), (1, "k", "0005".to_owned(), 0)]);
    for n in 2..6 {
        running.until("a record of a new partition", has(n));
    }
    running.signal("TERM");
    let outcome = running.wait().exits(0);
    assert!(!outcome.stdout.contains("\"0000\""), "what was there before `latest` is not read:\n{}", outcome.stdout);
    for n in 2..6 {
        assert_eq!(outcome.stdout.matches(&format!("\"{n:04}\"")).count(), 1, "{n} comes once");
    }
}

#[test]
fn a_worker_without_partitions_holds_no_window_back() {
    let Some(broker) = broker() else { return };
    let topic = Topic::new(broker, 1);
    topic.fill((0..30).map(|n| (0, "k", format!(r#"{{"ts":{}}}"#, 1_700_000_000_000_i64 + n * 1_000), 0)));
    let job = format!(
        "name: t\nsources: {{ in: {{ connector: kafka, brokers: '{}', topic: {}, schema: {{ ts: timestamp_ms }}, event_time: {{ field: ts }} }} }}
streams: {{ n: {{ from: in, window: {{ tumbling: 10s }}, aggregate: {{ n: count() }} }} }}
sinks: {{ out: {{ from: n, connector: stdout }} }}\n",
        broker.plain, topic.name
    );
    let dir = Dir::new();
    let mut running = dir.job(&job).args(["-p", "4"]).start();
    running.until("two windows that are closed", |out| out.lines().count() == 2);
    running.signal("TERM");
    running.wait().exits(0).stdout_is(
        "{\"window_start\":1700000000000,\"window_end\":1700000010000,\"n\":10}\n{\"window_start\":1700000010000,\"window_end\":1700000020000,\"n\":10}\n",
    );
}

#[test]
fn a_silent_partition_holds_windows_back_until_it_is_idle() {
    let Some(broker) = broker() else { return };
    let topic = Topic::new(broker, 2);
    topic.fill((0..30).map(|n| (0, "k", format!(r#"{{"ts":{}}}"#, 1_700_000_000_000_i64 + n * 1_000), 0)));
    let job = |idle: &str| {
        format!(
            "name: t\nsources: {{ in: {{ connector: kafka, brokers: '{}', topic: {}, schema: {{ ts: timestamp_ms }}, event_time: {{ field: ts{idle} }} }} }}
streams: {{ n: {{ from: in, window: {{ tumbling: 10s }}, aggregate: {{ n: count() }} }} }}
sinks: {{ all: {{ from: in, connector: file, path: all.jsonl }}, out: {{ from: n, connector: stdout }} }}\n",
            broker.plain, topic.name
        )
    };
    let dir = Dir::new();
    let mut idle = dir.job(&job(", idle_after: 200ms")).args(["-p", "2"]).start();
    idle.until("windows in spite of the silent partition", |out| out.lines().count() == 2);
    idle.signal("TERM");
    idle.wait().exits(0);
    // Without it no window closes, however long all has been read.
    let dir = Dir::new();
    let mut waiting = dir.job(&job("")).args(["-p", "2"]).start();
    let start = std::time::Instant::now();
    while std::fs::read_to_string(dir.path("all.jsonl")).unwrap_or_default().lines().count() < 30 {
        assert!(start.elapsed() < Duration::from_secs(60), "the records are not read");
        std::thread::sleep(Duration::from_millis(10));
    }
    std::thread::sleep(Duration::from_millis(500));
    waiting.signal("TERM");
    waiting.wait().exits(0).stdout_is("");
}
