//! Valid files: every key reaches the model.

use jiff::SignedDuration;
use tidegate_rows::format::{TextPart, TimeUnit};
use tidegate_runtime::Backend;

use super::{aggregation, as_kind, first_lines, job, job_with, messages, window, with_stream};
use crate::connect::{Csv, FileSink, FileSource, Text};
use crate::file::*;

const EXAMPLE: &str = r#"
name: login-risk                    # [a-z0-9-]+
parallelism: 2                      # workers; default: cores. -p overrides
state:       { backend: rocksdb, dir: ./state, memory: 512MiB, ttl: none }
checkpoints: { every: 10s, dir: ./checkpoints, mode: exactly_once, keep: 3 }
restart:     { attempts: 10, delay: 1s, max_delay: 1m }

sources:
  logins:
    connector: file
    path: data/LoginLog.csv
    format: csv
    header: false
    schema: { user: int, ip: string, result: string, ts: timestamp_s }
    event_time: { field: ts, unit: ms, max_delay: 5s, idle_after: 30s, max_drift: 10m }
    on_bad_record: skip

streams:
  fails:    { from: logins, where: 'result == "fail"' }
  per_hour:
    from: fails
    key: user
    window: { sliding: 1h, every: 5m }
    aggregate: { n: count(), ips: count_distinct(ip) }
    where: 'n >= 3'
  burst:
    from: logins
    key: user
    pattern:
      steps:
        - { name: fail, where: 'result == "fail"', times: 2, inner: consecutive }
      within: 2s
      after_match: skip_past_last_event
    select: { user: user, first: 'fail[0].ts', last: 'fail[1].ts' }
sinks:
  alerts: { from: burst, connector: stdout, format: json }
  report: { from: per_hour, connector: file, path: out/per_hour.jsonl, format: json }
"#;

#[test]
fn the_example_is_taken_without_a_word() {
    let (job, problems) = parse("job.yaml", EXAMPLE, &[]);
    assert!(job.is_some());
    assert_eq!(first_lines(&problems), [] as [&str; 0]);
}

#[test]
fn every_part_that_keeps_state_can_have_a_uid() {
    let with = EXAMPLE
        .replace("    connector: file\n", "    connector: file\n    uid: old_logins\n")
        .replace("  per_hour:\n", "  per_hour:\n    uid: hourly\n")
        .replace("alerts: {", "alerts: { uid: mails,");
    let job = job(&with);
    let uids = [&job.sources[0].uid, &job.streams[1].head.uid, &job.sinks[0].uid].map(|uid| uid.as_ref().unwrap().value.as_str());
    assert_eq!(uids, ["old_logins", "hourly", "mails"]);
    assert_eq!(job.streams[2].head.uid, None);
    let (_, problems) = parse("job.yaml", &EXAMPLE.replace("fails:    {", "fails:    { uid: x,"), &[]);
    assert!(first_lines(&problems)[0].contains("`uid` in stream `fails` has no effect"), "{problems}");
}

