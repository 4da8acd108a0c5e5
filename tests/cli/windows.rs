//! Windows in job files. Watermarks come from the data where it matters which record is late.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::harness::{Dir, sorted};

/// A job that counts and sums `in.jsonl` in these windows; the rest of the stream may say more.
fn job(key: &str, window: &str, rest: &str) -> String {
    format!(
        "name: t\nsources: {{ in: {{ connector: file, path: in.jsonl, schema: {{ k: string, v: int, ts: int }}, event_time: {{ field: ts, unit: ms, max_delay: 3s }} }} }}\nstreams: {{ s: {{ from: in, {key} window: {{ {window} }}, aggregate: {{ c: count(), sum: sum(v) }} {rest} }} }}\nsinks: {{ out: {{ from: s, connector: stdout }} }}\n"
    )
}

/// As [`job`], with watermarks from the field `w` and late records in a file.
fn job_with_late(window: &str) -> String {
    job("key: k,", window, ", late_to: late")
        .replace("max_delay: 3s", "watermark_field: w")
        .replace("sinks: {", "sinks: { behind: { from: late, connector: file, path: late.jsonl },")
}

/// Two thousand records out of order by less than three seconds, the same in every run.
fn records() -> Vec<(&'static str, i64, i64)> {
    let mut state = 12_345_u64;
    let mut random = |n: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % n
    };
    (0..2_000)
        .map(|i| {
            let key = ["a", "b", "c", "d", "e"][random(5) as usize];
            (key, random(100) as i64, 10_000 + i * 37 - random(2_900) as i64)
        })
        .collect()
}

fn write(dir: &Dir, records: &[(&str, i64, i64)]) {
    let rows: Vec<_> = records.iter().map(|(k, v, ts)| json!({"k": k, "v": v, "ts": ts})).collect();
    dir.json_lines("in.jsonl", &rows);
}

/// Windows by the definition: each record is put into each window that holds it.
fn aligned(records: &[(&str, i64, i64)], size: i64, every: i64, offset: i64) -> Vec<Value> {
    let mut windows: BTreeMap<(&str, i64), (i64, i64)> = BTreeMap::new();
    for (k, v, ts) in records {
        for start in (ts - size + 1..=*ts).filter(|start| (start - offset).rem_euclid(every) == 0) {
            let window = windows.entry((k, start)).or_default();
            *window = (window.0 + 1, window.1 + v);
        }
    }
    let row = |((k, start), (c, sum))| json!({"k": k, "window_start": start, "window_end": start + size, "c": c, "sum": sum});
    sorted(windows.into_iter().map(row).collect())
}

fn sessions(records: &[(&str, i64, i64)], gap: i64) -> Vec<Value> {
    let mut records = records.to_vec();
    records.sort_by_key(|(k, _, ts)| (*k, *ts));
    let mut windows: Vec<(&str, i64, i64, i64, i64)> = Vec::new();
    for (k, v, ts) in records {
        match windows.last_mut() {
            Some(last) if last.0 == k && ts <= last.2 => *last = (k, last.1, ts + gap, last.3 + 1, last.4 + v),
            _ => windows.push((k, ts, ts + gap, 1, v)),
        }
    }
    let row = |(k, start, end, c, sum)| json!({"k": k, "window_start": start, "window_end": end, "c": c, "sum": sum});
    sorted(windows.into_iter().map(row).collect())
}

#[test]
fn windows_are_what_their_definition_says_at_any_parallelism() {
    let dir = Dir::new();
    let records = records();
    write(&dir, &records);
    let cases = [
        ("tumbling: 5s", aligned(&records, 5_000, 5_000, 0)),
        ("tumbling: 5s, offset: 1200ms", aligned(&records, 5_000, 5_000, 1_200)),
        ("tumbling: 5s, offset: -1200ms", aligned(&records, 5_000, 5_000, -1_200)),
        ("sliding: 6s, every: 2s", aligned(&records, 6_000, 2_000, 0)),
        ("sliding: 5s, every: 2s, offset: 300ms", aligned(&records, 5_000, 2_000, 300)),
        ("session: 400ms", sessions(&records, 400)),
    ];
    for (window, expected) in cases {
        for workers in ["1", "2", "3"] {
            let outcome = dir.job(&job("key: k,", window, "")).args(["-p", workers]).run().exits(0);
            assert!(sorted(outcome.values()) == expected, "{window} at -p {workers}");
            assert_eq!(outcome.account()["s"].part("late"), 0);
        }
    }
}

#[test]
fn windows_with_gaps_between_them_count_what_falls_in_between() {
    let dir = Dir::new();
    let records = records();
    write(&dir, &records);
    let outcome = dir.job(&job("key: k,", "sliding: 1s, every: 4s", "")).run().exits(0);
    assert_eq!(sorted(outcome.values()), aligned(&records, 1_000, 4_000, 0));
    let within = records.iter().filter(|(_, _, ts)| ts.rem_euclid(4_000) < 1_000).count() as u64;
    let account = outcome.account();
    assert_eq!((account["s"].part("taken"), account["s"].part("between windows")), (within, 2_000 - within));
}

#[test]
fn without_a_key_the_whole_stream_is_one() {
    let dir = Dir::new();
    let records = records();
    write(&dir, &records);
    let one: Vec<_> = records.iter().map(|(_, v, ts)| ("", *v, *ts)).collect();
    let mut expected = aligned(&one, 5_000, 5_000, 0);
    expected.iter_mut().filter_map(Value::as_object_mut).for_each(|window| drop(window.shift_remove("k")));
    for workers in ["1", "3"] {
        let outcome = dir.job(&job("", "tumbling: 5s", "")).args(["--quiet", "-p", workers]).run().exits(0);
        assert_eq!(sorted(outcome.values()), sorted(expected.clone()));
    }
}

