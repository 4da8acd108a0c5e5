//! Indicators of job files, compared with what their definition says, computed here over all records for each of them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::harness::{Dir, close};

/// A record: `n` and `kind` may be null.
#[derive(Clone, Debug)]
struct Event {
    id: i64,
    user: Option<i64>,
    ip: &'static str,
    n: Option<i64>,
    kind: Option<&'static str>,
    ts: i64,
}

/// In order of time, or shaken; some at the same time.
fn events(count: i64, shaken: i64) -> Vec<Event> {
    let mut state = 7_u64;
    let mut random = |n: i64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as i64 % n
    };
    (0..count)
        .map(|id| Event {
            id,
            user: (random(20) > 0).then(|| random(6)),
            ip: ["10.0.0.1", "10.0.0.2", "10.0.0.3"][random(3) as usize],
            n: (random(6) > 0).then(|| random(40) - 20),
            kind: (random(6) > 0).then(|| ["login", "order", "view"][random(3) as usize]),
            ts: 1_767_225_600_000 + id / 3 * 500 - random(shaken.max(1)) * 250,
        })
        .collect()
}

fn line(event: &Event) -> Value {
    let Event { id, user, ip, n, kind, ts } = event;
    json!({ "id": id, "user": user, "ip": ip, "n": n, "kind": kind, "ts": ts })
}

/// What indicators are over.
#[derive(Clone, Copy)]
enum Over {
    /// Milliseconds, and so long before.
    Trailing(i64, i64),
    Minute,
    Ever,
    Last(usize),
}

type By = fn(&Event) -> Option<String>;

fn by_user(event: &Event) -> Option<String> {
    event.user.map(|user| user.to_string())
}

fn by_ip(event: &Event) -> Option<String> {
    Some(event.ip.to_owned())
}

fn whole(_: &Event) -> Option<String> {
    Some(String::new())
}

/// An indicator as the job file has it, and what it is over.
const INDICATORS: &[(&str, &str, Over, By)] = &[
    ("count", "value: count(), over: 20s", Over::Trailing(20_000, 0), by_user),
    ("count_n", "value: count(n), over: 20s", Over::Trailing(20_000, 0), by_user),
    ("sum", "value: sum(n), over: 1m", Over::Trailing(60_000, 0), by_user),
    ("avg", "value: avg(n), over: 1m, key: ip", Over::Trailing(60_000, 0), by_ip),
    ("min", "value: min(n), over: 20s, key: ip", Over::Trailing(20_000, 0), by_ip),
    ("max", "value: max(n), over: ever", Over::Ever, by_user),
    ("first", "value: first(n), over: 20s", Over::Trailing(20_000, 0), by_user),
    ("last", "value: last(n), over: 20s, self: false", Over::Trailing(20_000, 0), by_user),
    ("distinct", "value: count_distinct(kind), over: 20s", Over::Trailing(20_000, 0), by_user),
    ("distinct_all", "value: count_distinct(kind), over: 5s, key: []", Over::Trailing(5_000, 0), whole),
    ("collect", "value: collect(n), over: 3s", Over::Trailing(3_000, 0), by_user),
    ("quantile", "value: 'quantile(n, 0.5)', over: 20s, key: ip", Over::Trailing(20_000, 0), by_ip),
    ("stddev", "value: stddev(n), over: 1m", Over::Trailing(60_000, 0), by_user),
    ("delayed", "value: sum(n), over: 20s, delay: 5s", Over::Trailing(20_000, 5_000), by_user),
    ("minute", "value: count(), over: { calendar: hour }", Over::Minute, by_user),
    ("last5", "value: sum(n), over: { last: 5 }", Over::Last(5), by_user),
    ("previous", "value: previous(n), over: ever", Over::Ever, by_user),
    ("is_new", "value: is_new(kind), over: 1m", Over::Trailing(60_000, 0), by_user),
    ("streak", "value: 'streak(ip == \"10.0.0.1\")', over: 1m", Over::Trailing(60_000, 0), by_user),
    ("ratio", "value: 'ratio(ip == \"10.0.0.1\")', over: 1m, self: false", Over::Trailing(60_000, 0), by_user),
    ("mode", "value: mode(kind), over: 1m", Over::Trailing(60_000, 0), by_user),
    ("orders", "value: count(), over: 1m, where: 'kind == \"order\"'", Over::Trailing(60_000, 0), by_user),
];

