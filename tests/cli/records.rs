//! Records that are not as they should be: bad lines, missing fields, expressions that fail.

use serde_json::json;

use crate::harness::Dir;

const LINES: &str =
    "{\"user\":\"a\",\"n\":1}\nnonsense\n{\"user\":\"b\",\"n\":\"many\"}\n\n{\"user\":\"c\"}\n[1]\n{\"user\":\"d\",\"n\":4}\n";

fn job(source: &str) -> String {
    format!(
        "name: t\nsources: {{ in: {{ connector: file, path: in.jsonl, schema: {{ user: string, n: int }}{source} }} }}\nsinks: {{ out: {{ from: in, connector: stdout }} }}\n"
    )
}

#[test]
fn malformed_lines_are_skipped_counted_and_shown() {
    let dir = Dir::new();
    dir.file("in.jsonl", LINES);
    for workers in ["1", "2"] {
        let outcome = dir.job(&job("")).args(["-p", workers]).run().exits(0);
        assert_eq!(outcome.values(), [json!({"user": "a", "n": 1}), json!({"user": "c", "n": null}), json!({"user": "d", "n": 4})]);
        let account = outcome.account();
        assert_eq!((account["in"].total, account["in"].part("on"), account["in"].part("bad")), (6, 3, 3));
        assert_eq!(account["sinks.out"].part("written"), 3);
        outcome.stderr_has("in.jsonl:2").stderr_has("nonsense").stderr_has("in.jsonl:3").stderr_has("in.jsonl:6").stderr_has("3 bad");
    }
}

#[test]
fn a_bad_record_fails_the_job_that_says_so() {
    let dir = Dir::new();
    dir.file("in.jsonl", LINES);
    let outcome = dir.job(&job(", on_bad_record: fail")).run().exits(1);
    outcome.stderr_has("in.jsonl:2").stderr_has("nonsense").stderr_has("`in`");
    dir.file("in.jsonl", "{\"user\":\"a\",\"n\":1}\n");
    dir.job(&job(", on_bad_record: fail")).args(["--quiet"]).run().exits(0).stdout_is("{\"user\":\"a\",\"n\":1}\n").stderr_is("");
}

#[test]
fn bad_records_can_be_written_by_a_sink() {
    let dir = Dir::new();
    dir.file("in.jsonl", LINES);
    let job = job(", dead_letter: bad").replace("sinks: {", "sinks: { letters: { from: bad, connector: file, path: bad.jsonl },");
    for workers in ["1", "3"] {
        let outcome = dir.job(&job).args(["-p", workers]).run().exits(0);
        assert_eq!(outcome.values().len(), 3);
        let bad = dir.values("bad.jsonl");
        let told: Vec<_> = bad.iter().map(|b| (b["line"].as_u64(), b["text"].as_str())).collect();
        assert_eq!(told, [(Some(2), Some("nonsense")), (Some(3), Some("{\"user\":\"b\",\"n\":\"many\"}")), (Some(6), Some("[1]"))]);
        for letter in &bad {
            assert!(letter["source"].as_str().is_some_and(|s| s.ends_with("in.jsonl")), "{letter}");
            assert!(letter["error"].as_str().is_some_and(|e| !e.is_empty()), "{letter}");
        }
        assert_eq!(outcome.account()["sinks.letters"].part("written"), 3);
    }
}

#[test]
fn missing_fields_are_null() {
    let dir = Dir::new();
    dir.file("in.jsonl", "{\"user\":\"a\"}\n{\"n\":1,\"other\":2}\n{\"user\":null,\"n\":null}\n");
    let expected = "{\"user\":\"a\",\"n\":null}\n{\"user\":null,\"n\":1}\n{\"user\":null,\"n\":null}\n";
    dir.job(&job("")).args(["--quiet"]).run().exits(0).stdout_is(expected).stderr_is("");
    let tested = job("")
        .replace("sinks: {", "streams: { s: { from: in, where: 'n == null' } }\nsinks: {")
        .replace("from: in, connector: stdout", "from: s, connector: stdout");
    dir.job(&tested).args(["--quiet"]).run().exits(0).stdout_is("{\"user\":\"a\",\"n\":null}\n{\"user\":null,\"n\":null}\n");
}

