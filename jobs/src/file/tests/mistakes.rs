//! Invalid files: the exact messages.

use super::{messages, problems, with_stream};
use crate::file::parse;

const MISTAKES: &str = r#"name: Login Risk
paralellism: 2
sources:
  logins:
    connector: fil
  orders:
    connector: file
    path: orders.csv
    header: maybe
    schema: { user: itn, ts: '%Y %!' }
    event_time: { field: tz, max_delay: abc }
  9lives: { connector: stdin }
streams:
  fails:
    wher: 'result == "fail"'
    from: login
  hourly:
    from: orders
    window: { sliding: 1h, evry: 5m }
  a: { from: c, aggregate: { n: { value: count(), were: x } } }
  b: { from: a, window: { tumbling: 0s, offset: 1h }, aggregate: {} }
  c: { from: b, where: [x], key: [] }
  orders: { from: logins }
sinks:
  out: { from: hourly, connector: file, format: jsn }
  out: { from: fails }
"#;

const TOLD: &str = r#"error: job.yaml:1:7: `Login Risk` cannot name a job: small letters, digits and `-` can
  1 | name: Login Risk
    |       ^^^^^^^^^^
error: job.yaml:2:1: unknown key `paralellism` in the job: did you mean `parallelism`?
  2 | paralellism: 2
    | ^^^^^^^^^^^
error: job.yaml:5:16: expected `file` or `stdin` or `socket` or `kafka` or `generator`, found `fil`: did you mean `file`?
  5 |     connector: fil
    |                ^^^
error: job.yaml:9:13: expected `true` or `false`, found `maybe`
  9 |     header: maybe
    |             ^^^^^
error: job.yaml:10:21: unknown type `itn`: did you mean `int`?
  10 |     schema: { user: itn, ts: '%Y %!' }
     |                     ^^^
error: job.yaml:10:30: not a time format: strftime formatting failed: found unrecognized specifier directive `!`
  10 |     schema: { user: itn, ts: '%Y %!' }
     |                              ^^^^^^^
error: job.yaml:11:26: no field `tz` in the schema: did you mean `ts`?
  11 |     event_time: { field: tz, max_delay: abc }
     |                          ^^
error: job.yaml:11:41: expected a duration such as `5s`, found `abc`
  11 |     event_time: { field: tz, max_delay: abc }
     |                                         ^^^
warning: job.yaml:12:3: nothing reads the source `9lives`
  12 |   9lives: { connector: stdin }
     |   ^^^^^^
error: job.yaml:12:3: `9lives` is no name: a name is letters, digits, `_` and `-`, and begins with no digit
  12 |   9lives: { connector: stdin }
     |   ^^^^^^
warning: job.yaml:14:3: nothing reads the stream `fails`
  14 |   fails:
     |   ^^^^^
error: job.yaml:15:5: unknown key `wher` in stream `fails`: did you mean `where`?
  15 |     wher: 'result == "fail"'
     |     ^^^^
error: job.yaml:16:11: no source or stream is called `login`: did you mean `logins`?
  16 |     from: login
     |           ^^^^^
error: job.yaml:19:5: `window` in stream `hourly` needs `top` or `aggregate`
  19 |     window: { sliding: 1h, evry: 5m }
     |     ^^^^^^
error: job.yaml:19:28: unknown key `evry` in `window` of stream `hourly`: did you mean `every`?
  19 |     window: { sliding: 1h, evry: 5m }
     |                            ^^^^
error: job.yaml:20:51: unknown key `were` in the aggregate `n`: did you mean `where`?
  20 |   a: { from: c, aggregate: { n: { value: count(), were: x } } }
     |                                                   ^^^^
error: job.yaml:21:14: streams read each other in a cycle: a -> b -> c -> a
  21 |   b: { from: a, window: { tumbling: 0s, offset: 1h }, aggregate: {} }
     |              ^
error: job.yaml:21:37: the duration `0s` is out of range: it must be above zero
  21 |   b: { from: a, window: { tumbling: 0s, offset: 1h }, aggregate: {} }
     |                                     ^^
error: job.yaml:21:66: `aggregate` needs at least one field, such as `n: count()`
  21 |   b: { from: a, window: { tumbling: 0s, offset: 1h }, aggregate: {} }
     |                                                                  ^^
error: job.yaml:22:24: expected an expression, found a list
  22 |   c: { from: b, where: [x], key: [] }
     |                        ^^^
warning: job.yaml:22:29: `key` in stream `c` has no effect without `pattern` or `join` or `dedupe` or `top` or `aggregate` or `indicators` or `rules`
  22 |   c: { from: b, where: [x], key: [] }
     |                             ^^^
error: job.yaml:22:34: expected a field, an expression or a list of them, found an empty list
  22 |   c: { from: b, where: [x], key: [] }
     |                                  ^^
