//! `parallelism` of a stream: its keys lie on so many of the workers.

use serde_json::{Value, json};

use crate::harness::{Dir, sorted, values};

fn job(n: &str) -> String {
    format!(
        "name: spread\nsources:\n  in: {{ connector: generator, count: 20000, fields: {{ k: {{ uniform: [0, 99] }}, n: {{ sequence: [0, 1] }} }} }}\nstreams:\n  even: {{ from: in, where: 'n % 2 == 0' }}\n  sums: {{ from: even, key: k, {n} window: {{ count: 50 }}, aggregate: {{ sum: sum(n) }} }}\n  each: {{ from: sums, key: k, aggregate: {{ windows: count(), all: sum(sum) }} }}\nsinks: {{ out: {{ from: each, connector: file, path: out.jsonl }} }}\n"
    )
}

fn rows(dir: &Dir) -> Vec<Value> {
    sorted(values(&std::fs::read_to_string(dir.path("out.jsonl")).expect("the job has written")))
}

#[test]
fn the_results_are_the_same_on_however_many_of_the_workers() {
    let expected = {
        let dir = Dir::new();
        dir.job(&job("")).args(["-p", "1", "--quiet"]).run().exits(0);
        rows(&dir)
    };
    assert!(expected.len() > 150, "{} results", expected.len());
    for (n, workers) in [("1", "4"), ("2", "4"), ("3", "4"), ("4", "4"), ("3", "2")] {
        let dir = Dir::new();
        dir.job(&job(&format!("parallelism: {n},"))).args(["-p", workers, "--quiet"]).run().exits(0);
        assert_eq!(rows(&dir), expected, "{n} of {workers}");
    }
}

/// State moves with its keys when the number changes.
#[test]
fn a_savepoint_goes_on_with_keys_on_more_or_fewer_workers() {
    let expected = {
        let dir = Dir::new();
        dir.job(&job("")).args(["-p", "1", "--quiet"]).run().exits(0);
        rows(&dir)
    };
    for backend in ["memory", "rocksdb"] {
        for (before, after) in [("1", "3"), ("3", "2"), ("2", "1")] {
            let yaml = |n: &str, count: u32| {
                let tail = format!("state: {{ backend: {backend}, dir: ./state }}\ncheckpoints: {{ every: 1h, dir: ./checkpoints }}\n");
                job(&format!("parallelism: {n},")).replace("count: 20000", &format!("count: {count}")) + &tail
            };
            let dir = Dir::new();
            dir.job(&yaml(before, 9_999)).args(["-p", "4", "--savepoint-at-end", "save", "--quiet"]).run().exits(0);
            dir.job(&yaml(after, 20_000)).args(["-p", "4", "--from", "save", "--quiet"]).run().exits(0);
            assert_eq!(rows(&dir), expected, "{backend}: {before} to {after}");
        }
    }
}

#[test]
fn explain_shows_tasks_and_how_many_subtasks_each_has() {
    let dir = Dir::new();
    dir.file("job.yaml", job("parallelism: 2,"));
    let explained = dir.tidegate(["explain", "job.yaml", "-p", "4", "--format", "json"]).run().exits(0).stdout;
    let graph = &values(&explained.lines().collect::<String>())[0];
    let tasks = json!([
        { "operators": ["in", "even"], "subtasks": 4 },
        { "operators": ["sums", "sums/emit"], "subtasks": 2 },
        { "operators": ["each", "each/emit"], "subtasks": 4 },
        { "operators": ["sinks.out"], "subtasks": 1 },
    ]);
    assert_eq!(graph["tasks"], tasks);
    let text = dir.tidegate(["explain", "job.yaml", "-p", "4"]).run().exits(0).stdout;
    assert!(text.contains("task of 2 subtasks: sums -> sums/emit\n"), "{text}");
}

#[test]
fn more_workers_than_the_job_has_are_refused_and_so_is_a_stream_without_keys() {
    let dir = Dir::new();
    dir.file("job.yaml", job("parallelism: 3,") + "parallelism: 2\n");
    let refused = dir.tidegate(["check", "job.yaml"]).run().exits(2).stderr;
    assert!(refused.contains("the job has 2 workers, by its own `parallelism`: ask for as many at most"), "{refused}");
    dir.file("job.yaml", job("").replace("where: 'n % 2 == 0'", "where: 'n % 2 == 0', parallelism: 2"));
    let refused = dir.tidegate(["check", "job.yaml"]).run().exits(2).stderr;
    assert!(refused.contains("`parallelism` in stream `even` needs `pattern` or `join` or `dedupe` or `top` or `aggregate`"), "{refused}");
}
