//! Every aggregate function, with and without `where`, against values computed here.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::harness::{Dir, close};

#[derive(Clone, Copy)]
struct Event {
    key: &'static str,
    x: Option<i64>,
    kind: &'static str,
    ts: i64,
}

/// In the order of arrival, which is not that of time; some without a value, some at the same time.
fn events() -> Vec<Event> {
    let mut state = 99_u64;
    let mut random = |n: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % n
    };
    (0..400)
        .map(|i| Event {
            key: ["a", "b", "c"][random(3) as usize],
            x: (random(5) > 0).then(|| random(40) as i64 - 20),
            kind: ["login", "order", "view"][random(3) as usize],
            ts: 20_000 + i * 50 - (random(40) * 100) as i64,
        })
        .collect()
}

const FUNCTIONS: &[(&str, &str)] = &[
    ("count", "count()"),
    ("count_x", "count(x)"),
    ("sum", "sum(x)"),
    ("avg", "avg(x)"),
    ("min", "min(x)"),
    ("max", "max(x)"),
    ("first", "first(x)"),
    ("last", "last(x)"),
    ("distinct", "count_distinct(x)"),
    ("collect", "collect(x)"),
    ("stddev", "stddev(x)"),
    ("variance", "variance(x)"),
    ("q0", "quantile(x, 0)"),
    ("q90", "quantile(x, 0.9)"),
    ("top", "top(kind, 2)"),
    ("of_expression", "sum(x * 2 + 1)"),
];

/// What the function comes to over these events, from its definition.
fn oracle(function: &str, events: &[Event]) -> Value {
    let xs: Vec<i64> = events.iter().filter_map(|e| e.x).collect();
    let n = xs.len() as f64;
    let sum: i64 = xs.iter().sum();
    let mean = sum as f64 / n;
    let variance = xs.iter().map(|x| (*x as f64 - mean).powi(2)).sum::<f64>() / (n - 1.0);
    let quantile = |q: f64| {
        let mut sorted = xs.clone();
        sorted.sort_unstable();
        let rank = q * (n - 1.0);
        let at = |rank: f64| sorted[rank as usize] as f64;
        json!(at(rank.floor()) + (at(rank.ceil()) - at(rank.floor())) * rank.fract())
    };
    let timed = || events.iter().enumerate().filter_map(|(i, e)| Some(((e.ts, i), e.x?)));
    match function {
        "count" => json!(events.len()),
        "count_x" => json!(xs.len()),
        "sum" => json!(sum),
        "of_expression" => json!(xs.iter().map(|x| x * 2 + 1).sum::<i64>()),
        "distinct" => json!(xs.iter().collect::<BTreeSet<_>>().len()),
        "collect" => json!(events.iter().map(|e| e.x).collect::<Vec<_>>()),
        "top" => {
            let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
            events.iter().for_each(|e| *counts.entry(e.kind).or_default() += 1);
            let mut ranked: Vec<_> = counts.into_iter().collect();
            ranked.sort_by_key(|(kind, n)| (std::cmp::Reverse(*n), *kind));
            ranked.iter().take(2).map(|(kind, n)| json!({"value": kind, "count": n})).collect()
        }
        "stddev" | "variance" if xs.len() < 2 => Value::Null,
        _ if xs.is_empty() => Value::Null,
        "avg" => json!(mean),
        "min" => json!(xs.iter().min()),
        "max" => json!(xs.iter().max()),
        "first" => json!(timed().min().map(|(_, x)| x)),
        "last" => json!(timed().max().map(|(_, x)| x)),
        "stddev" => json!(variance.sqrt()),
        "variance" => json!(variance),
        "q0" => quantile(0.0),
        "q90" => quantile(0.9),
        other => panic!("no oracle for {other}"),
    }
}

/// All functions over a window, each once over all events and once over logins.
fn expected(key: &str, start: i64, end: i64, events: &[Event]) -> Value {
    let logins: Vec<_> = events.iter().copied().filter(|e| e.kind == "login").collect();
    let mut row = json!({"key": key, "window_start": start, "window_end": end});
    for (name, call) in FUNCTIONS {
        row[*name] = oracle(name, events);
        row[format!("{name}_login")] = oracle(name, &logins);
        assert!(call.contains('('));
    }
    row
}

