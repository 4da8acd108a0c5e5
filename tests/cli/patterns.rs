//! Patterns in job files. Watermarks come from the data where it matters which record is late.

use serde_json::{Value, json};

use crate::harness::{Dir, project, sorted};

/// A job that looks for this pattern in `in.jsonl`, by `k`; the rest of the stream may say more.
fn job(pattern: &str, rest: &str) -> String {
    format!(
        "name: t
sources:
  in:
    connector: file
    path: in.jsonl
    schema: {{ k: string, what: string, amount: int, ts: int }}
    event_time: {{ field: ts, unit: ms, max_delay: 3s }}
streams:
  s:
    from: in
    key: k
    pattern: {{ {pattern} }}
{rest}sinks:
  out: {{ from: s, connector: stdout }}
"
    )
}

/// As [`job`], with another stream that goes to a file of its name.
fn job_with(pattern: &str, rest: &str, side: &str) -> String {
    job(pattern, rest) + &format!("  side: {{ from: {side}, connector: file, path: {side}.jsonl }}\n")
}

fn event(k: &str, what: &str, amount: i64, ts: i64) -> Value {
    json!({"k": k, "what": what, "amount": amount, "ts": ts})
}

/// What the job writes to standard output.
#[track_caller]
fn found(job: &str, events: &[Value]) -> Vec<Value> {
    let dir = Dir::new();
    dir.json_lines("in.jsonl", events);
    dir.job(job).args(["--quiet"]).run().exits(0).values()
}

#[test]
fn three_failed_logins_in_a_row() {
    let dir = Dir::new();
    let (fail, ok) = ("fail", "success");
    let logins = [
        (1, fail, 100),
        (1, fail, 101),
        (2, fail, 101),
        (1, ok, 102),
        (1, fail, 103),
        (2, fail, 102),
        (1, fail, 104),
        (2, fail, 103),
        (1, fail, 105),
        (3, fail, 100),
        (3, fail, 101),
        (3, fail, 200),
    ];
    let lines = logins.map(|(user, result, ts)| format!("{user},10.0.0.{user},{result},{ts}\n")).concat();
    dir.file("logins.csv", lines);
    let job = r#"
name: login-risk
sources:
  logins:
    connector: file
    path: logins.csv
    format: csv
    header: false
    schema: { user: int, ip: string, result: string, ts: timestamp_s }
    event_time: { field: ts, max_delay: 5s }
streams:
  burst:
    from: logins
    key: user
    pattern:
      steps:
        - { name: fail, where: 'result == "fail"', times: 3, inner: consecutive }
      within: 10s
      after_match: skip_past_last_event
    select: { user: user, first: 'fail[0].ts', last: 'fail[2].ts' }
sinks:
  alerts: { from: burst, connector: stdout, format: json }
"#;
    let expected = [json!({"user": 1, "first": 103_000, "last": 105_000}), json!({"user": 2, "first": 101_000, "last": 103_000})];
    for workers in ["1", "2", "3"] {
        let outcome = dir.job(job).args(["-p", workers]).run().exits(0);
        assert_eq!(sorted(outcome.values()), expected, "at -p {workers}");
        let account = outcome.account();
        assert_eq!((account["burst"].part("taken"), account["burst"].part("late"), account["burst"].out), (12, 0, Some(2)));
    }
}

#[test]
fn a_match_is_its_key_its_events_and_its_times() {
    let events = [event("a", "x", 1, 1_000), event("a", "z", 2, 2_000), event("a", "y", 3, 3_000), event("b", "y", 4, 1_000)];
    let steps = "steps: [{ name: x, where: 'what == \"x\"' }, { name: no, where: 'what == \"q\"', optional: true }, { name: start, where: 'what == \"y\"' }]";
    let expected = json!({"k": "a", "match": {"x": [events[0]], "start": [events[2]]}, "start": 1_000, "end": 3_000});
    assert_eq!(found(&job(steps, ""), &events), std::slice::from_ref(&expected));
    assert_eq!(found(&job(steps, "    select: { '*': true }\n"), &events), [expected]);
    // A step without events is an empty list; one named as a field of the match is in `match` only.
    let select = "    where: 'size(x) == 1'\n    select: { n: 'size(x) + size(no)', total: 'x[0].amount + match.start[0].amount', took: 'end - start' }\n";
    assert_eq!(found(&job(steps, select), &events), [json!({"n": 1, "total": 4, "took": "2s"})]);
    assert_eq!(found(&job(steps, "    where: 'size(x) > 1'\n"), &events), [] as [Value; 0]);
}

