//! The ways records come in: formats, compression, many files, standard input.

use std::io::Write;

use serde_json::json;

use crate::harness::{Dir, sorted};

/// A pass-through of a source with these options.
fn pass(source: &str) -> String {
    format!("name: t\nsources: {{ in: {{ {source} }} }}\nsinks: {{ out: {{ from: in, connector: stdout }} }}\n")
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text.as_bytes()).expect("memory takes it all");
    encoder.finish().expect("memory takes it all")
}

fn zst(text: &str) -> Vec<u8> {
    zstd::encode_all(text.as_bytes(), 3).expect("memory takes it all")
}

#[test]
fn csv_with_a_header_goes_by_its_names() {
    let dir = Dir::new();
    dir.file("in.csv", "b,a,c\r\n1,\"x, \"\"y\"\"\",\n2,two,z\n");
    dir.job(&pass("connector: file, path: in.csv, schema: { a: string, b: int }"))
        .args(["--quiet"])
        .run()
        .exits(0)
        .stdout_is("{\"a\":\"x, \\\"y\\\"\",\"b\":1}\n{\"a\":\"two\",\"b\":2}\n");
    // Without a schema all fields of the header are strings.
    let outcome = dir.job(&pass("connector: file, path: in.csv")).args(["--quiet"]).run().exits(0);
    assert_eq!(outcome.values()[1], json!({"b": "2", "a": "two", "c": "z"}));
}

#[test]
fn a_record_of_csv_is_one_line() {
    let dir = Dir::new();
    dir.file("in.csv", "n,s\n1,a\n2,\"two\nlines\"\n3,c\n");
    let outcome = dir.job(&pass("connector: file, path: in.csv, schema: { n: int, s: string }")).run().exits(0);
    assert_eq!(outcome.values(), [json!({"n": 1, "s": "a"}), json!({"n": 3, "s": "c"})]);
    outcome.stderr_has("in.csv:3").stderr_has("in.csv:4");
}

#[test]
fn csv_without_a_header_goes_by_the_schema() {
    let dir = Dir::new();
    dir.file("in.csv", "1,x\n2,y\nz,3\n");
    let outcome = dir.job(&pass("connector: file, path: in.csv, header: false, schema: { n: int, s: string }")).run().exits(0);
    assert_eq!(outcome.stdout, "{\"n\":1,\"s\":\"x\"}\n{\"n\":2,\"s\":\"y\"}\n");
    assert_eq!(outcome.account()["in"].part("bad"), 1);
    dir.file("in.tsv", "1\tx\n");
    dir.job(&pass("connector: file, path: in.tsv, format: csv, header: false, delimiter: '\\t', schema: { n: int, s: string }"))
        .args(["--quiet"])
        .run()
        .exits(0)
        .stdout_is("{\"n\":1,\"s\":\"x\"}\n");
}

#[test]
fn the_groups_of_a_pattern_are_fields() {
    let dir = Dir::new();
    dir.file("in.log", "ann 3 ms\nno match\nbob 14 ms\n");
    let outcome = dir
        .job(&pass(
            r"connector: file, path: in.log, format: { regex: '^(?P<user>\w+) (?P<ms>\d+) ms$' }, schema: { user: string, ms: int }",
        ))
        .run();
    let outcome = outcome.exits(0).stdout_is("{\"user\":\"ann\",\"ms\":3}\n{\"user\":\"bob\",\"ms\":14}\n");
    assert_eq!(outcome.account()["in"].part("bad"), 1);
}

#[test]
fn lines_of_text_and_a_text_sink() {
    let dir = Dir::new();
    dir.file("in.txt", "one\n\n  three \r\nlast");
    let job = "name: t\nsources: { in: { connector: file, path: in.txt, format: text } }\nsinks: { out: { from: in, connector: stdout, format: text, text: '<{line}>' } }\n";
    let stdout = dir.job(job).args(["--quiet"]).run().exits(0).stdout;
    assert_eq!(stdout.lines().filter(|l| *l != "<>").collect::<Vec<_>>(), ["<one>", "<  three >", "<last>"]);
}

#[test]
fn a_csv_sink_can_be_read_back() {
    let dir = Dir::new();
    let rows = "{\"s\":\"a,b\",\"n\":1}\n{\"s\":\"q\\\"q\",\"n\":2}\n{\"s\":\"\",\"n\":3}\n";
    dir.file("in.jsonl", rows);
    let there = "name: t\nsources: { in: { connector: file, path: in.jsonl, schema: { s: string, n: int } } }\nsinks: { out: { from: in, connector: file, path: out.csv, format: csv } }\n";
    dir.job(there).run().exits(0);
    assert!(dir.read("out.csv").starts_with("s,n"), "{}", dir.read("out.csv"));
    dir.job(&pass("connector: file, path: out.csv, schema: { s: string, n: int }")).args(["--quiet"]).run().exits(0).stdout_is(rows);
}

