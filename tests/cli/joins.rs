//! Joins in job files, against every pair there is.

use serde_json::{Value, json};

use crate::harness::{Dir, sorted};

/// Orders and payments: an id and a time each, out of order by less than three seconds.
fn records(seed: u64) -> Vec<(i64, i64, i64)> {
    let mut state = seed;
    let mut random = |n: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 33) % n) as i64
    };
    (0..400).map(|i| (random(40), i, 10_000 + i * 37 - random(2_900))).collect()
}

#[allow(clippy::type_complexity)]
fn dir() -> (Dir, Vec<(i64, i64, i64)>, Vec<(i64, i64, i64)>) {
    let (dir, orders, payments) = (Dir::new(), records(7), records(99));
    let row = |(id, n, ts): &(i64, i64, i64)| json!({"id": id, "n": n, "ts": ts});
    dir.json_lines("orders.jsonl", &orders.iter().map(row).collect::<Vec<_>>());
    dir.json_lines("payments.jsonl", &payments.iter().map(row).collect::<Vec<_>>());
    (dir, orders, payments)
}

fn job(join: &str) -> String {
    let source = |name: &str| {
        format!(
            "{name}: {{ connector: file, path: {name}.jsonl, schema: {{ id: int, n: int, ts: int }}, event_time: {{ field: ts, max_delay: 3s }} }}"
        )
    };
    format!(
        "name: t\nsources: {{ {}, {} }}\nstreams: {{ s: {{ from: orders, {join}, select: {{ o: n, p: payments_n }} }} }}\nsinks: {{ out: {{ from: s, connector: stdout }} }}\n",
        source("orders"),
        source("payments")
    )
}

/// The pairs that are near, and who is alone.
fn pairs(kind: &str, near: impl Fn(i64, i64) -> bool) -> Vec<Value> {
    let (orders, payments) = (records(7), records(99));
    let mut all = Vec::new();
    for (id, o, at) in &orders {
        let partners: Vec<i64> = payments.iter().filter(|p| p.0 == *id && near(*at, p.2)).map(|p| p.1).collect();
        if partners.is_empty() && matches!(kind, "left" | "full") {
            all.push(json!({"o": o, "p": null}));
        }
        all.extend(partners.into_iter().map(|p| json!({"o": o, "p": p})));
    }
    let alone = payments.iter().filter(|p| !orders.iter().any(|o| o.0 == p.0 && near(o.2, p.2)));
    all.extend(alone.filter(|_| matches!(kind, "right" | "full")).map(|p| json!({"o": null, "p": p.1})));
    sorted(all)
}

#[test]
fn records_near_in_time_are_paired_at_any_parallelism() {
    let (dir, ..) = dir();
    for kind in ["inner", "left", "right", "full"] {
        for (within, low, high) in [("[-500ms, 1s]", -500, 1_000), ("[200ms, 2s]", 200, 2_000), ("300ms", -300, 300)] {
            let expected = pairs(kind, |order, payment| (low..=high).contains(&(payment - order)));
            for workers in ["1", "3"] {
                let join = format!("join: {{ with: payments, on: 'orders.id == payments.id', within: {within}, type: {kind} }}");
                let outcome = dir.job(&job(&join)).args(["--quiet", "-p", workers]).run().exits(0);
                assert!(sorted(outcome.values()) == expected, "{kind} {within} at -p {workers}");
            }
        }
    }
}

#[test]
fn records_of_one_window_are_paired() {
    let (dir, ..) = dir();
    for kind in ["inner", "left", "right", "full"] {
        let expected = pairs(kind, |order, payment| order.div_euclid(4_000) == payment.div_euclid(4_000));
        let join = format!("key: id, join: {{ with: payments, window: {{ tumbling: 4s }}, type: {kind} }}");
        let outcome = dir.job(&job(&join)).args(["--quiet", "-p", "2"]).run().exits(0);
        assert!(sorted(outcome.values()) == expected, "{kind}");
    }
}

