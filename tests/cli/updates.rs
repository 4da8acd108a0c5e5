//! Windows that fire again, and who reads their results.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::harness::{Dir, sorted};

/// A job over `in.jsonl`, with watermarks from the field `w`.
fn job(streams: &str) -> String {
    format!(
        "name: t\nsources: {{ in: {{ connector: file, path: in.jsonl, schema: {{ page: string, n: int, ts: int }}, event_time: {{ field: ts, unit: ms, watermark_field: w }} }} }}\nstreams: {{ {streams} }}\nsinks: {{ out: {{ from: s, connector: stdout }} }}\n"
    )
}

fn visit(page: &str, ts: i64) -> Value {
    json!({"page": page, "n": 1, "ts": ts})
}

/// Two visits of `/a` and one of `/b`; a third of `/a` comes when the window has fired.
fn visits() -> Vec<Value> {
    vec![
        visit("/a", 1_000),
        visit("/a", 2_000),
        visit("/b", 3_000),
        visit("/a", 15_000),
        json!({"w": 10_000}),
        visit("/a", 4_000),
        visit("/b", 30_000),
        json!({"w": 40_000}),
    ]
}

const COUNTS: &str = "counts: { from: in, key: page, window: { tumbling: 10s, allowed_lateness: 1m }, aggregate: { c: count() } }";

fn dir() -> Dir {
    let dir = Dir::new();
    dir.json_lines("in.jsonl", &visits());
    dir
}

/// The rows of a job with [`COUNTS`] and these streams, of which the last is `s`, in the order in which they are written.
fn rows_of(workers: &str, streams: &str) -> Vec<Value> {
    dir().job(&job(&format!("{COUNTS}, {streams}"))).args(["--quiet", "-p", workers]).run().exits(0).values()
}

/// The same where `s` reads the counts.
fn rows(workers: &str, s: &str) -> Vec<Value> {
    rows_of(workers, &format!("s: {{ from: counts, {s} }}"))
}

/// Of the rows of one window and rank the last. How often windows fire on several workers depends on how they keep step; what they come to does not.
fn latest(rows: Vec<Value>) -> Vec<Value> {
    let mut latest: BTreeMap<(i64, i64), Value> = BTreeMap::new();
    for row in rows {
        latest.insert((row["end"].as_i64().expect("the end of a window"), row["rank"].as_i64().unwrap_or(0)), row);
    }
    latest.into_values().collect()
}

#[test]
fn a_rank_is_of_the_latest_result() {
    let row = |end: i64, rank: i64, page: &str, c: i64| json!({"end": end, "rank": rank, "page": page, "c": c});
    let select = "select: { end: window_end, rank: rank, page: page, c: c }";
    let run = |workers: &str, window: &str| {
        let plain = "plain: { from: counts, select: { page: page, c: c } }";
        rows_of(workers, &format!("{plain}, s: {{ from: plain, window: {{ {window} }}, top: {{ n: 3, by: c }}, {select} }}"))
    };
    let again = [row(10_000, 1, "/a", 3), row(10_000, 2, "/b", 1), row(20_000, 1, "/a", 1), row(40_000, 1, "/b", 1)];
    let first = [row(10_000, 1, "/a", 2), row(10_000, 2, "/b", 1)];
    assert_eq!(run("1", "tumbling: 10s, allowed_lateness: 1m"), [&first[..], &again].concat());
    for workers in ["1", "2", "3"] {
        // The later count of a page takes the place of the earlier one, however far the ranking has come.
        assert_eq!(latest(run(workers, "tumbling: 10s, allowed_lateness: 1m")), again);
        // Both windows of `/a` and both of `/b`: the fourth has no place.
        assert_eq!(run(workers, "tumbling: 1m"), [row(60_000, 1, "/a", 3), row(60_000, 2, "/a", 1), row(60_000, 3, "/b", 1)]);
    }
}

#[test]
fn an_aggregate_is_of_the_latest_results() {
    let row = |end: i64, sum: i64, n: i64| json!({"end": end, "sum": sum, "n": n});
    let of = "aggregate: { sum: sum(c), n: count() }, select: { end: window_end, sum: sum, n: n }";
    for workers in ["1", "2", "3"] {
        assert_eq!(rows(workers, &format!("window: {{ tumbling: 1m }}, {of}")), [row(60_000, 6, 4)]);
        let expected = [row(10_000, 4, 2), row(20_000, 5, 3), row(30_000, 1, 1), row(40_000, 1, 1), row(50_000, 1, 1)];
        assert_eq!(latest(rows(workers, &format!("window: {{ sliding: 20s, every: 10s, allowed_lateness: 1m }}, {of}"))), expected);
    }
}

#[test]
fn dedupe_hands_the_first_result_on_or_the_last() {
    for (keep, c) in [("first", 2), ("last", 3)] {
        let found = rows(
            "2",
            &format!(
                "key: [page, window_end], dedupe: {{ keep: {keep}, ttl: 2m }}, where: window_end == timestamp('1970-01-01T00:00:10Z') && page == '/a'"
            ),
        );
        assert_eq!(found, [json!({"page": "/a", "window_start": 0, "window_end": 10_000, "c": c})]);
    }
}

#[test]
fn a_trigger_before_the_end_is_no_second_result() {
    let dir = dir();
    let run = |trigger: &str| {
        let counts =
            format!("counts: {{ from: in, key: page, window: {{ tumbling: 1m, trigger: {trigger} }}, aggregate: {{ c: count() }} }}");
        let job = job(&format!(
            "{counts}, s: {{ from: counts, window: {{ tumbling: 1m }}, aggregate: {{ sum: sum(c), results: count() }}, select: {{ sum: sum, results: results }} }}"
        ));
        dir.job(&job).args(["--quiet", "-p", "2"]).run().exits(0).values()
    };
    assert_eq!(run("{ count: 1 }"), [json!({"sum": 6, "results": 2})]);
    assert_eq!(run("{ every: 10s }"), [json!({"sum": 6, "results": 2})]);
    // What is emptied gives every visit once: these add up.
    assert_eq!(run("{ purging: { count: 1 } }"), [json!({"sum": 6, "results": 6})]);
}

