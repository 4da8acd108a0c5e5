//! Lookup joins in job files: tables in files and behind servers.

use std::collections::BTreeMap;
use std::sync::Mutex;

use serde_json::{Value, json};

use crate::harness::http::Server;
use crate::harness::{Dir, sorted};

fn job(tables: &str, stream: &str) -> String {
    format!(
        "name: t\nsources: {{ in: {{ connector: file, path: in.jsonl, schema: {{ n: int, user: string }} }} }}\ntables: {{ {tables} }}\nstreams: {{ s: {{ from: in, {stream} }} }}\nsinks: {{ out: {{ from: s, connector: stdout }} }}\n"
    )
}

/// Three hundred records of twelve users.
fn dir() -> Dir {
    let dir = Dir::new();
    dir.json_lines("in.jsonl", &(0..300).map(|n| json!({"n": n, "user": format!("u{}", n * 7 % 12)})).collect::<Vec<_>>());
    dir
}

#[test]
fn records_get_the_fields_of_the_rows_of_a_file() {
    let dir = dir();
    // Of u0 to u7 one row, of u4 a second one; with a field that the records have, too.
    let rows: Vec<(String, i64)> = (0..8).map(|i| (format!("U{i}"), i * 10)).chain([("U4".to_owned(), 99)]).collect();
    dir.json_lines("t.jsonl", &rows.iter().map(|(name, n)| json!({"name": name, "n": n})).collect::<Vec<_>>());
    dir.file("t.csv", rows.iter().map(|(name, n)| format!("{n};{name}\n")).collect::<String>());
    let tables = [
        "t: { connector: file, path: t.jsonl, schema: { name: string, n: int } }",
        "t: { connector: file, path: t.csv, header: false, delimiter: ';', schema: { n: int, name: string } }",
    ];
    for (kind, table, workers) in [("inner", tables[0], "1"), ("left", tables[0], "3"), ("left", tables[1], "2")] {
        let mut expected = Vec::new();
        for n in 0..300 {
            let name = format!("U{}", n * 7 % 12);
            let found: Vec<i64> = rows.iter().filter(|row| row.0 == name).map(|row| row.1).collect();
            expected.extend(found.iter().map(|found| json!({"n": n, "t_n": found})));
            expected.extend((found.is_empty() && kind == "left").then(|| json!({"n": n, "t_n": null})));
        }
        let lookup = format!("lookup: {{ table: t, on: {{ name: 'user.upperAscii()' }}, type: {kind} }}, select: {{ n: n, t_n: t_n }}");
        let outcome = dir.job(&job(table, &lookup)).args(["--quiet", "-p", workers]).run().exits(0);
        assert_eq!(sorted(outcome.values()), sorted(expected), "{kind} {table}");
    }
}

#[test]
fn a_row_is_found_if_its_key_is_equal() {
    let dir = Dir::new();
    dir.json_lines(
        "in.jsonl",
        &[json!({"n": 0, "k": 1}), json!({"n": 1, "k": 2.0}), json!({"n": 2, "k": null}), json!({"n": 3, "k": 2.5}), json!({"n": 4})],
    );
    for (records, rows) in [("double", "int"), ("double", "double"), ("any", "double"), ("any", "any"), ("double", "any")] {
        let table = format!("t: {{ connector: file, path: t.jsonl, schema: {{ k: {rows}, v: string }} }}");
        let lookup = "lookup: { table: t, on: k, type: left }, select: { n: n, v: v }";
        let job = job(&table, lookup).replace("user: string", &format!("k: {records}"));
        let one = if rows == "int" { json!(1) } else { json!(1.0) };
        dir.json_lines("t.jsonl", &[json!({"k": one, "v": "one"}), json!({"k": 2, "v": "two"}), json!({"k": null, "v": "none"})]);
        let outcome = dir.job(&job).args(["--quiet", "-p", "1"]).run().exits(0);
        let found: Vec<Value> = outcome.values().iter().map(|row| row["v"].clone()).collect();
        assert_eq!(found, [json!("one"), json!("two"), json!(null), json!(null), json!(null)], "{records} in {rows}");
    }
}

#[test]
fn a_line_of_a_table_that_is_no_row_fails_the_job() {
    let dir = dir();
    dir.file("t.csv", "user,n\nu1,1\nu2,two\n");
    let job = job("t: { connector: file, path: t.csv, schema: { user: string, n: int } }", "lookup: { table: t, on: user }");
    dir.job(&job).args(["--quiet"]).run().exits(1).stderr_has("the table `t.csv`, line 3:").stderr_has("`n`");
    std::fs::remove_file(dir.path("t.csv")).expect("it is there");
    dir.job(&job).args(["--quiet"]).run().exits(1).stderr_has("t.csv");
}

/// What the service says of a user.
fn score(path: &str) -> (u16, String) {
    let number = |path: &str| path.strip_prefix("/users/u")?.strip_suffix("?by=a%20b")?.parse::<u64>().ok();
    match number(path) {
        Some(5) => (404, "nobody".to_owned()),
        Some(6) => (200, "[]".to_owned()),
        Some(7) => (200, "[{\"score\": 1}, {\"score\": 2, \"why\": \"old\"}]".to_owned()),
        Some(n) => (200, json!({"score": n * 100, "why": "new"}).to_string()),
        None => (400, "what?".to_owned()),
    }
}

