//! Control records in great numbers, and hostile ones.

use serde_json::{Value, json};

use crate::harness::Dir;
use crate::harness::random::Random;

const START: i64 = 1_767_225_600_000;

const JOB: &str = "name: loaded
state: { backend: memory }
sources:
  in:
    connector: file
    path: in.jsonl
    format: json
    schema: { id: int, user: string, n: int, ts: timestamp_ms }
    event_time: { field: ts }
  control:
    connector: file
    path: control.jsonl
    format: json
    schema: { version: int, ts: timestamp_ms, at: timestamp_ms, changes: list }
    event_time: { field: ts }
factors:
  over(x): n > x
lists:
  black: { entries: [ u0 ] }
  nets: { match: cidr }
streams:
  judged:
    from: in
    key: user
    order: time
    control: control
    ledger: ledger
    rules:
      indicators: { seen: { value: count(), over: 1m } }
      patterns: { twice: { steps: [ { name: x, where: n > 3, times: 2 } ], within: 1m } }
      scenarios:
        s:
          params: { limit: 3 }
          lists: [ { list: black, on: user, as: black } ]
          rules:
            big: { if: over(limit), action: review, score: 1 }
            black: { if: black && seen > 2, action: reject }
            twice: { if: twice, score: 5 }
sinks:
  out: { from: judged, connector: file, path: out.jsonl, format: json }
  ledger: { from: ledger, connector: file, path: ledger.jsonl, format: json }
";

fn event(id: i64, ts: i64) -> Value {
    json!({ "id": id, "user": format!("u{}", id % 5), "n": id % 9, "ts": ts })
}

#[test]
fn ten_thousand_versions_in_a_minute_are_each_active_from_their_moment_on() {
    let dir = Dir::new();
    let count = 10_000;
    let record = |version: i64| {
        let changes = match version % 3 {
            0 => json!([{ "set": "scenarios.s.params.limit", "value": version % 7 }]),
            1 => json!([{ "list": "black", "add": { "key": format!("u{}", version % 5), "to": START + version * 6 + 600 } }]),
            _ => json!([{ "set": "scenarios.s.rules.big.score", "value": version % 11 }]),
        };
        json!({ "version": version, "ts": START + version * 6, "changes": changes })
    };
    dir.json_lines("control.jsonl", &(1..=count).map(record).collect::<Vec<_>>());
    dir.json_lines("in.jsonl", &(0..20_000).map(|id| event(id, START + id * 3 + 1)).collect::<Vec<_>>());
    dir.job(JOB).args(["--quiet", "-p", "2"]).run().exits(0);
    let ledger = dir.values("ledger.jsonl");
    assert_eq!(ledger.len() as i64, count);
    assert!(ledger.iter().all(|entry| entry["outcome"] == "accepted"));
    let decisions = dir.values("out.jsonl");
    assert_eq!(decisions.len(), 20_000);
    for row in decisions {
        let id = row["id"].as_i64().expect("a number");
        let version = (id * 3 + 1) / 6;
        assert_eq!(row["version"], version, "{row}");
        let last = |residue: i64| (0..=version).rev().find(|version| version % 3 == residue && *version > 0);
        let limit = last(0).map_or(3, |version| version % 7);
        let score = last(2).map_or(1, |version| version % 11);
        let hit = row["hits"].as_array().expect("a list").iter().find(|hit| hit["rule"] == "big");
        assert_eq!(hit.map(|hit| &hit["score"]), (id % 9 > limit).then_some(&json!(score)), "{row}");
    }
}

/// Changes that are valid.
fn valid() -> Vec<Value> {
    vec![
        json!({ "set": "scenarios.s.params.limit", "value": 5 }),
        json!({ "set": "scenarios.s.rules.new", "value": { "if": "n > 2 && (user == 'u1' || seen < 4)", "score": "n * 2", "reason": "{n} of {user}" } }),
        json!({ "set": "scenarios.t", "value": { "when": "n in [1, 2, 3]", "rules": { "r": { "if": "user.startsWith('u')", "action": "reject" } } } }),
        json!({ "remove": "scenarios.s.rules.new" }),
        json!({ "set": "factors.over(x)", "value": "n >= x" }),
        json!({ "set": "indicators.seen.over", "value": "30s" }),
        json!({ "set": "indicators.top", "value": { "value": "max(n)", "over": "ever", "where": "n > 1", "key": "user" } }),
        json!({ "remove": "indicators.top" }),
        json!({ "set": "patterns.twice", "value": { "steps": [{ "name": "x", "where": "n > 1" }, { "name": "y", "where": "n < x[0].n" }], "within": "1m" } }),
        json!({ "set": "scenarios.s.strategy", "value": { "policy": "score", "bands": [{ "from": 1, "action": "review" }] } }),
        json!({ "list": "black", "add": { "key": "u1", "to": START + 9_000, "uses": 2, "reason": "x" } }),
        json!({ "list": "nets", "add": "10.0.0.0/8" }),
        json!({ "list": "nets", "remove": "10.0.0.0/8" }),
        json!({ "list": "black", "clear": true }),
    ]
}

