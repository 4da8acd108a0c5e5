//! Sources without a schema: a job over one gives what it gives where the schema is declared.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::harness::{Dir, sorted};

const ORDERS: &str = "schema: { id: int, user: string, amount: int, note: string, tags: list, ts: int },";
const PAYMENTS: &str = "schema: { user: string, amount: int, card: string, ts: int },";

/// Orders and payments that have some fields in common. Every record has all fields that the schemas say, so that these say nothing new.
fn dir() -> Dir {
    let dir = Dir::new();
    let order = |id: i64, user: &str, amount: i64, note: Value, tags: Value| json!({"id": id, "user": user, "amount": amount, "note": note, "tags": tags, "ts": id * 1_000});
    let orders = [
        order(1, "ann", 5, json!("first"), json!(["a", "b"])),
        order(2, "bob", 1, Value::Null, json!([])),
        order(3, "ann", 9, json!("x"), json!(["c"])),
        order(4, "cid", 3, json!("y"), json!(["d", "e"])),
        order(5, "bob", 7, json!("z"), json!(["f"])),
    ];
    let payment = |user: &str, amount: i64, card: &str, ts: i64| json!({"user": user, "amount": amount, "card": card, "ts": ts});
    let payments =
        [payment("ann", 5, "V1", 1_200), payment("bob", 2, "M2", 1_900), payment("ann", 9, "V1", 3_100), payment("dan", 4, "A3", 4_000)];
    dir.json_lines("orders.jsonl", &orders).json_lines("payments.jsonl", &payments);
    let cards = [json!({"card": "V1", "amount": 700, "country": "DE"}), json!({"card": "M2", "amount": 300, "country": "FR"})];
    dir.json_lines("cards.jsonl", &cards);
    dir
}

fn job(orders: &str, payments: &str, streams: &str) -> String {
    format!(
        "name: t
sources:
  orders: {{ connector: file, path: orders.jsonl, {orders} event_time: {{ field: ts, max_delay: 1h }} }}
  payments: {{ connector: file, path: payments.jsonl, {payments} event_time: {{ field: ts, max_delay: 1h }} }}
tables:
  cards: {{ connector: file, path: cards.jsonl, schema: {{ card: string, amount: int, country: string }} }}
streams:
{streams}
sinks: {{ out: {{ from: s, connector: stdout }} }}
"
    )
}

/// The fields of a record in the order of their names, without nulls: a row that a join has nothing for has nulls for the fields of a schema, and without one no
/// fields. So it is in the maps within.
fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields: BTreeMap<&String, Value> =
                fields.iter().filter(|(_, value)| !value.is_null()).map(|(name, value)| (name, without_nulls(value))).collect();
            json!(fields)
        }
        Value::Array(items) => items.iter().map(without_nulls).collect(),
        other => other.clone(),
    }
}

/// Runs `streams`, of which the last is called `s`, with each of the sources declared or not.
fn the_same_without_schemas(streams: &str) {
    let dir = dir();
    let run = |orders: &str, payments: &str, workers: &str| {
        let outcome = dir.job(&job(orders, payments, streams)).args(["--quiet", "-p", workers]).run().exits(0);
        sorted(outcome.values().iter().map(without_nulls).collect())
    };
    let declared = run(ORDERS, PAYMENTS, "1");
    assert!(!declared.is_empty(), "nothing comes of {streams}");
    for (orders, payments, workers) in [("", PAYMENTS, "1"), (ORDERS, "", "1"), ("", "", "1"), ("", "", "2")] {
        assert_eq!(run(orders, payments, workers), declared, "orders {orders:?}, payments {payments:?}: {streams}");
    }
}

#[test]
fn records_one_by_one() {
    for streams in [
        "  s: { from: orders }",
        "  s: { from: orders, where: 'amount > 2 && note != null' }",
        "  s: { from: orders, select: { who: user, twice: 'amount * 2', lost: note } }",
        "  s: { from: orders, select: { '*': true } }",
        "  s: { from: orders, where: \"note != 'x'\", select: { '*': true, note: '\"anew\"', more: amount } }",
        "  a: { from: orders, select: { '*': true, note: '\"anew\"' } }\n  s: { from: a, where: \"note == 'anew'\", select: { '*': true, amount: 'amount + id', note: 'note + user' } }",
        "  a: { from: orders, select: { note: user, amount: amount } }\n  s: { from: a, select: { '*': true, note: 'note + \"!\"' } }",
        "  s: { from: orders, flat_map: { tag: tags } }",
        "  a: { from: orders, flat_map: { tag: tags } }\n  s: { from: a, where: \"tag != 'b'\", select: { tag: tag, id: id } }",
        "  s: { from: orders, select: { '*': true, tags: 'tags + [user]' }, flat_map: tags }",
    ] {
        the_same_without_schemas(streams);
    }
}