#[test]
fn without_a_key_the_whole_stream_is_one() {
    let events = [event("a", "x", 1, 1_000), event("b", "y", 2, 2_000)];
    let pattern = "steps: [{ name: x, where: 'what == \"x\"' }, { name: y, where: 'what == \"y\"', contiguity: next }]";
    assert_eq!(found(&job(pattern, ""), &events), [] as [Value; 0]);
    let whole = job(pattern, "    select: { keys: 'x[0].k + y[0].k' }\n").replace("    key: k\n", "");
    assert_eq!(found(&whole, &events), [json!({"keys": "ab"})]);
    // A key may be computed.
    let computed = job(pattern, "    select: { key: key, keys: 'x[0].k + y[0].k' }\n").replace("key: k\n", "key: 'size(k)'\n");
    assert_eq!(found(&computed, &events), [json!({"key": 1, "keys": "ab"})]);
}

#[test]
fn an_order_that_is_not_paid_in_time_times_out() {
    let minute = 60_000;
    let events = [
        event("o1", "created", 10, 0),
        event("o2", "created", 20, minute),
        event("o1", "paid", 10, 5 * minute),
        event("o3", "created", 30, 2 * minute),
        event("o2", "paid", 20, 17 * minute),
        event("o4", "created", 40, 60 * minute),
    ];
    let pattern = "steps: [{ name: created, where: 'what == \"created\"' }, { name: paid, where: 'what == \"paid\"' }], within: 15m";
    for workers in ["1", "2", "3"] {
        let dir = Dir::new();
        dir.json_lines("in.jsonl", &events);
        let job = job_with(pattern, "    timeouts_to: unpaid\n    select: { order: k, paid_at: end }\n", "unpaid");
        // Order 2 is paid a minute too late, or out of order: its time counts.
        let outcome = dir.job(&job.replace("max_delay: 3s", "max_delay: 5m")).args(["-p", workers]).run().exits(0);
        assert_eq!(outcome.values(), [json!({"order": "o1", "paid_at": 5 * minute})]);
        let timeout = |event: &Value| json!({"k": event["k"], "match": {"created": [event]}, "start": event["ts"], "end": event["ts"]});
        assert_eq!(sorted(dir.values("unpaid.jsonl")), [1, 3, 5].map(|i| timeout(&events[i])), "at -p {workers}");
        assert_eq!(outcome.account()["s"].out, Some(1));
    }
}

#[test]
fn timeouts_are_a_stream_like_any_other() {
    let events = [event("o1", "created", 10, 0), event("o2", "created", 20, 1_000), event("o2", "created", 5, 70_000)];
    let pattern = "steps: [{ name: created, where: 'what == \"created\"' }, { name: paid, where: 'what == \"paid\"' }], within: 1m";
    let text = job(
        pattern,
        "    timeouts_to: unpaid\n  sums:\n    from: unpaid\n    window: { tumbling: 100s }\n    aggregate: { sum: 'sum(int(match.created[0].amount))' }\n",
    );
    // Its time is when time ran out: at 60, 61 and 130 seconds.
    let sums = found(&text.replace("out: { from: s,", "out: { from: sums,"), &events);
    assert_eq!(
        sums.iter().map(|w| (&w["window_start"], &w["sum"])).collect::<Vec<_>>(),
        [(&json!(0), &json!(30)), (&json!(100_000), &json!(5))]
    );
}

#[test]
fn late_records_go_where_late_records_go_as_they_came() {
    let dir = Dir::new();
    let late = event("a", "x", 2, 4_000);
    let lines = [event("a", "x", 1, 5_000), json!({"w": 5_000}), late.clone(), event("a", "y", 3, 5_001)];
    dir.json_lines("in.jsonl", &lines);
    let pattern = "steps: [{ name: x, where: 'what == \"x\"' }, { name: y, where: 'what == \"y\"' }]";
    for key in ["k", "'k + k'"] {
        let job = job_with(pattern, "    late_to: behind\n", "behind")
            .replace("max_delay: 3s", "watermark_field: w")
            .replace("key: k", &format!("key: {key}"));
        let outcome = dir.job(&job).args(["-p", "1"]).run().exits(0);
        assert_eq!(outcome.values().len(), 1);
        assert_eq!(dir.values("behind.jsonl"), std::slice::from_ref(&late));
        assert_eq!((outcome.account()["s"].part("taken"), outcome.account()["s"].part("late")), (2, 1));
    }
}

