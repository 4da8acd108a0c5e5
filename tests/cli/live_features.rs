//! Indicators and patterns of rules that versions add, change and remove: compared with a model that computes every value from the beginning.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::harness::Dir;
use crate::harness::random::Random;

const START: i64 = 1_767_225_600_000;

/// An indicator: what it is over, its key, its span in milliseconds (0: ever), and from when on its history is whole.
#[derive(Clone, Debug, PartialEq)]
struct Counted {
    what: &'static str,
    key: &'static str,
    over: i64,
    since: i64,
}

/// A pattern: so many failures in a row above an amount, then a success.
#[derive(Clone, Debug, PartialEq)]
struct Sought {
    fails: usize,
    above: i64,
    since: i64,
}

#[derive(Clone, Debug, PartialEq, Default)]
struct Config {
    version: i64,
    counted: BTreeMap<&'static str, Counted>,
    sought: Option<Sought>,
}

impl Counted {
    fn yaml(&self) -> Value {
        let over = if self.over == 0 { "ever".to_owned() } else { format!("{}s", self.over / 1_000) };
        let of = |value: &str| json!({ "value": value, "over": over, "key": self.key });
        match self.what {
            "fails" => json!({ "value": "count()", "over": over, "key": self.key, "where": "result == 'fail'" }),
            "sum" => of("sum(amount)"),
            "ips" => of("count_distinct(ip)"),
            _ => of("max(amount)"),
        }
    }

    /// From when on a history is whole for another indicator, if this one was kept up to a time.
    fn lends(&self, new: &Self, until: i64) -> Option<i64> {
        let same = (self.what, self.key) == (new.what, new.key) && (self.over == 0) == (new.over == 0);
        same.then(|| if self.over >= new.over { self.since } else { self.since.max(until - self.over) })
    }

    /// Its value for an event.
    fn value(&self, events: &[Value], event: &Value) -> String {
        let (time, own) = (ts(event), &event[self.key]);
        if own.is_null() {
            return "null".to_owned();
        }
        let from = if self.over == 0 { i64::MIN } else { time - self.over };
        let within = |other: &&Value| ts(other) > from && ts(other) >= self.since && ts(other) <= time && other[self.key] == *own;
        let of_span: Vec<&Value> = events.iter().filter(within).collect();
        let amounts = of_span.iter().map(|event| event["amount"].as_i64().expect("a number"));
        match self.what {
            "fails" => of_span.iter().filter(|event| event["result"] == "fail").count().to_string(),
            "sum" => amounts.sum::<i64>().to_string(),
            "ips" => {
                let mut ips: Vec<&str> = of_span.iter().filter_map(|event| event["ip"].as_str()).collect();
                ips.sort_unstable();
                ips.dedup();
                ips.len().to_string()
            }
            _ => amounts.max().map_or("null".to_owned(), |max| max.to_string()),
        }
    }
}

impl Sought {
    fn yaml(&self) -> Value {
        let fail = format!("result == 'fail' && amount > {}", self.above);
        json!({ "key": "user", "steps": [
            { "name": "fail", "where": fail, "times": self.fails, "inner": "consecutive" },
            { "name": "ok", "where": "result == 'ok'", "contiguity": "next" } ] })
    }
}

fn ts(event: &Value) -> i64 {
    event["ts"].as_i64().expect("a number")
}

fn events(random: &mut Random, count: i64) -> Vec<Value> {
    let event = |id: i64| {
        let user = (random.below(15) > 0).then(|| format!("u{}", random.below(4)));
        let result = if random.below(3) == 0 { "ok" } else { "fail" };
        json!({ "id": id, "user": user, "ip": format!("10.0.0.{}", random.below(3)), "result": result, "amount": random.below(10), "ts": START + id * 500 })
    };
    (0..count).map(event).collect()
}

/// Another definition of an indicator.
fn another(random: &mut Random) -> Counted {
    let what = ["fails", "sum", "ips", "max"][random.below(4) as usize];
    let over = if what == "max" { 0 } else { [5_000, 20_000, 60_000][random.below(3) as usize] };
    Counted { what, key: if what != "ips" && random.below(4) == 0 { "ip" } else { "user" }, over, since: 0 }
}

const FIRST: [(&str, &str, &str, i64); 2] = [("a", "fails", "user", 20_000), ("b", "max", "user", 0)];

fn first() -> Config {
    let counted = FIRST.map(|(name, what, key, over)| (name, Counted { what, key, over, since: i64::MIN }));
    Config { version: 0, counted: counted.into(), sought: Some(Sought { fails: 2, above: 2, since: i64::MIN }) }
}

