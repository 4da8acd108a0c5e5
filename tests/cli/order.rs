//! Records of equal times: what is made of them is the same in every run, on any number of workers. Straight from one source it is by their order
//! there, else by their values.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::harness::{Dir, sorted};

/// Key, value, number and time in milliseconds.
type Event = (&'static str, i64, i64, i64);

/// Events of four files, in order of time in each, with many of one time. The numbers go down, so that order and value don't agree.
fn files() -> Vec<Vec<Event>> {
    let mut state = 77_u64;
    let mut random = |n: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 33) % n) as i64
    };
    let mut number = 2_000;
    let mut event = |i: i64| {
        number -= 1;
        (["a", "b", "c"][random(3) as usize], random(4), number, 10_000 + i / 20 * 1_000)
    };
    (0..4).map(|_| (0..300).map(&mut event).collect()).collect()
}

fn write(dir: &Dir, files: &[Vec<Event>]) {
    for (i, file) in files.iter().enumerate() {
        let rows: Vec<_> = file.iter().map(|(k, v, n, ts)| json!({"k": k, "v": v, "n": n, "ts": ts})).collect();
        dir.json_lines(&format!("in/{i}.jsonl"), &rows);
    }
}

/// A job over these files with these streams, of which the last is `s`.
fn job(path: &str, streams: &str) -> String {
    format!(
        "name: t\nsources: {{ in: {{ connector: file, path: {path}, schema: {{ k: string, v: int, n: int, ts: int }}, event_time: {{ field: ts, unit: ms, max_delay: 5s }} }} }}\nstreams: {{ {streams} }}\nsinks: {{ out: {{ from: s, connector: stdout }} }}\n"
    )
}

/// Are these the results, twice on each number of workers?
fn check(files: &[Vec<Event>], path: &str, streams: &str, expected: &[Value]) {
    let dir = Dir::new();
    write(&dir, files);
    let expected = sorted(expected.to_vec());
    for workers in ["1", "2", "4", "4"] {
        let found = sorted(dir.job(&job(path, streams)).args(["--quiet", "-p", workers]).run().exits(0).values());
        assert!(found == expected, "{streams} at -p {workers}: {:?} is not {:?}", found.first(), expected.first());
    }
}

/// The events of each key and window of ten seconds, in order of time, of equal times by value and number.
fn windows(files: &[Vec<Event>]) -> BTreeMap<(&'static str, i64), Vec<Event>> {
    let mut windows: BTreeMap<_, Vec<Event>> = BTreeMap::new();
    for event in files.iter().flatten() {
        windows.entry((event.0, event.3 / 10_000 * 10_000)).or_default().push(*event);
    }
    windows.values_mut().for_each(|events| events.sort_by_key(|(_, v, n, ts)| (*ts, *v, *n)));
    windows
}

fn row(key: &str, start: i64, more: Value) -> Value {
    let mut row = json!({"k": key, "window_start": start, "window_end": start + 10_000});
    let (Some(fields), Value::Object(more)) = (row.as_object_mut(), more) else { panic!("not an object") };
    fields.extend(more);
    row
}

#[test]
fn aggregates_over_several_files_go_by_time_and_value() {
    let files = files();
    let expected: Vec<_> = windows(&files)
        .into_iter()
        .map(|((k, start), events)| {
            let (first, last) = (events[0], events[events.len() - 1]);
            let of = |time: i64| events.iter().filter(move |event| event.3 == time).map(|event| event.2);
            let mut all: Vec<_> = events.iter().map(|event| (event.3, event.2)).collect();
            all.sort_unstable();
            let all: Vec<_> = all.into_iter().map(|(_, n)| n).collect();
            row(k, start, json!({"first": of(first.3).min(), "last": of(last.3).max(), "all": all}))
        })
        .collect();
    let streams = "s: { from: in, key: k, window: { tumbling: 10s }, aggregate: { first: first(n), last: last(n), all: collect(n) } }";
    check(&files, "in/*.jsonl", streams, &expected);
}

#[test]
fn sums_of_doubles_over_several_files_have_the_same_last_digits() {
    let files = files();
    // Thirds can't be summed up without rounding: a sum in whole numbers, divided once, is the nearest to the exact one.
    let expected: Vec<_> = windows(&files)
        .into_iter()
        .map(|((k, start), events)| {
            let thirds: Vec<f64> = events.iter().map(|event| event.2 as f64 / 3.0).collect();
            // Each is a multiple of 2^-51 below 2^10: in units of that they are whole numbers.
            let whole: i128 = thirds.iter().map(|third| (third * 2f64.powi(51)) as i128).sum();
            row(k, start, json!({"sum": whole as f64 / 2f64.powi(51)}))
        })
        .collect();
    let streams = "s: { from: in, key: k, window: { tumbling: 10s }, aggregate: { sum: 'sum(double(n) / 3.0)' } }";
    check(&files, "in/*.jsonl", streams, &expected);
}

#[test]
fn dedupe_over_several_files_goes_by_time_and_value() {
    let files = files();
    let mut all: Vec<Event> = files.iter().flatten().copied().collect();
    all.sort_by_key(|(k, v, n, ts)| (*k, *ts, *v, *n));
    let (mut first, mut last) = (Vec::new(), Vec::new());
    let mut span: Option<(&str, i64)> = None;
    for (k, v, n, ts) in all {
        let row = json!({"k": k, "v": v, "n": n, "ts": ts});
        if span.is_none_or(|(key, start)| key != k || ts >= start + 2_500) {
            span = Some((k, ts));
            first.push(row.clone());
            last.push(row);
        } else if let Some(newest) = last.last_mut() {
            *newest = row;
        }
    }
    check(&files, "in/", "s: { from: in, key: k, dedupe: { ttl: 2500ms } }", &first);
    check(&files, "in/", "s: { from: in, key: k, dedupe: { ttl: 2500ms, keep: last } }", &last);
}

