//! A large file that all workers read together.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::{Value, json};
use tidegate::connectors::generator::mix;

use crate::crashes::{killed_again_and_again, resumed};
use crate::harness::{Dir, sorted};

/// About ten million bytes: enough for the workers to share.
const LINES: u64 = 150_000;

/// Of a window, in milliseconds and in lines.
const WINDOW: u64 = 10_000;

/// The user, the cents and the kind of a line.
fn line(i: u64) -> (u64, u64, &'static str) {
    let h = mix(i);
    (h % 200, (h >> 20) % 10_000, if (h >> 40).is_multiple_of(3) { "order" } else { "login" })
}

/// Writes the file. One of ten thousand lines is bad.
fn input(dir: &Dir) {
    let mut text = String::new();
    for i in 0..LINES {
        let (user, cents, kind) = line(i);
        let amount = if i % 10_000 == 7_777 { "\"much\"".to_owned() } else { format!("{}.{:02}", cents / 100, cents % 100) };
        let _ = writeln!(text, r#"{{"user":{user},"kind":"{kind}","amount":{amount},"ts":{i}}}"#);
    }
    std::fs::write(dir.path("in.jsonl"), text).expect("a file");
}

fn yaml(more: &str) -> String {
    format!(
        "
name: shared
{more}
sources:
  in:
    connector: file
    path: in.jsonl
    split: true
    format: json
    schema: {{ user: int, kind: string, amount: double, ts: int }}
    event_time: {{ field: ts, max_delay: 1s }}
    dead_letter: bad
streams:
  per_user:
    from: in
    key: user
    window: {{ tumbling: 10s }}
    aggregate: {{ n: count(), total: sum(amount), orders: {{ value: count(), where: 'kind == \"order\"' }}, greatest: max(amount) }}
sinks:
  results: {{ from: per_user, connector: file, path: out.jsonl, format: json }}
  bad: {{ from: bad, connector: file, path: bad.jsonl, format: json }}
"
    )
}

/// What a loop over the lines finds.
fn expected() -> Vec<Value> {
    let mut groups: BTreeMap<(u64, u64), (u64, u64, u64, u64)> = BTreeMap::new();
    for i in (0..LINES).filter(|i| i % 10_000 != 7_777) {
        let (user, cents, kind) = line(i);
        let (n, total, orders, greatest) = groups.entry((user, i / WINDOW)).or_default();
        (*n, *total, *greatest) = (*n + 1, *total + cents, cents.max(*greatest));
        *orders += u64::from(kind == "order");
    }
    let amount = |cents: u64| cents as f64 / 100.0;
    let of = |((user, _), (n, total, orders, greatest)): (&(u64, u64), &(u64, u64, u64, u64))| json!({ "user": user, "n": n, "total": amount(*total), "orders": orders, "greatest": amount(*greatest) });
    sorted(groups.iter().map(of).collect())
}

/// What was written, without the bounds of the windows, and with sums in whole cents.
fn found(dir: &Dir) -> Vec<Value> {
    let of = |value: Value| {
        let total = value["total"].as_f64().expect("a sum");
        let total = (total * 100.0).round() / 100.0;
        json!({ "user": value["user"], "n": value["n"], "total": total, "orders": value["orders"], "greatest": value["greatest"] })
    };
    sorted(dir.values("out.jsonl").into_iter().map(of).collect())
}

/// The numbers of the bad lines.
fn bad_lines(dir: &Dir) -> Vec<u64> {
    let mut lines: Vec<u64> = dir.values("bad.jsonl").iter().map(|bad| bad["line"].as_u64().expect("a line number")).collect();
    lines.sort_unstable();
    lines
}

fn bad_expected() -> Vec<u64> {
    (0..LINES).filter(|i| i % 10_000 == 7_777).map(|i| i + 1).collect()
}

#[test]
fn any_number_of_workers_finds_the_same() {
    let expected = expected();
    let mut first: Option<Vec<Value>> = None;
    for workers in ["1", "2", "3"] {
        let dir = Dir::new();
        input(&dir);
        dir.job(&yaml("")).args(["--quiet", "-p", workers]).run().exits(0);
        assert_eq!(found(&dir), expected, "{workers} workers");
        assert_eq!(bad_lines(&dir), bad_expected(), "{workers} workers");
        // To the last digit, too.
        let exact = sorted(dir.values("out.jsonl"));
        assert_eq!(*first.get_or_insert_with(|| exact.clone()), exact, "{workers} workers");
    }
}

#[test]
fn killed_in_the_middle_of_the_file_every_line_counts_once() {
    let expected = expected();
    let yaml = yaml("checkpoints: { every: 30ms, dir: ckpt }\nrestart: { attempts: 0 }");
    let start = |dir: &Dir, workers: &str| {
        if !dir.path("in.jsonl").exists() {
            input(dir);
        }
        resumed(dir, &yaml, workers)
    };
    killed_again_and_again(11, start, |dir| {
        assert_eq!(found(dir), expected);
        assert_eq!(bad_lines(dir), bad_expected());
    });
}
