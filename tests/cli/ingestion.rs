//! Ingestion time: records get the time at which they enter, and the watermark follows the clock.

use std::io::{BufRead, BufReader, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::harness::{Dir, wait};

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_millis() as i64
}

fn int(value: &Value, field: &str) -> i64 {
    value[field].as_i64().unwrap_or_else(|| panic!("no `{field}` in {value}"))
}

/// The times that the data carries are of another year, and out of order.
const GENERATED: &str = "name: t
sources: { in: { connector: generator, rate: 400, MORE fields: { old: { time: { start: 2020-01-01T00:00:00Z, step: 1h, jitter: 90d } } }, event_time: ingestion } }
streams: { s: { from: in, window: { tumbling: 100ms }, aggregate: { c: count(), first: min(old) }, late_to: late } }
sinks: { out: { from: s, connector: stdout, timestamps: ms }, behind: { from: late, connector: file, path: late.jsonl } }
";

#[test]
fn every_record_gets_the_time_at_which_it_enters_and_none_is_late() {
    for workers in ["1", "3"] {
        let dir = Dir::new();
        let before = now();
        let outcome = dir.job(&GENERATED.replace("MORE", "count: 300,")).args(["-p", workers]).run().exits(0);
        let windows = outcome.values();
        assert_eq!(windows.iter().map(|w| int(w, "c")).sum::<i64>(), 300, "{workers} workers");
        assert!(windows.len() > 3, "the records came over most of a second");
        assert!(windows.iter().all(|w| (before - 100..=now()).contains(&int(w, "window_start"))), "{windows:?}");
        assert_eq!(dir.read("late.jsonl"), "");
    }
}

/// Standard input stays open, and silent: only the clock can end the window.
#[test]
fn windows_end_as_time_goes_on_though_no_record_comes() {
    let dir = Dir::new();
    let job = "name: t
sources: { in: { connector: stdin, format: text, event_time: ingestion } }
streams: { s: { from: in, window: { tumbling: 50ms }, aggregate: { c: count() } } }
sinks: { out: { from: s, connector: stdout } }
";
    let mut child = dir.job(job).args(["-p", "2", "--quiet"]).spawn();
    let (mut stdin, stdout) = (child.stdin.take().expect("a pipe"), child.stdout.take().expect("a pipe"));
    let mut windows = BufReader::new(stdout).lines().map(|line| line.expect("the job writes"));
    let (mut counted, mut last) = (0, 0);
    for (text, expected) in [("a\nb\n", 2), ("c\n", 3)] {
        stdin.write_all(text.as_bytes()).expect("the job reads");
        while counted < expected {
            let window: Value = serde_json::from_str(&windows.next().expect("a window")).expect("JSON");
            counted += int(&window, "c");
            assert!(int(&window, "window_start") > last, "a window fired twice: {window}");
            last = int(&window, "window_start");
        }
        assert_eq!(counted, expected);
    }
    drop(stdin);
    assert_eq!(wait(&mut child).expect("the job ends").code(), Some(0));
}

#[test]
fn after_a_savepoint_time_goes_on_and_no_record_is_late() {
    let dir = Dir::new();
    let job = |count: u32| GENERATED.replace("MORE", &format!("count: {count},")).replace("rate: 400", "rate: 4000").replace("100ms", "1h");
    let counted = |windows: &[Value]| windows.iter().map(|w| int(w, "c")).sum::<i64>();
    let first = dir.job(&job(100)).args(["-p", "3", "--savepoint-at-end", "save"]).run().exits(0).values();
    let second = dir.job(&job(250)).args(["-p", "2", "--from", "save"]).run().exits(0).values();
    assert_eq!(counted(&first) + counted(&second), 250);
    assert_eq!(dir.read("late.jsonl"), "");
    assert!(second.iter().all(|w| (now() - 7_200_000..=now()).contains(&int(w, "window_start"))), "{second:?}");
}

#[test]
fn what_contradicts_it_is_refused_where_it_stands() {
    let dir = Dir::new();
    let job = |event_time: &str| {
        format!(
            "name: t\nsources: {{ in: {{ connector: stdin, format: text, event_time: {event_time} }} }}\nsinks: {{ out: {{ from: in, connector: stdout }} }}\n"
        )
    };
    let mut refused = dir.check(&job("{ ingestion: true, field: line, max_delay: 5s, watermark: every_record }"));
    assert!(!refused.succeeded());
    for part in [
        "job.yaml:2:64: ingestion time has no options: write `event_time: ingestion`",
        "job.yaml:2:81: `field` contradicts `ingestion`",
        "job.yaml:2:94: `max_delay` contradicts `ingestion`",
        "job.yaml:2:109: `watermark` contradicts `ingestion`",
    ] {
        refused = refused.stderr_has(part);
    }
    for (event_time, part) in [
        ("arrival", "job.yaml:2:62: expected `ingestion`, or a mapping such as `{ field: ts }`, found `arrival`"),
        ("ingestion, watermark_field: w", "unknown key `watermark_field` in source `in`"),
    ] {
        assert!(!dir.check(&job(event_time)).stderr_has(part).succeeded());
    }
    dir.check(&job("ingestion")).exits(0);
}