#[test]
fn a_condition_may_look_at_the_events_before() {
    let amounts = [10, 5, 20, 15, 30];
    let events: Vec<_> = (0..).zip(amounts).map(|(i, amount)| event("a", "x", amount, i * 1_000)).collect();
    let select = "    select: { amounts: 'up.map(e, e.amount)' }\n";
    let rising = "steps: [{ name: up, where: 'size(up) == 0 || amount > last(up).amount', times: 3 }], after_match: skip_past_last_event";
    assert_eq!(found(&job(rising, select), &events), [json!({"amounts": [10, 20, 30]})]);
    // Of another step, and in `until`.
    let pattern = "steps: [{ name: a, where: 'amount == 10' }, { name: b, where: 'amount > last(a).amount', contiguity: next }]";
    assert_eq!(found(&job(pattern, ""), &events), [] as [Value; 0]);
    let pattern = pattern.replace("contiguity: next", "contiguity: followed_by");
    assert_eq!(found(&job(&pattern, "    select: { b: 'b[0].amount' }\n"), &events), [json!({"b": 20})]);
    let sum = "steps: [{ name: up, where: 'amount > 0', times: { min: 1 }, greedy: true, until: 'sum(up.map(e, int(e.amount))) + amount > 40' }, { name: end, where: 'amount > 10' }], after_match: skip_past_last_event";
    assert_eq!(found(&job(sum, select), &events), [json!({"amounts": [10, 5, 20]})]);
}

#[test]
fn a_condition_that_fails_does_not_fit() {
    let events = [
        event("a", "x", 0, 1_000),
        event("a", "x", 5, 2_000),
        event("a", "x", 0, 3_000),
        event("a", "x", 2, 4_000),
        event("a", "y", 1, 5_000),
    ];
    let dir = Dir::new();
    dir.json_lines("in.jsonl", &events);
    let pattern = "steps: [{ name: x, where: '10 / amount >= 2 && what == \"x\"', times: 2 }, { name: y, where: 'what == \"y\"' }]";
    let outcome = dir.job(&job(pattern, "    select: { x: 'x.map(e, e.amount)' }\n")).run().exits(0);
    assert_eq!(outcome.values(), [json!({"x": [5, 2]})]);
    assert_eq!((outcome.account()["s"].part("failed"), outcome.account()["s"].part("taken")), (2, 3));
    outcome.stderr_has("division by zero");
    let failing = job(pattern, "    on_error: fail\n");
    dir.job(&failing).run().exits(1).stderr_has("`s`").stderr_has("division by zero").stderr_lacks("panicked");
}

#[test]
fn events_of_one_time_are_ordered_by_the_tie_break() {
    let events = [event("a", "x", 2, 1_000), event("a", "x", 1, 1_000), event("a", "x", 3, 1_000)];
    let pattern = "steps: [{ name: x, times: 3, inner: consecutive }]";
    let select = "    select: { x: 'x.map(e, e.amount)' }\n";
    assert_eq!(found(&job(pattern, select), &events), [json!({"x": [2, 1, 3]})]);
    assert_eq!(found(&job(&format!("{pattern}, tie_break: amount"), select), &events), [json!({"x": [1, 2, 3]})]);
}

#[test]
fn what_overlaps_a_match_is_skipped_as_said() {
    let events: Vec<_> = (0..5).map(|i| event("a", "x", i, i * 1_000)).collect();
    let matches = |after: &str| {
        let pattern = format!(
            "steps: [{{ name: a, where: 'amount >= 0' }}, {{ steps: [{{ name: b }}, {{ name: c, contiguity: next }}] }}], after_match: {after}"
        );
        let rows = found(&job(&pattern, "    select: { a: 'a[0].amount' }\n"), &events);
        rows.iter().map(|row| row["a"].as_i64().expect("a number")).collect::<Vec<_>>()
    };
    assert_eq!(matches("no_skip"), [0, 1, 2]);
    assert_eq!(matches("skip_to_next"), [0, 1, 2]);
    assert_eq!(matches("skip_past_last_event"), [0]);
    assert_eq!(matches("{ skip_to_first: b }"), [0, 1, 2]);
    assert_eq!(matches("{ skip_to_last: c }"), [0, 2]);
}