/// What a version changes.
#[derive(Clone)]
enum Change {
    Pattern(Sought),
    Remove(&'static str),
    Over(&'static str, i64),
    Set(&'static str, Counted),
}

impl Change {
    fn applies_to(&self, config: &Config) -> bool {
        match self {
            Self::Pattern(_) | Self::Set(..) => true,
            Self::Remove(name) => config.counted.contains_key(name),
            Self::Over(name, _) => config.counted.get(name).is_some_and(|counted| counted.over > 0),
        }
    }

    fn apply(&self, config: &mut Config) {
        match self {
            Self::Pattern(sought) => config.sought = Some(sought.clone()),
            Self::Remove(name) => _ = config.counted.remove(name),
            Self::Over(name, over) => config.counted.get_mut(name).expect("it applies").over = *over,
            Self::Set(name, counted) => _ = config.counted.insert(name, counted.clone()),
        }
    }

    fn json(&self) -> Value {
        match self {
            Self::Pattern(sought) => json!([{ "set": "patterns.p", "value": sought.yaml() }]),
            Self::Remove(name) => json!([{ "remove": format!("scenarios.s.rules.r{name}") }, { "remove": format!("indicators.{name}") }]),
            Self::Over(name, over) => json!([{ "set": format!("indicators.{name}.over"), "value": format!("{}s", over / 1_000) }]),
            Self::Set(name, counted) => {
                let rule = json!({ "if": "amount >= 0", "reason": format!("{{{name}}}"), "score": 1 });
                json!([{ "set": format!("indicators.{name}"), "value": counted.yaml() }, { "set": format!("scenarios.s.rules.r{name}"), "value": rule }])
            }
        }
    }
}

/// What is active from when on, by versions with their moments: those that are active, the lowest first, over what was in the file.
fn layers(versions: &[(i64, i64, Change)]) -> Vec<(i64, Config)> {
    let mut times: Vec<i64> = versions.iter().map(|(_, active, _)| *active).collect();
    times.sort_unstable();
    times.dedup();
    let mut layers = vec![(i64::MIN, first())];
    for time in times {
        let mut config = first();
        for (version, _, change) in versions.iter().filter(|(_, active, _)| *active <= time) {
            change.apply(&mut config);
            config.version = *version;
        }
        let before = &layers.last().expect("there is one").1;
        for counted in config.counted.values_mut() {
            counted.since = before.counted.values().filter_map(|old| old.lends(counted, time)).min().unwrap_or(time);
        }
        if let Some(sought) = &mut config.sought {
            sought.since = before.sought.as_ref().filter(|old| old.fails == sought.fails).map_or(time, |old| old.since);
        }
        layers.push((time, config));
    }
    layers
}

/// Control records, some of them planned and some at the same moment, and what is active from when on.
fn control(random: &mut Random, count: i64, span: i64) -> (Vec<Value>, Vec<(i64, Config)>) {
    let (mut records, mut versions) = (Vec::new(), Vec::new());
    for version in 1..=count {
        let ts = START + span * (version - version % 3) / (count + 1) / 500 * 500;
        let at = (random.below(4) == 0).then(|| ts + random.below(80) * 500);
        let active = at.unwrap_or(ts);
        let name = ["a", "b", "c"][random.below(3) as usize];
        let wanted = match random.below(6) {
            0 => Change::Pattern(Sought { fails: 2 + random.below(2) as usize, above: random.below(5), since: 0 }),
            1 => Change::Remove(name),
            2 => Change::Over(name, [5_000, 20_000, 60_000][random.below(3) as usize]),
            _ => Change::Set(name, another(random)),
        };
        // It must be valid at its own moment, and at all moments that are planned after it.
        let known = layers(&versions);
        let own = known.partition_point(|(from, _)| *from <= active) - 1;
        let applies = known[own..].iter().all(|(_, config)| wanted.applies_to(config));
        let change = if applies { wanted } else { Change::Set(name, another(random)) };
        records.push(json!({ "version": version, "ts": ts, "at": at, "changes": change.json() }));
        versions.push((version, active, change));
    }
    (records, layers(&versions))
}

fn active(configs: &[(i64, Config)], time: i64) -> &Config {
    &configs[configs.partition_point(|(from, _)| *from <= time) - 1].1
}

/// Whether an event completes a match: the last ones of its user, each judged by what was active at its own time.
fn is_match(configs: &[(i64, Config)], events: &[Value], event: &Value) -> bool {
    let Some(sought) = &active(configs, ts(event)).sought else { return false };
    let mut of_user = events.iter().filter(|other| ts(other) < ts(event) && other["user"] == event["user"]).rev();
    let fails = |other: &Value| {
        let above = active(configs, ts(other)).sought.as_ref().map_or(99, |sought| sought.above);
        other["result"] == "fail" && other["amount"].as_i64().expect("a number") > above && ts(other) >= sought.since
    };
    event["result"] == "ok" && !event["user"].is_null() && (0..sought.fails).all(|_| of_user.next().is_some_and(fails))
}

fn model(events: &[Value], configs: &[(i64, Config)]) -> Vec<Value> {
    let decide = |event: &Value| {
        let config = active(configs, ts(event));
        let mut hits: BTreeMap<String, String> =
            config.counted.iter().map(|(name, counted)| (format!("r{name}"), counted.value(events, event))).collect();
        if is_match(configs, events, event) {
            hits.insert("rp".to_owned(), "p".to_owned());
        }
        json!({ "id": event["id"], "version": config.version, "hits": hits })
    };
    events.iter().map(decide).collect()
}

fn told(dir: &Dir) -> Vec<Value> {
    let decision = |row: &Value| {
        assert_eq!(row["errors"], json!([]), "{row}");
        let hits = row["hits"].as_array().expect("a list").iter();
        let hits: BTreeMap<&str, &Value> = hits.map(|hit| (hit["rule"].as_str().expect("text"), &hit["reason"])).collect();
        json!({ "id": row["id"], "version": row["version"], "hits": hits })
    };
    let mut all: Vec<Value> = dir.values("out.jsonl").iter().map(decision).collect();
    all.sort_by_key(|decision| decision["id"].as_i64());
    all
}

fn yaml(state: &str, order: &str) -> String {
    let first = first();
    let [a, b] = ["a", "b"].map(|name| first.counted[name].yaml());
    let p = first.sought.map(|sought| sought.yaml()).unwrap_or_default();
    format!(
        "name: live
state: {{ {state} }}
sources:
  in:
    connector: file
    path: 'in/*.jsonl'
    format: json
    schema: {{ id: int, user: string, ip: string, result: string, amount: int, ts: timestamp_ms }}
    event_time: {{ field: ts }}
  control:
    connector: file
    path: 'control/*.jsonl'
    format: json
    schema: {{ version: int, ts: timestamp_ms, at: timestamp_ms, changes: list }}
    event_time: {{ field: ts }}
streams:
  judged:
    from: in
    order: {order}
    control: control
    ledger: ledger
    rules:
      indicators: {{ a: {a}, b: {b} }}
      patterns: {{ p: {p} }}
      scenarios:
        s:
          rules:
            ra: {{ if: amount >= 0, reason: '{{a}}', score: 1 }}
            rb: {{ if: amount >= 0, reason: '{{b}}', score: 1 }}
            rp: {{ if: p, reason: p }}
sinks:
  out: {{ from: judged, connector: file, path: out.jsonl, format: json }}
  ledger: {{ from: ledger, connector: file, path: ledger.jsonl, format: json }}
"
    )
}

fn check(found: &[Value], expected: &[Value], what: &str) {
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!(found, expected, "{what}");
    }
    assert_eq!(found.len(), expected.len(), "{what}");
}

const ROCKS: &str = "backend: rocksdb, dir: ./state, memory: 64KiB";

#[test]
fn versions_change_indicators_and_patterns_on_any_number_of_workers() {
    for seed in 1..=4 {
        let mut random = Random(seed);
        let events = events(&mut random, 900);
        let (control, configs) = control(&mut random, 25, 450_000);
        let expected = model(&events, &configs);
        let dir = Dir::new();
        dir.json_lines("in/1.jsonl", &events).json_lines("control/1.jsonl", &control);
        for (workers, state) in [("1", "backend: memory"), ("2", ROCKS), ("3", "backend: memory")] {
            dir.job(&yaml(state, "time")).args(["--quiet", "-p", workers]).run().exits(0);
            check(&told(&dir), &expected, &format!("seed {seed}, {workers} workers"));
            assert!(dir.values("ledger.jsonl").iter().all(|entry| entry["outcome"] == "accepted"));
            ["out.jsonl", "ledger.jsonl"].iter().for_each(|name| std::fs::remove_file(dir.path(name)).expect("there is output"));
        }
    }
}

#[test]
fn what_indicators_and_patterns_have_seen_goes_on_from_a_savepoint() {
    let mut random = Random(7);
    let events = events(&mut random, 900);
    let (control, configs) = control(&mut random, 25, 450_000);
    let expected = model(&events, &configs);
    let until = START + 200_000;
    let cut = events.iter().position(|event| ts(event) > until).expect("there are later ones");
    let cut_control = control.iter().position(|record| ts(record) > until).expect("there are later ones");
    for (first, second, state) in [("1", "3", ROCKS), ("3", "1", "backend: memory"), ("2", "2", ROCKS)] {
        let dir = Dir::new();
        dir.json_lines("in/1.jsonl", &events[..cut]).json_lines("control/1.jsonl", &control[..cut_control]);
        dir.job(&yaml(state, "time")).args(["--quiet", "-p", first, "--savepoint-at-end", "save"]).run().exits(0);
        std::fs::rename(dir.path("out.jsonl"), dir.path("before.jsonl")).expect("there is output");
        dir.json_lines("in/2.jsonl", &events[cut..]).json_lines("control/2.jsonl", &control[cut_control..]);
        dir.job(&yaml(state, "time")).args(["--quiet", "-p", second, "--from", "save"]).run().exits(0);
        dir.file("out.jsonl", dir.read("before.jsonl") + &dir.read("out.jsonl"));
        check(&told(&dir), &expected, &format!("from {first} to {second} workers"));
    }
}

/// Runs a job to which a version adds an indicator, as records come, and checks all values. Returns how many the new indicator has counted.
fn counted_as_records_come(events: &[Value]) -> i64 {
    let dir = Dir::new();
    let at = START + 1_000_000;
    let changes = json!([
        { "set": "indicators.c", "value": { "value": "count()", "over": "1h", "key": "user" } },
        { "set": "scenarios.s.rules.rc", "value": { "if": "amount >= 0", "reason": "{c}" } } ]);
    dir.json_lines("in/1.jsonl", events)
        .json_lines("control/1.jsonl", &[json!({ "version": 1, "ts": START, "at": at, "changes": changes })]);
    dir.job(&yaml("backend: memory", "arrival")).args(["--quiet", "-p", "1"]).run().exits(0);
    let found = told(&dir);
    assert_eq!(found.len(), events.len());
    let configs = [(i64::MIN, first())];
    let mut counted: BTreeMap<&str, i64> = BTreeMap::new();
    for (found, event) in found.iter().zip(events) {
        for name in ["a", "b"] {
            assert_eq!(found["hits"][format!("r{name}")], configs[0].1.counted[name].value(events, event), "{event}");
        }
        assert_eq!(found["hits"]["rp"] == "p", is_match(&configs, events, event), "{event}");
        if let (Some(user), true) = (event["user"].as_str(), found["version"] == 1) {
            assert!(ts(event) >= at);
            let seen = counted.entry(user).or_default();
            *seen += 1;
            assert_eq!(found["hits"]["rc"], seen.to_string(), "{event}");
        }
    }
    counted.values().sum()
}

#[test]
fn as_records_come_a_new_indicator_begins_at_once_and_old_ones_go_on() {
    let events = events(&mut Random(5), 4_000);
    // It depends on which file is read first. Most often it is the short one.
    assert!((0..20).any(|_| counted_as_records_come(&events) > 100), "the version never came before the records");
}

/// What becomes of versions with these changes, a minute apart.
fn ledger_of(dir: &Dir, changes: &[Value], yaml: &str) -> Vec<Value> {
    let record = |(version, changes): (i64, &Value)| json!({ "version": version, "ts": START + version * 60_000, "changes": changes });
    dir.json_lines("in/1.jsonl", &events(&mut Random(1), 2))
        .json_lines("control/1.jsonl", &(1..).zip(changes).map(record).collect::<Vec<_>>());
    dir.job(yaml).args(["--quiet"]).run().exits(0);
    dir.values("ledger.jsonl")
}

fn set(path: &str, value: Value) -> Value {
    json!([{ "set": path, "value": value }])
}

#[test]
fn the_ledger_tells_what_is_cold_and_what_is_dropped() {
    let last = first().sought.expect("there is one");
    let (same, other) = (Sought { above: 4, ..last.clone() }, Sought { fails: 3, ..last });
    let changes = [
        set("indicators.n", json!({ "value": "count()", "over": "1h", "key": "user" })),
        set("indicators.n.over", json!("30m")),
        set("indicators.n.over", json!("2h")),
        set("patterns.p", same.yaml()),
        set("patterns.p", other.yaml()),
        set("indicators.a.over", json!("10s")),
        set("indicators.m", json!({ "value": "mode(amount)", "over": "ever", "key": "user" })),
    ];
    let ledger = ledger_of(&Dir::new(), &changes, &yaml("backend: memory", "time"));
    let effects: Vec<&Value> = ledger.iter().map(|entry| &entry["effects"]).collect();
    // What the first one has counted serves the others, too. The greatest amount ever says nothing of which is the most frequent.
    let expected = [
        json!(["indicator `n` is cold until 2026-01-01T01:01:00Z"]),
        json!(["indicator `n` is cold until 2026-01-01T00:31:00Z"]),
        json!(["indicator `n` is cold until 2026-01-01T02:01:00Z"]),
        Value::Null,
        json!(["pattern `p` has other steps, times or another key: its partial matches are dropped"]),
        Value::Null,
        json!(["indicator `m` is cold: it knows nothing from before"]),
    ];
    assert_eq!(effects, expected.iter().collect::<Vec<_>>());
}

#[test]
fn a_new_indicator_takes_nothing_from_those_that_are_there() {
    let dir = Dir::new();
    let events = events(&mut Random(13), 300);
    let at = START + 100_000;
    // It needs every amount, where the greatest one ever has only kept a summary.
    let changes = set("indicators.m", json!({ "value": "mode(amount)", "over": "ever", "key": "user" }));
    dir.json_lines("in/1.jsonl", &events).json_lines("control/1.jsonl", &[json!({ "version": 1, "ts": at, "changes": changes })]);
    dir.job(&yaml("backend: memory", "time")).args(["--quiet", "-p", "2"]).run().exits(0);
    let mut expected = model(&events, &[(i64::MIN, first())]);
    expected.iter_mut().zip(&events).filter(|(_, event)| ts(event) >= at).for_each(|(row, _)| row["version"] = json!(1));
    check(&told(&dir), &expected, "with another indicator");
}

#[test]
fn wrong_features_are_refused() {
    let never = json!({ "steps": [{ "name": "x" }, { "name": "y", "contiguity": "not_followed_by" }], "within": "1m" });
    let cases = [
        (set("indicators.m", json!({ "value": "count(usr)", "over": "1h" })), "unknown field `usr`"),
        (set("indicators.user", json!({ "value": "count()", "over": "1h" })), "there is a field `user` already"),
        (set("patterns.q", never), "a pattern that ends with what must not happen is complete when time is up"),
        (set("indicators.m.over", json!("1h")), "nothing here is called `m`"),
        (json!([{ "remove": "indicators.a" }]), "unknown field `a`"),
        (set("indicators.x", json!({ "value": "count()", "over": "1h", "from": "in" })), "an indicator of rules is over their own stream"),
        (json!([{ "remove": "patterns.z" }]), "there is nothing here to remove"),
    ];
    let changes: Vec<Value> = cases.iter().map(|(change, _)| change.clone()).collect();
    let yaml = yaml("backend: memory", "time");
    let ledger = ledger_of(&Dir::new(), &changes, &yaml);
    for (entry, (_, expected)) in ledger.iter().zip(&cases) {
        assert!(
            entry["outcome"] == "refused" && entry["error"].as_str().is_some_and(|error| error.contains(expected)),
            "{entry}: {expected}"
        );
    }
    assert_eq!(ledger.len(), cases.len());
    // Without a place for them, none can be added.
    let place = |text: &str| yaml.find(text).expect("it is there");
    let (start, end, rules, sinks) = (place("      indicators:"), place("      scenarios:"), place("            ra:"), place("sinks:"));
    let plain = format!("{}{}            big: {{ if: amount > 5 }}\n{}", &yaml[..start], &yaml[end..rules], &yaml[sinks..]);
    let first = &ledger_of(&Dir::new(), &changes, &plain)[0];
    assert!(first["error"].as_str().is_some_and(|error| error.contains("no place for `indicators`: write `indicators: {}`")), "{first}");
}

#[test]
fn as_records_come_on_several_workers_changes_of_one_moment_fail_nothing() {
    let mut random = Random(3);
    let events = events(&mut random, 6_000);
    let set = |version: i64| {
        let change =
            json!({ "set": "indicators.a", "value": { "value": "count()", "over": format!("{}s", 1 + version % 9), "key": "user" } });
        json!({ "version": version, "ts": START + version / 4 * 40_000, "changes": [change] })
    };
    let dir = Dir::new();
    dir.json_lines("in/1.jsonl", &events).json_lines("control/1.jsonl", &(1..=200).map(set).collect::<Vec<_>>());
    for _ in 0..3 {
        dir.job(&yaml("backend: memory", "arrival")).args(["--quiet", "-p", "3"]).run().exits(0);
        assert_eq!(told(&dir).len(), events.len());
        ["out.jsonl", "ledger.jsonl"].iter().for_each(|name| std::fs::remove_file(dir.path(name)).expect("there is output"));
    }
}

#[test]
fn versions_that_rest_on_what_was_replaced_go_on_from_a_savepoint() {
    let dir = Dir::new();
    let job = yaml("backend: memory", "time").replace("        s:\n", "        s:\n          params: { most: 2.5 }\n");
    let mut records = vec![json!({ "version": 1, "ts": START, "changes": [
        { "set": "scenarios.s.params.cap", "value": 1 },
        { "set": "scenarios.s.rules.big", "value": { "if": "amount > cap && amount / most >= 1.4", "score": 100 } } ] })];
    // Each replaces the parameter that the rule rests on. The last whole number is one of a double all the same.
    records.extend((2..60).map(|version| json!({ "version": version, "ts": START + version * 10, "changes": [{ "set": "scenarios.s.params.cap", "value": version % 2 }] })));
    records.push(json!({ "version": 60, "ts": START + 700, "changes": [{ "set": "scenarios.s.params.most", "value": 2 }] }));
    records.push(json!({ "version": 60, "ts": START + 900, "changes": [] }));
    let event = |id: i64| json!({ "id": id, "user": "u1", "ip": "10.0.0.1", "result": "ok", "amount": 3, "ts": START + id * 900 });
    dir.json_lines("in/1.jsonl", &[event(1)]).json_lines("control/1.jsonl", &records);
    dir.job(&job).args(["--quiet", "--savepoint-at-end", "save"]).run().exits(0);
    dir.json_lines("in/2.jsonl", &[event(2)]).json_lines(
        "control/2.jsonl",
        &[
            json!({ "version": 61, "ts": START + 1_000, "changes": [{ "set": "scenarios.s.params.most", "value": 2.25 }] }),
            json!({ "version": 61, "ts": START + 2_000, "changes": [] }),
        ],
    );
    // The pattern of the file has other steps now: what was matched by the old ones goes when its time is over.
    let other = job.replace("\"times\":2", "\"times\":3");
    assert_ne!(job, other);
    let outcome = dir.job(&other).args(["--from", "save"]).run().exits(0);
    assert!(!outcome.stderr.contains("left out"), "{}", outcome.stderr);
    assert!(dir.values("ledger.jsonl").iter().filter(|entry| entry["version"] == 61).any(|entry| entry["outcome"] == "accepted"));
    let decisions = told(&dir);
    assert_eq!(decisions.iter().map(|row| row["version"].as_i64()).collect::<Vec<_>>(), [Some(60), Some(61)]);
    let hits = |row: &Value| row["hits"].as_object().is_some_and(|hits| hits.contains_key("big"));
    // 3 / 2.0 is 1.5, and 3 / 2.25 is less than 1.4.
    assert_eq!((hits(&decisions[0]), hits(&decisions[1])), (true, false));
}

#[test]
fn what_comes_at_once_is_judged_one_by_one() {
    let dir = Dir::new();
    // The rule is for a time before the indicator is there, however many records the desk takes at once.
    let changes = |path: &str, value: Value| json!([{ "set": path, "value": value }]);
    let later = changes("indicators.later", json!({ "value": "count()", "over": "1m", "key": "user" }));
    let rule = changes("scenarios.s.rules.later", json!({ "if": "later > 0", "score": 1 }));
    dir.json_lines("in/1.jsonl", &events(&mut Random(9), 20)).json_lines(
        "control/1.jsonl",
        &[
            json!({ "version": 1, "ts": START + 1_000, "at": START + 5_000, "changes": later }),
            json!({ "version": 2, "ts": START + 1_100, "changes": rule }),
            json!({ "version": 3, "ts": START + 6_000, "changes": rule }),
        ],
    );
    dir.job(&yaml("backend: memory", "time")).args(["--quiet", "-p", "2"]).run().exits(0);
    let outcomes: Vec<Value> = dir.values("ledger.jsonl").iter().map(|entry| entry["outcome"].clone()).collect();
    assert_eq!(outcomes, ["accepted", "refused", "accepted"]);
}
