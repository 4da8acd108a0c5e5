//! What streams do to records, without windows.

use serde_json::json;

use crate::harness::{Dir, sorted};

/// A job over `in.jsonl`, whose streams end in one called `s`.
fn job(streams: &str) -> String {
    format!(
        "name: t\nsources: {{ in: {{ connector: file, path: in.jsonl, schema: {{ user: string, n: int, tags: list }} }} }}\nstreams:\n{streams}\nsinks: {{ out: {{ from: s, connector: stdout }} }}\n"
    )
}

fn dir() -> Dir {
    let dir = Dir::new();
    let rows = [
        json!({"user": "a", "n": 1, "tags": ["x", "y"]}),
        json!({"user": "b", "n": 2, "tags": []}),
        json!({"user": "a", "n": 3, "tags": ["z"]}),
        json!({"user": "c", "n": 4, "tags": null}),
    ];
    dir.json_lines("in.jsonl", &rows);
    dir
}

#[test]
fn where_keeps_what_is_true_and_select_makes_fields() {
    let dir = dir();
    let streams = "  s: { from: in, where: 'n > 1 && user != \"c\"', select: { who: user, twice: 'n * 2' } }";
    dir.job(&job(streams)).args(["--quiet"]).run().exits(0).stdout_is("{\"who\":\"b\",\"twice\":4}\n{\"who\":\"a\",\"twice\":6}\n");
}

#[test]
fn select_with_a_star_keeps_all_fields() {
    let dir = dir();
    let streams = "  s: { from: in, where: 'n == 1', select: { \"*\": true, n: 'n + 10', more: user } }";
    let outcome = dir.job(&job(streams)).args(["--quiet"]).run().exits(0);
    assert_eq!(outcome.values(), [json!({"user": "a", "n": 11, "tags": ["x", "y"], "more": "a"})]);
}

#[test]
fn flat_map_makes_a_record_of_each_element() {
    let dir = dir();
    let outcome = dir
        .job(&job("  t: { from: in, where: 'user != \"c\"', flat_map: { tag: tags } }\n  s: { from: t, select: { n: n, tag: tag } }"))
        .run()
        .exits(0);
    assert_eq!(outcome.values(), [json!({"n": 1, "tag": "x"}), json!({"n": 1, "tag": "y"}), json!({"n": 3, "tag": "z"})]);
}

#[test]
fn word_count() {
    let dir = Dir::new();
    dir.file("in.txt", "to be or not to be\nthat is\n\nto be\n");
    let job = "name: t\nsources: { in: { connector: file, path: in.txt, format: text } }\nstreams:\n  words: { from: in, flat_map: { word: 'line.split(\" \")' } }\n  s: { from: words, where: 'word != \"\"' , select: { word: word } }\n  c: { from: s, key: word, aggregate: { n: count() } }\nsinks: { out: { from: c, connector: stdout } }\n";
    for workers in ["1", "2", "3"] {
        let counts = dir.job(job).args(["--quiet", "-p", workers]).run().exits(0).values();
        let of = |word: &str| counts.iter().filter(|c| c["word"] == word).map(|c| c["n"].as_u64().expect("a count")).collect::<Vec<_>>();
        assert_eq!((of("to"), of("be"), of("or")), (vec![1, 2, 3], vec![1, 2, 3], vec![1]));
        assert_eq!(counts.len(), 10);
    }
}

#[test]
fn a_union_lays_out_different_streams_alike() {
    let dir = dir();
    dir.file("other.csv", "n,color,user\n7,red,x\n");
    let job = "name: t\nsources:\n  in: { connector: file, path: in.jsonl, schema: { user: string, n: int } }\n  more: { connector: file, path: other.csv, schema: { n: int, color: string, user: string } }\nstreams:\n  few: { from: in, where: 'n < 3' }\n  s: { from: [few, more], where: 'n > 1' }\nsinks: { out: { from: s, connector: stdout } }\n";
    for workers in ["1", "2"] {
        let outcome = dir.job(job).args(["--quiet", "-p", workers]).run().exits(0);
        let expected = vec![json!({"user": "b", "n": 2}), json!({"user": "x", "n": 7, "color": "red"})];
        assert_eq!(sorted(outcome.values()), sorted(expected));
    }
    // A sink gathers in the same way.
    let sink =
        job.replace("from: s, connector", "from: [few, more], connector").replace("  s: { from: [few, more], where: 'n > 1' }\n", "");
    let outcome = dir.job(&sink).args(["--quiet"]).run().exits(0);
    let expected = vec![json!({"user": "a", "n": 1}), json!({"user": "b", "n": 2}), json!({"user": "x", "n": 7, "color": "red"})];
    assert_eq!(sorted(outcome.values()), sorted(expected));
}

#[test]
fn a_running_aggregate_answers_each_record() {
    let dir = dir();
    let streams = "  s: { from: in, key: user, aggregate: { c: count(), sum: sum(n), first: first(n) }, where: 'c >= 1' }";
    for workers in ["1", "2"] {
        let outcome = dir.job(&job(streams)).args(["--quiet", "-p", workers]).run().exits(0);
        let of = |user: &str| outcome.values().into_iter().filter(|v| v["user"] == user).collect::<Vec<_>>();
        assert_eq!(of("a"), [json!({"user": "a", "c": 1, "sum": 1, "first": 1}), json!({"user": "a", "c": 2, "sum": 4, "first": 1})]);
        assert_eq!(of("b"), [json!({"user": "b", "c": 1, "sum": 2, "first": 2})]);
    }
}

#[test]
fn one_stream_can_be_read_by_many() {
    let dir = dir();
    let job = "name: t\nsources: { in: { connector: file, path: in.jsonl, schema: { n: int } } }\nstreams:\n  odd: { from: in, where: 'n % 2 == 1' }\n  even: { from: in, where: 'n % 2 == 0' }\nsinks:\n  a: { from: odd, connector: file, path: odd.jsonl }\n  b: { from: even, connector: file, path: even.jsonl }\n  c: { from: in, connector: stdout }\n";
    dir.job(job).args(["--quiet", "-p", "2"]).run().exits(0).stdout_is("{\"n\":1}\n{\"n\":2}\n{\"n\":3}\n{\"n\":4}\n");
    assert_eq!((dir.read("odd.jsonl").as_str(), dir.read("even.jsonl").as_str()), ("{\"n\":1}\n{\"n\":3}\n", "{\"n\":2}\n{\"n\":4}\n"));
}

#[test]
fn keys_are_names_lists_and_expressions() {
    let dir = dir();
    let run = |key: &str| {
        let outcome =
            dir.job(&job(&format!("  s: {{ from: in, key: {key}, aggregate: {{ c: count() }} }}"))).args(["--quiet"]).run().exits(0);
        sorted(outcome.values())
    };
    assert_eq!(
        run("'n % 2'"),
        sorted(vec![json!({"key": 1, "c": 1}), json!({"key": 0, "c": 1}), json!({"key": 1, "c": 2}), json!({"key": 0, "c": 2})])
    );
    assert_eq!(run("[user, 'n > 1']").iter().filter(|v| v["user"] == "a").count(), 2);
    assert!(run("[user, 'n > 1']").iter().all(|v| v["c"] == 1));
}