#[test]
fn json_without_a_schema_keeps_all_fields_of_the_events() {
    let events = [json!({"k": "a", "what": "x", "extra": 7, "ts": 1_000})];
    let text = job("steps: [{ name: x, where: 'what == \"x\"' }]", "")
        .replace("    schema: { k: string, what: string, amount: int, ts: int }\n", "");
    let rows = found(&text, &events);
    assert_eq!(rows[0]["match"]["x"][0], events[0]);
}

#[test]
fn matches_are_the_same_at_any_parallelism() {
    let mut state = 7_u64;
    let mut random = |n: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 33) % n) as usize
    };
    let events: Vec<_> = (0..3_000)
        .map(|i| {
            event(
                ["a", "b", "c", "d", "e", "f"][random(6)],
                ["x", "y", "z"][random(3)],
                random(50) as i64,
                10_000 + i * 37 - random(2_900) as i64,
            )
        })
        .collect();
    let dir = Dir::new();
    dir.json_lines("in.jsonl", &events);
    let pattern = "steps: [{ name: x, where: 'what == \"x\"', times: { min: 1, max: 3 } }, { name: no, where: 'what == \"z\"', contiguity: not_followed_by }, { name: y, where: 'what == \"y\" && amount > first(x).amount' }], within: 2s";
    let mut results = Vec::new();
    for workers in ["1", "2", "3"] {
        let outcome = dir.job(&job_with(pattern, "    timeouts_to: open\n", "open")).args(["-p", workers]).run().exits(0);
        assert_eq!(outcome.account()["s"].part("late"), 0);
        results.push((sorted(outcome.values()), sorted(dir.values("open.jsonl"))));
    }
    assert!(results[0].0.len() > 20 && results[0].1.len() > 20, "{} and {}", results[0].0.len(), results[0].1.len());
    assert!(results.iter().all(|result| *result == results[0]));
}

#[test]
fn mistakes_are_told_at_the_key_they_are_about() {
    let step = |more: &str| format!("steps: [{{ name: a }}, {{ name: b, {more} }}]");
    let cases: Vec<(String, &str, &str)> = vec![
        (step("contiguity: followed_bi"), "followed_bi", "did you mean `followed_by`?"),
        (step("contigity: next"), "contigity", "did you mean `contiguity`?"),
        ("steps: [{ name: a }, { name: bb }, { name: bb, optional: true }]".into(), "bb, optional", "two steps are called `bb`"),
        (step("contiguity: not_followed_by"), "not_followed_by", "give it or the pattern a window"),
        (step("times: 2, until: 'amount > 3'"), "'amount > 3'", "only an open-ended loop"),
        (step("times: { min: 3, max: 2 }"), "times:", "at least 3 and at most 2"),
        (step("times: { max: 2 }"), "times:", "has no `min`"),
        (step("times: many"), "many", "expected a whole number"),
        (step("greedy: true"), "true", "greedy is for loops"),
        (step("inner: strict"), "strict", "expected `relaxed` or `consecutive` or `allow_combinations`"),
        (step("optional: maybe"), "maybe", "expected `true` or `false`"),
        (step("within: 10m") + ", within: 5m", "10m", "longer than that of the pattern"),
        (step("where: 'amout > 3'"), "amout", "did you mean `amount`?"),
        (step("where: 'amount + 3'"), "amount + 3", "expected bool, found int"),
        (step("where: 'size(aa) > 3'"), "aa)", "unknown field `aa`"),
        ("steps: [{ name: amount }, { name: b, where: 'amount > 3' }]".into(), "'amount > 3'", "both a field and a step"),
        ("steps: []".into(), "pattern:", "the pattern has no steps"),
        ("steps: [{ name: a }, { any_of: [] }]".into(), "any_of: []", "is any of no events"),
        ("steps: [{ any_of: [{ name: a }], where: 'true' }]".into(), "any_of: [{", "has neither `where` nor steps"),
        ("steps: [{ any_of: [{ name: a }, { name: a }] }]".into(), "a }] }]", "two steps are called `a`"),
        ("steps: [{ any_of: [{ where: 'true' }] }]".into(), "{ where: 'true'", "has no `name`"),
        (step("optional: true") + ", limit: { memory: 0 }", "0 }", "a size such as"),
        (
            step("optional: true") + ", limit: { memory: 5MiB, overflow: drop }",
            "drop }",
            "expected `drop_oldest` or `drop_newest` or `fail`",
        ),
        (step("optional: true") + ", time: procesing", "procesing", "did you mean `processing`?"),
        (step("optional: true") + ", time: processing, tie_break: amount", "tie_break", "does not go with `time: processing`"),
        ("within: 5m".into(), "pattern:", "has no `steps`"),
        ("steps: [{ where: 'true' }]".into(), "{ where: 'true'", "has no `name`"),
        ("steps: [{ steps: [] }, { name: b }]".into(), "steps: [] }", "has no steps"),
        ("steps: [{ group: [{ name: a }], where: 'true' }]".into(), "where: 'true'", "has a condition: only the steps in it can"),
        (step("optional: true") + ", after_match: skip_to_nxt", "skip_to_nxt", "did you mean `skip_to_next`?"),
        (step("optional: true") + ", after_match: { skip_to_first: bb }", "bb", "no step that takes events is called so"),
        (step("optional: true") + ", tie_break: amuont", "amuont", "did you mean `amount`?"),
    ];
    for (pattern, at, what) in cases {
        let text = job(&pattern, "");
        let place = text.find(at).unwrap_or_else(|| panic!("`{at}` is not in the text"));
        let (line, start) = (text[..place].matches('\n').count() + 1, text[..place].rfind('\n').map_or(0, |n| n + 1));
        let stderr = Dir::new().check(&text).exits(2).stderr;
        let told = stderr.lines().find(|l| l.starts_with("error: ")).unwrap_or_default();
        assert!(told.starts_with(&format!("error: job.yaml:{line}:{}: ", place - start + 1)) && told.contains(what), "{pattern}\n{stderr}");
        assert_eq!(stderr.matches("error: ").count(), 1, "{stderr}");
    }
}

