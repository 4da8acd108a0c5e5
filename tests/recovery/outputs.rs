//! The files of sinks, when what they are to hold, or they themselves, are moved, cut off or spelt otherwise.

use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use serde_json::Value;

use crate::harness::{Dir, Running, sorted, values};
use crate::job::{Setup, same, written};

/// Copies a directory, and removes it.
fn moved(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory");
    for entry in fs::read_dir(from).expect("a directory") {
        let entry = entry.expect("an entry");
        fs::copy(entry.path(), to.join(entry.file_name())).expect("a file can be copied");
    }
    fs::remove_dir_all(from).expect("it can be removed");
}

/// A job that was asked for a savepoint in `save` while it ran, and goes on.
fn with_savepoint(dir: &Dir, yaml: &str) -> Running {
    let job = dir.job(yaml).args(["--quiet", "-p", "2"]).start();
    sleep(Duration::from_millis(500));
    dir.tidegate(["savepoint", "job.yaml", "--to", "save"]).run().exits(0);
    job
}

fn kill(mut job: Running) {
    job.signal("KILL");
    job.wait();
}

#[test]
fn a_savepoint_holds_what_was_not_yet_committed_wherever_it_is_moved() {
    let setup = Setup { every: "10m", rate: 10_000, ..Setup::default() };
    let dir = Dir::new();
    kill(with_savepoint(&dir, &setup.yaml(true)));
    moved(&dir.path("save"), &dir.path("archive/one"));
    dir.tidegate(["run", "job.yaml", "--from", "archive/one", "--quiet", "-p", "3"]).run().exits(0);
    let expected = setup.undisturbed();
    same(&written(&dir), &expected, "moved");
    // Where nothing was committed, another path begins with what the savepoint holds.
    fs::remove_dir_all(dir.path("out")).expect("it can be removed");
    let other = ["--from", "archive/one", "--quiet", "--set", "sinks.tumbling.path=new/t.jsonl"];
    dir.tidegate(["run", "job.yaml"]).args(other).run().exits(0);
    let (_, tumbling) = &expected[0];
    assert!(sorted(dir.values("new/t.jsonl")) == *tumbling);
}

#[test]
fn a_savepoint_is_gone_back_to_after_another_run_has_gone_on_without_it() {
    let setup = Setup { rate: 10_000, every: "150ms", ..Setup::default() };
    let (yaml, expected) = (setup.yaml(true), setup.undisturbed());
    let dir = Dir::new();
    kill(with_savepoint(&dir, &yaml));
    dir.job(&yaml).args(["--resume", "--quiet", "-p", "3"]).run().exits(0);
    same(&written(&dir), &expected, "resumed");
    dir.tidegate(["run", "job.yaml", "--from", "save", "--quiet", "-p", "2"]).run().exits(0);
    same(&written(&dir), &expected, "gone back");
}

#[test]
fn a_path_is_the_same_however_it_is_spelt() {
    let setup = Setup { rate: 10_000, ..Setup::default() };
    let (yaml, dir) = (setup.yaml(true), Dir::new());
    let mut job = dir.job(&yaml).args(["--quiet", "-p", "2"]).start();
    sleep(Duration::from_millis(600));
    job.signal("TERM");
    job.wait().exits(0);
    let absolute = format!("sinks.sliding.path={}", dir.path("out/sliding.jsonl").display());
    let spelt = ["sinks.tumbling.path=./out/../out/tumbling.jsonl", "sinks.running.path=./out/running", &absolute];
    let sets = spelt.iter().flat_map(|set| ["--set", set]);
    dir.job(&yaml).args(["--resume", "--quiet"]).args(sets).run().exits(0);
    same(&written(&dir), &setup.undisturbed(), "spelt otherwise");
}

/// Numbers in a csv file, with many checkpoints.
const NUMBERS: &str = "name: numbers
checkpoints: { every: 50ms, dir: ckpt }
state: { backend: memory, dir: state }
restart: { attempts: 3, delay: 10ms }
sources: { in: { connector: generator, rate: 2000, count: 6000, fields: { n: { sequence: [0, 1] } } } }
sinks: { out: { from: in, connector: file, path: out.csv, format: csv } }
";

/// Starts it, and waits until something was committed.
fn numbers(dir: &Dir) -> Running {
    let mut job = dir.job(NUMBERS).args(["--quiet", "-p", "1"]).start();
    while !job.over() && fs::metadata(dir.path("out.csv")).map_or(0, |file| file.len()) < 1000 {
        sleep(Duration::from_millis(2));
    }
    job
}

