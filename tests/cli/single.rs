//! `dedupe` and `top` in job files.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::harness::{Dir, sorted};

/// Six hundred records in order of time.
fn records() -> Vec<(&'static str, i64, i64)> {
    let mut state = 5_u64;
    let mut random = |n: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 33) % n) as i64
    };
    (0..600).map(|i| (["a", "b", "c"][random(3) as usize], random(50), 10_000 + i * 37)).collect()
}

fn job(stream: &str) -> String {
    format!(
        "name: t\nsources: {{ in: {{ connector: file, path: in.jsonl, schema: {{ k: string, v: int, ts: int }}, event_time: {{ field: ts, max_delay: 3s }} }} }}\nstreams: {{ s: {{ from: in, {stream} }} }}\nsinks: {{ out: {{ from: s, connector: stdout }} }}\n"
    )
}

fn run(stream: &str, workers: &str) -> Vec<Value> {
    let dir = Dir::new();
    dir.json_lines("in.jsonl", &records().iter().map(|(k, v, ts)| json!({"k": k, "v": v, "ts": ts})).collect::<Vec<_>>());
    sorted(
        dir.job(&job(stream)).args(["--quiet", "-p", workers]).run().exits(0).stderr_lacks("bad record").stderr_lacks(" failed").values(),
    )
}

#[test]
fn one_record_of_a_key_within_its_time() {
    let (mut first, mut last) = (Vec::new(), Vec::new());
    for key in ["a", "b", "c"] {
        let mut span: Option<i64> = None;
        for (k, v, ts) in records().into_iter().filter(|r| r.0 == key) {
            let row = json!({"k": k, "v": v, "ts": ts});
            if span.is_none_or(|start| ts >= start + 1_500) {
                span = Some(ts);
                first.push(row.clone());
                last.push(row);
            } else if let Some(newest) = last.last_mut() {
                *newest = row;
            }
        }
    }
    for workers in ["1", "2"] {
        assert_eq!(run("key: k, dedupe: { ttl: 1500ms }", workers), sorted(first.clone()));
        assert_eq!(run("key: 'k + \"!\"', dedupe: { keep: last, ttl: 1500ms }", workers), sorted(last.clone()));
    }
}

#[test]
fn the_greatest_of_each_window_with_their_ranks() {
    let mut windows: BTreeMap<(&str, i64), Vec<(i64, i64)>> = BTreeMap::new();
    for (k, v, ts) in records() {
        windows.entry((k, ts.div_euclid(4_000) * 4_000)).or_default().push((v, ts));
    }
    let mut expected = Vec::new();
    for ((k, start), mut all) in windows {
        all.sort_by_key(|(v, _)| -v);
        let ranked = all.into_iter().take(3).zip(1..);
        expected
            .extend(ranked.map(
                |((v, ts), rank)| json!({"k": k, "v": v, "ts": ts, "rank": rank, "window_start": start, "window_end": start + 4_000}),
            ));
    }
    for workers in ["1", "2"] {
        assert_eq!(run("key: k, window: { tumbling: 4s }, top: { n: 3, by: v }", workers), sorted(expected.clone()));
    }
}

#[test]
fn without_a_window_a_record_goes_on_when_it_comes_among_the_greatest() {
    let mut greatest: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
    let mut expected = Vec::new();
    for (k, v, ts) in records() {
        let all = greatest.entry(k).or_default();
        let rank = all.iter().filter(|other| **other >= v).count() + 1;
        all.push(v);
        if rank <= 2 {
            expected.push(json!({"k": k, "v": v, "ts": ts, "rank": rank}));
        }
    }
    assert_eq!(run("key: k, top: { n: 2, by: v }", "2"), sorted(expected));
}

#[test]
fn what_is_wrong_is_told_where_it_is() {
    let dir = Dir::new();
    let check = |stream: &str, part: &str| _ = dir.check(&job(stream)).exits(2).stderr_has(part);
    check("key: k, dedupe: { keep: newest, ttl: 1s }", "expected `first` or `last`, found `newest`");
    check("key: k, dedupe: { keep: last }", "`dedupe` of stream `s` has no `ttl`");
    check("key: k, top: { n: 0, by: v }", "expected a whole number from 1 to 1000000, found `0`");
    check("key: k, top: { n: 1, by: w }", "unknown field `w`");
    check("key: k, top: { n: 1, by: v }, dedupe: { ttl: 1s }", "`top` does not go with `dedupe`");
    check("key: k, window: { tumbling: 1s }, dedupe: { ttl: 1s }", "`window` does not go with `dedupe`");
}