#[test]
fn mistakes_beside_a_pattern_are_told() {
    let dir = Dir::new();
    let pattern = "steps: [{ name: a }]";
    let check = |job: &str, what: &str| drop(dir.check(job).exits(2).stderr_has(what));
    check(&job(pattern, "    aggregate: { n: count() }\n"), "`aggregate` does not go with `pattern`");
    check(&job(pattern, "    select: { x: 'aa[0].ts' }\n"), "unknown field `aa`: did you mean `a`?");
    check(&job(pattern, "").replace("    event_time: { field: ts, unit: ms, max_delay: 3s }\n", ""), "event_time");
    let selected = job(pattern, "").replace("key: k", "key: start").replace("k: string", "start: string");
    check(&selected, "a match has a field `start` itself");
    let without = job(pattern, "    timeouts_to: t\n").replace("    pattern: { steps: [{ name: a }] }\n", "");
    check(&without, "`timeouts_to` in stream `s` needs `pattern`");
}

#[test]
fn a_step_takes_one_of_several_kinds_of_event() {
    let pattern = "steps: [{ name: order, where: 'what == \"order\"' }, \
        { any_of: [{ name: card, where: 'what == \"card\"' }, { name: gift, where: 'amount > 5' }], times: 2 }], \
        after_match: skip_past_last_event";
    let events = [("order", 1), ("card", 9), ("view", 2), ("coupon", 7), ("order", 1), ("coupon", 6), ("coupon", 8)];
    let events: Vec<Value> = (0..).zip(events).map(|(ts, (what, amount))| event("k", what, amount, ts)).collect();
    let select = "    select: { cards: 'card.map(e, e.amount)', gifts: 'gift.map(e, e.amount)' }\n";
    assert_eq!(found(&job(pattern, select), &events), [json!({"cards": [9], "gifts": [7]}), json!({"cards": [], "gifts": [6, 8]})]);
}

#[test]
fn partial_matches_beyond_the_limit_are_dropped_and_counted() {
    let steps = "steps: [{ name: a, where: 'what == \"a\"' }, { name: b, where: 'what == \"b\"' }]";
    let mut events: Vec<Value> = (0..500).map(|ts| event("k", "a", ts, ts)).collect();
    events.push(event("k", "b", 500, 500));
    let select = "    select: { first: 'a[0].amount' }\n";
    for overflow in ["drop_oldest", "drop_newest"] {
        let dir = Dir::new();
        dir.json_lines("in.jsonl", &events);
        let job = job(&format!("{steps}, limit: {{ memory: 32KiB, overflow: {overflow} }}"), select);
        let outcome = dir.job(&job).run().exits(0).stderr_has("partial matches dropped").stderr_has("more than its limit");
        let firsts: Vec<i64> = outcome.values().iter().map(|found| found["first"].as_i64().expect("a number")).collect();
        let kept = i64::try_from(firsts.len()).expect("few");
        assert!((10..490).contains(&kept), "{kept}");
        // What is left is what began last, or what began first and what came after the last drop.
        let expected: Vec<i64> = if overflow == "drop_oldest" { (500 - kept..500).collect() } else { firsts.clone() };
        assert_eq!(firsts, expected);
        assert_eq!(firsts[0] == 0, overflow == "drop_newest");
    }
    let dir = Dir::new();
    dir.json_lines("in.jsonl", &events);
    let failing = job(&format!("{steps}, limit: {{ memory: 32KiB, overflow: fail }}"), select);
    dir.job(&failing).run().exits(1).stderr_has("more than the 32768 bytes of its limit");
}