fn job(window: &str) -> String {
    let aggregates: String = FUNCTIONS
        .iter()
        .map(|(name, call)| format!("      {name}: {call}\n      {name}_login: {{ value: '{call}', where: 'kind == \"login\"' }}\n"))
        .collect();
    let aggregates = aggregates
        .replace("sum(x * 2 + 1)", "sum(x == null ? null : x * 2 + 1)")
        .replace(": sum(x == null ? null : x * 2 + 1)\n", ": 'sum(x == null ? null : x * 2 + 1)'\n");
    format!(
        "name: t\nsources: {{ in: {{ connector: file, path: in.jsonl, schema: {{ key: string, x: int, kind: string, ts: int }}, event_time: {{ field: ts, max_delay: 4s }} }} }}\nstreams:\n  s:\n    from: in\n    key: key\n    {window}\n    aggregate:\n{aggregates}sinks: {{ out: {{ from: s, connector: stdout }} }}\n"
    )
}

fn run(window: &str, workers: &str, events: &[Event]) -> Vec<Value> {
    let dir = Dir::new();
    let rows: Vec<_> = events.iter().map(|e| json!({"key": e.key, "x": e.x, "kind": e.kind, "ts": e.ts})).collect();
    dir.json_lines("in.jsonl", &rows);
    dir.job(&job(window)).args(["--quiet", "-p", workers]).run().exits(0).stderr_lacks("bad record").stderr_lacks(" failed").values()
}

#[track_caller]
fn assert_same(mut found: Vec<Value>, mut expected: Vec<Value>) {
    let by = |row: &Value| (row["key"].to_string(), row["window_start"].as_i64());
    found.sort_by_key(by);
    expected.sort_by_key(by);
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(&expected) {
        for (name, value) in expected.as_object().expect("a row") {
            assert!(close(&found[name], value), "{name}: expected {value}, found {} in\n{found}", found[name]);
        }
    }
}

#[test]
fn over_tumbling_and_sliding_windows() {
    let events = events();
    for (window, size, every) in [("window: { tumbling: 2s }", 2_000, 2_000), ("window: { sliding: 6s, every: 1500ms }", 6_000, 1_500)] {
        let mut windows: BTreeMap<(&str, i64), Vec<Event>> = BTreeMap::new();
        for event in &events {
            for start in (event.ts - size + 1..=event.ts).filter(|start| start.rem_euclid(every) == 0) {
                windows.entry((event.key, start)).or_default().push(*event);
            }
        }
        let all: Vec<_> = windows.iter().map(|((key, start), events)| expected(key, *start, start + size, events)).collect();
        for workers in ["1", "2"] {
            assert_same(run(window, workers, &events), all.clone());
        }
    }
}

#[test]
fn over_sessions_that_merge() {
    let events = events();
    // All of a key lie within gaps of ten seconds.
    let all: Vec<_> = ["a", "b", "c"]
        .iter()
        .map(|key| {
            let of: Vec<_> = events.iter().copied().filter(|e| e.key == *key).collect();
            let (first, last) = (of.iter().map(|e| e.ts).min().expect("some"), of.iter().map(|e| e.ts).max().expect("some"));
            expected(key, first, last + 10_000, &of)
        })
        .collect();
    assert_same(run("window: { session: 10s }", "2", &events), all);
}

#[test]
fn running() {
    let events = events();
    let found = run("on_error: fail", "2", &events);
    assert_eq!(found.len(), events.len());
    for key in ["a", "b", "c"] {
        let of: Vec<_> = events.iter().copied().filter(|e| e.key == key).collect();
        for (i, row) in found.iter().filter(|row| row["key"] == key).enumerate() {
            let wanted = expected(key, 0, 0, &of[..=i]);
            for (name, value) in wanted.as_object().expect("a row").iter().filter(|(name, _)| !name.starts_with("window_")) {
                assert!(close(&row[name], value), "{key} {i} {name}: expected {value}, found {}", row[name]);
            }
        }
    }
}

#[test]
fn mistakes_in_aggregates_are_told() {
    let dir = Dir::new();
    for (call, what) in
        [("quantile(x, 2)", "0 to 1"), ("sum(kind)", "numbers"), ("summ(x)", "`sum`"), ("count(x, x)", "count()"), ("sum(y)", "`y`")]
    {
        let job = job("window: { tumbling: 2s }").replace("sum: sum(x)", &format!("sum: '{call}'"));
        dir.check(&job).exits(2).stderr_has(what);
    }
}