#[test]
fn where_and_select_are_over_the_windows() {
    let dir = Dir::new();
    write(&dir, &records());
    let expected: Vec<_> = aligned(&records(), 5_000, 5_000, 0).into_iter().filter(|w| w["c"].as_i64() >= Some(30)).collect();
    assert!(!expected.is_empty());
    let outcome = dir.job(&job(
        "key: k,",
        "tumbling: 5s",
        ", where: 'c >= 30', select: { k: k, mean: 'double(sum) / double(c)', length: 'window_end - window_start' }",
    ));
    let found = outcome.args(["--quiet", "--set", "sinks.out.format=csv"]).run().exits(0).stdout;
    assert_eq!(found.lines().count(), expected.len() + 1);
}

/// One step of a script: a record of key `a` at this time, or a watermark.
fn script(steps: &[Value]) -> Vec<Value> {
    steps.iter().map(|step| step.as_i64().map_or_else(|| step.clone(), |ts| json!({"k": "a", "v": 1, "ts": ts}))).collect()
}

fn watermark(w: i64) -> Value {
    json!({ "w": w })
}

/// The windows written, in order, as (start, end, count), and the times of the late records.
fn run_with_late(window: &str, steps: &[Value]) -> (Vec<(i64, i64, i64)>, Vec<i64>) {
    let dir = Dir::new();
    dir.json_lines("in.jsonl", &script(steps));
    let outcome = dir.job(&job_with_late(window)).args(["-p", "1"]).run().exits(0);
    let int = |row: &Value, name: &str| row[name].as_i64().unwrap_or_else(|| panic!("no {name} in {row}"));
    let late: Vec<_> = dir.values("late.jsonl").iter().map(|row| int(row, "ts")).collect();
    let account = outcome.account();
    assert_eq!(account["s"].part("late"), late.len() as u64);
    assert_eq!(account["s"].part("taken") + account["s"].part("late"), account["in"].part("on"));
    (outcome.values().iter().map(|w| (int(w, "window_start"), int(w, "window_end"), int(w, "c"))).collect(), late)
}

#[test]
fn a_record_behind_the_watermark_is_late_and_goes_where_late_records_go() {
    let steps = [
        json!(1_000),
        json!(2_000),
        watermark(4_998),
        json!(3_000),
        watermark(4_999),
        json!(4_000),
        json!(5_000),
        watermark(6_000),
        json!(0),
    ];
    assert_eq!(run_with_late("tumbling: 5s", &steps), (vec![(0, 5_000, 3), (5_000, 10_000, 1)], vec![4_000, 0]));
}

#[test]
fn within_its_lateness_a_window_is_corrected() {
    let steps =
        [json!(1_000), watermark(4_999), json!(2_000), watermark(6_998), json!(3_000), watermark(6_999), json!(4_000), json!(5_500)];
    let windows = vec![(0, 5_000, 1), (0, 5_000, 2), (0, 5_000, 3), (5_000, 10_000, 1)];
    assert_eq!(run_with_late("tumbling: 5s, allowed_lateness: 2s", &steps), (windows, vec![4_000]));
}

#[test]
fn a_late_record_corrects_those_sliding_windows_that_still_live() {
    // At 9,999 the windows that end at 6, 8 and 10 seconds have fired; 6 and 8 lie more than a second back.
    let steps = [json!(5_000), watermark(9_999), json!(5_500), json!(7_500)];
    let (windows, late) = run_with_late("sliding: 6s, every: 2s, allowed_lateness: 1s", &steps);
    assert_eq!(windows, [(0, 6_000, 1), (2_000, 8_000, 1), (4_000, 10_000, 1), (4_000, 10_000, 2), (4_000, 10_000, 3), (6_000, 12_000, 1)]);
    assert_eq!(late, Vec::<i64>::new());
    let (_, late) = run_with_late("sliding: 6s, every: 2s", &[json!(5_000), watermark(9_999), json!(3_999), json!(4_000)]);
    assert_eq!(late, [3_999, 4_000]);
}

#[test]
fn a_late_record_may_join_a_session_that_is_still_open() {
    let steps = [json!(1_000), json!(2_500), watermark(3_500), json!(600), json!(1_800), watermark(6_000), json!(2_000)];
    // 600 alone would be over at 2,600, and yet touches [1,000, 4,500).
    let (windows, late) = run_with_late("session: 2s", &steps);
    assert_eq!(windows, [(600, 4_500, 4)]);
    assert_eq!(late, [2_000]);
}

#[test]
fn windows_of_a_session_that_touch_are_one() {
    let (windows, _) = run_with_late("session: 1s", &[json!(0), json!(1_000), json!(2_001)]);
    assert_eq!(windows, [(0, 2_000, 2), (2_001, 3_001, 1)]);
    // A record in between joins two.
    let (windows, _) = run_with_late("session: 1s", &[json!(0), json!(1_800), json!(900)]);
    assert_eq!(windows, [(0, 2_800, 3)]);
}

#[test]
fn windows_over_records_without_event_time_are_a_mistake() {
    let dir = Dir::new();
    let job = job("", "tumbling: 5s", "").replace(", event_time: { field: ts, unit: ms, max_delay: 3s }", "");
    dir.check(&job).exits(2).stderr_has("event_time");
}