/// The records of `past`, in the order of their processing, that an indicator is over for `event`, the last of them, in the order of time.
fn covered(past: &[Event], event: &Event, over: Over, by: By, own: bool) -> Vec<Event> {
    let Some(key) = by(event) else { return Vec::new() };
    let mut all: Vec<Event> = past.iter().filter(|old| by(old).as_ref() == Some(&key) && old.ts <= event.ts).cloned().collect();
    all.sort_by_key(|old| old.ts);
    if let Over::Trailing(over, delay) = over {
        all.retain(|old| old.ts > event.ts - delay - over && old.ts <= event.ts - delay);
    }
    if let Over::Minute = over {
        all.retain(|old| old.ts / 3_600_000 == event.ts / 3_600_000);
    }
    if own && !matches!(over, Over::Trailing(_, 1..)) {
        all.push(event.clone());
    }
    if let Over::Last(n) = over {
        all.drain(..all.len().saturating_sub(n));
    }
    all
}

fn expected(past: &[Event], event: &Event) -> BTreeMap<&'static str, Value> {
    let value = |(name, _, over, by): &(&'static str, &str, Over, By)| {
        if by(event).is_none() {
            return Value::Null;
        }
        let looks_back = matches!(*name, "previous" | "is_new");
        let own = !looks_back && !matches!(*name, "last" | "ratio");
        let fed = |old: &&Event| *name != "orders" || old.kind == Some("order");
        let past: Vec<Event> = past.iter().filter(fed).cloned().collect();
        let all = covered(&past, event, *over, *by, own && fed(&event));
        let numbers: Vec<i64> = all.iter().filter_map(|old| old.n).collect();
        let (len, sum) = (numbers.len() as f64, numbers.iter().sum::<i64>());
        let some = |value: Value| if numbers.is_empty() { Value::Null } else { value };
        let kinds: Vec<&str> = all.iter().filter_map(|old| old.kind).collect();
        let local = |old: &&Event| old.ip == "10.0.0.1";
        match *name {
            "count" | "minute" | "orders" => json!(all.len()),
            "count_n" => json!(numbers.len()),
            "sum" | "delayed" | "last5" => json!(sum),
            "avg" => some(json!(sum as f64 / len)),
            "min" => json!(numbers.iter().min()),
            "max" => json!(numbers.iter().max()),
            "first" => json!(numbers.first()),
            "last" => json!(numbers.last()),
            "distinct" | "distinct_all" => json!(kinds.iter().collect::<BTreeSet<_>>().len()),
            "collect" => json!(all.iter().map(|old| old.n).collect::<Vec<_>>()),
            "quantile" => {
                let mut sorted = numbers.clone();
                sorted.sort_unstable();
                some(json!(
                    (sorted.get((sorted.len().max(1) - 1) / 2).unwrap_or(&0) + sorted.get(sorted.len() / 2).unwrap_or(&0)) as f64 / 2.0
                ))
            }
            "stddev" if numbers.len() > 1 => {
                let mean = sum as f64 / len;
                json!((numbers.iter().map(|n| (*n as f64 - mean).powi(2)).sum::<f64>() / (len - 1.0)).sqrt())
            }
            "previous" => json!(all.last().and_then(|old| old.n)),
            "is_new" => event.kind.map_or(Value::Null, |kind| json!(!kinds.contains(&kind))),
            "streak" => json!(all.iter().rev().take_while(local).count()),
            "ratio" if !all.is_empty() => json!(all.iter().filter(local).count() as f64 / all.len() as f64),
            "mode" => {
                let mut counts: BTreeMap<&str, i64> = BTreeMap::new();
                kinds.iter().for_each(|kind| *counts.entry(kind).or_default() += 1);
                json!(counts.iter().max_by_key(|(kind, n)| (**n, std::cmp::Reverse(**kind))).map(|(kind, _)| *kind))
            }
            _ => Value::Null,
        }
    };
    INDICATORS.iter().map(|indicator| (indicator.0, value(indicator))).collect()
}

