//! Rules of job files, end to end: compared with a model that computes every decision from the beginning.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::harness::Dir;
use crate::harness::random::Random;

const START: i64 = 1_767_225_600_000;

/// Events in order of time, some at the same moment.
fn events(random: &mut Random, count: i64) -> Vec<Value> {
    let event = |id: i64| {
        let user = (random.below(12) > 0).then(|| format!("u{}", random.below(8)));
        let ip = format!("10.0.{}.{}", random.below(2), random.below(3));
        json!({ "id": id, "user": user, "ip": ip, "fails": random.below(6), "ts": START + id / 2 * 500 })
    };
    (0..count).map(event).collect()
}

/// Control records in order of time: some stale, some wrong, some planned.
fn control(random: &mut Random, count: i64, span: i64) -> Vec<Value> {
    let mut version = 0;
    let mut all = Vec::new();
    for i in 0..count {
        let ts = START + span * i / count / 500 * 500;
        version += random.below(3);
        let at = match random.below(4) {
            0 => json!(ts + random.below(20_000)),
            1 => json!(ts - random.below(20_000)),
            _ => Value::Null,
        };
        let changes: Vec<Value> = (0..=random.below(2)).map(|_| change(random, ts)).collect();
        all.push(json!({ "version": version, "ts": ts, "at": at, "changes": changes }));
    }
    // At the same moment, the lower version comes first.
    all.sort_by_key(|record| (record["ts"].as_i64(), record["version"].as_i64()));
    all
}

fn change(random: &mut Random, ts: i64) -> Value {
    let list = ["black", "grey"][random.below(2) as usize];
    let key = if list == "black" { format!("10.0.{}.0/24", random.below(2)) } else { format!("u{}", random.below(8)) };
    match random.below(9) {
        0..=2 => json!({ "set": "scenarios.s.params.limit", "value": random.below(6) }),
        3 => json!({ "set": "scenarios.s.params.limit", "value": "many" }),
        4 => json!({ "list": list, "remove": key }),
        5 if random.below(3) == 0 => json!({ "list": list, "clear": true }),
        6 => json!({ "list": list, "add": { "key": key, "uses": 1 + random.below(4), "reason": "few" } }),
        7 => json!({ "list": list, "add": { "key": key, "to": ts + random.below(30_000) } }),
        _ => json!({ "list": list, "add": key }),
    }
}

/// What a model makes of events and control records: the decisions, and the ledger.
fn model(events: &[Value], control: &[Value]) -> (Vec<Value>, Vec<Value>) {
    let mut accepted: Vec<(i64, i64, &Vec<Value>)> = Vec::new();
    let (mut ledger, mut decisions, mut used) = (Vec::new(), Vec::new(), HashMap::new());
    let mut waiting = control.iter().peekable();
    for event in events {
        let time = event["ts"].as_i64().expect("a number");
        while let Some(record) = waiting.next_if(|record| record["ts"].as_i64().expect("a number") <= time) {
            ledger.push(json!([record["version"], take(record, &mut accepted)]));
        }
        let mut active: Vec<_> = accepted.iter().filter(|(_, active, _)| *active <= time).collect();
        active.sort_by_key(|(version, ..)| *version);
        decisions.push(decide(event, time, &active, &mut used));
    }
    ledger.extend(waiting.map(|record| json!([record["version"], take(record, &mut accepted)])));
    (decisions, ledger)
}