/// Pairs of a value 1 and the next event, when that has a value 2: of each key in this order.
fn pairs(mut all: Vec<Event>) -> Vec<Value> {
    all.sort_by_key(|event| event.0);
    let pairs = all.windows(2).filter(|pair| pair[0].0 == pair[1].0 && pair[0].1 == 1 && pair[1].1 == 2);
    pairs.map(|pair| json!({"k": pair[0].0, "one": pair[0].2, "two": pair[1].2})).collect()
}

const PAIRS: &str = "s: { from: in, key: k, pattern: { steps: [{ name: one, where: v == 1 }, { name: two, where: v == 2, contiguity: next }] }, select: { k: k, one: 'one[0].n', two: 'two[0].n' } }";

#[test]
fn a_pattern_takes_events_of_equal_times_by_value_or_by_the_order_of_the_file() {
    let files = files();
    let mut by_value: Vec<Event> = files.iter().flatten().copied().collect();
    by_value.sort_by_key(|(_, v, n, ts)| (*ts, *v, *n));
    check(&files, "in/*.jsonl", PAIRS, &pairs(by_value));
    check(&files, "in/2.jsonl", PAIRS, &pairs(files[2].clone()));
}

#[test]
fn straight_from_one_file_its_order_decides() {
    let files = files();
    let mut windows: BTreeMap<(&str, i64), Vec<Event>> = BTreeMap::new();
    for event in &files[1] {
        windows.entry((event.0, event.3 / 10_000 * 10_000)).or_default().push(*event);
    }
    let expected: Vec<_> = windows
        .into_iter()
        .map(|((k, start), events)| {
            let at = |time: Option<i64>| events.iter().filter(move |event| Some(event.3) == time).map(|event| event.2);
            let times = || events.iter().map(|event| event.3);
            let all: Vec<_> = events.iter().map(|event| event.2).collect();
            row(k, start, json!({"first": at(times().min()).next(), "last": at(times().max()).next_back(), "all": all}))
        })
        .collect();
    let streams = "t: { from: in, where: 'v >= 0' }, s: { from: t, key: k, window: { tumbling: 10s }, aggregate: { first: first(n), last: last(n), all: collect(n) } }";
    check(&files, "in/1.jsonl", streams, &expected);
}

#[test]
fn ranks_of_equal_counts_go_by_the_other_fields() {
    let files = files();
    let streams = "items: { from: in, select: { item: v * 10 + n % 7 } }, counts: { from: items, key: item, window: { tumbling: 10s }, aggregate: { c: count() }, select: { item: item, c: c } }, s: { from: counts, window: { tumbling: 10s }, top: { n: 5, by: c }, select: { item: item, c: c, rank: rank, window_end: window_end } }";
    check(&files, "in/0.jsonl", streams, &ranks(&files[..1]));
    check(&files, "in/*.jsonl", streams, &ranks(&files));
}

/// The five most frequent items of each ten seconds.
fn ranks(files: &[Vec<Event>]) -> Vec<Value> {
    let mut counts: BTreeMap<i64, BTreeMap<i64, i64>> = BTreeMap::new();
    for (_, v, n, ts) in files.iter().flatten() {
        *counts.entry(ts / 10_000 * 10_000).or_default().entry(v * 10 + n % 7).or_default() += 1;
    }
    let mut expected = Vec::new();
    for (start, counts) in counts {
        let mut all: Vec<_> = counts.into_iter().collect();
        all.sort_by_key(|(item, count)| (-count, *item));
        let ranked = all.into_iter().take(5).zip(1..);
        expected.extend(ranked.map(|((item, count), rank)| json!({"item": item, "c": count, "rank": rank, "window_end": start + 10_000})));
    }
    expected
}

#[test]
fn of_versions_of_one_time_the_greatest_holds() {
    let dir = Dir::new();
    let version = |cents: i64, ts: i64| json!({"k": "a", "cents": cents, "ts": ts});
    dir.json_lines("rates/0.jsonl", &[version(7, 1_000), version(3, 1_000), version(2, 5_000)]);
    dir.json_lines("rates/1.jsonl", &[version(5, 1_000), version(9, 5_000)]);
    dir.json_lines("in.jsonl", &[json!({"k": "a", "ts": 2_000}), json!({"k": "a", "ts": 5_000})]);
    let source = |path: &str, field: &str| {
        format!("{{ connector: file, path: {path}, schema: {{ k: string, {field}ts: timestamp_ms }}, event_time: {{ field: ts }} }}")
    };
    let job = format!(
        "name: t\nsources: {{ in: {}, rates: {} }}\nstreams: {{ s: {{ from: in, join: {{ with: rates, on: in.k == rates.k, temporal: true }}, select: {{ ts: ts, cents: cents }} }} }}\nsinks: {{ out: {{ from: s, connector: stdout }} }}\n",
        source("in.jsonl", ""),
        source("rates/*.jsonl", "cents: int, ")
    );
    for workers in ["1", "2", "3"] {
        let found = dir.job(&job).args(["--quiet", "-p", workers]).run().exits(0).values();
        assert_eq!(sorted(found), [json!({"ts": 2_000, "cents": 7}), json!({"ts": 5_000, "cents": 9})]);
    }
}
