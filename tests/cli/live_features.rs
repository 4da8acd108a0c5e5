//! Indicators and patterns of rules that versions add, change and remove: compared with a model that computes every value from the beginning.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::harness::Dir;

const START: i64 = 1_767_225_600_000;

/// Pseudo-random numbers, the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, n: i64) -> i64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as i64 % n
    }
}

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

/// The versions, and what is active from when on.
fn control(random: &mut Random, count: i64, span: i64) -> (Vec<Value>, Vec<(i64, Config)>) {
    let (mut records, mut configs) = (Vec::new(), vec![(i64::MIN, first())]);
    for version in 1..=count {
        let at = START + span * version / (count + 1) / 500 * 500;
        let mut config = configs.last().expect("there is one").1.clone();
        config.version = version;
        let name = ["a", "b", "c"][random.below(3) as usize];
        let rule = json!({ "if": "amount >= 0", "reason": format!("{{{name}}}"), "score": 1 });
        let path = format!("indicators.{name}");
        let changes = match (random.below(6), config.counted.contains_key(name)) {
            (0, _) => {
                let sought = Sought { fails: 2 + random.below(2) as usize, above: random.below(5), since: at };
                let kept = config.sought.as_ref().filter(|old| old.fails == sought.fails).map_or(at, |old| old.since);
                let change = json!([{ "set": "patterns.p", "value": sought.yaml() }]);
                config.sought = Some(Sought { since: kept, ..sought });
                change
            }
            (1, true) => {
                config.counted.remove(name);
                json!([{ "remove": format!("scenarios.s.rules.r{name}") }, { "remove": path }])
            }
            (2, true) if config.counted[name].over > 0 => {
                let over = [5_000, 20_000, 60_000][random.below(3) as usize];
                if let Some(counted) = config.counted.get_mut(name) {
                    counted.over = over;
                }
                json!([{ "set": format!("{path}.over"), "value": format!("{}s", over / 1_000) }])
            }
            _ => {
                let new = another(random);
                let changes = json!([{ "set": path, "value": new.yaml() }, { "set": format!("scenarios.s.rules.r{name}"), "value": rule }]);
                config.counted.insert(name, new);
                changes
            }
        };
        let before = &configs.last().expect("there is one").1;
        for counted in config.counted.values_mut() {
            counted.since = before.counted.values().filter_map(|old| old.lends(counted, at)).min().unwrap_or(at);
        }
        records.push(json!({ "version": version, "ts": at, "changes": changes }));
        configs.push((at, config));
    }
    (records, configs)
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
    schema: {{ version: int, ts: timestamp_ms, changes: list }}
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

#[test]
fn as_records_come_a_new_indicator_begins_at_once_and_old_ones_go_on() {
    let dir = Dir::new();
    let mut random = Random(5);
    let events = events(&mut random, 4_000);
    let at = START + 1_000_000;
    let changes = json!([
        { "set": "indicators.c", "value": { "value": "count()", "over": "1h", "key": "user" } },
        { "set": "scenarios.s.rules.rc", "value": { "if": "amount >= 0", "reason": "{c}" } } ]);
    dir.json_lines("in/1.jsonl", &events)
        .json_lines("control/1.jsonl", &[json!({ "version": 1, "ts": START, "at": at, "changes": changes })]);
    // The schema has no `at` otherwise.
    let yaml = yaml("backend: memory", "arrival").replace("{ version: int, ts", "{ version: int, at: timestamp_ms, ts");
    dir.job(&yaml).args(["--quiet", "-p", "1"]).run().exits(0);
    let found = told(&dir);
    assert_eq!(found.len(), events.len());
    let configs = [(i64::MIN, first())];
    let mut counted: BTreeMap<&str, i64> = BTreeMap::new();
    for (found, event) in found.iter().zip(&events) {
        for name in ["a", "b"] {
            assert_eq!(found["hits"][format!("r{name}")], configs[0].1.counted[name].value(&events, event), "{event}");
        }
        assert_eq!(found["hits"]["rp"] == "p", is_match(&configs, &events, event), "{event}");
        // The version came before most of the events, and its moment is later than half of them.
        if let (Some(user), true) = (event["user"].as_str(), found["version"] == 1) {
            assert!(ts(event) >= at);
            let seen = counted.entry(user).or_default();
            *seen += 1;
            assert_eq!(found["hits"]["rc"], seen.to_string(), "{event}");
        }
    }
    assert!(counted.values().sum::<i64>() > 1_000);
}

#[test]
fn the_ledger_tells_what_is_cold_and_what_is_dropped_and_wrong_features_are_refused() {
    let dir = Dir::new();
    let version = |version: i64, changes: Value| json!({ "version": version, "ts": START + version * 60_000, "changes": changes });
    let set = |path: &str, value: Value| json!([{ "set": path, "value": value }]);
    let last = first().sought.expect("there is one");
    let (same, other) = (Sought { above: 4, ..last.clone() }, Sought { fails: 3, ..last });
    let never = json!({ "steps": [{ "name": "x" }, { "name": "y", "contiguity": "not_followed_by" }], "within": "1m" });
    dir.json_lines("in/1.jsonl", &events(&mut Random(1), 2)).json_lines(
        "control/1.jsonl",
        &[
            version(1, set("indicators.n", json!({ "value": "count()", "over": "1h", "key": "user" }))),
            version(2, set("indicators.n.over", json!("30m"))),
            version(3, set("indicators.n.over", json!("2h"))),
            version(4, set("patterns.p", same.yaml())),
            version(5, set("patterns.p", other.yaml())),
            version(6, set("indicators.a.over", json!("10s"))),
            version(7, set("indicators.m", json!({ "value": "count(usr)", "over": "1h" }))),
            version(8, set("indicators.user", json!({ "value": "count()", "over": "1h" }))),
            version(9, set("patterns.q", never)),
            version(10, set("indicators.m.over", json!("1h"))),
            version(11, json!([{ "remove": "indicators.a" }])),
            version(12, set("indicators.x", json!({ "value": "count()", "over": "1h", "from": "in" }))),
            version(13, json!([{ "remove": "patterns.z" }])),
        ],
    );
    dir.job(&yaml("backend: memory", "time")).args(["--quiet"]).run().exits(0);
    let ledger = dir.values("ledger.jsonl");
    let effects: Vec<&Value> = ledger.iter().take(6).map(|entry| &entry["effects"]).collect();
    // What the first one has counted serves the others, too.
    let expected = [
        json!(["indicator `n` is cold until 2026-01-01T01:01:00Z"]),
        json!(["indicator `n` is cold until 2026-01-01T00:31:00Z"]),
        json!(["indicator `n` is cold until 2026-01-01T02:01:00Z"]),
        Value::Null,
        json!(["pattern `p` has other steps, times or another key: its partial matches are dropped"]),
        Value::Null,
    ];
    assert_eq!(effects, expected.iter().collect::<Vec<_>>());
    let errors = [
        "unknown field `usr`",
        "there is a field `user` already",
        "a pattern that ends with what must not happen is complete when time is up",
        "nothing here is called `m`",
        "unknown field `a`",
        "an indicator of rules is over their own stream",
        "there is nothing here to remove",
    ];
    for (entry, expected) in ledger.iter().skip(6).zip(errors) {
        assert!(
            entry["outcome"] == "refused" && entry["error"].as_str().is_some_and(|error| error.contains(expected)),
            "{entry}: {expected}"
        );
    }
    assert_eq!(ledger.len(), 13);
    // Without a place for them, none can be added.
    let without = yaml("backend: memory", "time");
    let (start, end) =
        (without.find("      indicators:").expect("there are some"), without.find("      scenarios:").expect("there are some"));
    let rules = without.find("            ra:").expect("there is one");
    let plain = format!(
        "{}{}            big: {{ if: amount > 5 }}\n{}",
        &without[..start],
        &without[end..rules],
        &without[without.find("sinks:").expect("there are some")..]
    );
    std::fs::remove_file(dir.path("ledger.jsonl")).expect("there is one");
    dir.job(&plain).args(["--quiet"]).run().exits(0);
    let first = &dir.values("ledger.jsonl")[0];
    assert!(first["error"].as_str().is_some_and(|error| error.contains("no place for `indicators`: write `indicators: {}`")), "{first}");
}