fn expected() -> Vec<Value> {
    let mut rows = Vec::new();
    for n in 0..300 {
        match n * 7 % 12 {
            5 | 6 => rows.push(json!({"n": n, "score": null, "why": null})),
            7 => rows.extend([json!({"n": n, "score": 1, "why": null}), json!({"n": n, "score": 2, "why": "old"})]),
            user => rows.push(json!({"n": n, "score": user * 100, "why": "new"})),
        }
    }
    rows
}

fn scored(server: &Server, more: &str) -> String {
    let address = server.address();
    format!("t: {{ connector: http, url: '{address}/users/{{user}}?by={{by}}', schema: {{ score: int, why: string }}, {more} }}")
}

const LOOKUP: &str = "lookup: { table: t, on: { user: user, by: '\"a b\"' }, type: left }, select: { n: n, score: score, why: why }";

#[test]
fn records_get_what_a_server_says_of_them() {
    let dir = dir();
    let server = Server::start(score);
    let outcome = dir.job(&job(&scored(&server, ""), LOOKUP)).args(["--quiet", "-p", "1"]).run().exits(0);
    assert_eq!(outcome.values(), expected(), "in order");
    assert_eq!(server.asked().len(), 300);
    // With a cache each user is asked about once, by all workers together.
    let cached = scored(&server, "cache: { entries: 100, ttl: 1h }");
    let unordered = LOOKUP.replace("type: left", "type: left, order: unordered, capacity: 7");
    let outcome = dir.job(&job(&cached, &unordered)).args(["--quiet", "-p", "3"]).run().exits(0);
    assert_eq!(sorted(outcome.values()), sorted(expected()));
    assert_eq!(server.asked().len(), 300 + 12);
}

#[test]
fn a_key_with_a_null_in_it_has_no_row_and_nobody_is_asked() {
    let dir = Dir::new();
    dir.json_lines("in.jsonl", &[json!({"n": 1})]);
    let server = Server::start(score);
    let outcome = dir.job(&job(&scored(&server, ""), LOOKUP)).args(["--quiet"]).run().exits(0);
    assert_eq!(outcome.values(), [json!({"n": 1, "score": null, "why": null})]);
    assert!(server.asked().is_empty());
}

#[test]
fn a_server_that_stumbles_is_asked_again_and_one_that_falls_fails_the_job() {
    let dir = dir();
    let stumbles = Mutex::new(BTreeMap::<String, u32>::new());
    let server = Server::start(move |path| {
        let mut stumbles = stumbles.lock().expect("a lock");
        let times = stumbles.entry(path.to_owned()).or_default();
        *times += 1;
        if *times <= 2 { ([429, 503][*times as usize - 1], String::new()) } else { score(path) }
    });
    let patient = scored(&server, "retries: 2, cache: { ttl: 1h }");
    let outcome = dir.job(&job(&patient, LOOKUP)).args(["--quiet", "-p", "1"]).run().exits(0);
    assert_eq!(outcome.values(), expected());
    let falls = Server::start(|_| (500, String::new()));
    dir.job(&job(&scored(&falls, "retries: 1"), LOOKUP)).args(["--quiet"]).run().exits(1).stderr_has("500").stderr_has("/users/u");
    // What will not get better is not asked for again.
    let refuses = Server::start(|_| (403, String::new()));
    dir.job(&job(&scored(&refuses, "retries: 9"), LOOKUP)).args(["--quiet", "-p", "1"]).run().exits(1).stderr_has("403");
    let wrong = Server::start(|_| (200, "{\"score\": \"high\"}".to_owned()));
    dir.job(&job(&scored(&wrong, ""), LOOKUP)).args(["--quiet"]).run().exits(1).stderr_has("`score`");
}

#[test]
fn what_is_wrong_with_a_lookup_is_told_where_it_is() {
    let dir = Dir::new();
    dir.file("in.jsonl", "").file("t.csv", "user,n\n");
    let file = "t: { connector: file, path: t.csv, schema: { user: string, n: int } }";
    let http = "t: { connector: http, url: 'http://h/{user}', schema: { score: int } }";
    let check = |table: &str, stream: &str, part: &str| _ = dir.check(&job(table, stream)).exits(2).stderr_has(part);
    check(file, "lookup: { table: u, on: user }", "no table is called `u`");
    check(file, "lookup: { table: t, on: usr }", "no field `usr` in the table `t`: did you mean `user`?");
    check(file, "lookup: { table: t, on: { user: n } }", "these are never equal: `user` is of type string, this of type int");
    check(file, "lookup: { table: t }", "has no `on`");
    check(file, "lookup: { table: t, on: user }, aggregate: { n: count() }", "`aggregate` does not go with `lookup`");
    check(http, "lookup: { table: t, on: { usr: user } }", "the url of `t` has a parameter `user`, which `on` must give");
    check(http, "lookup: { table: t, on: { user: user, n: n } }", "the url of `t` has no parameter `n`");
    check(&http.replace("http://", "ftp://"), "lookup: { table: t, on: user }", "expected a URL that begins with http:// or https://");
    check(&http.replace("schema", "shema"), "lookup: { table: t, on: user }", "did you mean `schema`?");
    check(&file.replace("path: t.csv", "path: t.csv, format: text"), "lookup: { table: t, on: user }", "expected `json` or `csv`");
    let unused = job(file, "where: 'n > 1'");
    dir.check(&unused).exits(0).stderr_has("nothing looks into the table `t`");
}