/// An ordinary attack: one address, and far more failures than a quadratic cost would allow.
#[test]
fn a_busy_key_is_no_trouble() {
    let steps = "steps: [{ name: fail, where: 'what == \"fail\"', times: { min: 2 }, inner: consecutive, greedy: true }, \
                 { name: success, where: 'what == \"ok\"', contiguity: next }], within: 20m";
    let mut events: Vec<Value> = (0..20_000).map(|i| event("k", "fail", i, i * 5)).collect();
    events.push(event("k", "ok", 0, 100_000));
    let select = "    select: { tries: 'size(fail)', first: 'fail[0].amount' }\n    timeouts_to: timeouts\n";
    for after in ["skip_past_last_event", "{ skip_to_last: fail }", "{ skip_to_first: success }"] {
        assert_eq!(
            found(&job(&format!("{steps}, after_match: {after}"), select), &events),
            [json!({"tries": 20_000, "first": 0})],
            "{after}"
        );
    }
    // With these, each failure but the last begins a match of its own: two hundred million events, of which none is copied.
    let select = "    where: 'size(fail) > 19990'\n    select: { tries: 'size(fail)' }\n";
    for after in ["no_skip", "skip_to_next", "{ skip_to_first: fail }"] {
        let tries: Vec<Value> = (19_991..=20_000).rev().map(|tries| json!({"tries": tries})).collect();
        assert_eq!(found(&job(&format!("{steps}, after_match: {after}"), select), &events), tries, "{after}");
    }
}

#[test]
fn in_processing_time_events_need_no_time_and_are_taken_as_they_come() {
    let steps = "steps: [{ name: a, where: 'what == \"a\"' }, { name: b, where: 'what == \"b\"' }]";
    let job = job(&format!("{steps}, time: processing, within: 1h"), "    select: { a: 'a[0].amount', b: 'b[0].amount' }\n");
    let untimed = job.replace("    event_time: { field: ts, unit: ms, max_delay: 3s }\n", "");
    // Their own times run backwards.
    let events: Vec<Value> = [("a", 3), ("x", 2), ("b", 1)].map(|(what, ts)| event("k", what, ts, ts)).to_vec();
    assert_eq!(found(&untimed, &events), [json!({"a": 3, "b": 1})]);
    assert_eq!(found(&job, &events), [json!({"a": 3, "b": 1})]);
}

#[test]
fn how_partial_matches_are_followed_is_explained() {
    let dir = Dir::new();
    let steps = "steps: [{ name: a }, { name: b, where: 'amount > 3' }]";
    let explained = |pattern: &str, what: &str| {
        dir.file("job.yaml", job(pattern, ""));
        let stdout = dir.tidegate(["explain", "job.yaml"]).run().exits(0).stdout;
        assert!(stdout.contains(what), "{stdout}");
    };
    explained(steps, "linear, partial matches are shared");
    explained(&format!("{steps}, after_match: skip_to_next, within: 1h"), "linear, partial matches are shared");
    explained(&steps.replace("> 3", "> a[0].amount"), "partial matches one by one, as conditions look at earlier events");
}

#[test]
fn passwords_guessed_on_the_real_log() {
    let examples = project().join("jobs/examples").display().to_string();
    let (job, path) = (format!("{examples}/guessed-passwords.yaml"), format!("sources.auth.path={examples}/data/auth.log.zst"));
    let outcome = Dir::new().tidegate(["run", &job, "--quiet", "--set", &path]).run().exits(0);
    let line = "2015-03-30T16:01:36Z  24.151.103.17: let in as elastic_user_0 after ";
    assert!(outcome.stdout.lines().any(|l| l.starts_with(line)), "{}", outcome.stdout);
}