#[test]
fn the_example_is_a_job() {
    let job = job(EXAMPLE);
    assert_eq!(job.name.value, "login-risk");
    assert_eq!(job.parallelism.unwrap().value, 2);
    assert_eq!((job.state.backend, job.state.memory.unwrap().value, job.state.ttl), (Backend::RocksDb, 512 << 20, None));
    assert_eq!(job.checkpoints.unwrap().every, SignedDuration::from_secs(10));
    assert_eq!(job.restart.unwrap().max_delay, SignedDuration::from_secs(60));
    let [source] = job.sources.as_slice() else { panic!() };
    let (FileSource { path, .. }, lines) = (as_kind(&*source.connector), source.lines().unwrap());
    assert_eq!(path.value, "data/LoginLog.csv");
    assert_eq!(as_kind::<Csv>(&*lines.format), &Csv { header: false, delimiter: b',' });
    let schema = lines.schema.as_ref().unwrap();
    assert_eq!(schema.iter().map(|field| field.name.as_str()).collect::<Vec<_>>(), ["user", "ip", "result", "ts"]);
    assert_eq!(schema[3].ty, FieldType::Epoch(TimeUnit::Seconds));
    assert_eq!(source.time_field().unwrap().max_delay, SignedDuration::from_secs(5));
    assert_eq!(job.streams[0].each.filter.as_ref().unwrap().value, r#"result == "fail""#);
    let hour = &job.streams[1];
    let window = window(hour);
    let (size, every) = (SignedDuration::from_hours(1), SignedDuration::from_mins(5));
    assert_eq!(window.shape, Shape::Sliding { size, every, offset: SignedDuration::ZERO });
    assert_eq!(aggregation(hour).aggregates.iter().map(|a| a.call.as_str()).collect::<Vec<_>>(), ["count()", "count_distinct(ip)"]);
    assert_eq!(job.streams[2].each.select.as_ref().unwrap().fields[1].1.value, "fail[0].ts");
    assert_eq!(as_kind::<FileSink>(&*job.sinks[1].connector).path.as_str(), "out/per_hour.jsonl");
}

#[test]
fn json_is_yaml() {
    let text = r#"{"name": "conformance", "parallelism": 1, "state": {"backend": "memory"}, "sources": {"in": {"connector": "file", "path": "in0.jsonl", "format": "json", "schema": {"key": "string", "value": "double", "ts": "int"}, "event_time": {"field": "ts", "unit": "ms", "watermark_field": "watermark"}}}, "streams": {"out": {"from": "in", "window": {"tumbling": "5m", "offset": "-2m", "allowed_lateness": "10ms"}, "aggregate": {"value": "sum(value)"}, "late_to": "late", "key": "key", "where": "\"a\" == k\u0065y"}}, "sinks": {"out": {"from": "out", "connector": "file", "path": "out", "format": "json"}, "late": {"from": "late", "connector": "file", "path": "late", "format": "json"}}}"#;
    let job = job(text);
    let window = window(&job.streams[0]);
    assert_eq!(window.shape, Shape::Tumbling { size: SignedDuration::from_mins(5), offset: SignedDuration::from_mins(-2) });
    assert_eq!(window.allowed_lateness, SignedDuration::from_millis(10));
    assert_eq!(job.streams[0].head.late_to.as_ref().unwrap().value, "late");
    // Ranges in an expression are located through escaped quotes. After \u, the whole scalar is shown.
    let filter = job.streams[0].each.filter.as_ref().unwrap();
    assert_eq!(filter.problem_at(4..6, "x").text, "==");
    assert_eq!(filter.problem_at(9..12, "x").text, filter.span.text());
    // A line this long is cut around the offending text.
    assert_eq!(
        filter.problem_at(0..3, "no").to_string(),
        "error: job.yaml:1:484: no\n  1 | ... ue)\"}, \"late_to\": \"late\", \"key\": \"key\", \"where\": \"\\\"a\\\" == k\\u0065y\"}}, \"sinks\": {\"out\": {\"from\": \"out\", \"connector\": \"f ...\n    |                                                       ^^^^^"
    );
}

#[test]
fn all_kinds_of_sources() {
    let job = job(r"
name: t
sources:
  all:
    connector: stdin
    schema:
      a: bool
      b: double
      c: bytes
      d: timestamp
      e: duration
      f: list
      g: map
      h: any
      i: timestamp_ms
      j: timestamp_us
      k: '%Y-%m-%d %H:%M:%S'
      l: { format: '%b %d %H:%M:%S', year: 2015, zone: UTC }
  log: { connector: file, path: x.log, format: { regex: '^(?P<host>\S+) (?P<rest>.*)$' }, dead_letter: bad }
  plain: { connector: file, path: 'y/*.txt', format: text, on_bad_record: fail }
  table: { connector: file, path: z.csv.gz, delimiter: '\t' }
  made:
    connector: generator
    rate: 2.5
    count: 100
    seed: 7
    fields:
      user: { uniform: [1, 100] }
      share: { uniform: [0, 1.0] }
      amount: { normal: [100, 15] }
      kind: { choice: [login, order] }
      page: { weighted: { home: 9, 7: 1 } }
      item: { zipf: [1000, 1.1] }
      side: { cycle: [true, false] }
      nr: { sequence: [1, 1] }
      part: { sequence: [0.5, 1] }
      one: { constant: x }
      none: { constant: null }
      at: { time: { start: 2026-01-01T00:00:00Z, step: 10ms, jitter: 1s } }
    event_time: { field: at, max_delay: 1s }
sinks:
  a: { from: [all, log, bad, plain, table, made], connector: stdout, format: text, text: '{user}: {{{ nr }}}', timestamps: iso }
  b: { from: made, connector: stdout, format: csv, header: false, delimiter: ; }
");
    let types = |at: usize| job.sources[at].field_types().unwrap().into_iter().map(|(_, ty)| ty.to_string()).collect::<Vec<_>>().join(" ");
    assert_eq!(types(0), "bool double bytes timestamp duration list map any timestamp timestamp timestamp timestamp");
    assert_eq!(types(4), "int double double string any int bool int double string null timestamp");
    let lines = job.sources[0].lines().unwrap();
    let FieldType::Text(time) = &lines.schema.as_ref().unwrap()[11].ty else { panic!() };
    assert_eq!((time.format.as_str(), time.year, time.zone.as_str()), ("%b %d %H:%M:%S", Some(2015), "UTC"));
    assert_eq!(job.sources[1].dead_letter().unwrap().value, "bad");
    assert_eq!(as_kind::<Csv>(&*job.sources[3].lines().unwrap().format), &Csv { header: true, delimiter: b'\t' });
    let Text(Some(parts)) = as_kind(&*job.sinks[0].format) else { panic!() };
    let [TextPart::Field(user), TextPart::Literal(colon), TextPart::Field(nr), TextPart::Literal(brace)] = parts.as_slice() else {
        panic!()
    };
    assert_eq!([user.as_str(), &**colon, nr.as_str(), &**brace], ["user", ": {", "nr", "}"]);
    assert_eq!(nr.span.text(), " nr ");
    assert_eq!(as_kind::<Csv>(&*job.sinks[1].format), &Csv { header: false, delimiter: b';' });
}

#[test]
fn all_keys_of_streams() {
    let job = job(r#"
name: t
sources: { in: { connector: stdin } }
streams:
  last: { from: [parts, late], where: x > 1, select: { "*": true, y: 'x + 1' }, on_error: fail }
  parts: { from: gaps, flat_map: items }
  named: { from: in, flat_map: { item: 'split(line, ",")' } }
  gaps:
    from: named
    key: [a, 'b + 1']
    window: { session: 30s, time: event, trigger: event_time }
    aggregate:
      n: count()
      fails: { value: count(), where: 'result == "fail"' }
    late_to: late
sinks: { out: { from: last, connector: stdout } }
"#);
    assert_eq!(job.streams_in_order().iter().map(|s| s.head.name.as_str()).collect::<Vec<_>>(), ["named", "gaps", "parts", "last"]);
    let gaps = job.stream("gaps").unwrap();
    assert_eq!(gaps.head.key.iter().map(Spanned::as_str).collect::<Vec<_>>(), ["a", "b + 1"]);
    assert_eq!(window(gaps).shape, Shape::Session(Gap::Fixed(SignedDuration::from_secs(30))));
    assert_eq!(aggregation(gaps).aggregates[1].filter.as_ref().unwrap().value, r#"result == "fail""#);
    let of = |name: &str| job.stream(name).unwrap().each.flat_map.clone().unwrap();
    assert_eq!((of("parts").field.value.as_str(), of("named").field.value.as_str()), ("value", "item"));
    let last = job.stream("last").unwrap();
    assert!(last.each.select.as_ref().unwrap().all.is_some());
    assert_eq!(last.head.on_error, OnError::Fail);
}

#[test]
fn overrides_change_and_make_keys() {
    let text = "name: t\nsources: { in: { connector: file, path: a } }\nsinks: { out: { from: in, connector: stdout } }\n";
    let sets = ["sources.in.path=b c.csv", "parallelism=4", "state.backend=memory", "sinks.\"out\".format=csv", "sinks.out.from=[in]"];
    let job = job_with(text, &sets);
    let FileSource { path, .. } = as_kind(&*job.sources[0].connector);
    assert_eq!((path.as_str(), job.parallelism.unwrap().value), ("b c.csv", 4));
    assert_eq!(as_kind::<Csv>(&*job.sinks[0].format), &Csv { header: true, delimiter: b',' });

    let sets: Vec<Override> = ["sources.in.pth=b", "sources.in.path.deep=1", "sources.in.event_time.max_delay=5x", "sinks.out.from.0=x"]
        .iter()
        .map(|set| set.parse().unwrap())
        .collect();
    let place = |at: usize| ["sinks.out.from.0", "sources.in.path.deep", "sources.in.pth", "sources.in.event_time.max_delay"][at];
    let expected = [
        (0, "`sinks.out.from` is a single value, no mapping to set `0` in"),
        (1, "`sources.in.path` is a single value, no mapping to set `deep` in"),
        (2, "unknown key `pth` in source `in`: did you mean `path`?"),
        (3, "`event_time` of source `in` has no `field`"),
        (3, "expected a duration such as `5s`, found `5x`"),
    ];
    let mut found = first_lines(&parse("job.yaml", text, &sets).1);
    found.sort_unstable();
    let mut expected: Vec<String> = expected.iter().map(|(at, message)| format!("error: --set {}: {message}", place(*at))).collect();
    expected.sort_unstable();
    assert_eq!(found, expected);
    for bad in ["", "a", "a..b=1", "=1", "\"a=1", "a=[1", ".a=1"] {
        assert!(bad.parse::<Override>().is_err(), "{bad}");
    }
    assert_eq!("a.b".parse::<Override>().unwrap_err().to_string(), "error: --set a.b: expected `key.path=value`: there is no `=`");
}

#[test]
fn windows_of_every_shape() {
    let window = |text: &str| window(&job(&with_stream(&format!("window: {{ {text} }}, aggregate: {{ n: count() }}"))).streams[0]).clone();
    let seconds = SignedDuration::from_secs;
    assert_eq!(window("count: 3").shape, Shape::Count { size: 3, every: 3 });
    assert_eq!(window("count: 3, every: 1, allowed_lateness: 0s").shape, Shape::Count { size: 3, every: 1 });
    let growing = Shape::Cumulative { size: seconds(3_600), every: seconds(60), offset: SignedDuration::ZERO };
    assert_eq!(window("cumulative: 1h, every: 1m").shape, growing);
    assert!(matches!(window("session: gap * 2").shape, Shape::Session(Gap::Dynamic(gap)) if gap.value == "gap * 2"));
    let global = window("global: true, trigger: { purging: { count: 2 } }, time: processing");
    assert_eq!((global.shape, global.clock), (Shape::Global, Clock::Processing));
    assert_eq!(global.trigger, Some(Trigger::Purging(Box::new(Trigger::Count(2)))));
    let tumbling = window("tumbling: 5s, trigger: { every: 1s }, evictor: { time: 2s, after: true }");
    assert_eq!(tumbling.trigger, Some(Trigger::Every(seconds(1))));
    assert_eq!(tumbling.evictor, Some(Evictor { drops: Drops::Time(seconds(2)), after: true }));
    let Some(Trigger::Delta(delta, 2.5)) = window("tumbling: 5s, trigger: { delta: v, threshold: 2.5 }").trigger else { panic!() };
    assert_eq!(delta.value, "v");
}

#[test]
fn what_is_missing_in_this_version_is_no_typo() {
    let text = with_stream("where: x").replace("connector: stdin", "connector: http, url: y");
    assert_eq!(messages(&text), ["error: job.yaml:2:29: the http connector is not in this version"]);
}

#[test]
fn the_reference_lists_what_works() {
    let text = reference();
    assert!(text.contains("| `where` | expression | none | drops records"));
    assert!(
        text.contains("| `late_to` |")
            && text.contains("| `pattern` |")
            && text.contains("| `join` |")
            && text.contains("| `rules` |")
            && text.contains("threshold")
    );
}

#[test]
fn a_time_to_live_is_a_duration_or_none() {
    let job =
        "name: job\nsources: { s: { connector: stdin, format: json, schema: { a: int } } }\nsinks: { t: { from: s, connector: stdout } }\n";
    let ttl = |state: &str| {
        let (file, problems) = parse("job.yaml", &format!("{job}state: {{ {state} }}"), &[]);
        (file.and_then(|file| file.state.ttl).map(|ttl| ttl.value), problems.has_errors())
    };
    assert_eq!(ttl("ttl: none"), (None, false));
    assert_eq!(ttl("ttl: 1h"), (Some(SignedDuration::from_hours(1)), false));
    assert!(ttl("ttl: 0s").1);
    assert!(ttl("ttl: soon").1);
}

#[test]
fn json_may_escape_characters_as_utf_16_does() {
    let text = r#"{"name": "t", "sources": {"in": {"connector": "stdin"}}, "streams": {"s": {"from": "in", "where": "k == '\ud83d\ude00' && \"\\ud83d\\ude00\" == nope"}},
  "sinks": {"out": {"from": "s", "connector": "stdout"}}}"#;
    let job = job(text);
    let filter = job.stream("s").unwrap().each.filter.clone().unwrap();
    assert_eq!(filter.value, r#"k == '😀' && "\ud83d\ude00" == nope"#);
    // Locations after it are those in the file.
    let sink = job.sinks.first().unwrap().name.clone();
    assert_eq!((sink.span.line(), sink.span.column(), sink.span.text()), (2, 13, "\"out\""));
    let half = text.replace(r"\ud83d\ude00'", r"\ud83d'");
    assert!(messages(&half)[0].contains("not YAML"), "{:?}", messages(&half));
}