#[test]
fn a_record_is_joined_with_the_version_of_its_time() {
    let (dir, orders, payments) = dir();
    for kind in ["inner", "left"] {
        // Of a table a version holds until the next, of equal times the last in the file; one with n divisible by five ends the one before.
        let version = |id: i64, at: i64| {
            let latest = payments.iter().filter(|p| p.0 == id && p.2 <= at).max_by_key(|p| (p.2, p.1));
            latest.filter(|p| p.1 % 5 != 0).map(|p| p.1)
        };
        let all = orders.iter().map(|(id, n, at)| (n, version(*id, *at)));
        let expected = sorted(all.filter(|(_, v)| v.is_some() || kind == "left").map(|(n, v)| json!({"o": n, "p": v})).collect());
        for workers in ["1", "3"] {
            let on = "on: 'orders.id == payments.id'";
            let join = format!("join: {{ with: payments, {on}, temporal: true, deleted: 'n % 5 == 0', type: {kind} }}");
            let outcome = dir.job(&job(&join)).args(["--quiet", "-p", workers]).run().exits(0);
            assert!(sorted(outcome.values()) == expected, "{kind} at -p {workers}");
        }
    }
}

#[test]
fn fields_of_both_are_in_the_result() {
    let dir = Dir::new();
    dir.json_lines("orders.jsonl", &[json!({"id": 1, "n": 5, "ts": 1_000})]);
    dir.json_lines("payments.jsonl", &[json!({"id": 2, "n": 6, "ts": 1_200})]);
    let join = "join: { with: payments, on: ['b.id == a.id + 1'], window: { tumbling: 1s } }";
    let job = job(join).replace(", select: { o: n, p: payments_n }", "");
    let outcome = dir.job(&job).args(["--quiet"]).run().exits(0);
    let row = json!({
        "id": 1, "n": 5, "ts": 1_000, "payments_id": 2, "payments_n": 6, "payments_ts": 1_200, "window_start": 1_000, "window_end": 2_000
    });
    assert_eq!(outcome.values(), [row]);
}

#[test]
fn keys_meet_if_they_are_equal() {
    let dir = Dir::new();
    let rows = |ids: &[Value]| ids.iter().enumerate().map(|(n, id)| json!({"id": id, "n": n, "ts": n})).collect::<Vec<_>>();
    // 2^53 and the next int, of which a double knows the first alone.
    let big = 9_007_199_254_740_992_i64;
    dir.json_lines("orders.jsonl", &rows(&[json!(1), json!(null), json!(big), json!(big + 1), json!(4)]));
    dir.json_lines("payments.jsonl", &rows(&[json!(1.0), json!(null), json!(big as f64), json!(2.5)]));
    let types =
        [("id: int, n: int, ts: int", "id: double, n: int, ts: int"), ("id: any, n: int, ts: int", "id: any, n: int, ts: int"), ("", "")];
    for (orders, payments) in types {
        let schema = |fields: &str| if fields.is_empty() { String::new() } else { format!("schema: {{ {fields} }}, ") };
        for (kind, alone) in [("inner", false), ("full", true)] {
            for near in ["within: 1s", "window: { tumbling: 1s }"] {
                let join = format!("join: {{ with: payments, on: 'orders.id == payments.id', {near}, type: {kind} }}");
                let job = job(&join);
                let (before, after) = job.rsplit_once("schema: { id: int, n: int, ts: int }, ").expect("the schema of payments");
                let job =
                    format!("{before}{}{after}", schema(payments)).replacen("schema: { id: int, n: int, ts: int }, ", &schema(orders), 1);
                let outcome = dir.job(&job).args(["--quiet", "-p", "2"]).run().exits(0);
                let mut expected = vec![json!({"o": 0, "p": 0}), json!({"o": 2, "p": 2})];
                let lone = [
                    json!({"o": 1, "p": null}),
                    json!({"o": 3, "p": null}),
                    json!({"o": 4, "p": null}),
                    json!({"o": null, "p": 1}),
                    json!({"o": null, "p": 3}),
                ];
                expected.extend(lone.into_iter().filter(|_| alone));
                assert_eq!(sorted(outcome.values()), sorted(expected), "{kind} {near}: {orders:?} and {payments:?}");
            }
        }
    }
}

