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
