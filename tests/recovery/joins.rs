//! Joins across savepoints: what waits for a partner, and the versions of tables, go on elsewhere.

use serde_json::Value;

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