#[test]
fn a_file_that_is_moved_away_while_the_job_runs_is_begun_anew() {
    let dir = Dir::new();
    let job = numbers(&dir);
    fs::rename(dir.path("out.csv"), dir.path("out.csv.1")).expect("it can be moved");
    job.wait().exits(0);
    let mut found: Vec<String> = Vec::new();
    for name in ["out.csv.1", "out.csv"] {
        let text = dir.read(name);
        let (header, lines) = text.split_once('\n').expect("a header");
        assert_eq!(header, "n", "{name}");
        found.extend(lines.lines().map(str::to_owned));
    }
    assert!(found == (0..6000).map(|n| n.to_string()).collect::<Vec<_>>(), "{} lines", found.len());
}

#[test]
fn a_file_that_is_cut_off_while_the_job_runs_fails_the_job_and_is_not_filled_with_nothing() {
    let dir = Dir::new();
    let job = numbers(&dir);
    fs::write(dir.path("out.csv"), "").expect("it can be cut off");
    // The same would happen again: it is not started again.
    job.wait().exits(1).stderr_has("`out.csv` has 0 bytes").stderr_lacks("restarting");
    assert_eq!(dir.read("out.csv"), "");
}

#[test]
fn an_output_that_is_gone_is_named_when_the_job_is_resumed_and_another_path_goes_on_without_a_gap() {
    let dir = Dir::new();
    kill(numbers(&dir));
    fs::rename(dir.path("out.csv"), dir.path("archive.csv")).expect("it can be moved");
    let resume = ["run", "job.yaml", "--resume", "--quiet", "-p", "1"];
    dir.tidegate(resume).run().exits(3).stderr_has("`out.csv` is not there").stderr_lacks("restarting");
    dir.tidegate(resume).args(["--set", "sinks.out.path=next.csv"]).run().exits(0);
    let lines = |name: &str| dir.read(name).lines().skip(1).map(|line| line.parse().expect("a number")).collect::<Vec<u32>>();
    let (before, after) = (lines("archive.csv"), lines("next.csv"));
    let first = after[0] as usize;
    assert!(after == (after[0]..6000).collect::<Vec<_>>() && first > 0 && first <= before.len(), "{first} after {}", before.len());
}

/// What is appended to a file that was read to its end is read from there on.
#[test]
fn history_ends_in_a_savepoint_and_what_is_appended_since_goes_on_from_it() {
    let job = "name: grown
sources:
  in: { connector: file, path: log.jsonl, format: json, schema: { n: int, ts: timestamp_ms }, event_time: { field: ts } }
streams: { sums: { from: in, window: { tumbling: 1m }, aggregate: { n: count(), sum: sum(n) } } }
sinks:
  out: { from: sums, connector: file, path: out.jsonl }
  all: { from: in, connector: stdout }
";
    let line = |n: u32| format!("{{\"n\":{n},\"ts\":{}}}\n", n * 1000);
    let lines = |range: std::ops::Range<u32>| range.map(line).collect::<String>();
    let numbers = |text: &str| values(text).iter().map(|row| row["n"].as_u64().expect("a number")).collect::<Vec<_>>();
    for whole in [true, false] {
        let dir = Dir::new();
        let begun = lines(0..3);
        // The last line may lack its end, and get it later.
        dir.file("log.jsonl", if whole { begun.as_str() } else { begun.trim_end() });
        let outcome = dir.job(job).args(["-p", "2", "--quiet", "--savepoint-at-end", "one"]).run().exits(0);
        assert_eq!(numbers(&outcome.stdout), [0, 1, 2]);
        dir.file("log.jsonl", begun + &lines(3..5));
        let outcome = dir.job(job).args(["-p", "1", "--quiet", "--from", "one", "--savepoint-at-end", "two"]).run().exits(0);
        assert_eq!(numbers(&outcome.stdout), [3, 4], "whole: {whole}");
        // Nothing has come since.
        let outcome = dir.job(job).args(["-p", "2", "--quiet", "--from", "two"]).run().exits(0);
        assert_eq!(outcome.stdout, "");
        let sums: Vec<Value> = dir.values("out.jsonl");
        assert_eq!(sums.iter().map(|sum| (sum["n"].as_u64(), sum["sum"].as_u64())).collect::<Vec<_>>(), [(Some(5), Some(10))]);
        dir.file("log.jsonl", lines(0..1));
        dir.job(job).args(["--quiet", "--from", "two"]).run().exits(3).stderr_has("`log.jsonl` is shorter than it was");
    }
}