#[test]
fn records_by_key() {
    for streams in [
        "  s: { from: orders, key: user, aggregate: { n: count(), sum: sum(amount), notes: collect(note) } }",
        "  s: { from: orders, key: [user, 'amount > 4'], window: { tumbling: 2s }, aggregate: { n: { value: count(), where: \"note != 'x'\" } }, where: 'n > 0' }",
        "  s: { from: orders, key: user, window: { session: 'amount * 1000' }, aggregate: { top: max(amount) } }",
        "  s: { from: orders, key: user, dedupe: { ttl: 1h } }",
        "  s: { from: orders, key: 'user + note', dedupe: { ttl: 1h, keep: last }, select: { '*': true, user: id } }",
        "  s: { from: orders, key: user, top: { n: 1, by: amount } }",
        "  s: { from: orders, window: { tumbling: 10s }, top: { n: 2, by: amount }, where: 'rank == 1', select: { '*': true, note: rank } }",
        "  a: { from: orders, window: { tumbling: 10s }, top: { n: 3, by: amount } }\n  s: { from: a, select: { user: user, rank: rank, end: window_end, note: note } }",
        "  s: { from: orders, key: user, pattern: { steps: [{ name: small, where: amount < 6 }, { name: large, where: 'amount > 6 && amount > small[0].amount' }] }, select: { user: user, small: 'small[0].amount', events: large } }",
    ] {
        the_same_without_schemas(streams);
    }
    // A step may be called as a field that nobody has declared.
    let step = "  s: { from: orders, key: user, pattern: { steps: [{ name: note, where: amount < 6 }, { name: large, where: 'amount > note[0].amount' }] }, select: { user: user, was: 'note[0].amount' } }";
    let dir = dir();
    let outcome = dir.job(&job("", "", step)).args(["--quiet"]).run().exits(0);
    assert_eq!(sorted(outcome.values()), [json!({"user": "ann", "was": 5}), json!({"user": "bob", "was": 1})]);
    dir.check(&job(ORDERS, "", step)).exits(2).stderr_has("`note` is both a field and a step");
}

#[test]
fn several_streams_at_once() {
    for streams in [
        "  s: { from: [orders, payments] }",
        "  s: { from: [orders, payments], where: 'amount > 2 && card == null' }",
        "  a: { from: payments, select: { user: user, note: card } }\n  s: { from: [a, orders], select: { '*': true, amount: '1' } }",
        "  a: { from: orders, select: { '*': true, card: note } }\n  s: { from: [a, payments], key: user, window: { tumbling: 1h }, aggregate: { n: count(card), last: last(card) } }",
        "  a: { from: orders, where: 'amount < 4' }\n  b: { from: orders, where: 'amount >= 4', select: { '*': true, big: 'true' } }\n  s: { from: [a, b, payments] }",
    ] {
        the_same_without_schemas(streams);
    }
}

