//! What is wrong with the expressions of a job file is told with the line and the column in the file, whatever key they stand under and
//! however YAML writes them.

use tidegate_jobs::file::parse;
use tidegate_jobs::plan::{Outside, Resolved, Written, plan, plan_resolved};

/// The problems of a job whose stream `out` has these lines, as the user sees them.
fn problems(stream: &str) -> String {
    let text = format!(
        "name: job
sources:
  logins:
    connector: file
    path: logins.csv
    format: csv
    schema: {{ user: int, ip: string, result: string, ts: timestamp_s }}
    event_time: {{ field: ts }}
streams:
  out:
    from: logins
{stream}
sinks:
  end: {{ from: out, connector: stdout }}
"
    );
    let (file, mut problems) = parse("job.yaml", &text, &[]);
    let planned = file.and_then(|file| plan(&file, &mut problems));
    assert!(planned.is_none(), "the job is fine");
    problems.to_string()
}

fn check(stream: &str, expected: &str) {
    let found = problems(stream);
    assert!(
        found == expected,
        "found:
{found}
expected:
{expected}"
    );
}

#[test]
fn in_where() {
    check(
        r#"    where: rsult == 'fail'"#,
        r#"error: job.yaml:12:12: unknown field `rsult`: did you mean `result`?
  12 |     where: rsult == 'fail'
     |            ^^^^^
"#,
    );
    check(
        r#"    where: 'result == "fail" && usr > 3'"#,
        r#"error: job.yaml:12:33: unknown field `usr`: did you mean `user`?
  12 |     where: 'result == "fail" && usr > 3'
     |                                 ^^^
"#,
    );
    check(
        r#"    where: "result.startWith('f')""#,
        r#"error: job.yaml:12:20: unknown function `startWith`: did you mean `startsWith`?
  12 |     where: "result.startWith('f')"
     |                    ^^^^^^^^^
"#,
    );
    check(
        r#"    where: |
      result == 'fail'
        && size(user) > 3"#,
        r#"error: job.yaml:14:12: `size` does not take (int)
  14 |         && size(user) > 3
     |            ^^^^^^^^^^
"#,
    );
    check(
        r#"    where: >-
      result == 'fail' &&
      ip_in(ip, '10.0.0.0/33')"#,
        r#"error: job.yaml:14:17: `10.0.0.0/33` is not a range of addresses such as 10.0.0.0/8
  14 |       ip_in(ip, '10.0.0.0/33')
     |                 ^^^^^^^^^^^^^
"#,
    );
    check(
        r#"    where: user + 1"#,
        r#"error: job.yaml:12:12: expected bool, found int
  12 |     where: user + 1
     |            ^^^^^^^^
"#,
    );
    check(
        r#"    where: 'result == ''fail'' && (user > '"#,
        r#"error: job.yaml:12:35: `(` is never closed
  12 |     where: 'result == ''fail'' && (user > '
     |                                   ^
"#,
    );
}

#[test]
fn in_select() {
    check(
        r#"    select: { who: user, tail: ip.substring('x'), much: math.abss(user) }"#,
        r#"error: job.yaml:12:45: expected int, found string
  12 |     select: { who: user, tail: ip.substring('x'), much: math.abss(user) }
     |                                             ^^^
error: job.yaml:12:57: unknown function `math.abss`: did you mean `math.abs`?
  12 |     select: { who: user, tail: ip.substring('x'), much: math.abss(user) }
     |                                                         ^^^^^^^^^
"#,
    );
    check(
        r#"    select:
      who: usr
      # a comment
      when: ts - 'x'"#,
        r#"error: job.yaml:13:12: unknown field `usr`: did you mean `user`?
  13 |       who: usr
     |            ^^^
error: job.yaml:15:13: no `-` for timestamp and string
  15 |       when: ts - 'x'
     |             ^^^^^^^^
"#,
    );
}