#[test]
fn compressed_files_are_read_as_if_they_were_not() {
    let dir = Dir::new();
    let text: String = (0..20_000).map(|i| format!("{{\"n\":{i}}}\n")).collect();
    dir.file("in.jsonl", &text).file("in.jsonl.gz", gzip(&text)).file("in.jsonl.zst", zst(&text));
    // Files of several members, as concatenated logs are.
    dir.file("twice.jsonl.gz", [gzip("{\"n\":1}\n"), gzip("{\"n\":2}\n")].concat());
    dir.file("twice.jsonl.zst", [zst("{\"n\":1}\n"), zst("{\"n\":2}\n")].concat());
    for name in ["in.jsonl", "in.jsonl.gz", "in.jsonl.zst"] {
        dir.job(&pass(&format!("connector: file, path: {name}, schema: {{ n: int }}"))).args(["--quiet"]).run().exits(0).stdout_is(&text);
    }
    for name in ["twice.jsonl.gz", "twice.jsonl.zst"] {
        let job = pass(&format!("connector: file, path: {name}, schema: {{ n: int }}"));
        dir.job(&job).args(["--quiet"]).run().exits(0).stdout_is("{\"n\":1}\n{\"n\":2}\n");
    }
}

#[test]
fn globs_and_directories_are_all_their_files() {
    let dir = Dir::new();
    let line = |n: usize| format!("{{\"n\":{n}}}\n");
    for n in 0..10 {
        dir.file(&format!("logs/a{n}.jsonl"), line(n));
    }
    dir.file("logs/b.jsonl.gz", gzip(&line(10))).file("other.jsonl", line(99));
    let run = |path: &str, workers: &str| {
        let job = pass(&format!("connector: file, path: '{path}', format: json, schema: {{ n: int }}"));
        sorted(dir.job(&job).args(["--quiet", "-p", workers]).run().exits(0).values())
    };
    let expected = |n: usize| sorted((0..n).map(|n| json!({"n": n})).collect());
    for workers in ["1", "2", "3"] {
        assert_eq!(run("logs/a*.jsonl", workers), expected(10));
        assert_eq!(run("logs", workers), expected(11));
        assert_eq!(run("logs/", workers), expected(11));
    }
}

#[test]
fn a_directory_of_parts_is_written_in_parallel_and_holds_everything() {
    let dir = Dir::new();
    let job = "name: t\nsources: { in: { connector: generator, count: 1000, fields: { n: { sequence: [0, 1] } } } }\nsinks: { out: { from: in, connector: file, path: parts/ } }\n";
    for workers in ["3", "2", "1"] {
        dir.job(job).args(["-p", workers]).run().exits(0);
        let mut parts: Vec<_> =
            std::fs::read_dir(dir.path("parts")).expect("a directory").map(|e| e.expect("an entry").file_name()).collect();
        parts.sort();
        assert_eq!(parts.len().to_string(), workers);
        let all: Vec<_> = parts.iter().flat_map(|p| dir.values(&format!("parts/{}", p.to_string_lossy()))).collect();
        assert_eq!(sorted(all), sorted((0..1_000).map(|n| json!({"n": n})).collect()));
    }
}

#[test]
fn standard_input_is_a_source() {
    let dir = Dir::new();
    let input = "{\"n\":1}\nbad\n{\"n\":2}";
    for workers in ["1", "2"] {
        let outcome =
            dir.job(&pass("connector: stdin, format: json, schema: { n: int }")).args(["-p", workers]).stdin(input).run().exits(0);
        assert_eq!(outcome.stdout, "{\"n\":1}\n{\"n\":2}\n");
        let account = outcome.account();
        assert_eq!((account["in"].total, account["in"].part("bad"), account["sinks.out"].total), (3, 1, 2));
    }
    dir.job(&pass("connector: stdin, format: text")).args(["--quiet"]).run().exits(0).stdout_is("").stderr_is("");
}

#[test]
fn json_without_a_schema_keeps_every_field_through_a_filter() {
    let dir = Dir::new();
    let first = json!({"kind": "a", "deep": {"list": [1, 2.5, null, "x"], "flag": true}, "n": 1});
    let lines = [first.clone(), json!({"kind": "b", "n": 2}), json!({"other": 1}), json!({"kind": "a", "extra": "ü"})];
    dir.json_lines("in.jsonl", &lines);
    let job = "name: t\nsources: { in: { connector: file, path: in.jsonl } }\nstreams: { s: { from: in, where: 'kind == \"a\"' } }\nsinks: { out: { from: s, connector: stdout } }\n";
    let outcome = dir.job(job).args(["--quiet"]).run().exits(0);
    assert_eq!(outcome.values(), [first, lines[3].clone()]);
}

#[test]
fn times_are_milliseconds_or_iso() {
    let dir = Dir::new();
    dir.file("in.csv", "s,ms,us,text\n1,1500,2000000,2026-01-02 03:04:05\n");
    let source = "connector: file, path: in.csv, schema: { s: timestamp_s, ms: timestamp_ms, us: timestamp_us, text: '%Y-%m-%d %H:%M:%S' }";
    let ms = 1_767_323_045_000_i64;
    dir.job(&pass(source)).args(["--quiet"]).run().exits(0).stdout_is(&format!("{{\"s\":1000,\"ms\":1500,\"us\":2000,\"text\":{ms}}}\n"));
    let outcome = dir.job(&pass(source)).args(["--quiet", "--set", "sinks.out.timestamps=iso"]).run().exits(0);
    assert_eq!(outcome.values()[0]["text"], "2026-01-02T03:04:05Z");
    assert_eq!(outcome.values()[0]["ms"], "1970-01-01T00:00:01.5Z");
}