error: job.yaml:23:3: the name `orders` is taken by a source in line 6
  23 |   orders: { from: logins }
     |   ^^^^^^
error: job.yaml:25:3: sink `out` has no `path`
  25 |   out: { from: hourly, connector: file, format: jsn }
     |   ^^^
error: job.yaml:25:49: expected `json` or `csv` or `text` or `table`, found `jsn`: did you mean `json`?
  25 |   out: { from: hourly, connector: file, format: jsn }
     |                                                 ^^^
error: job.yaml:26:3: the key `out` stands twice, first in line 25
  26 |   out: { from: fails }
     |   ^^^
"#;

#[test]
fn a_dozen_mistakes_are_told_at_once() {
    assert_eq!(problems(MISTAKES), TOLD);
}

#[test]
fn a_cycle_is_told_once() {
    let text = "name: t
sources: { in: { connector: stdin } }
streams:
  a: { from: [in, c_late], where: x }
  b: { from: a, window: { tumbling: 1s }, aggregate: { n: count() } }
  c: { from: b, window: { tumbling: 1s }, aggregate: { n: count() }, late_to: c_late }
sinks: { out: { from: c, connector: stdout } }
";
    assert_eq!(messages(text), ["error: job.yaml:5:14: streams read each other in a cycle: a -> b -> c -> a"]);
}

#[test]
fn what_a_job_needs() {
    assert_eq!(messages(""), ["error: job.yaml:1:1: the file is empty"]);
    assert_eq!(messages("[1]"), ["error: job.yaml:1:1: expected a mapping for the job, found a list"]);
    assert_eq!(
        messages("name: t\nsources: {}\n"),
        ["error: job.yaml:1:1: the job has no `sinks`", "error: job.yaml:2:10: a job needs at least one source"]
    );
    assert_eq!(messages("name: t\n  x: 1\n"), ["error: job.yaml:2:4: not YAML: mapping values are not allowed in this context"]);
    assert_eq!(messages("name: t\n---\nname: u\n"), ["error: job.yaml:2:1: a second YAML document: a job file is one"]);
}

#[test]
fn line_ends_marks_and_tabs_do_not_shift_places() {
    let text = "\u{feff}nam: t\r\nname: T\t# \u{7}\r\nsources: { in: { connector: \tstdim } }\r\nsinks: { o: { from: in, connector: stdout } }\r\n";
    let expected = "error: job.yaml:1:1: unknown key `nam` in the job: did you mean `name`?
  1 | nam: t
    | ^^^
error: job.yaml:2:7: `T` cannot name a job: small letters, digits and `-` can
  2 | name: T\t# \u{fffd}
    |       ^
error: job.yaml:3:30: expected `file` or `stdin` or `socket` or `kafka` or `generator`, found `stdim`: did you mean `stdin`?
  3 | sources: { in: { connector: \tstdim } }
    |                             \t^^^^^
";
    assert_eq!(problems(text), expected);
}

#[test]
fn a_misspelt_section_is_one_mistake() {
    let text = with_stream("where: x").replace("sources:", "source:");
    assert_eq!(messages(&text), ["error: job.yaml:2:1: unknown key `source` in the job: did you mean `sources`?"]);
}

#[test]
fn values_of_sources_and_sinks() {
    let of = |source: &str| messages(&with_stream("where: x").replace("connector: stdin", source));
    let one = |source: &str, expected: &str| {
        let found = of(source);
        assert!(matches!(found.as_slice(), [one] if one.ends_with(expected)), "{source}: {found:?}");
    };
    one("connector: file", ": source `in` has no `path`");
    one("path: x", ": source `in` has no `connector`");
    one(
        "connector: stdin, rate: 5",
        ": unknown key `rate` in source `in`; there are `connector`, `event_time`, `uid`, `format`, `header`, `delimiter`, `schema`, `on_bad_record`, `dead_letter`",
    );
    one("connector: stdin, format: { regex: '(' }", ": not a regular expression: unclosed group");
    one(
        "connector: stdin, format: { regex: '(a)' }",
        ": the pattern has no named group such as `(?P<user>[^ ]+)`: the record would have no fields",
    );
    one("connector: stdin, header: true", ": `header` belongs to `format: csv`");
    one(
        "connector: stdin, format: csv, header: false",
        ": source `in` has no `schema`: without a header line nothing else names the fields",
    );
    one("connector: stdin, format: csv, delimiter: ab", ": expected one ASCII character, found `ab`");
    one("connector: stdin, schema: {}", ": the schema of source `in` has no field");
    one(
        "connector: stdin, schema: { t: { format: '%H', zone: Mars } }",
        ": expected a time zone such as `UTC` or `Europe/Paris`, found `Mars`",
    );
    one("connector: stdin, schema: { t: string }, event_time: { field: t }", ": the field `t` is of type string, not a time");
    one("connector: generator, rate: 0, fields: { a: { constant: 1 } }", ": the rate must be above zero");
    one("connector: generator, fields: { a: { uniform: [2, 1] } }", ": the low end is above the high end");
    one("connector: generator, fields: { a: { uniform: 2 } }", ": expected [low, high], found `2`");
    one(
        "connector: generator, fields: { a: { unifrm: [1, 2] } }",
        ": unknown key `unifrm` in the generated field `a`: did you mean `uniform`?",
    );
    one("connector: generator, fields: { a: { time: { start: noon, step: 1s } } }", "found `noon`");
    one("connector: generator, fields: { a: { weighted: { b: 0 } } }", ": at least one weight must be above zero");
    one("connector: stdin, dead_letter: s", ": the name `s` is taken by a stream in line 2");

    let sink = |keys: &str| messages(&with_stream("where: x").replace("connector: stdout", keys));
    let template = sink("connector: stdout, format: text, text: 'n {n'");
    assert_eq!(template, ["error: job.yaml:5:68: a single brace: `{field}` stands for a field, `{{` and `}}` for braces"]);
    let unknown = "error: job.yaml:5:45: unknown key `path` in sink `out`; there are `from`, `connector`, `format`, `timestamps`, `uid`, `header`, `delimiter`, `text`";
    assert_eq!(sink("connector: stdout, path: x"), [unknown]);
    assert_eq!(sink("connector: stdout, text: x"), ["error: job.yaml:5:45: `text` belongs to `format: text`"]);
}