fn dividing(on_error: &str) -> String {
    format!(
        "name: t\nsources: {{ in: {{ connector: file, path: in.jsonl, schema: {{ n: int }} }} }}\nstreams: {{ s: {{ from: in, select: {{ q: 100 / n }}{on_error} }} }}\nsinks: {{ out: {{ from: s, connector: stdout }} }}\n"
    )
}

#[test]
fn a_record_that_an_expression_fails_on_is_skipped_and_counted() {
    let dir = Dir::new();
    dir.file("in.jsonl", "{\"n\":1}\n{\"n\":0}\n{\"n\":3}\n{}\n");
    let outcome = dir.job(&dividing("")).run().exits(0).stdout_is("{\"q\":100}\n{\"q\":33}\n");
    let account = outcome.account();
    assert_eq!((account["s"].total, account["s"].part("on"), account["s"].part("failed")), (4, 2, 2));
    outcome.stderr_has("division by zero").stderr_has("100 / n").stderr_has("2 failed");
}

#[test]
fn a_record_that_an_expression_fails_on_fails_the_job_that_says_so() {
    let dir = Dir::new();
    dir.file("in.jsonl", "{\"n\":1}\n{\"n\":0}\n{\"n\":3}\n");
    dir.job(&dividing(", on_error: fail")).run().exits(1).stderr_has("`100 / n`").stderr_has("division by zero").stderr_has("`s`");
}

#[test]
fn a_stream_that_loses_every_record_to_errors_is_told_of_and_fails_a_strict_run() {
    let dir = Dir::new();
    let lost = "stream `s` dropped all of its 2 records, as an expression failed on each";
    dir.file("in.jsonl", "{\"n\":0}\n{\"n\":0}\n");
    dir.job(&dividing("")).run().exits(0).stdout_is("").stderr_has(lost);
    dir.job(&dividing("")).args(["--quiet"]).run().exits(0).stderr_has(lost);
    dir.job(&dividing("")).args(["--strict"]).run().exits(1).stderr_has(&format!("error: {lost}"));
    // So are the keys and the aggregates of a stream.
    for keys in
        ["key: '1 / n', window: { tumbling: 1s }, aggregate: { c: count() }", "window: { tumbling: 1s }, aggregate: { c: sum(1 / n) }"]
    {
        let job = dividing("")
            .replace("select: { q: 100 / n }", keys)
            .replace("schema: { n: int }", "schema: { n: int, ts: int }, event_time: { field: ts }");
        dir.file("in.jsonl", "{\"n\":0,\"ts\":1}\n{\"n\":0,\"ts\":2}\n");
        dir.job(&job).args(["--strict"]).run().exits(1).stderr_has(lost);
    }
    // One record that went through is enough, and so is having none.
    for records in ["{\"n\":0}\n{\"n\":1}\n", ""] {
        dir.file("in.jsonl", records);
        dir.job(&dividing("")).args(["--strict"]).run().exits(0).stderr_lacks("dropped all");
    }
}