fn yaml(keys: &str, state: &str) -> String {
    let indicators: String = INDICATORS.iter().map(|(name, text, ..)| format!("      {name}: {{ {text} }}\n")).collect();
    format!(
        "name: features
state: {{ {state} }}
sources:
  in:
    connector: file
    path: in.jsonl
    format: json
    schema: {{ id: int, user: int, ip: string, n: int, kind: string, ts: timestamp_ms }}
    event_time: {{ field: ts, max_delay: 10s }}
streams:
  features:
    from: in
    key: user
    {keys}
    indicators:
{indicators}
sinks:
  out: {{ from: features, connector: file, path: out.jsonl, format: json }}
"
    )
}

fn check(dir: &Dir, file: &str, order: &[Event], what: &str) {
    let found: BTreeMap<i64, Value> = dir.values(file).into_iter().map(|value| (value["id"].as_i64().expect("an id"), value)).collect();
    assert_eq!(found.len(), order.len(), "{what}");
    for (at, event) in order.iter().enumerate() {
        for (name, expected) in expected(&order[..at], event) {
            let got = found[&event.id].get(name).cloned().unwrap_or_default();
            let same = close(&got, &expected);
            assert!(same, "{what}: `{name}` of {event:?}: {got} instead of {expected}");
        }
    }
}

#[test]
fn each_record_gets_what_had_come_before_it() {
    for shaken in [0, 12] {
        let events = events(700, shaken);
        let dir = Dir::new();
        dir.json_lines("in.jsonl", &events.iter().map(line).collect::<Vec<_>>());
        for state in ["backend: memory", "backend: rocksdb, dir: ./state, memory: 64KiB"] {
            for workers in ["1", "3"] {
                dir.job(&yaml("", state)).args(["--quiet", "-p", workers]).run().exits(0);
                // On several workers, records with the same second key come in another order.
                if workers == "1" {
                    check(&dir, "out.jsonl", &events, &format!("shaken {shaken}, {state}"));
                } else {
                    assert_eq!(dir.values("out.jsonl").len(), events.len());
                }
                std::fs::remove_file(dir.path("out.jsonl")).expect("there is output");
            }
        }
    }
}

#[test]
fn in_order_of_time_the_values_are_the_same_on_any_number_of_workers() {
    let events = events(500, 12);
    let mut ordered = events.clone();
    ordered.sort_by_key(|event| (event.ts, event.id));
    let dir = Dir::new();
    dir.json_lines("in.jsonl", &events.iter().map(line).collect::<Vec<_>>());
    for (workers, state) in [("1", "backend: memory"), ("2", "backend: rocksdb, dir: ./state, memory: 64KiB"), ("3", "backend: memory")] {
        dir.job(&yaml("order: time", state)).args(["--quiet", "-p", workers]).run().exits(0);
        check(&dir, "out.jsonl", &ordered, &format!("{workers} workers"));
        std::fs::remove_file(dir.path("out.jsonl")).expect("there is output");
    }
}