#[test]
fn values_of_windows() {
    let message = |window: &str| {
        let all = messages(&with_stream(&format!("window: {{ {window} }}, aggregate: {{ n: count() }}")));
        all.iter().map(|line| line.splitn(5, ':').nth(4).unwrap().trim().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(message("tumbling: -5s"), ["the duration `-5s` is out of range: it must be above zero"]);
    assert_eq!(message("tumbling: 5s, offset: -5s"), ["the offset must be smaller than the size of the windows, 5s"]);
    assert_eq!(message("tumbling: 5s, offset: -4s"), [""; 0]);
    assert_eq!(message("tumbling: 5s, every: 1s"), ["`every` does not go with `tumbling`"]);
    assert_eq!(message("sliding: 5s"), ["`window` of stream `s` has no `every`"]);
    assert_eq!(message("sliding: 5s, every: 0s"), ["the duration `0s` is out of range: it must be above zero"]);
    assert_eq!(message("session: 30x"), ["expected a duration such as `5s`, found `30x`"]);
    assert_eq!(
        message("tumbling: 5s, session: 5s"),
        ["`window` of stream `s` needs exactly one of tumbling, sliding, cumulative, session, count, global; it has tumbling and session"]
    );
    assert_eq!(
        message("tumbling: 5s, trigger: event_tim"),
        ["expected `event_time` or `processing_time`, found `event_tim`: did you mean `event_time`?"]
    );
    assert_eq!(message("global: true"), ["a `global` window has no end and never fires without a `trigger`"]);
    assert_eq!(message("global: false, trigger: { count: 1 }"), ["`global` can only be `true`"]);
    assert_eq!(message("count: 0"), ["expected a whole number from 1 up, found `0`"]);
    assert_eq!(
        message("count: 3, trigger: event_time"),
        ["`trigger` does not go with `count`: a window that counts fires when it is full"]
    );
    let never = ["`allowed_lateness` is of windows that end in event time: in others no record is late"];
    assert_eq!(message("tumbling: 5s, time: processing, allowed_lateness: 1s"), never);
    assert_eq!(message("count: 3, allowed_lateness: 1s"), never);
    assert_eq!(
        message("tumbling: 5s, trigger: { delta: x }"),
        ["a trigger is `event_time`, `processing_time` or one of `count`, `every`, `delta` with `threshold`, `purging`"]
    );
    assert_eq!(message("tumbling: 5s, evictor: { threshold: 3 }"), ["an evictor is one of `count`, `time`, and `delta` with `threshold`"]);
}

#[test]
fn words_of_other_systems_are_understood() {
    let nearest = |keys: &str| {
        let (_, problems) = parse("job.yaml", &with_stream(keys), &[]);
        problems.iter().map(|p| format!("{}: {}", p.text, p.nearest.as_deref().unwrap_or("?"))).collect::<Vec<_>>()
    };
    let window = |window: &str| nearest(&format!("aggregate: {{ n: count() }}, window: {{ {window} }}"));
    assert_eq!(window("tumble: 5m"), ["tumble: tumbling"]);
    assert_eq!(window("hop: 5m"), ["hop: sliding: 10m, every: 1m"]);
    assert_eq!(window("sliding: 5m, slide: 1m"), ["slide: every"]);
    assert_eq!(window("over: 5m"), ["over: sliding: 10m, every: 1m"]);
    assert_eq!(window("tumbling: 15 min"), ["15 min: 15m"]);
    assert_eq!(window("session: 15 minutes"), ["15 minutes: 15m"]);
    assert_eq!(window("tumbling: PT15M"), ["PT15M: 15m"]);
    assert_eq!(nearest("group_by: user, aggregate: { n: count() }"), ["group_by: key"]);
    let step = |step: &str| nearest(&format!("key: user, pattern: {{ steps: [{{ name: a, {step} }}, {{ name: b }}] }}"));
    assert_eq!(step("oneOrMore: true"), ["oneOrMore: times: { min: 1 }"]);
    assert_eq!(step("contiguity: followedBy"), ["followedBy: followed_by"]);
}

#[test]
fn an_unknown_key_that_is_like_no_other_brings_those_there_are() {
    let message = messages(&with_stream("aggregate: { n: count() }, window: { tumbling: 5m, colour: red }")).remove(0);
    assert!(
        message.ends_with(
            "unknown key `colour` in `window` of stream `s`; there are `tumbling`, `sliding`, `cumulative`, `session`, `count`, `global`, `every`, \
             `offset`, `time`, `allowed_lateness`, `trigger`, `evictor`"
        ),
        "{message}"
    );
}

#[test]
fn names_of_jobs_streams_and_fields() {
    let long = "n".repeat(200);
    assert_eq!(
        messages(&with_stream("where: x").replace("name: t", &format!("name: {long}"))),
        ["error: job.yaml:1:7: the name has 200 characters, and directories are called by it: at most 128 will do"]
    );
    assert_eq!(messages(&with_stream("where: x").replace("  s:", "  größe:").replace("from: s", "from: größe")), [""; 0]);
    for keys in ["select: { '': x }", "aggregate: { '': count() }", "flat_map: { '': x }"] {
        let found = messages(&with_stream(keys));
        assert!(matches!(found.as_slice(), [one] if one.ends_with(": a field needs a name")), "{keys}: {found:?}");
    }
}

#[test]
fn keys_that_need_another() {
    assert_eq!(
        messages(&with_stream("window: { tumbling: 1s }")),
        ["error: job.yaml:4:18: `window` in stream `s` needs `top` or `aggregate`"]
    );
    assert_eq!(
        messages(&with_stream("where: x, key: a")),
        [
            "warning: job.yaml:4:28: `key` in stream `s` has no effect without `pattern` or `join` or `dedupe` or `top` or `aggregate` or `indicators` or `rules`"
        ]
    );
    assert_eq!(
        messages(&with_stream("aggregate: { n: count() }, late_to: l")),
        [
            "error: job.yaml:4:45: `late_to` in stream `s` needs `window` or `pattern` or `join` or `dedupe` or `indicators` or `rules`",
            "warning: job.yaml:4:54: nothing reads the stream `l`"
        ]
    );
}

#[test]
fn the_place_of_an_expression_is_exact() {
    let text = "name: t
sources: { in: { connector: stdin } }
streams:
  plain: { from: in, where: ab > größe }
  single: { from: plain, where: 'it == ''x'' || nope' }
  double: { from: single, where: \"a == \\\"x\\\" && nope\" }
  block:
    from: double
    where: |
      a > 1 &&
      nope
  folded:
    from: block
    where: >-
      a > 1

      && nope
  anchored:
    from: folded
    where: &w !!str 'a > nope'
sinks: { out: { from: anchored, connector: stdout } }
";
    let job = super::job(text);
    let place = |stream: &str, word: &str| {
        let filter = job.stream(stream).unwrap().each.filter.clone().unwrap();
        let at = filter.value.find(word).unwrap();
        let problem = filter.problem_at(at..at + word.len(), "x");
        assert_eq!(problem.text, word);
        (problem.line, problem.column)
    };
    assert_eq!(place("plain", "größe"), (4, 34));
    assert_eq!(place("single", "nope"), (5, 49));
    assert_eq!(place("double", "nope"), (6, 49));
    assert_eq!(place("block", "nope"), (11, 7));
    assert_eq!(place("folded", "nope"), (17, 10));
    assert_eq!(place("anchored", "nope"), (20, 26));
}

#[cfg(not(feature = "kafka"))]
#[test]
fn a_connector_that_this_build_leaves_out_is_refused_with_the_feature_that_brings_it() {
    let text = "name: t\nsources: { in: { connector: kafka, brokers: b, topic: t } }\nsinks: { out: { from: in, connector: kafka } }\n";
    let left_out = "this build of tidegate has no Kafka: build it with the feature `kafka`";
    assert_eq!(messages(text), [format!("error: job.yaml:2:29: {left_out}"), format!("error: job.yaml:3:38: {left_out}")]);
}
