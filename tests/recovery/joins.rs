//! Joins across savepoints: what waits for a partner, and the versions of tables, go on elsewhere.

use std::time::Duration;

use serde_json::Value;

use crate::harness::http::Server;
use crate::harness::{Dir, sorted};

fn yaml(backend: &str, orders: u64, rates: u64) -> String {
    // 64 KiB: most of the state leaves memory.
    format!(
        r#"name: joins
state: {{ backend: {backend}, dir: state, memory: 64KiB }}
sources:
  orders:
    connector: generator
    count: {orders}
    fields:
      id: {{ uniform: [0, 199] }}
      n: {{ sequence: [0, 1] }}
      ts: {{ time: {{ start: 2026-01-01T00:00:00Z, step: 10ms }} }}
    event_time: {{ field: ts }}
  rates:
    connector: generator
    seed: 2
    count: {rates}
    fields:
      id: {{ uniform: [0, 249] }}
      v: {{ sequence: [0, 1] }}
      at: {{ time: {{ start: 2026-01-01T00:00:00Z, step: 15ms }} }}
    event_time: {{ field: at }}
streams:
  valid: {{ from: orders, join: {{ with: rates, on: 'a.id == b.id', temporal: true, deleted: 'v % 7 == 0', type: left }}, select: {{ n: n, v: v }} }}
  near: {{ from: orders, join: {{ with: rates, on: 'a.id == b.id', within: 2s, type: left }}, select: {{ n: n, v: v }} }}
sinks:
  valid: {{ from: valid, connector: file, path: out/valid.jsonl }}
  near: {{ from: near, connector: file, path: out/near.jsonl }}
"#
    )
}

fn written(dir: &Dir) -> [Vec<Value>; 2] {
    ["out/valid.jsonl", "out/near.jsonl"].map(|path| sorted(dir.values(path)))
}

#[test]
fn joins_go_on_from_savepoints_at_any_number_of_workers_in_either_backend() {
    let undisturbed = Dir::new();
    undisturbed.job(&yaml("memory", 9_000, 6_000)).args(["-p", "1", "--quiet"]).run().exits(0);
    let expected = written(&undisturbed);
    assert_eq!(expected[0].len(), 9_000);
    assert!(expected[0].iter().filter(|row| !row["v"].is_null()).count() > 5_000);
    for (from, to) in [("memory", "rocksdb"), ("rocksdb", "memory"), ("rocksdb", "rocksdb")] {
        let dir = Dir::new();
        // One side is ahead when it is interrupted, then the other.
        dir.job(&yaml(from, 4_001, 1_300)).args(["-p", "3", "--savepoint-at-end", "one", "--quiet"]).run().exits(0);
        dir.job(&yaml(to, 5_000, 5_003)).args(["-p", "1", "--from", "one", "--savepoint-at-end", "two", "--quiet"]).run().exits(0);
        dir.job(&yaml(from, 9_000, 6_000)).args(["-p", "2", "--from", "two", "--quiet"]).run().exits(0);
        assert!(written(&dir) == expected, "{from} to {to}");
    }
}

/// Each number with what a server says of it: a tenth of the answers take their time, so that records are under way at every barrier.
fn asking(server: &Server, checkpoints: bool) -> String {
    let (address, checkpoints) = (server.address(), if checkpoints { "checkpoints: { every: 30ms, dir: ckpt, keep: 2 }\n" } else { "" });
    format!(
        r#"name: asking
{checkpoints}state: {{ backend: memory, dir: state }}
restart: {{ attempts: 0 }}
sources:
  in:
    connector: generator
    rate: 6000
    count: 5000
    fields: {{ n: {{ sequence: [0, 1] }}, ts: {{ time: {{ start: 2026-01-01T00:00:00Z, step: 10ms }} }} }}
    event_time: {{ field: ts }}
tables:
  squares: {{ connector: http, url: '{address}/{{n}}', schema: {{ square: int }} }}
streams:
  asked: {{ from: in, lookup: {{ table: squares, on: n, order: unordered, capacity: 50 }} }}
  counted: {{ from: asked, window: {{ tumbling: 1s }}, aggregate: {{ n: count(), sum: sum(square) }} }}
sinks:
  valid: {{ from: asked, connector: file, path: out/valid.jsonl }}
  near: {{ from: counted, connector: file, path: out/near.jsonl }}
"#
    )
}

#[test]
fn records_that_are_under_way_when_the_process_is_killed_are_asked_about_again_and_written_once() {
    let server = Server::start(|path| {
        let n: u64 = path.trim_start_matches('/').parse().expect("a number");
        std::thread::sleep(Duration::from_millis(if n % 10 == 3 { 15 } else { 0 }));
        (200, format!("{{\"square\": {}}}", n * n))
    });
    let undisturbed = Dir::new();
    undisturbed.job(&asking(&server, false)).args(["-p", "1", "--quiet"]).run().exits(0);
    let expected = written(&undisturbed);
    assert_eq!((expected[0].len(), expected[1].len()), (5_000, 50));
    let dir = Dir::new();
    let job = asking(&server, true);
    for (workers, ms) in [("1", 300), ("3", 220), ("2", 450), ("1", 140)] {
        let mut run = dir.job(&job).args(["--resume", "--quiet", "-p", workers]).start();
        std::thread::sleep(Duration::from_millis(ms));
        if run.over() {
            break;
        }
        run.signal("KILL");
        run.wait();
    }
    dir.job(&job).args(["--resume", "--quiet", "-p", "2"]).run().exits(0);
    assert!(written(&dir) == expected);
}