#[test]
fn results_of_open_rows_are_replaced_as_well() {
    let sale = |page: &str, n: i64, ts: i64| json!({"page": page, "n": n, "ts": ts});
    let sales = [sale("/a", 5, 1_000), sale("/a", 3, 2_000), sale("/a", 1, 15_000), json!({"w": 10_000}), sale("/a", 9, 4_000)];
    let streams = "best: { from: in, key: page, window: { tumbling: 10s, allowed_lateness: 1m }, top: { n: 1, by: n } }, s: { from: best, key: page, window: { tumbling: 1m }, aggregate: { sum: sum(n), ranks: sum(rank) }, select: { sum: sum, ranks: ranks } }";
    let dir = Dir::new();
    dir.json_lines("in.jsonl", &sales);
    let declared = job(streams);
    let open = declared.replace("schema: { page: string, n: int, ts: int }, ", "");
    assert_ne!(declared, open);
    for job in [declared, open] {
        for workers in ["1", "2"] {
            // The best of the first ten seconds was 5, and is 9.
            assert_eq!(dir.job(&job).args(["--quiet", "-p", workers]).run().exits(0).values(), [json!({"sum": 10, "ranks": 2})]);
        }
    }
}

/// The error of a job whose streams these are, at this place.
fn refused(streams: &str, at: &str, parts: &[&str]) {
    let outcome = dir().check(&job(streams)).exits(2);
    parts.iter().fold(outcome.stderr_has(at), |outcome, part| outcome.stderr_has(part));
}

#[test]
fn who_can_not_replace_a_result_is_refused() {
    let again = "the windows of `counts` fire again (`allowed_lateness`)";
    let advice = "dedupe: { keep: last, ttl: ... }";
    let behind = |s: &str, why: &str| refused(&format!("{COUNTS}, s: {{ from: counts, {s} }}"), "job.yaml:3:", &[why, advice]);
    behind("key: page, aggregate: { n: sum(c) }", "a running aggregate would count a result anew each time");
    behind("key: page, aggregate: { n: sum(c) }", again);
    behind("top: { n: 1, by: c }", "a running `top` would count");
    behind("window: { count: 2 }, aggregate: { n: sum(c) }", "a window that counts would count");
    behind("window: { tumbling: 1h, time: processing }, aggregate: { n: sum(c) }", "a window of the wall clock would count");
    behind(
        "window: { tumbling: 1h, trigger: { purging: { count: 2 } } }, aggregate: { n: sum(c) }",
        "a window that is emptied would count",
    );
    behind("key: page, pattern: { steps: [{ name: x, where: c > 1 }] }", "a pattern would count");
    behind("key: page, join: { with: in, within: 1s }", "a join would count");
    behind("key: c, window: { tumbling: 1h }, aggregate: { n: count() }", "`c` may be another then");
    let hour = "window: { tumbling: 1h }, aggregate: { n: count() }";
    let with = |between: &str, why: &str| {
        refused(&format!("{COUNTS}, t: {{ {between} }}, s: {{ from: t, {hour} }}"), "job.yaml:3:", &[again, why]);
    };
    with("from: counts, where: c > 1", "the `where` of `t` may drop a result that came before");
    with("from: counts, select: { c: c }", "the `select` of `t` leaves the key out");
    with("from: counts, flat_map: '[1, 2]'", "the `flat_map` of `t` makes several results of one");
    with("from: [counts, in]", "it is united with another stream");
    let sessions = COUNTS.replace("tumbling: 10s", "session: 10s");
    refused(&format!("{sessions}, s: {{ from: counts, {hour} }}"), "job.yaml:3:", &[again, "the sessions of `counts` may grow"]);
    // What is the same in every result may be looked at.
    for between in
        ["from: counts, where: page != '/c' && window_end > timestamp('1970-01-01T00:00:00Z')", "from: counts, select: { p: page, c: c }"]
    {
        dir().check(&job(&format!("{COUNTS}, t: {{ {between} }}, s: {{ from: t, {hour} }}"))).exits(0);
    }
}

#[test]
fn results_of_a_global_window_have_no_event_time() {
    let global = |trigger: &str| {
        format!("all: {{ from: in, key: page, window: {{ global: true, trigger: {trigger} }}, aggregate: {{ c: count() }} }}")
    };
    let parts = ["records of `all` have none", "the windows of `all` are `global` and have no end", "`time: processing`"];
    for s in [
        "key: page, window: { tumbling: 1h }, aggregate: { n: count() }",
        "key: page, window: { tumbling: 1h }, top: { n: 1, by: c }",
        "key: page, dedupe: { ttl: 1h }",
        "key: page, pattern: { steps: [{ name: x, where: c > 1 }] }",
        "key: page, join: { with: in, within: 1s }",
    ] {
        refused(&format!("{}, s: {{ from: all, {s} }}", global("{ purging: { count: 2 } }")), "job.yaml:3:", &parts);
    }
    let dir = dir();
    let job = job(&format!("{}, s: {{ from: all, key: page, aggregate: {{ n: sum(c) }} }}", global("{ purging: { count: 2 } }")));
    let found = dir.job(&job).args(["--quiet"]).run().exits(0).values();
    assert_eq!(sorted(found), sorted(vec![json!({"page": "/a", "n": 2}), json!({"page": "/a", "n": 4}), json!({"page": "/b", "n": 2})]));
}