#[test]
fn the_histories_go_on_from_a_savepoint() {
    let events = events(600, 12);
    let lines: Vec<Value> = events.iter().map(line).collect();
    let mut ordered = events.clone();
    ordered.sort_by_key(|event| (event.ts, event.id));
    for (first, second) in [("1", "3"), ("3", "1"), ("2", "2")] {
        let dir = Dir::new();
        dir.json_lines("in.jsonl", &lines[..300]).json_lines("more.jsonl", &lines[300..]);
        let state = "backend: rocksdb, dir: ./state, memory: 64KiB";
        let text = yaml("order: time", state).replace("path: in.jsonl", "path: 'in/*.jsonl'");
        dir.file("in/1.jsonl", dir.read("in.jsonl"));
        dir.job(&text).args(["--quiet", "-p", first, "--savepoint-at-end", "save"]).run().exits(0);
        std::fs::rename(dir.path("out.jsonl"), dir.path("before.jsonl")).expect("there is output");
        dir.file("in/2.jsonl", dir.read("more.jsonl"));
        dir.job(&text).args(["--quiet", "-p", second, "--from", "save"]).run().exits(0);
        // Records within the delay of the watermark waited in the savepoint.
        assert!(dir.values("before.jsonl").len() < 300);
        dir.file("all.jsonl", dir.read("before.jsonl") + &dir.read("out.jsonl"));
        check(&dir, "all.jsonl", &ordered, &format!("from {first} to {second} workers"));
    }
}

#[test]
fn late_records_go_on_or_aside() {
    let dir = Dir::new();
    let mut rows: Vec<Value> =
        [(1, 0), (2, 20_000), (3, 5_000), (4, 21_000)].map(|(id, ts)| json!({ "id": id, "user": 1, "ts": ts })).to_vec();
    rows.insert(2, json!({ "watermark": 20_000 }));
    dir.json_lines("in.jsonl", &rows);
    let yaml = |keys: &str, sinks: &str| {
        format!(
            "name: late
sources:
  in: {{ connector: file, path: in.jsonl, format: json, schema: {{ id: int, user: int, ts: timestamp_ms }}, event_time: {{ field: ts, watermark_field: watermark }} }}
streams:
  features: {{ from: in, key: user, {keys} indicators: {{ n: {{ value: count(), over: 10s }} }} }}
sinks:
  out: {{ from: features, connector: stdout, format: json }}
{sinks}"
        )
    };
    let values = |keys: &str, sinks: &str| -> Vec<(i64, i64)> {
        let found = dir.job(&yaml(keys, sinks)).run().exits(0);
        crate::harness::values(&found.stdout).iter().map(|value| (value["id"].as_i64().unwrap(), value["n"].as_i64().unwrap())).collect()
    };
    // At once, as of the watermark: it sees the second record and itself.
    assert_eq!(values("", ""), [(1, 1), (2, 1), (3, 2), (4, 2)]);
    // As of its own time: it sees the first record and itself.
    assert_eq!(values("allowed_lateness: 1m,", ""), [(1, 1), (2, 1), (3, 2), (4, 2)]);
    let aside = "  rest: { from: rest, connector: file, path: rest.jsonl, format: json }\n";
    assert_eq!(values("order: time, late_to: rest,", aside), [(1, 1), (2, 1), (4, 2)]);
    assert_eq!(dir.values("rest.jsonl"), [json!({ "id": 3, "user": 1, "ts": 5_000 })]);
    let told = dir.job(&yaml("", "")).run().exits(0);
    told.stderr_has("in 4 = 4 on + 0 late; out 4; 1 went on although late");
}

