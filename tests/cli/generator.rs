//! The generator.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::harness::{Dir, sorted};

const JOB: &str = r"
name: t
sources:
  in:
    connector: generator
    count: 3000
    seed: 7
    fields:
      n: { sequence: [5, 3] }
      dice: { uniform: [1, 6] }
      share: { uniform: [0.0, 1.0] }
      amount: { normal: [100, 15] }
      kind: { weighted: { login: 9, order: 1 } }
      item: { zipf: [100, 1.2] }
      side: { cycle: [left, right, up] }
      same: { constant: x }
      at: { time: { start: 2026-01-01T00:00:00Z, step: 10ms, jitter: 1s } }
sinks: { out: { from: in, connector: stdout } }
";

fn run(args: &[&str]) -> Vec<Value> {
    sorted(Dir::new().job(JOB).args(["--quiet"]).args(args).run().exits(0).values())
}

#[test]
fn one_seed_gives_the_same_records_at_any_parallelism() {
    let one = run(&["-p", "1"]);
    assert_eq!(one.len(), 3_000);
    assert!(one == run(&["-p", "1"]), "not even twice the same");
    for workers in ["2", "3"] {
        assert!(one == run(&["-p", workers]), "other records at -p {workers}");
    }
    assert!(one != run(&["-p", "1", "--set", "sources.in.seed=8"]), "another seed, and the same records");
}

#[test]
fn records_of_a_key_keep_their_order_at_any_parallelism() {
    let job = JOB.replace(
        "sinks: { out: { from: in",
        "streams: { s: { from: in, key: dice, aggregate: { n: last(n), c: count() } } }\nsinks: { out: { from: s",
    );
    let running = |workers: &str| {
        let mut by_key: BTreeMap<i64, Vec<Value>> = BTreeMap::new();
        for row in Dir::new().job(&job).args(["--quiet", "-p", workers]).run().exits(0).values() {
            by_key.entry(row["dice"].as_i64().expect("a key")).or_default().push(row);
        }
        by_key
    };
    let one = running("1");
    assert!(one.values().all(|rows| rows.is_sorted_by_key(|row| row["n"].as_i64())));
    for workers in ["2", "3", "4"] {
        assert!(running(workers) == one, "{workers} workers");
    }
}

#[test]
fn fields_are_distributed_as_the_job_says() {
    let rows = run(&["-p", "2"]);
    let ints = |name: &str| rows.iter().map(|r| r[name].as_i64().expect("an int")).collect::<Vec<_>>();
    let mut sequence = ints("n");
    sequence.sort_unstable();
    assert_eq!(sequence, (0..3_000).map(|i| 5 + 3 * i).collect::<Vec<_>>());
    let frequencies = |values: Vec<i64>| {
        values.into_iter().fold(BTreeMap::<i64, i64>::new(), |mut m, v| {
            *m.entry(v).or_default() += 1;
            m
        })
    };
    let dice = frequencies(ints("dice"));
    // Five standard deviations of a count of 500 are about 100.
    assert!(dice.keys().copied().eq(1..=6) && dice.values().all(|n| (400..600).contains(n)), "{dice:?}");
    let items = frequencies(ints("item"));
    assert!(items.keys().all(|k| (1..=100).contains(k)) && items[&1] > items[&2] && items[&2] > items[&20], "{items:?}");
    let doubles = |name: &str| rows.iter().map(|r| r[name].as_f64().expect("a number")).collect::<Vec<_>>();
    assert!(doubles("share").iter().all(|v| (0.0..1.0).contains(v)));
    let mean = doubles("amount").iter().sum::<f64>() / 3_000.0;
    assert!((98.0..102.0).contains(&mean), "{mean}");
    let logins = rows.iter().filter(|r| r["kind"] == "login").count();
    assert!((2_600..2_800).contains(&logins), "{logins}");
    let start = 1_767_225_600_000;
    for row in &rows {
        let i = (row["n"].as_i64().expect("an int") - 5) / 3;
        assert_eq!(row["side"], ["left", "right", "up"][(i % 3) as usize]);
        assert_eq!(row["same"], "x");
        let back = start + i * 10 - row["at"].as_i64().expect("a time");
        assert!((0..=1_000).contains(&back), "moved back by {back}");
    }
}