#[test]
fn joins() {
    for kind in ["inner", "left", "right", "full"] {
        for near in ["within: 1500ms", "window: { tumbling: 2s }"] {
            let join = format!("join: {{ with: payments, on: 'orders.user == payments.user', {near}, type: {kind} }}");
            the_same_without_schemas(&format!(
                "  s: {{ from: orders, {join}, select: {{ user: user, amount: amount, theirs: payments_amount, card: card, at: payments_ts, note: note }} }}"
            ));
            the_same_without_schemas(&format!(
                "  a: {{ from: orders, {join} }}\n  s: {{ from: a, select: {{ id: id, who: payments_user, paid: payments_amount }} }}"
            ));
            the_same_without_schemas(&format!("  s: {{ from: orders, {join}, where: \"card != 'A3' && payments_amount != 2\" }}"));
            the_same_without_schemas(&format!(
                "  s: {{ from: orders, {join}, select: {{ '*': true, card: '1', payments_amount: amount }}, where: \"card != 'M2'\" }}"
            ));
        }
    }
    // Where the left lacks a field only a row can tell that it does, and a row of no one can't.
    for kind in ["inner", "left"] {
        for near in ["within: 1500ms", "window: { tumbling: 2s }", "temporal: true", "temporal: true, deleted: \"card == 'M2'\""] {
            let join = format!("join: {{ with: payments, on: 'orders.user == payments.user', {near}, type: {kind} }}");
            the_same_without_schemas(&format!("  s: {{ from: orders, {join} }}"));
            the_same_without_schemas(&format!("  s: {{ from: orders, {join}, where: \"note != 'z'\" }}"));
            the_same_without_schemas(&format!(
                "  s: {{ from: orders, {join}, select: {{ user: user, amount: amount, card: card, at: payments_ts }} }}"
            ));
            the_same_without_schemas(&format!(
                "  s: {{ from: orders, {join}, flat_map: {{ tag: tags }}, select: {{ '*': true, id: card }} }}"
            ));
        }
    }
    for streams in [
        "  s: { from: orders, key: user, join: { with: payments, within: 5s } }",
        "  p: { from: payments, select: { who: user, note: card } }\n  s: { from: orders, join: { with: p, on: 'orders.user == p.who', within: 5s } }",
        "  p: { from: payments, select: { '*': true, note: card } }\n  s: { from: orders, join: { with: p, on: 'orders.user == p.user', within: 5s }, where: \"p_note == 'V1'\" }",
        "  a: { from: orders, join: { with: payments, on: 'orders.user == payments.user', within: 5s } }\n  s: { from: a, join: { with: payments, on: 'a.payments_amount == payments.amount', within: 5s } }",
        "  a: { from: orders, join: { with: payments, on: 'orders.user == payments.user', within: 5s } }\n  s: { from: a, key: card, window: { tumbling: 10s }, aggregate: { n: count(), paid: sum(payments_amount) } }",
        "  u: { from: [orders, payments] }\n  s: { from: u, join: { with: payments, on: 'u.user == payments.user', within: 2s }, select: { user: user, card: card, other: payments_card } }",
    ] {
        the_same_without_schemas(streams);
    }
}

#[test]
fn lookups() {
    for kind in ["inner", "left"] {
        let lookup = format!("lookup: {{ table: cards, on: card, type: {kind} }}");
        for rest in [
            "",
            ", where: \"country != 'FR'\"",
            ", where: 'cards_amount > 400'",
            ", select: { user: user, amount: amount, limit: cards_amount, country: country, card: cards_card }",
            ", select: { '*': true, country: 'amount', ts: cards_amount }",
        ] {
            the_same_without_schemas(&format!("  s: {{ from: payments, {lookup}{rest} }}"));
        }
        the_same_without_schemas(&format!(
            "  a: {{ from: payments, {lookup}, where: \"country == 'DE'\" }}\n  s: {{ from: a, key: user, aggregate: {{ n: max(cards_amount) }} }}"
        ));
        the_same_without_schemas(&format!(
            "  a: {{ from: orders, join: {{ with: payments, on: 'orders.user == payments.user', within: 5s }} }}\n  s: {{ from: a, {lookup}, select: {{ '*': true, amount: cards_amount }} }}"
        ));
    }
}

#[test]
fn a_record_keeps_what_it_has_and_gets_nothing_else() {
    let dir = Dir::new();
    let records = [json!({"a": 1, "b": null}), json!({"b": 2, "c": {"x": []}}), json!({}), json!({"a": null})];
    dir.json_lines("in.jsonl", &records);
    let job = |streams: &str| {
        format!(
            "name: t\nsources: {{ in: {{ connector: file, path: in.jsonl }} }}\nstreams:\n{streams}\nsinks: {{ out: {{ from: s, connector: stdout }} }}\n"
        )
    };
    for stream in
        ["s: { from: in }", "s: { from: in, where: 'a != 7 && b != 7' }", "s: { from: in, select: { '*': true }, where: 'z == null' }"]
    {
        assert_eq!(dir.job(&job(&format!("  {stream}"))).args(["--quiet", "-p", "1"]).run().exits(0).values(), records, "{stream}");
    }
    // What is named is null where it is not there.
    let outcome = dir.job(&job("  s: { from: in, select: { a: a, b: 'b == null' } }")).args(["--quiet", "-p", "1"]).run().exits(0);
    let expected =
        [json!({"a": 1, "b": true}), json!({"a": null, "b": false}), json!({"a": null, "b": true}), json!({"a": null, "b": true})];
    assert_eq!(outcome.values(), expected);
    // An element replaces a field of its name.
    dir.json_lines("in.jsonl", &[json!({"item": [1, 2], "k": 3})]);
    let outcome = dir.job(&job("  s: { from: in, flat_map: { item: item } }")).args(["--quiet", "-p", "1"]).run().exits(0);
    assert_eq!(outcome.values(), [json!({"k": 3, "item": 1}), json!({"k": 3, "item": 2})]);
    // As a rank does.
    dir.json_lines("in.jsonl", &[json!({"rank": 9, "k": 3})]);
    let outcome = dir.job(&job("  s: { from: in, top: { n: 1, by: rank } }")).args(["--quiet", "-p", "1"]).run().exits(0);
    assert_eq!(outcome.values(), [json!({"k": 3, "rank": 1})]);
}