#[test]
fn in_aggregate_and_key() {
    check(
        r#"    key: usr
    window: { tumbling: 1m }
    aggregate: { n: count() }"#,
        r#"error: job.yaml:12:10: unknown field `usr`: did you mean `user`?
  12 |     key: usr
     |          ^^^
"#,
    );
    check(
        r#"    key: [user, 'ip.splitt(".")[0]']
    window: { tumbling: 1m }
    aggregate: { n: count() }"#,
        r#"error: job.yaml:12:21: unknown function `splitt`: did you mean `split`?
  12 |     key: [user, 'ip.splitt(".")[0]']
     |                     ^^^^^^
"#,
    );
    check(
        r#"    key: user
    window: { tumbling: 1m }
    aggregate:
      n: count()
      late: max(ts - resul)
      all: 'sum(user * reslt.size())'"#,
        r#"error: job.yaml:16:22: unknown field `resul`: did you mean `result`?
  16 |       late: max(ts - resul)
     |                      ^^^^^
error: job.yaml:17:24: unknown field `reslt`: did you mean `result`?
  17 |       all: 'sum(user * reslt.size())'
     |                        ^^^^^
"#,
    );
    check(
        r#"    key: user
    window: { tumbling: 1m }
    aggregate: { n: { value: count(), where: 'result = "x"' } }"#,
        r#"error: job.yaml:14:54: unexpected `=`
  14 |     aggregate: { n: { value: count(), where: 'result = "x"' } }
     |                                                      ^
"#,
    );
    check(
        r#"    key: user
    window: { tumbling: 1m }
    aggregate: { n: count() }
    where: m > 3
    select: { user: user, m: n + ip }"#,
        r#"error: job.yaml:15:12: unknown field `m`: did you mean `n`?
  15 |     where: m > 3
     |            ^
error: job.yaml:16:34: unknown field `ip`
  16 |     select: { user: user, m: n + ip }
     |                                  ^^
"#,
    );
}

