//! Exact money from a line to a line: schemas, expressions, keys, windows, sinks.

use crate::harness::Dir;

const JOB: &str = "
name: bills
sources:
  items:
    connector: file
    path: items.jsonl
    schema: { user: string, price: 'decimal(30, 2)', rate: decimal, n: int, ts: timestamp_s }
    event_time: { field: ts }
    dead_letter: bad
streams:
  lines:
    from: items
    where: price != 0 && price < decimal('1e25')
    select: { user: user, price: price, gross: 'math.round(price * n * (1 + rate), 2)', ts: ts }
  bills:
    from: lines
    key: user
    window: { tumbling: 1m }
    aggregate: { total: sum(gross), mean: avg(price), least: min(price), n: count() }
    select: { user: user, total: total, mean: mean, least: least, n: n }
  prices:
    from: lines
    key: price
    window: { tumbling: 1m }
    aggregate: { n: count() }
    select: { price: price, twice: price * 2, n: n }
sinks:
  bills_file: { from: bills, connector: file, path: bills.csv, format: csv }
  shown: { from: prices, connector: stdout }
  bad_file: { from: bad, connector: file, path: bad.jsonl }
";

#[test]
fn money_is_exact_from_line_to_line() {
    let dir = Dir::new();
    dir.file(
        "items.jsonl",
        r#"{"user":"ann","price":0.10,"rate":0.075,"n":3,"ts":1}
{"user":"ann","price":"0.2","rate":0,"n":1,"ts":2}
{"user":"bob","price":12345678901234567890.10,"rate":"0","n":1,"ts":3}
{"user":"bob","price":12345678901234567890.1,"rate":0.00,"n":1,"ts":4}
{"user":"eve","price":0.125,"rate":0,"n":1,"ts":5}
{"user":"eve","price":0,"rate":0,"n":1,"ts":6}
"#,
    );
    let outcome = dir.job(JOB).run().exits(0);
    let mut prices: Vec<&str> = outcome.stdout.lines().collect();
    prices.sort_unstable();
    assert_eq!(
        prices,
        [
            r#"{"price":0.1,"twice":0.2,"n":1}"#,
            r#"{"price":0.2,"twice":0.4,"n":1}"#,
            r#"{"price":12345678901234567890.1,"twice":24691357802469135780.2,"n":2}"#,
        ]
    );
    let bills = dir.read("bills.csv");
    let mut bills: Vec<&str> = bills.lines().collect();
    bills.sort_unstable();
    assert_eq!(
        bills,
        [
            "ann,0.52,0.15,0.10,2",
            "bob,24691357802469135780.20,12345678901234567890.10,12345678901234567890.10,2",
            "user,total,mean,least,n",
        ]
    );
    let bad = dir.read("bad.jsonl");
    assert!(bad.lines().count() == 1 && bad.contains("field `price`: 0.125 is not a decimal(30, 2)"), "{bad}");
}

#[test]
fn a_wrong_number_of_digits_is_told_with_the_form_that_is_right() {
    let dir = Dir::new();
    let source = |ty: &str| {
        format!(
            "name: t\nsources:\n  in:\n    connector: file\n    path: in.jsonl\n    schema:\n      price: {ty}\nsinks: {{ out: {{ from: in, connector: stdout }} }}\n"
        )
    };
    dir.file("in.jsonl", "");
    dir.check(&source("decimal(38, 10)")).exits(0);
    for wrong in ["decimal(39, 2)", "decimal(2)", "decimal(2, 3)"] {
        dir.check(&source(wrong)).exits(2).stderr_has("as in 'decimal(12, 2)'").stderr_has("job.yaml:7:14");
    }
}