#[test]
fn decimals_stay_exact_and_records_that_fail_go_on() {
    let dir = Dir::new();
    dir.file("in.jsonl", "{\"id\":1,\"d\":1.10,\"u\":1,\"ts\":0}\n{\"id\":2,\"d\":2.205,\"u\":\"x\",\"ts\":500}\n{\"id\":3,\"d\":0.1,\"u\":2.5,\"ts\":1600}\n");
    let yaml = "name: exact
sources:
  in: { connector: file, path: in.jsonl, format: json, schema: { id: int, d: decimal, u: any, ts: timestamp_ms }, event_time: { field: ts } }
streams:
  features:
    from: in
    indicators:
      s: { value: sum(d), over: ever }
      a: { value: avg(d), over: ever }
      m: { value: max(d), over: 1s }
      diff: { value: delta(d), over: ever }
      su: { value: sum(u), over: ever }
      n: { value: count(u), over: ever }
sinks:
  out: { from: features, connector: file, path: out.jsonl, format: json }
";
    let outcome = dir.job(yaml).run().exits(0);
    let expected = [
        r#"{"id":1,"d":1.10,"u":1,"ts":0,"s":1.10,"a":1.10,"m":1.10,"diff":null,"su":1,"n":1}"#,
        r#"{"id":2,"d":2.205,"u":"x","ts":500,"s":3.305,"a":1.6525,"m":2.205,"diff":1.105,"su":1,"n":2}"#,
        r#"{"id":3,"d":0.1,"u":2.5,"ts":1600,"s":3.405,"a":1.135,"m":0.1,"diff":-2.105,"su":3.5,"n":3}"#,
    ];
    assert_eq!(dir.read("out.jsonl").lines().collect::<Vec<_>>(), expected);
    outcome.stderr_has("not counted");
}

#[test]
fn keys_that_are_idle_leave_nothing_behind() {
    let dir = Dir::new();
    let row = |user: i64, ts: i64| json!({ "user": user, "device": user % 7, "ts": ts });
    let mut rows: Vec<Value> = (0..3_000).map(|i| row(i % 1_000, i)).collect();
    rows.extend((0..3_000).map(|i| row(5_000, 100_000 + i)));
    // Longer than every span, so that the watermark is far beyond.
    rows.extend((0..2_100).map(|i| row(5_000, 1_000_000 + i)));
    dir.json_lines("in.jsonl", &rows);
    let yaml = "name: idle
state: { backend: rocksdb, dir: ./state }
sources:
  in: { connector: file, path: in.jsonl, format: json, schema: { user: int, device: int, ts: timestamp_ms }, event_time: { field: ts } }
streams:
  features:
    from: in
    key: user
    indicators:
      n: { value: count(), over: 10s }
      d: { value: count_distinct(device), over: 1m, delay: 5s }
      last: { value: time_since_last(), over: ever, ttl: 1m }
sinks:
  out: { from: features, connector: file, path: out.jsonl, format: json }
";
    dir.job(yaml).args(["--quiet", "-p", "2", "--savepoint-at-end", "save"]).run().exits(0);
    let kept = dir.tidegate(["savepoint", "inspect", "save", "--rows", "features/user"]).run().exits(0).values();
    let users: BTreeSet<i64> = kept.iter().map(|row| row["user"].as_i64().expect("a user")).collect();
    assert_eq!(users, BTreeSet::from([5_000]));
    let row = |history: &str| kept.iter().find(|row| row["history"] == history).expect("a history").clone();
    // Leaves are dropped as a whole, so a few older items may be left.
    let (items, newest) = (row("times")["items"].as_i64().expect("a number"), &row("times")["newest"]);
    assert!((2_100..2_300).contains(&items) && *newest == json!(1_002_099), "{items} {newest}");
}

