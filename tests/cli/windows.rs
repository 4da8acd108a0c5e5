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
    assert_eq!((account["s"].part("taken"), account["s"].part("filtered")), (within, 2_000 - within));
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

/// The records in the order in which one worker reads them, with late ones far behind nothing: whatever fires by count goes by arrival.
fn values_by_key(records: &[(&str, i64, i64)]) -> BTreeMap<String, Vec<(i64, i64)>> {
    let mut by_key: BTreeMap<String, Vec<(i64, i64)>> = BTreeMap::new();
    records.iter().for_each(|(k, v, ts)| by_key.entry((*k).to_owned()).or_default().push((*v, *ts)));
    by_key
}

#[test]
fn windows_that_count_go_by_arrival() {
    let dir = Dir::new();
    let records = records();
    write(&dir, &records);
    let full = |size: usize, every: usize| {
        let row = |k: &String, w: &[(i64, i64)]| json!({"k": k, "c": w.len(), "sum": w.iter().map(|r| r.0).sum::<i64>()});
        let of_key = |(k, all): (&String, &Vec<(i64, i64)>)| all.windows(size).step_by(every).map(|w| row(k, w)).collect::<Vec<_>>();
        sorted(values_by_key(&records).iter().flat_map(of_key).collect())
    };
    for (window, expected) in [("count: 7", full(7, 7)), ("count: 9, every: 4", full(9, 4)), ("count: 2, every: 5", full(2, 5))] {
        for workers in ["1", "2"] {
            let outcome = dir.job(&job("key: k,", window, "")).args(["-p", workers]).run().exits(0);
            assert!(sorted(outcome.values()) == expected, "{window} at -p {workers}");
        }
    }
}

#[test]
fn a_global_window_fires_as_its_trigger_says() {
    let dir = Dir::new();
    let records = records();
    write(&dir, &records);
    let by_key = values_by_key(&records);
    #[allow(clippy::type_complexity)]
    let rows = |of_key: &dyn Fn(&[(i64, i64)]) -> Vec<(usize, i64)>| {
        let row = |k: &String, (c, sum): (usize, i64)| json!({"k": k, "c": c, "sum": sum});
        sorted(by_key.iter().flat_map(|(k, all)| of_key(all).into_iter().map(|w| row(k, w)).collect::<Vec<_>>()).collect())
    };
    let sum = |records: &[(i64, i64)]| (records.len(), records.iter().map(|r| r.0).sum::<i64>());
    let run = |window: &str| sorted(dir.job(&job("key: k,", window, "")).args(["-p", "2"]).run().exits(0).values());
    let counted = rows(&|all| (10..=all.len()).step_by(10).map(|n| sum(&all[..n])).collect());
    assert_eq!(run("global: true, trigger: { count: 10 }"), counted);
    let purged = rows(&|all| all.chunks_exact(10).map(sum).collect());
    assert_eq!(run("global: true, trigger: { purging: { count: 10 } }"), purged);
    let last_four = rows(&|all| (10..=all.len()).step_by(10).map(|n| sum(&all[n - 4..n])).collect());
    assert_eq!(run("global: true, trigger: { count: 10 }, evictor: { count: 4 }"), last_four);
    let changed = rows(&|all| {
        let (mut last, mut fired) = (all[0].0, Vec::new());
        for n in 1..all.len() {
            if (all[n].0 - last).abs() > 40 {
                last = all[n].0;
                fired.push(sum(&all[..=n]));
            }
        }
        fired
    });
    assert_eq!(run("global: true, trigger: { delta: v, threshold: 40 }"), changed);
}