#[test]
fn warnings_show_records_as_json() {
    let dir = Dir::new();
    dir.file("in.jsonl", "{\"n\":0,\"user\":\"ann\"}\n");
    let outcome = dir.job(&dividing("").replace("{ n: int }", "{ user: string, n: int }")).run().exits(0);
    outcome.stderr_has(r#"skipped the record {"user":"ann","n":0}"#);
}

#[test]
fn the_summary_has_a_line_for_each_part_of_the_file_and_no_other() {
    let dir = Dir::new();
    dir.file("in.jsonl", "{\"n\":1,\"ts\":1}\n{\"n\":2,\"ts\":2}\n{\"n\":0,\"ts\":3}\n");
    let job = "
name: t
sources: { in: { connector: file, path: in.jsonl, schema: { n: int, ts: int }, event_time: { field: ts } } }
streams:
  s: { from: in, key: '10 / n', window: { tumbling: 1s }, aggregate: { c: count() }, where: 'key > 5' }
  best: { from: in, window: { tumbling: 1s }, top: { n: 1, by: n } }
sinks: { out: { from: [s, best], connector: stdout } }
";
    let outcome = dir.job(job).run().exits(0);
    let account = outcome.account();
    assert_eq!(account.keys().collect::<Vec<_>>(), ["best", "in", "s", "sinks.out"]);
    // One record has no key, and of the two results one is not wanted.
    let s = &account["s"];
    assert_eq!((s.total, s.part("taken"), s.part("failed"), s.out), (3, 2, 1, Some(1)));
    outcome.stderr_has("1 of 2 results filtered").stderr_lacks("state ");
}

#[test]
fn a_job_that_fails_at_its_start_has_nothing_to_account_for() {
    let dir = Dir::new();
    let outcome = dir.job(&dividing("").replace("in.jsonl", "missing.jsonl")).run().exits(1);
    outcome.stderr_has("missing.jsonl").stderr_lacks("0 records").stderr_lacks("sinks.out");
}

#[test]
fn a_table_is_for_people() {
    let dir = Dir::new();
    dir.file("in.jsonl", "{\"user\":\"ann\",\"n\":3,\"ts\":0}\n{\"user\":\"b\\u001b[2J\",\"ts\":1000}\n");
    let job = |connector: &str| {
        format!(
            "name: t\nsources: {{ in: {{ connector: file, path: in.jsonl, schema: {{ user: string, n: int, ts: timestamp_ms }} }} }}\nsinks: {{ out: {{ from: in, connector: {connector}, format: table }} }}\n"
        )
    };
    let expected = "user               n  ts\n\
                    ----------  --------  --------------------\n\
                    ann                3  1970-01-01T00:00:00Z\n\
                    b\\u{1b}[2J            1970-01-01T00:00:01Z\n";
    dir.job(&job("stdout")).run().exits(0).stdout_is(expected);
    dir.job(&job("file, path: out.txt")).run().exits(2).stderr_has("`format: table` is for people at standard output");
}

#[test]
fn a_number_that_may_be_seconds_is_no_timestamp() {
    let dir = Dir::new();
    let job = job("").replace("n: int", "n: timestamp");
    dir.file("in.jsonl", "{\"n\":1767225600}\n{\"n\":1767225600000}\n{\"n\":1000}\n");
    let outcome = dir.job(&job).run().exits(0);
    assert_eq!(outcome.values().iter().map(|v| v["n"].clone()).collect::<Vec<_>>(), [json!(1_767_225_600_000_i64), json!(1000)]);
    outcome.stderr_has("1767225600 is not a timestamp").stderr_has("timestamp_s or timestamp_ms");
}

#[test]
fn fields_with_any_name_can_be_used() {
    let dir = Dir::new();
    dir.file(
        "in.jsonl",
        "{\"user-agent\":\"curl\",\"@timestamp\":\"2026-01-01T00:00:00Z\",\"src.ip\":\"10.0.0.1\",\"größe\":3,\"a b\":1,\"in\":2}\n",
    );
    let expected = [json!({"agent": "curl", "n": 6, "ip": "10.0.0.1", "t": "2026-01-01T00:00:00Z"})];
    let select = "select: { agent: '`user-agent`', n: '`a b` + `in` + `größe`', ip: '`src.ip`', t: 'string(`@timestamp`)' }";
    for schema in ["", ", schema: { user-agent: string, '@timestamp': string, src.ip: string, größe: int, a b: int, in: int }"] {
        let job = format!(
            "name: t\nsources: {{ in: {{ connector: file, path: in.jsonl{schema} }} }}\nstreams: {{ größe: {{ from: in, where: '`in` == 2', {select} }} }}\nsinks: {{ out: {{ from: größe, connector: stdout }} }}\n"
        );
        assert_eq!(dir.job(&job).run().exits(0).values(), expected, "{schema}");
    }
    let keyed = "name: t\nsources: { in: { connector: file, path: in.jsonl } }\nstreams: { s: { from: in, key: '`user-agent`', aggregate: { n: count() } } }\nsinks: { out: { from: s, connector: stdout } }\n";
    assert_eq!(dir.job(keyed).run().exits(0).values(), [json!({"user-agent": "curl", "n": 1})]);
}

#[test]
fn a_window_in_which_no_record_counts_is_not_there() {
    let dir = Dir::new();
    dir.file("in.jsonl", "{\"k\":\"a\",\"n\":0,\"ts\":1}\n{\"k\":\"b\",\"n\":4,\"ts\":1}\n{\"k\":\"b\",\"n\":0,\"ts\":1}\n");
    for (window, end) in [("tumbling: 5s", 5_000), ("session: 5s", 5_001)] {
        let job = format!(
            "name: t\nsources: {{ in: {{ connector: file, path: in.jsonl, schema: {{ k: string, n: int, ts: int }}, event_time: {{ field: ts }} }} }}\nstreams: {{ s: {{ from: in, key: k, window: {{ {window} }}, aggregate: {{ q: sum(100 / n), c: count() }} }} }}\nsinks: {{ out: {{ from: s, connector: stdout }} }}\n"
        );
        let outcome = dir.job(&job).run().exits(0);
        let start = end - 5_000;
        assert_eq!(outcome.values(), [json!({"k": "b", "window_start": start, "window_end": end, "q": 25, "c": 1})], "{window}");
        assert_eq!(outcome.account()["s"].part("failed"), 2);
    }
}

#[test]
fn the_account_reconciles_from_source_to_sink() {
    let dir = Dir::new();
    let lines: String = (0..3_000).map(|i| if i % 100 == 7 { "bad\n".to_owned() } else { format!("{{\"n\":{i},\"ts\":{i}}}\n") }).collect();
    dir.file("in.jsonl", lines);
    let job = r"
name: t
sources: { in: { connector: file, path: in.jsonl, schema: { n: int, ts: int }, event_time: { field: ts } } }
streams:
  most:  { from: in, where: 'n % 10 != 3' }
  rate:  { from: most, select: { n: n, q: '1000 / (n % 50)' } }
  tens:  { from: most, key: 'n % 3', window: { tumbling: 1s }, aggregate: { c: count() } }
sinks:
  rates: { from: rate, connector: stdout }
  tens:  { from: tens, connector: file, path: tens.jsonl }
";
    let job = job.replace("  tens:  { from: tens,", "  counts: { from: tens,");
    for workers in ["1", "2", "4"] {
        let outcome = dir.job(&job).args(["-p", workers]).run().exits(0);
        let account = outcome.account();
        let (read, bad) = (account["in"].total, account["in"].part("bad"));
        assert_eq!((read, bad), (3_000, 30));
        let on = read - bad;
        assert_eq!(account["most"].total, on);
        assert_eq!(account["most"].part("filtered"), 300);
        assert_eq!(account["rate"].total, on - 300);
        assert_eq!(account["rate"].part("failed"), 60);
        assert_eq!(account["sinks.rates"].part("written"), on - 300 - 60);
        assert_eq!(outcome.values().len() as u64, account["sinks.rates"].total);
        assert_eq!((account["tens"].total, account["tens"].part("taken")), (on - 300, on - 300));
        let counted: u64 = dir.values("tens.jsonl").iter().filter_map(|w| w["c"].as_u64()).sum();
        assert_eq!(counted, on - 300);
    }
}

#[test]
fn quiet_says_only_what_is_wrong() {
    let dir = Dir::new();
    dir.file("in.jsonl", "{\"user\":\"a\",\"n\":1}\n");
    dir.job(&job("")).args(["--quiet"]).run().exits(0).stdout_is("{\"user\":\"a\",\"n\":1}\n").stderr_is("");
    dir.file("in.jsonl", LINES);
    dir.job(&job("")).args(["--quiet"]).run().exits(0).stderr_has("in.jsonl:2").stderr_lacks("records read");
    let json = dir.job(&job("")).args(["--quiet", "--log", "json"]).run().exits(0).stderr;
    for line in json.lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap_or_else(|e| panic!("{line}: {e}"));
    }
}
