//! What goes wrong outside: files, disks, pipes.

use std::io::{BufRead, BufReader, Read};

use crate::harness::{Dir, shown, wait};

fn job(path: &str, sink: &str) -> String {
    format!("name: t\nsources: {{ in: {{ connector: file, path: '{path}', format: text }} }}\nsinks: {{ out: {{ from: in, {sink} }} }}\n")
}

const STDOUT: &str = "connector: stdout, format: text";
const FILE: &str = "connector: file, path: out.txt, format: text";

#[test]
fn an_empty_file_gives_an_empty_output() {
    let dir = Dir::new();
    dir.file("in.txt", "").file("out.txt", "of an earlier run\n");
    for workers in ["1", "3"] {
        let account = dir.job(&job("in.txt", FILE)).args(["-p", workers]).run().exits(0).stdout_is("").account();
        assert_eq!((account["in"].total, account["sinks.out"].total), (0, 0));
        assert_eq!(dir.read("out.txt"), "");
    }
}

#[test]
fn a_missing_source_fails_the_job_by_its_name() {
    let dir = Dir::new();
    std::fs::create_dir(dir.path("empty")).expect("a directory");
    for missing in ["nowhere.txt", "nowhere/*.txt", "empty"] {
        let outcome = dir.job(&job(missing, STDOUT)).run().exits(1).stdout_is("");
        outcome.stderr_has(missing).stderr_has("`in`").stderr_lacks("panicked");
    }
}

#[test]
fn a_file_that_cannot_be_read_fails_the_job_by_its_name() {
    let dir = Dir::new();
    // Not even root can read through a link to itself.
    std::os::unix::fs::symlink("loop.txt", dir.path("loop.txt")).expect("a link");
    dir.job(&job("loop.txt", STDOUT)).run().exits(1).stderr_has("loop.txt").stderr_lacks("panicked");
    // What says it is compressed, and is not.
    dir.file("broken.gz", "this is no gzip").file("broken.zst", "this is no zstd");
    for name in ["broken.gz", "broken.zst"] {
        dir.job(&job(name, STDOUT)).run().exits(1).stderr_has(name).stderr_lacks("panicked");
    }
}

#[test]
fn a_full_disk_fails_the_job_by_the_path_of_the_sink() {
    let dir = Dir::new();
    dir.file("in.txt", "line\n".repeat(100_000));
    for workers in ["1", "2"] {
        let outcome = dir.job(&job("in.txt", "connector: file, path: /dev/full, format: text")).args(["-p", workers]).run().exits(1);
        outcome.stderr_has("`/dev/full`").stderr_has("`sinks.out`").stderr_has("No space left").stderr_lacks("panicked");
    }
    // A single line stays in the buffer until the end, and must not be lost quietly there.
    dir.file("in.txt", "line\n");
    dir.job(&job("in.txt", "connector: file, path: /dev/full, format: text")).run().exits(1).stderr_has("`/dev/full`");
}

#[test]
fn a_sink_that_cannot_be_made_fails_the_job_by_its_path() {
    let dir = Dir::new();
    dir.file("in.txt", "a\n").file("taken", "");
    let outcome = dir.job(&job("in.txt", "connector: file, path: taken/out.txt, format: text")).run().exits(1);
    outcome.stderr_has("taken/out.txt").stderr_lacks("panicked");
}

#[test]
fn directories_on_the_way_to_a_sink_are_made() {
    let dir = Dir::new();
    dir.file("in.txt", "a\nb\n");
    dir.job(&job("in.txt", "connector: file, path: new/deep/out.txt, format: text")).run().exits(0);
    assert_eq!(dir.read("new/deep/out.txt"), "a\nb\n");
    let path = dir.path("absolute/out.txt");
    dir.job(&job("in.txt", &format!("connector: file, path: '{}', format: text", shown(&path)))).run().exits(0);
    assert_eq!(dir.read("absolute/out.txt"), "a\nb\n");
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let dir = Dir::new();
    let endless = "name: t\nsources: { in: { connector: generator, fields: { n: { sequence: [0, 1] } } } }\nsinks: { out: { from: in, connector: stdout } }\n";
    for workers in ["1", "2"] {
        let mut child = dir.job(endless).args(["--quiet", "-p", workers]).spawn();
        let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut line = String::new();
        stdout.read_line(&mut line).expect("a line");
        assert!(line.starts_with("{\"n\":"), "{line}");
        drop(stdout);
        let status = wait(&mut child).expect("the job ends when nobody reads");
        let mut stderr = String::new();
        child.stderr.take().expect("a pipe").read_to_string(&mut stderr).expect("text");
        assert_eq!((status.code(), stderr.as_str()), (Some(0), ""));
    }
}