fn take<'r>(record: &'r Value, accepted: &mut Vec<(i64, i64, &'r Vec<Value>)>) -> &'static str {
    let (version, ts) = (record["version"].as_i64().expect("a number"), record["ts"].as_i64().expect("a number"));
    let changes = record["changes"].as_array().expect("a list");
    if version <= accepted.iter().map(|(version, ..)| *version).max().unwrap_or(0) {
        return "stale";
    }
    // What counts is what the version makes of it as a whole.
    if changes.iter().rfind(|change| change["set"].is_string()).is_some_and(|change| change["value"] == "many") {
        return "refused";
    }
    accepted.push((version, record["at"].as_i64().unwrap_or(ts).max(ts), changes));
    "accepted"
}

/// The entry with a key: what made it, and what it says.
type Found = Option<((i64, usize), Value)>;

fn entry(list: &str, key: &str, active: &[&(i64, i64, &Vec<Value>)]) -> Found {
    let mut found: Found = match (list, key) {
        ("black", "10.0.0.0/24") => Some(((0, 0), json!({ "to": START + 20_000 }))),
        ("grey", "u0") => Some(((0, 0), json!({ "uses": 3 }))),
        _ => None,
    };
    for (version, _, changes) in active {
        for (place, change) in changes.iter().enumerate().filter(|(_, change)| change["list"] == list) {
            let added = &change["add"];
            let added_key = added["key"].as_str().or(added.as_str());
            if change["clear"] == true || change["remove"] == key {
                found = None;
            } else if added_key == Some(key) {
                found = Some(((*version, place), if added.is_string() { json!({}) } else { added.clone() }));
            }
        }
    }
    found
}

type Uses = HashMap<(String, String), ((i64, usize), i64)>;

fn is_on(list: &str, key: &str, time: i64, active: &[&(i64, i64, &Vec<Value>)], used: &mut Uses) -> Option<Value> {
    let (by, entry) = entry(list, key, active)?;
    if entry["to"].as_i64().is_some_and(|to| to <= time) {
        return None;
    }
    if let Some(most) = entry["uses"].as_i64() {
        let known = used.entry((list.to_owned(), key.to_owned())).or_insert((by, 0));
        if known.0 != by {
            *known = (by, 0);
        }
        if known.1 >= most {
            return None;
        }
        known.1 += 1;
    }
    Some(entry)
}

fn decide(event: &Value, time: i64, active: &[&(i64, i64, &Vec<Value>)], used: &mut Uses) -> Value {
    let version = active.last().map_or(0, |(version, ..)| *version);
    let mut limits = active.iter().flat_map(|(_, _, changes)| changes.iter()).filter(|change| change["set"].is_string());
    let limit = limits.next_back().map_or(3, |change| change["value"].as_i64().expect("a number"));
    let net = format!("{}.0/24", event["ip"].as_str().expect("text").rsplit_once('.').expect("an address").0);
    if let Some(entry) = is_on("black", &net, time, active, used) {
        let list = json!({ "list": "black", "key": net, "action": "reject", "reason": entry["reason"] });
        return json!({ "id": event["id"], "action": "reject", "score": 0, "list": list, "hits": [], "version": version });
    }
    let grey = event["user"].as_str().is_some_and(|user| is_on("grey", user, time, active, used).is_some());
    let fails = event["fails"].as_i64().expect("a number");
    let (many, watched) = (fails >= limit, grey && fails > 0);
    let action = if watched {
        "reject"
    } else if many {
        "review"
    } else {
        "accept"
    };
    let hits: Vec<&str> = [("many", many), ("watched", watched)].into_iter().filter(|(_, hit)| *hit).map(|(name, _)| name).collect();
    let score = i64::from(many) * 10 + i64::from(watched) * 50;
    json!({ "id": event["id"], "action": action, "score": score, "list": null, "hits": hits, "version": version })
}

const RULES: &str = r#"
      scenarios:
        s:
          params: { limit: 3 }
          lists:
            - { list: black, on: ip, action: reject }
            - { list: grey, on: user, as: grey }
          rules:
            many:    { if: 'too_often(limit)', action: review, score: 10 }
            watched: { if: 'grey && fails > 0', action: reject, score: 50, reason: '{user} failed {fails} times' }
"#;

fn yaml(state: &str) -> String {
    format!(
        "name: judged
state: {{ {state} }}
sources:
  in:
    connector: file
    path: 'in/*.jsonl'
    format: json
    schema: {{ id: int, user: string, ip: string, fails: int, ts: timestamp_ms }}
    event_time: {{ field: ts }}
  control:
    connector: file
    path: 'control/*.jsonl'
    format: json
    schema: {{ version: int, ts: timestamp_ms, at: timestamp_ms, changes: list }}
    event_time: {{ field: ts }}
factors:
  too_often(n): fails >= n
lists:
  black: {{ match: cidr, entries: [ {{ key: 10.0.0.0/24, to: 2026-01-01T00:00:20Z }} ] }}
  grey: {{ entries: [ {{ key: u0, uses: 3 }} ] }}
streams:
  judged:
    from: in
    order: time
    control: control
    ledger: ledger
    rules:{RULES}
sinks:
  out: {{ from: judged, connector: file, path: out.jsonl, format: json }}
  ledger: {{ from: ledger, connector: file, path: ledger.jsonl, format: json }}
"
    )
}

/// What the decisions of a file are, as the model tells them.
fn told(dir: &Dir, name: &str) -> Vec<Value> {
    let names = |hits: &Value| hits.as_array().expect("a list").iter().map(|hit| hit["rule"].clone()).collect::<Vec<_>>();
    let decision = |row: &Value| json!({ "id": row["id"], "action": row["action"], "score": row["score"], "list": row["list"], "hits": names(&row["hits"]), "version": row["version"] });
    by_id(dir.values(name).iter().map(decision).collect())
}

fn by_id(mut decisions: Vec<Value>) -> Vec<Value> {
    decisions.sort_by_key(|decision| decision["id"].as_i64());
    decisions
}

fn entries(dir: &Dir, name: &str) -> Vec<Value> {
    dir.values(name).iter().map(|entry| json!([entry["version"], entry["outcome"]])).collect()
}

const ROCKS: &str = "backend: rocksdb, dir: ./state, memory: 64KiB";

#[test]
fn decisions_follow_lists_rules_and_versions_on_any_number_of_workers() {
    for seed in 1..=3 {
        let mut random = Random(seed);
        let events = events(&mut random, 1_200);
        let control = control(&mut random, 120, 300_000);
        let (decisions, ledger) = model(&events, &control);
        let dir = Dir::new();
        dir.json_lines("in/1.jsonl", &events).json_lines("control/1.jsonl", &control);
        for (workers, state) in [("1", "backend: memory"), ("2", ROCKS), ("3", "backend: memory")] {
            dir.job(&yaml(state)).args(["--quiet", "-p", workers]).run().exits(0);
            let found = told(&dir, "out.jsonl");
            for (found, expected) in found.iter().zip(by_id(decisions.clone())) {
                assert_eq!(*found, expected, "seed {seed}, {workers} workers");
            }
            assert_eq!(found.len(), decisions.len());
            assert_eq!(entries(&dir, "ledger.jsonl"), ledger, "seed {seed}, {workers} workers");
            ["out.jsonl", "ledger.jsonl"].iter().for_each(|name| std::fs::remove_file(dir.path(name)).expect("there is output"));
        }
    }
}

#[test]
fn versions_entries_and_uses_go_on_from_a_savepoint() {
    let mut random = Random(11);
    let events = events(&mut random, 1_200);
    let control = control(&mut random, 160, 300_000);
    let (decisions, ledger) = model(&events, &control);
    let cut = events.iter().position(|event| event["ts"].as_i64().expect("a number") > START + 140_000).unwrap();
    let cut_control = control.iter().position(|record| record["ts"].as_i64().expect("a number") > START + 140_000).unwrap();
    for (first, second, state) in [("1", "3", ROCKS), ("3", "1", "backend: memory"), ("2", "2", ROCKS)] {
        let dir = Dir::new();
        dir.json_lines("in/1.jsonl", &events[..cut]).json_lines("control/1.jsonl", &control[..cut_control]);
        dir.job(&yaml(state)).args(["--quiet", "-p", first, "--savepoint-at-end", "save"]).run().exits(0);
        let outputs = ["out.jsonl", "ledger.jsonl"];
        for name in outputs {
            std::fs::rename(dir.path(name), dir.path(&format!("before-{name}"))).expect("there is output");
        }
        dir.json_lines("in/2.jsonl", &events[cut..]).json_lines("control/2.jsonl", &control[cut_control..]);
        dir.job(&yaml(state)).args(["--quiet", "-p", second, "--from", "save"]).run().exits(0);
        for name in outputs {
            dir.file(name, dir.read(&format!("before-{name}")) + &dir.read(name));
        }
        let found = told(&dir, "out.jsonl");
        for (found, expected) in found.iter().zip(by_id(decisions.clone())) {
            assert_eq!(*found, expected, "from {first} to {second} workers");
        }
        assert_eq!((found.len(), entries(&dir, "ledger.jsonl")), (decisions.len(), ledger.clone()), "from {first} to {second} workers");
    }
}

#[test]
fn a_savepoint_tells_the_configuration_and_a_changed_file_lies_below_it() {
    let dir = Dir::new();
    let event = |id: i64, ts: i64| json!({ "id": id, "user": "u1", "ip": "10.9.9.9", "fails": 4, "ts": START + ts });
    let version = |version: i64, ts: i64, changes: Value| json!({ "version": version, "ts": START + ts, "changes": changes });
    dir.json_lines("in/1.jsonl", &[event(1, 0), event(2, 2_000), event(0, 2_900)]);
    let changes = json!([{ "set": "scenarios.s.params.limit", "value": 5 }, { "list": "grey", "add": { "key": "u7", "uses": 2 } }]);
    // The second is stale: it only lets event time go on.
    dir.json_lines("control/1.jsonl", &[version(4, 1_000, changes), version(4, 2_900, json!([]))]);
    dir.job(&yaml("backend: memory")).args(["--quiet", "--savepoint-at-end", "save"]).run().exits(0);
    assert_eq!(told(&dir, "out.jsonl").iter().map(|row| row["action"].clone()).collect::<Vec<_>>(), ["review", "accept"]);
    let kept = dir.tidegate(["savepoint", "inspect", "save", "--rows", "judged/judge"]).run().exits(0).values();
    assert!(kept.iter().any(|row| row["version"] == 4 && row["set"] == "scenarios.s.params.limit" && row["value"] == "5"), "{kept:?}");
    assert!(kept.iter().any(|row| row["list"] == "grey" && row["key"] == "u7" && row["uses"] == 2), "{kept:?}");
    // The file has another limit and another rule now; the version lies over it.
    let changed = yaml("backend: memory").replace("limit: 3", "limit: 1").replace("score: 10", "score: 11");
    dir.json_lines("in/2.jsonl", &[event(3, 3_000), json!({ "id": 4, "user": "u7", "ip": "10.9.9.9", "fails": 5, "ts": START + 4_000 })]);
    dir.job(&changed).args(["--quiet", "--from", "save"]).run().exits(0);
    let found = told(&dir, "out.jsonl");
    // One record waited in the savepoint.
    assert_eq!(found.iter().map(|row| row["id"].as_i64().expect("a number")).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    let found = &found[2..];
    assert_eq!((&found[1]["action"], &found[1]["version"]), (&json!("accept"), &json!(4)));
    assert_eq!((&found[2]["action"], &found[2]["score"], &found[2]["hits"]), (&json!("reject"), &json!(61), &json!(["many", "watched"])));
    // What operators have changed can be looked at, and taken over.
    dir.file("changed.yaml", &changed);
    let said = dir.tidegate(["check", "changed.yaml", "--against", "save"]).run().exits(0);
    assert!(said.stdout.contains("rules of `judged`: 1 version will lie over the job file, the last is 4"), "{}", said.stdout);
    let now = dir.tidegate(["rules", "export", "changed.yaml", "--from", "save"]).run().exits(0).stdout;
    dir.file("now.yaml", &now);
    let differs = dir.tidegate(["rules", "diff", "changed.yaml", "now.yaml", "--control", "9"]).run().exits(0).values();
    let changes = [json!({ "set": "scenarios.s.params.limit", "value": 5 }), json!({ "list": "grey", "add": { "key": "u7", "uses": 2 } })];
    assert_eq!(differs[0]["changes"], json!(changes));
    let before = dir.tidegate(["rules", "export", "changed.yaml", "--from", "save", "--at", "2025-01-01T00:00:00Z"]).run().exits(0).stdout;
    assert!(before.contains(r#""limit": 1"#), "{before}");
    // Without the parameter, the version no longer fits: it is left out, which is said.
    let without = yaml("backend: memory").replace("params: { limit: 3 }", "when: fails > 0").replace("too_often(limit)", "too_often(2)");
    let renamed = without.replace("        s:\n", "        other:\n");
    dir.file("renamed.yaml", &renamed);
    let said = dir.tidegate(["check", "renamed.yaml", "--against", "save"]).run().exits(0);
    assert!(
        said.stdout.contains("rules of `judged`: version 4 no longer fits the job file and will be left out: no scenario is called `s`"),
        "{}",
        said.stdout
    );
    let outcome = dir.job(&renamed).args(["--from", "save"]).run().exits(0);
    outcome.stderr_has("version 4 of the rules no longer fits the job file and is left out");
}

#[test]
fn as_records_come_versions_count_from_their_moment_on() {
    let dir = Dir::new();
    // The control record is read first, as its file is small; its moment is in the middle of the events.
    let event = |id: i64| json!({ "id": id, "user": "u1", "ip": "10.9.9.9", "fails": 4, "ts": START + id * 1_000 });
    dir.json_lines("in/1.jsonl", &(0..20_000).map(event).collect::<Vec<_>>());
    dir.json_lines(
        "control/1.jsonl",
        &[json!({ "version": 1, "ts": START, "at": START + 10_000_000, "changes": [{ "set": "scenarios.s.params.limit", "value": 5 }] })],
    );
    let outcome = dir.job(&yaml("backend: memory").replace("    order: time\n", "")).args(["-p", "2"]).run().exits(0);
    outcome.stderr_has("1 of 1 control records accepted");
    for row in dir.values("out.jsonl") {
        let (id, version) = (row["id"].as_i64().expect("a number"), row["version"].as_i64().expect("a number"));
        // Records before that moment never see it, whenever it comes.
        assert!(version == 0 || id >= 10_000, "{row}");
        assert_eq!(row["action"], if version == 0 { "review" } else { "accept" });
    }
}

#[test]
fn lists_come_from_files_and_meet_by_prefix() {
    let dir = Dir::new();
    dir.file("vip.csv", "reason,key,to\nfounder,ann,\n,bob,2026-01-01T00:00:01Z\n")
        .file("areas.jsonl", "{\"key\":\"170\"}\n{\"key\":\"1703\",\"reason\":\"narrow\"}\n");
    dir.json_lines(
        "in/1.jsonl",
        &[("ann", "1"), ("bob", "1"), ("bob", "17031"), ("cy", "1709")]
            .iter()
            .zip(0..)
            .map(|((user, ip), id)| json!({ "id": id, "user": user, "ip": ip, "fails": 0, "ts": START + id * 700 }))
            .collect::<Vec<_>>(),
    );
    dir.file("control/1.jsonl", "");
    let text = yaml("backend: memory")
        .replace(
            "black: { match: cidr, entries: [ { key: 10.0.0.0/24, to: 2026-01-01T00:00:20Z } ] }",
            "black: { match: prefix, file: areas.jsonl }",
        )
        .replace("grey: { entries: [ { key: u0, uses: 3 } ] }", "grey: { file: vip.csv }")
        .replace("as: grey }", "action: accept }")
        .replace("grey && ", "");
    dir.job(&text).args(["--quiet"]).run().exits(0);
    let rows = dir.values("out.jsonl");
    let found: Vec<_> =
        rows.iter().map(|row| (row["action"].as_str().expect("text"), &row["list"]["key"], &row["list"]["reason"])).collect();
    let null = Value::Null;
    assert_eq!(
        found,
        [
            ("accept", &json!("ann"), &json!("founder")),
            ("accept", &json!("bob"), &null),
            ("reject", &json!("1703"), &json!("narrow")),
            ("reject", &json!("170"), &null),
        ]
    );
    dir.file("vip.csv", "key,to\nann,tomorrow\n");
    let wrong = dir.job(&text).run().exits(1);
    wrong.stderr_has("`vip.csv`, line 2, of the list `grey`").stderr_has("tomorrow");
    std::fs::remove_file(dir.path("vip.csv")).expect("it is there");
    dir.check(&text).exits(2).stderr_has("`vip.csv` does not exist");
}

#[test]
fn control_records_that_make_no_sense_are_refused_with_a_reason() {
    let dir = Dir::new();
    let changes = [
        (
            json!([{ "set": "scenarios.s.rules.many.if", "value": "fials > 1" }]),
            "scenarios.s.rules.many.if: unknown field `fials`; did you mean `fails`?",
        ),
        (json!([{ "set": "scenarios.s.rules.many.if", "value": "fails > limt" }]), "did you mean `limit`?"),
        (
            json!([{ "set": "scenarios.s.rules.many.actoin", "value": "review" }]),
            "unknown key `actoin` in rule `many`; did you mean `action`?",
        ),
        (json!([{ "set": "scenarios.s.rules.new.action", "value": "review" }]), "rule `new` has no `if`"),
        (
            json!([{ "set": "scenarios.s.rules.many.action", "value": "explode" }]),
            "no action is called `explode`; there are `accept`, `review`, `reject`",
        ),
        (json!([{ "set": "scenarios.s.params.limit", "value": 2.5 }]), "the parameter `limit` is of type int, and this is of type double"),
        (json!([{ "remove": "scenarios.s.params.limit" }]), "unknown field `limit`"),
        (json!([{ "remove": "scenarios.s.rules.nope" }]), "there is nothing here to remove"),
        (json!([{ "set": "sinks.out.path", "value": "x" }]), "`sinks` can't be changed while the job runs"),
        (json!([{ "set": "scenarios.t.params.limit", "value": 1 }]), "scenarios.t.params.limit: no scenario is called `t`"),
        (json!([{ "set": "scenarios..x", "value": 1 }]), "a step of the path is empty"),
        (json!([{ "set": "factors.too_often(n, m)", "value": "fails >= n + m" }]), "the factor `too_often(n, m)` takes 2 arguments, not 1"),
        (
            json!([{ "set": "factors.again(n)", "value": "again(n)" }, { "set": "scenarios.s.rules.many.if", "value": "again(1)" }]),
            "the factor `again` calls itself",
        ),
        (json!([{ "list": "gray", "add": "x" }]), "no list is called `gray`; there are `black`, `grey`"),
        (json!([{ "list": "black", "add": "10.0.0.0/99" }]), "is no address and no range of addresses"),
        (json!([{ "list": "grey", "add": { "key": "x", "untl": 1 } }]), "unknown key `untl`"),
        (json!([{ "list": "grey" }]), "a change is { set: path, value: .. }"),
        (json!([7]), "changes[0]: a change is"),
        (json!(null), "`changes` is a list of changes"),
    ];
    dir.json_lines("in/1.jsonl", &[json!({ "id": 1, "user": "u1", "ip": "10.9.9.9", "fails": 4, "ts": START + 900_000 })]);
    let records: Vec<Value> =
        changes.iter().zip(1..).map(|((changes, _), i)| json!({ "version": i, "ts": START + i, "changes": changes })).collect();
    dir.json_lines("control/1.jsonl", &records);
    dir.job(&yaml("backend: memory")).args(["--quiet"]).run().exits(0);
    let ledger = dir.values("ledger.jsonl");
    assert_eq!(ledger.len(), changes.len());
    for (entry, (changes, expected)) in ledger.iter().zip(&changes) {
        assert_eq!(entry["outcome"], "refused", "{changes}");
        let error = entry["error"].as_str().unwrap_or_default();
        assert!(error.contains(expected), "{changes}: {error}");
    }
    assert_eq!(told(&dir, "out.jsonl")[0]["version"], 0);
}

#[test]
fn what_makes_no_sense_is_refused_with_its_place() {
    let dir = Dir::new();
    dir.file("in/1.jsonl", "").file("control/1.jsonl", "");
    let message = |from: &str, to: &str| {
        let text = yaml("backend: memory");
        assert!(text.contains(from), "{from}");
        let outcome = dir.check(&text.replace(from, to)).exits(2);
        outcome.stderr.lines().find(|line| line.starts_with("error")).unwrap_or_default().to_owned()
    };
    for (from, to, expected) in [
        ("fails > 0", "fials > 0", "job.yaml:36:37: unknown field `fials`: did you mean `fails`?"),
        ("fails > 0", "fails + 1", "expected bool, found int"),
        ("too_often(limit)", "too_oftn(limit)", "unknown function `too_oftn`: did you mean `too_often`?"),
        ("too_often(limit)", "too_often()", "the factor `too_often(n)` takes 1 arguments, not 0"),
        ("too_often(n): fails >= n", "too_often(n): fials >= n", "unknown field `fials`"),
        ("too_often(n):", "too_often(1):", "expected a name with parameters, such as `over(x)`"),
        ("limit: 3", "fails: 3", "there is a field `fails`: a parameter needs a name of its own"),
        ("as: grey", "as: limit", "there is a parameter `limit`: a fact needs a name of its own"),
        ("list: grey", "list: gray", "no list is called `gray`: did you mean `grey`?"),
        ("on: user", "on: usr", "unknown field `usr`: did you mean `user`?"),
        ("as: grey", "action: reject, as: grey", "has an `action`, which decides, or a name by `as`, and not both"),
        (", as: grey", "", "needs an `action`, which decides, or a name by `as`"),
        ("action: review", "action: revew", "no action is called `revew`: did you mean `review`?"),
        ("action: review", "aktion: review", "unknown key `aktion` in rule `many`: did you mean `action`?"),
        ("if: 'too_often(limit)', ", "", "rule `many` has no `if`"),
        ("score: 10", "score: many", "unknown field `many`"),
        ("score: 10", "score: user", "a score is a number, and this is of type string"),
        ("{fails} times", "{fials} times", "unknown field `fials`: did you mean `fails`?"),
        ("score: 10", "rollout: { percent: 101, by: user }", "`101` is no share: percent are from 0 to 100"),
        ("score: 10", "mode: dark", "expected `live` or `shadow` or `off`"),
        ("score: 10", "from: 2026-01-01T00:00:00Z, to: 2025-01-01T00:00:00Z", "the rule ends before it begins"),
        ("params: {", "strategy: { policy: worst, bands: [] }\n          params: {", "`bands` need `policy: score`"),
        (
            "params: {",
            "strategy: { policy: score, bands: [{ from: 9, action: review }, { from: 3, action: reject }] }\n          params: {",
            "ascending order",
        ),
        ("params: {", "strategy: { default: maybe }\n          params: {", "no action is called `maybe`"),
        ("key: 10.0.0.0/24", "key: ten", "`ten` is no address and no range of addresses"),
        ("    control: control\n", "", "`ledger` needs `control`"),
        ("version: int, ", "", "control records need a field `version` of type int"),
        ("changes: list", "changes: string", "`changes` of control records is of type string, and has to be of type list"),
        ("    event_time: { field: ts }\n  control", "  control", "`rules` go by event time, and records of `in` have none"),
        ("fails: int", "fails: int, hits: int", "records have a field `hits` already"),
        ("    order: time\n", "    order: time\n    zone: UTC\n", "`zone` is for `indicators`"),
    ] {
        let found = message(from, to);
        assert!(found.contains(expected), "{to}: {found}");
    }
    let never = dir.check(&yaml("backend: memory").replace("fails > 0", "1 > 2")).exits(0);
    never.stderr_has("warning: job.yaml:36").stderr_has("this never holds");
}

#[test]
fn rules_are_tried_on_a_file_of_events() {
    let dir = Dir::new();
    dir.json_lines("events.jsonl", &[event(1, "u0", 1), event(2, "ann", 4), event(3, "ann", 0)]);
    // The job's own input does not exist, and is not asked for.
    let old = yaml("backend: rocksdb, dir: /nowhere");
    dir.file("old.yaml", &old);
    let shown = dir.tidegate(["rules", "test", "old.yaml", "--events", "events.jsonl", "--but", "accept"]).run().exits(0).stdout;
    for expected in [
        "reject         50  s  id=1 user=u0",
        "    watched reject +50  u0 failed 1 times  [grey=true fails=1]",
        "review         10  s  id=2 user=ann",
        "    many review +10  [fails=4 limit=3]",
        "3 decisions\n",
        "       1  s accept",
        "          s many: 1 hits",
    ] {
        assert!(shown.contains(expected), "{expected} is not in\n{shown}");
    }
    assert!(!shown.contains("id=3"), "{shown}");
    let rows = dir
        .tidegate([
            "rules",
            "test",
            "old.yaml",
            "--events",
            "in=events.jsonl",
            "--format",
            "json",
            "--set",
            "streams.judged.rules.scenarios.s.params.limit=5",
        ])
        .run()
        .exits(0)
        .values();
    let rows = by_id(rows);
    assert_eq!(rows.iter().map(|row| row["action"].clone()).collect::<Vec<_>>(), ["reject", "accept", "accept"]);
    dir.tidegate(["rules", "test", "old.yaml", "--events", "nowhere.jsonl"]).run().exits(1).stderr_has("`nowhere.jsonl` do not exist");

    // A line that is cut off is told with its place, and a mistake as `check` tells it.
    dir.file("cut.jsonl", dir.read("events.jsonl") + "{\"id\":4,\"us");
    dir.tidegate(["rules", "test", "old.yaml", "--events", "cut.jsonl"]).run().exits(1).stderr_has("cut.jsonl:4: the line is not JSON");
    dir.file("typo.yaml", old.replace("    from: in\n", "    from: inn\n"));
    dir.tidegate(["rules", "test", "typo.yaml", "--events", "events.jsonl"])
        .run()
        .exits(2)
        .stderr_has("no source or stream is called `inn`");
}

fn event(id: i64, user: &str, fails: i64) -> Value {
    json!({ "id": id, "user": user, "ip": "10.9.9.9", "fails": fails, "ts": START + id * 1_000 })
}

#[test]
fn job_files_are_compared_by_meaning_and_one_is_made_of_the_other() {
    let dir = Dir::new();
    let old = yaml("backend: rocksdb, dir: /nowhere");
    dir.file("old.yaml", &old);
    let new = old
        .replace("'too_often(limit)', action: review, score: 10", "'too_often( limit )', score: 10, action: review")
        .replace("limit: 3", "limit: 4")
        .replace("score: 50", "score: 60")
        .replace("key: u0, uses: 3", "key: u0, uses: 5");
    dir.file("new.yaml", &new);
    dir.tidegate(["rules", "diff", "old.yaml", "old.yaml"]).run().exits(0).stdout_is("");
    let told = dir.tidegate(["rules", "diff", "old.yaml", "new.yaml"]).run().exits(0).stdout;
    let lines: Vec<&str> = told.lines().filter(|line| !line.starts_with(' ')).collect();
    assert_eq!(lines, ["~ scenarios.s.params.limit", "~ scenarios.s.rules.watched", "~ list grey"], "{told}");
    // The control record makes the one of the other.
    let mut record = dir.tidegate(["rules", "diff", "old.yaml", "new.yaml", "--control", "7"]).run().exits(0).values().remove(0);
    record["ts"] = json!(START);
    dir.json_lines("in/1.jsonl", &[event(1, "u0", 1), event(2, "ann", 4), event(3, "ann", 0)]).json_lines("control/1.jsonl", &[record]);
    dir.job(&yaml("backend: memory")).args(["--quiet"]).run().exits(0);
    let live = told_by(&dir);
    std::fs::remove_file(dir.path("out.jsonl")).expect("there is output");
    dir.file("control/1.jsonl", "");
    dir.job(&new.replace("backend: rocksdb, dir: /nowhere", "backend: memory")).args(["--quiet"]).run().exits(0);
    assert_eq!(live, told_by(&dir));
}

/// The decisions, whatever their version.
fn told_by(dir: &Dir) -> Vec<Value> {
    let mut rows = told(dir, "out.jsonl");
    rows.iter_mut().for_each(|row| row["version"] = Value::Null);
    rows
}