#[test]
fn fields_of_messages() {
    let problems = |source: &str, sink: &str| {
        let text = format!(
            "name: job
sources:
  in: {{ connector: kafka, brokers: b, topic: t, schema: {{ user: int, tags: list }}, {source} }}
sinks:
  out: {{ from: in, connector: kafka, brokers: b, topic: o, {sink} }}
"
        );
        let (file, mut problems) = parse("job.yaml", &text, &[]);
        let planned = file.and_then(|file| plan(&file, &mut problems));
        assert_eq!(planned.is_none(), problems.has_errors());
        problems.iter().map(|p| p.to_string().lines().next().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    let fine: [String; 0] = [];
    assert_eq!(problems("metadata: { at: timestamp }, event_time: { field: at }", "timestamp: at, key: user"), fine);
    assert_eq!(
        problems("metadata: { at: offset }, event_time: { field: at }", "key: user"),
        ["error: job.yaml:3:131: the field `at` is no time: of a message only `timestamp` is"]
    );
    assert_eq!(
        problems("format: json", "key: usr, timestamp: tags, headers: { h: '{tgas}' }"),
        [
            "error: job.yaml:5:65: no field `usr` in what this sink writes: did you mean `user`?",
            "error: job.yaml:5:81: the field `tags` is of type list, not a time",
            "error: job.yaml:5:103: no field `tgas` in what this sink writes: did you mean `tags`?",
        ]
    );
}

/// The first line of each problem of a job with these streams, without its place, and with `alerts` written.
fn of_streams(streams: &str) -> Vec<String> {
    let text = format!(
        "name: job
sources:
  logins:
    connector: stdin
    schema: {{ user: int, ip: string, result: string, ts: timestamp_s }}
    event_time: {{ field: ts, max_delay: 5s }}
streams:
{streams}
sinks:
  end: {{ from: alerts, connector: stdout }}
"
    );
    let (file, mut problems) = parse("job.yaml", &text, &[]);
    let planned = file.and_then(|file| plan(&file, &mut problems));
    assert!(planned.is_none(), "the job is fine:\n{text}");
    let line = |p: &tidegate_jobs::file::Problem| {
        let shown = p.to_string();
        shown.lines().next().unwrap_or_default().splitn(5, ':').nth(4).unwrap_or_default().trim().to_owned()
    };
    problems.iter().map(line).collect()
}

#[test]
fn a_bad_pattern_hides_no_unknown_field() {
    assert_eq!(
        of_streams(
            "  alerts:
    from: logins
    key: usr
    pattern:
      steps:
        - { name: fail, where: \"reslt == 'fail'\", times: 0 }
        - { name: ok, where: \"result == 'ok' && fail[0].x == 1\" }
    where: 'ok.size() > 1 && okk.size() > 1'
    select: { u: useer }"
        ),
        [
            "unknown field `usr`: did you mean `user`?",
            "unknown field `reslt`: did you mean `result`?",
            "step `fail` is to be taken zero times: say at least once, or leave it out",
            "unknown field `okk`: did you mean `ok`?",
            "unknown field `useer`: did you mean `user`?",
        ]
    );
}

#[test]
fn a_mistake_hides_none_in_the_streams_that_read_it() {
    // An unknown aggregate, a field that is wrong, a window that could not be read, a misspelt key.
    for (keys, told) in [
        ("key: user, aggregate: { n: cnt() }", "there is no aggregate `cnt`: did you mean `count`?"),
        ("key: user, aggregate: { n: sum(amuont) }", "unknown field `amuont`"),
        ("select: { user: user, n: 'size(ipp)' }", "unknown field `ipp`: did you mean `ip`?"),
        (
            "key: user, window: { tumble: 5m }, aggregate: { n: count() }",
            "unknown key `tumble` in `window` of stream `counts`: did you mean `tumbling`?",
        ),
        ("key: user, aggregate: { n: count() }, wher: 'n > 1'", "unknown key `wher` in stream `counts`: did you mean `where`?"),
    ] {
        let streams = format!(
            "  counts: {{ from: logins, {keys} }}
  alerts: {{ from: counts, where: 'n > 1 && user == \"x\" && nn > 1' }}"
        );
        let expected = [told, "cannot compare int and string", "unknown field `nn`: did you mean `n`?"];
        assert_eq!(of_streams(&streams), expected, "{keys}");
    }
    // What is selected is known, whatever else is.
    assert_eq!(
        of_streams(
            "  a: { from: logins, select: { x: usr, y: ip } }
  alerts: { from: a, where: 'x > 1 && y > 1 && z > 1' }"
        ),
        ["unknown field `usr`: did you mean `user`?", "cannot order string and int", "unknown field `z`: did you mean `x`?"]
    );
}

#[test]
fn a_mistake_brings_no_others() {
    let pattern = "from: logins, key: user, pattern: { steps: [{ name: a, where: \"result == 'x'\" }, { name: b }], within: 15m }";
    assert_eq!(
        of_streams(&format!("  paid: {{ {pattern}, timeout_to: unpaid }}\n  alerts: {{ from: [paid, unpaid] }}")),
        ["unknown key `timeout_to` in stream `paid`: did you mean `timeouts_to`?"]
    );
    // What a stream gives whose aggregates cannot be told is not guessed at.
    assert_eq!(
        of_streams(
            "  counts: { from: logins, key: user, aggregat: { n: count() }, where: 'n > 1' }\n  alerts: { from: counts, where: 'n > 3' }"
        ),
        [
            "`key` in stream `counts` has no effect without `pattern` or `join` or `dedupe` or `top` or `aggregate` or `indicators` or `rules`",
            "unknown key `aggregat` in stream `counts`: did you mean `aggregate`?",
        ]
    );
    assert_eq!(
        of_streams(
            "  hot: { from: logins, key: user, window: { hop: 5m }, aggregate: { n: count() } }
  alerts: { from: hot, select: { a: window_start, n: n } }"
        ),
        ["unknown key `hop` in `window` of stream `hot`: did you mean `sliding: 10m, every: 1m`?"]
    );
}

#[test]
fn a_mistake_in_a_source_hides_none_behind_it() {
    let text = "
name: job
sources:
  logins: { connector: stdin, schema: { user: int, ts: timestamp_s }, event_time: { field: ts, max_delay: 15 min } }
streams:
  alerts: { from: logins, key: user, window: { slide: 1m }, aggregate: { n: count() }, where: 'n > 1 && user == \"x\"' }
sinks:
  end: { from: alerts, connector: stdout }
";
    let (file, mut problems) = parse("job.yaml", text, &[]);
    assert!(file.and_then(|file| plan(&file, &mut problems)).is_none());
    let found: Vec<String> = problems.iter().map(|p| format!("{}: {:?}", p.message, p.nearest.as_deref().unwrap_or_default())).collect();
    assert_eq!(
        found,
        [
            "expected a duration such as `5s`, found `15 min`: \"15m\"",
            "`window` of stream `alerts` needs exactly one of tumbling, sliding, cumulative, session, count, global; it has none: \"\"",
            "unknown key `slide` in `window` of stream `alerts`: \"every\"",
            "cannot compare int and string: \"\"",
        ]
    );
}

/// A machine where the files of a job are, and this is not one.
struct Elsewhere;

impl Outside for Elsewhere {
    fn text(&self, path: &str) -> Result<String, String> {
        match path {
            "elsewhere/login.avsc" => {
                Ok(r#"{ "type": "record", "name": "l", "fields": [{ "name": "user", "type": "string" }] }"#.to_owned())
            }
            _ => Err("no such file".to_owned()),
        }
    }

    fn first_line(&self, path: &str) -> Result<Vec<u8>, String> {
        assert_eq!(path, "elsewhere/logins.csv");
        Ok(b"user,ip".to_vec())
    }

    fn is_one_file(&self, _: &str) -> bool {
        true
    }

    fn is_read(&self, path: &str, written: &Written<'_>) -> bool {
        path == written.path
    }

    fn meet(&self, one: &Written<'_>, other: &Written<'_>) -> bool {
        one.path == other.path
    }

    fn is_terminal(&self) -> bool {
        panic!("nobody writes to standard output")
    }
}

/// The problems of a job that reads these and writes to that path, planned for another machine.
fn elsewhere(source: &str, condition: &str, sink: &str) -> Vec<String> {
    let text = format!(
        "name: job
sources: {{ in: {{ {source} }} }}
streams: {{ some: {{ from: in, where: '{condition}' }} }}
sinks: {{ out: {{ from: some, connector: file, path: {sink} }} }}
"
    );
    let (file, mut problems) = parse("job.yaml", &text, &[]);
    let file = file.expect("the file can be read");
    let planned = plan_resolved(&file, &Resolved::new(&file, &Elsewhere), &mut problems);
    assert_eq!(planned.is_none(), problems.has_errors());
    problems.iter().map(|p| p.to_string().lines().next().unwrap_or_default().to_owned()).collect()
}

#[test]
fn a_job_is_planned_with_what_another_machine_says_of_its_files() {
    let csv = "connector: file, path: elsewhere/logins.csv";
    let avro = "connector: kafka, brokers: b, topic: t, format: { avro: { schema_file: elsewhere/login.avsc } }";
    let fine: [String; 0] = [];
    assert_eq!(elsewhere(csv, "user != ip", "out.jsonl"), fine);
    assert_eq!(elsewhere(avro, "user != \"\"", "out.jsonl"), fine);
    assert_eq!(elsewhere(csv, "user != ipp", "out.jsonl"), ["error: job.yaml:3:46: unknown field `ipp`: did you mean `ip`?"]);
    assert_eq!(
        elsewhere(csv, "user != ip", "elsewhere/logins.csv"),
        ["error: job.yaml:4:52: the source `in` reads this path: it would be emptied before it is read"]
    );
    assert_eq!(
        elsewhere(&avro.replace("login.avsc", "none.avsc"), "true", "out.jsonl"),
        ["error: job.yaml:2:89: `elsewhere/none.avsc` can't be read: no such file"]
    );
}