/// Text that is hard on a parser.
const HARD: [&str; 18] = [
    "",
    " ",
    "\u{0}",
    "((((((((((((((((((((((((((((((((((((((((1",
    "n > ",
    "!!!!!!!!true",
    "'",
    "\"",
    "{{",
    "{n",
    "9999999999999999999999",
    "1/0 > 0",
    "[1,2,3].map(x, x.map(y, y))",
    "\u{202e}n > 1",
    "n\u{301} > 1",
    "scenarios..rules",
    "a.b.c.d.e.f.g",
    "-9223372036854775808 - 1 < n",
];

/// Something like the value, and wrong somewhere.
fn spoiled(value: &Value, random: &mut Random) -> Value {
    let odd = [json!(null), json!(-1), json!(1e308), json!([]), json!({}), json!(true), json!([[[[[[]]]]]]), json!(u64::MAX)];
    match value {
        Value::Object(map) => {
            let mut map = map.clone();
            let keys: Vec<String> = map.keys().cloned().collect();
            let Some(key) = (!keys.is_empty()).then(|| random.of(&keys).clone()) else { return json!(1) };
            match random.below(6) {
                0 => _ = map.remove(&key),
                1 => _ = map.insert(random.of(&HARD).to_string(), json!(1)),
                2 => _ = map.insert(key, random.of(&odd).clone()),
                _ => {
                    let inner = spoiled(&map[&key], random);
                    map.insert(key, inner);
                }
            }
            Value::Object(map)
        }
        Value::Array(items) => {
            let mut items = items.clone();
            match items.len() {
                0 => items.push(random.of(&odd).clone()),
                n => {
                    let at = random.below(n as i64) as usize;
                    items[at] = spoiled(&items[at], random);
                }
            }
            Value::Array(items)
        }
        Value::String(text) => {
            let mut chars: Vec<char> = text.chars().collect();
            match random.below(5) {
                0 => return random.of(&HARD).to_string().into(),
                1 => return text.repeat(40).into(),
                _ => {
                    for _ in 0..=random.below(3) {
                        let at = random.below(chars.len() as i64 + 1) as usize;
                        match random.below(3) {
                            0 if at < chars.len() => _ = chars.remove(at),
                            1 if at < chars.len() => {
                                chars[at] = *random.of(&['(', ')', '.', '\'', '&', '>', ' ', '1', 'n', '{', '\u{7f}', 'é'])
                            }
                            _ => chars.insert(at, *random.of(&['(', ')', '.', '"', '|', '-', '9', '[', 'x', '\\', '\n', '🦀'])),
                        }
                    }
                }
            }
            chars.into_iter().collect::<String>().into()
        }
        _ => random.of(&odd).clone(),
    }
}

/// Runs a job over so many hostile control records.
fn survives(seed: u64, count: i64) {
    let mut random = Random(seed);
    let dir = Dir::new();
    let valid = valid();
    let record = |version: i64| {
        let changes = (0..=random.below(2)).map(|_| {
            let change = random.of(&valid).clone();
            if random.below(4) > 0 { spoiled(&change, &mut random) } else { change }
        });
        let changes: Value = changes.collect();
        let changes = if random.below(30) == 0 { spoiled(&changes, &mut random) } else { changes };
        json!({ "version": version, "ts": START + version * 3, "changes": changes })
    };
    dir.json_lines("control.jsonl", &(1..=count).map(record).collect::<Vec<_>>());
    dir.json_lines("in.jsonl", &(0..count).map(|id| event(id, START + id * 3 + 1)).collect::<Vec<_>>());
    dir.job(JOB).args(["--quiet", "-p", "2"]).run().exits(0);
    let ledger = dir.values("ledger.jsonl");
    assert_eq!(ledger.len() as i64, count);
    let with = |outcome: &str| ledger.iter().filter(|entry| entry["outcome"] == outcome).count();
    assert_eq!(with("accepted") + with("refused"), ledger.len());
    assert!(with("accepted") > ledger.len() / 20 && with("refused") > ledger.len() / 2, "{} of {count} accepted", with("accepted"));
    assert!(ledger.iter().all(|entry| (entry["outcome"] == "refused") == entry["error"].is_string()));
    let mut ids: Vec<i64> = dir.values("out.jsonl").iter().map(|row| row["id"].as_i64().expect("a number")).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len() as i64, count, "every record is decided about");
}

#[test]
fn hostile_control_records_are_refused_and_nothing_else_happens() {
    // `TIDEGATE_FUZZ_SECONDS=600 cargo test --test cli hostile` goes on for ten minutes.
    let more = std::env::var("TIDEGATE_FUZZ_SECONDS").map_or(0, |seconds| seconds.parse().expect("a number of seconds"));
    let start = std::time::Instant::now();
    for seed in (1..).take_while(|seed| *seed <= 4 || start.elapsed().as_secs() < more) {
        survives(seed, 1_500);
    }
}