#[test]
fn an_evictor_drops_what_it_says_and_that_is_gone() {
    let dir = Dir::new();
    let records = records();
    write(&dir, &records);
    let near = |held: &[(i64, i64)], record: &(i64, i64)| held.last().is_some_and(|last| (record.0 - last.0).abs() < 30);
    let young =
        |held: &[(i64, i64)], record: &(i64, i64)| held.iter().map(|other| other.1).max().is_some_and(|newest| record.1 > newest - 5_000);
    type Keeps<'a> = &'a dyn Fn(&[(i64, i64)], &(i64, i64)) -> bool;
    let cases: [(&str, Keeps<'_>); 2] = [("{ delta: v, threshold: 30 }", &near), ("{ time: 5s }", &young)];
    for (evictor, keeps) in cases {
        for after in [false, true] {
            let mut expected = Vec::new();
            for (k, all) in &values_by_key(&records) {
                let mut held: Vec<(i64, i64)> = Vec::new();
                for (n, record) in all.iter().enumerate() {
                    held.push(*record);
                    if (n + 1) % 10 == 0 {
                        let kept: Vec<_> = held.iter().filter(|record| keeps(&held, record)).copied().collect();
                        let shown = if after { &held } else { &kept };
                        expected.push(json!({"k": k, "c": shown.len(), "sum": shown.iter().map(|r| r.0).sum::<i64>()}));
                        held = kept;
                    }
                }
            }
            let evictor = evictor.replace(" }", &format!(", after: {after} }}"));
            let window = format!("global: true, trigger: {{ count: 10 }}, evictor: {evictor}");
            let outcome = dir.job(&job("key: k,", &window, "")).args(["-p", "2"]).run().exits(0);
            assert_eq!(sorted(outcome.values()), sorted(expected), "{window}");
        }
    }
}

#[test]
fn cumulative_windows_grow_by_their_step() {
    let dir = Dir::new();
    let records = records();
    write(&dir, &records);
    let mut windows: BTreeMap<(&str, i64, i64), (i64, i64)> = BTreeMap::new();
    for (k, v, ts) in &records {
        let start = ts.div_euclid(6_000) * 6_000;
        for end in (1..=3).map(|n| start + n * 2_000).filter(|end| ts < end) {
            let window = windows.entry((k, start, end)).or_default();
            *window = (window.0 + 1, window.1 + v);
        }
    }
    let row = |((k, start, end), (c, sum))| json!({"k": k, "window_start": start, "window_end": end, "c": c, "sum": sum});
    let expected = sorted(windows.into_iter().map(row).collect());
    let outcome = dir.job(&job("key: k,", "cumulative: 6s, every: 2s", "")).args(["-p", "2"]).run().exits(0);
    assert_eq!(sorted(outcome.values()), expected);
}

#[test]
fn the_gap_of_a_session_can_depend_on_the_record() {
    let dir = Dir::new();
    let rows = [("a", 10, 0), ("a", 100, 5), ("a", 10, 90), ("a", 10, 200), ("b", 0, 7), ("b", 10, 20)];
    write(&dir, &rows);
    let outcome = dir.job(&job("key: k,", "session: v", "")).args(["-p", "1"]).run().exits(0);
    let expected = vec![
        json!({"k": "a", "window_start": 0, "window_end": 105, "c": 3, "sum": 120}),
        json!({"k": "a", "window_start": 200, "window_end": 210, "c": 1, "sum": 10}),
        json!({"k": "b", "window_start": 20, "window_end": 30, "c": 1, "sum": 10}),
    ];
    assert_eq!(sorted(outcome.values()), sorted(expected));
    // A gap of nothing is a mistake of the record.
    assert_eq!(outcome.account()["s"].part("failed"), 1);
}

#[test]
fn an_interval_fires_a_window_before_its_end() {
    let dir = Dir::new();
    dir.file("in.jsonl", "{\"k\":\"a\",\"v\":1,\"ts\":100}\n{\"w\":999}\n{\"k\":\"a\",\"v\":2,\"ts\":1500}\n{\"w\":2500}\n{\"w\":9999}\n");
    let outcome = dir.job(&job_with_late("tumbling: 10s, trigger: { every: 1s }")).run().exits(0);
    let row = |c: i64, sum: i64| json!({"k": "a", "window_start": 0, "window_end": 10_000, "c": c, "sum": sum});
    // Every second after the first record, and at the end.
    let all: Vec<_> = std::iter::repeat_n(row(2, 3), 10).collect();
    assert_eq!(outcome.values(), all);
}

#[test]
fn windows_of_the_wall_clock() {
    let dir = Dir::new();
    let job = "name: t\nsources: { in: { connector: generator, rate: 400, count: 400, fields: { k: { cycle: [a, b] } } } }\nstreams: { s: { from: in, key: k, window: { tumbling: 100ms, time: processing }, aggregate: { c: count() } } }\nsinks: { out: { from: s, connector: stdout } }\n";
    let outcome = dir.job(job).run().exits(0);
    let rows = outcome.values();
    let at = |row: &Value, name: &str| row[name].as_i64().expect("a number");
    assert!(rows.iter().all(|row| at(row, "window_end") - at(row, "window_start") == 100 && at(row, "window_start") % 100 == 0));
    let windows: std::collections::BTreeSet<_> = rows.iter().map(|row| (row["k"].to_string(), at(row, "window_start"))).collect();
    assert_eq!(windows.len(), rows.len(), "a window fires once");
    // The last window is open when the input ends, and does not fire.
    let counted: i64 = rows.iter().map(|row| at(row, "c")).sum();
    assert!((100..=400).contains(&counted), "{counted}");
}

#[test]
fn windows_of_the_wall_clock_that_the_end_of_input_leaves_open_are_told() {
    let dir = Dir::new();
    dir.json_lines("in.jsonl", &[json!({"k": "a"}), json!({"k": "b"}), json!({"k": "a"})]);
    let job = |window: &str| {
        format!(
            "name: t\nsources: {{ in: {{ connector: file, path: in.jsonl, schema: {{ k: string }} }} }}\nstreams: {{ s: {{ from: in, key: k, window: {{ {window} }}, aggregate: {{ c: count() }} }} }}\nsinks: {{ out: {{ from: s, connector: stdout }} }}\n"
        )
    };
    let told = "not fired: 2 windows of the wall clock (`time: processing`), open when the input ended";
    let outcome = dir.job(&job("tumbling: 1d, time: processing")).args(["-p", "2"]).run().exits(0).stderr_has(told);
    assert!(outcome.values().is_empty());
    dir.job(&job("count: 3")).run().exits(0).stderr_lacks("not fired");
}