#[test]
fn the_key_of_a_full_join_is_that_of_either_side() {
    let dir = Dir::new();
    dir.json_lines("orders.jsonl", &[json!({"id": 1, "n": 5, "ts": 0}), json!({"id": 2, "n": 6, "ts": 0})]);
    dir.json_lines("payments.jsonl", &[json!({"id": 2, "n": 7, "ts": 0}), json!({"id": 3, "n": 8, "ts": 0})]);
    let expected = [json!({"id": 1, "o": 5, "p": null}), json!({"id": 2, "o": 6, "p": 7}), json!({"id": 3, "o": null, "p": 8})];
    for key in [
        "key: id, join: { with: payments, within: 1s, type: full }",
        "join: { with: payments, on: 'orders.id == payments.id', within: 1s, type: full }",
    ] {
        let job = job(key).replace("select: { o: n, p: payments_n }", "select: { id: id, o: n, p: payments_n }");
        assert_eq!(sorted(dir.job(&job).args(["--quiet"]).run().exits(0).values()), expected, "{key}");
    }
    // Elsewhere `coalesce` takes what there is.
    let right = "join: { with: payments, on: 'orders.id == payments.id', within: 1s, type: right }";
    let job = job(right).replace("select: { o: n, p: payments_n }", "select: { n: 'coalesce(n, payments_n, 0)', id: id }");
    assert_eq!(sorted(dir.job(&job).args(["--quiet"]).run().exits(0).values()), [json!({"id": 2, "n": 6}), json!({"id": null, "n": 8})]);
}

#[test]
fn late_records_have_the_fields_of_a_result() {
    let dir = Dir::new();
    dir.file("orders.jsonl", "").file("payments.jsonl", "");
    let join = "join: { with: payments, on: 'a.id == b.id', within: 1s }, late_to: late";
    let of_late = "l: { from: late, select: { o: n, p: payments_n } } }\nsinks: { behind: { from: l, connector: stdout },";
    dir.check(&job(join).replace(" }\nsinks: {", &format!(", {of_late}"))).exits(0).stderr_is("");
}

#[test]
fn what_is_wrong_with_a_join_is_told_where_it_is() {
    let dir = Dir::new();
    let check = |join: &str, part: &str| _ = dir.check(&job(join)).exits(2).stderr_has(part);
    check("join: { with: paymets, on: 'a.id == b.id', within: 1s }", "no source or stream is called `paymets`: did you mean `payments`?");
    check("join: { with: payments, on: 'a.id == b.id' }", "needs one of `within`, `window` and `temporal`");
    check("join: { with: payments, within: 1s }", "a join needs `on`, such as `a.id == b.id`, or the stream a `key` that both have");
    check(
        "join: { with: payments, on: 'a.id == a.id', within: 1s }",
        "`on` is an equality of the two streams, such as `orders.id == payments.id`",
    );
    check("join: { with: payments, on: 'a.idd == b.id', within: 1s }", "unknown field `idd`: did you mean `id`?");
    check("join: { with: payments, on: 'a.id == string(b.id)', within: 1s }", "`on` is an equality of the two streams");
    check("join: { with: payments, on: 'a.id == b.id', within: [1s, 0s] }", "the first of the two is the earlier one");
    check(
        "join: { with: payments, on: 'a.id == b.id', window: { count: 3 } }",
        "a join is by tumbling, sliding, cumulative or session windows",
    );
    check("join: { with: payments, on: 'a.id == b.id', temporal: true, type: full }", "a temporal join is `inner` or `left`");
    check("join: { with: payments, on: 'a.id == b.id', temporal: true, deleted: id }", "expected bool, found int");
    check("join: { with: payments, on: 'a.id == b.id', within: 1s, deleted: 'n == 1' }", "needs `temporal`");
    check("join: { with: payments, on: 'a.id == b.id', within: 1s }, aggregate: { n: count() }", "`aggregate` does not go with `join`");
}