#[test]
fn what_one_input_of_a_union_lacks_is_left_out() {
    let dir = Dir::new();
    dir.json_lines("a.jsonl", &[json!({"x": 1, "y": null})]).json_lines("b.jsonl", &[json!({"x": 2, "z": "s"})]);
    let job = "name: t\nsources:\n  a: { connector: file, path: a.jsonl, schema: { x: int, y: int } }\n  b: { connector: file, path: b.jsonl, schema: { x: int, z: string } }\nstreams: { s: { from: [a, b], where: 'x > 0' } }\nsinks: { out: { from: s, connector: stdout }, all: { from: s, connector: file, path: all.csv, format: csv } }\n";
    let outcome = dir.job(job).args(["--quiet", "-p", "1"]).run().exits(0);
    assert_eq!(sorted(outcome.values()), sorted(vec![json!({"x": 1, "y": null}), json!({"x": 2, "z": "s"})]));
    let mut lines: Vec<String> = dir.read("all.csv").lines().map(str::to_owned).collect();
    lines[1..].sort();
    assert_eq!(lines, ["x,y,z", "1,,", "2,,s"]);
}

#[test]
fn fields_that_nobody_knows_have_no_columns() {
    let dir = dir();
    let sink = |format: &str| job("", PAYMENTS, "  s: { from: orders, where: 'amount > 1' }").replace("connector: stdout", format);
    let file = |format: &str| format!("connector: file, path: out, format: {format}");
    for format in ["csv", "text"] {
        let remedy = "those of these records are not known before they come: name them, with a `schema` of the source or in `select`";
        dir.check(&sink(&file(format))).exits(2).stderr_has(remedy);
    }
    let named = job("", "", "  s: { from: orders, select: { user: user, amount: amount } }").replace("connector: stdout", &file("csv"));
    dir.job(&named).args(["--quiet", "-p", "1"]).run().exits(0);
    assert_eq!(dir.read("out"), "user,amount\nann,5\nbob,1\nann,9\ncid,3\nbob,7\n");
}

#[test]
fn one_name_is_one_field_where_open_rows_are_joined() {
    let dir = Dir::new();
    let rows = |file: &str, row: Value| _ = dir.json_lines(file, &[row]);
    rows("orders.jsonl", json!({"id": 1, "ts": 0, "both": "l", "payments_x": "own", "left": 1}));
    rows("payments.jsonl", json!({"id": 1, "ts": 0, "both": "r", "x": 5, "right": 2}));
    rows("cards.jsonl", json!({"card": "V1"}));
    let join = "join: { with: payments, on: 'orders.id == payments.id', within: 1s }";
    let outcome = dir.job(&job("", "", &format!("  s: {{ from: orders, {join} }}"))).args(["--quiet"]).run().exits(0);
    let joined = json!({
        "id": 1, "ts": 0, "both": "l", "payments_x": "own", "left": 1, "payments_id": 1, "payments_ts": 0, "payments_both": "r", "x": 5, "right": 2
    });
    assert_eq!(outcome.values(), [joined]);
    let select = "select: { l: both, r: payments_both, own: payments_x }";
    let outcome = dir.job(&job("", "", &format!("  s: {{ from: orders, {join}, {select} }}"))).args(["--quiet"]).run().exits(0);
    assert_eq!(outcome.values(), [json!({"l": "l", "r": "r", "own": "own"})]);
}