#[test]
fn what_makes_no_sense_is_refused_with_its_place() {
    let dir = Dir::new();
    let message = |stream: &str| {
        let yaml = format!(
            "name: wrong
sources:
  in: {{ connector: file, path: in.jsonl, format: json, schema: {{ id: int, user: string, ip: string, n: int, ts: timestamp_ms }}, event_time: {{ field: ts }} }}
  other: {{ connector: file, path: other.jsonl, format: json, schema: {{ account: int, ts: timestamp_ms }}, event_time: {{ field: ts }} }}
streams:
  features: {{ from: in, key: user, {stream} }}
sinks:
  out: {{ from: features, connector: file, path: out.jsonl, format: json }}
"
        );
        let outcome = dir.check(&yaml).exits(2);
        outcome.stderr.lines().find(|line| line.starts_with("error")).unwrap_or_default().to_owned()
    };
    let one = |indicator: &str| message(&format!("indicators: {{ x: {{ {indicator} }} }}"));
    for (indicator, expected) in [
        ("value: count()", "the indicator `x` has no `over`"),
        ("value: count(), over: 0s", "it must be above zero"),
        ("value: count(), over: soon", "expected a duration such as `10m`, `today`"),
        ("value: count(), over: todya", "did you mean `today`?"),
        ("value: counts(), over: 1h", "there is no indicator `counts`: did you mean `count`?"),
        ("value: sum(amonut), over: 1h", "unknown field `amonut`"),
        ("value: sum(ip), over: 1h", "`sum` is over numbers, and this is of type string"),
        ("value: zscore(ip), over: 1h", "`zscore` is over numbers, and this is of type string"),
        ("value: delta(ip), over: 1h", "`delta` is over numbers or times, and this is of type string"),
        ("value: streak(n), over: 1h", "expected bool, found int"),
        ("value: 'quantile(n, 1.5)', over: 1h", "a quantile is a number from 0 to 1"),
        ("value: count(), over: 1h, where: n + 1", "expected bool, found int"),
        ("value: count(), over: 1h, key: usr", "unknown field `usr`: did you mean `user`?"),
        ("value: count(), over: 1h, lag: 1h", "unknown key `lag`"),
        ("value: count(), over: 1h, ttl: 1d", "`ttl` in the indicator `x` needs `over: ever`"),
        ("value: count(), over: 1h, every: 2h", "`every` in the indicator `x` needs an `over` at least as long"),
        ("value: count(), over: ever, every: 2h", "`every` in the indicator `x` needs `over` to be a duration"),
        ("value: count(), over: { calendar: fortnight }", "expected `hour` or `day`"),
        ("value: count(), over: { calendar: day, within: 1h }", "`within` in `over` of the indicator `x` needs `last`"),
        ("value: count(), over: { last: 0 }", "expected a whole number from 1"),
        ("value: count(), over: { last: 3, back: 1 }", "`back` in `over` of the indicator `x` needs `calendar`"),
        ("value: count(), over: { calendar: day, zone: Mars }", "expected a time zone"),
        ("value: avg(n), over: 1h, default: none", "`default` must be of the type of the value, which is double"),
        ("value: count(), over: 1h, from: othr", "no source or stream is called `othr`: did you mean `other`?"),
        ("value: count(), over: 1h, from: other, key: account", "unknown field `account`"),
        ("value: count(), over: 1h, from: other, on: in.user == other.account", "these are never equal"),
        ("value: count(), over: 1h, on: in.user == in.ip", "`on` in the indicator `x` needs `from`"),
    ] {
        let found = one(indicator);
        assert!(found.contains(expected), "{indicator}: {found}");
    }
    let late = message("late_to: rest, indicators: { x: { value: count(), over: 1h } }");
    assert!(late.contains("`late_to` needs `order: time`"), "{late}");
    let name = message("indicators: { ip: { value: count(), over: 1h } }");
    assert!(name.contains("there is a field `ip` already"), "{name}");
    let both = message("indicators: { x: { value: count(), over: 1h } }, aggregate: { n: count() }");
    assert!(both.contains("does not go with"), "{both}");
    let stray = message("zone: UTC, aggregate: { n: count() }");
    assert!(stray.contains("`zone` in stream `features` needs `indicators`"), "{stray}");
    let missing = message("indicators: {}");
    assert!(missing.contains("`indicators` needs at least one"), "{missing}");
}

#[test]
fn the_plan_shows_the_groups() {
    let dir = Dir::new();
    dir.json_lines("in.jsonl", &[json!({ "id": 1, "user": 1, "ip": "a", "ts": 0 })]);
    dir.file("job.yaml", yaml("", "backend: memory"));
    let shown = dir.tidegate(["explain", "job.yaml"]).run().exits(0).stdout;
    for part in ["features/user", "18 indicators by user", "3 indicators by ip", "1 indicators of the whole stream", "features/gather"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
}
