//! Jobs that are stopped: what is asked of them on the way, and what they can go on from.

use crate::harness::{Dir, Running, sorted};
use crate::job::{Setup, same, written};

/// Two sources that never meet: one ends at once, the other goes on.
fn half_ended(dir: &Dir) -> Running {
    let source = |more: &str| format!("{{ connector: generator, {more}, fields: {{ n: {{ sequence: [0, 1] }} }} }}");
    let yaml = format!(
        "name: half\nstate: {{ dir: state }}\ncheckpoints: {{ every: 50ms, dir: ckpt }}\nsources:\n  short: {}\n  long: {}
sinks:\n  short: {{ from: short, connector: file, path: short.jsonl }}\n  long: {{ from: long, connector: file, path: long.jsonl }}\n",
        source("count: 10"),
        source("rate: 1000")
    );
    let mut job = dir.job(&yaml).args(["--quiet", "-p", "1"]).start();
    let committed = |dir: &Dir| ["short.jsonl", "long.jsonl"].iter().all(|path| dir.path(path).exists() && !dir.values(path).is_empty());
    while !committed(dir) {
        assert!(!job.over(), "it ended by itself");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    // Checkpoints go on after that of the end of the short one.
    std::thread::sleep(std::time::Duration::from_millis(300));
    job
}

#[test]
fn a_job_can_be_stopped_when_a_part_of_it_has_ended() {
    let dir = Dir::new();
    let mut job = half_ended(&dir);
    job.signal("TERM");
    job.wait().exits(0);
    assert_eq!(dir.values("short.jsonl").len(), 10);
    let n: Vec<u64> = dir.values("long.jsonl").iter().filter_map(|value| value["n"].as_u64()).collect();
    assert_eq!(n, (0..n.len() as u64).collect::<Vec<_>>());
}

#[test]
fn a_savepoint_is_refused_where_there_is_one_which_stays_as_it_was() {
    let dir = Dir::new();
    let setup = Setup { count: 60_000, ..Setup::default() };
    let job = dir.job(&setup.yaml(true)).args(["--quiet", "-p", "2"]).start();
    std::thread::sleep(std::time::Duration::from_millis(300));
    let savepoint = || dir.tidegate(["savepoint", "job.yaml", "--to", "save"]).run();
    savepoint().exits(0);
    savepoint().exits(1).stderr_has("already holds a savepoint");
    job.wait().exits(0);
    dir.tidegate(["run", "job.yaml", "--from", "save", "--quiet", "-p", "3"]).run().exits(0);
    same(&written(&dir), &setup.undisturbed(), "the job that goes on from the first");
}

/// Sinks have committed when the savepoint is complete: a job that goes on from its checkpoints must not write that again.
#[test]
fn what_a_savepoint_at_the_end_has_written_is_part_of_a_checkpoint() {
    let dir = Dir::new();
    let first = Setup { count: 9_001, rate: 100_000_000, every: "10m", ..Setup::default() };
    dir.job(&first.yaml(true)).args(["-p", "2", "--savepoint-at-end", "save", "--quiet"]).run().exits(0);
    let rest = Setup { count: 20_000, rate: 100_000_000, every: "10m", ..Setup::default() };
    dir.job(&rest.yaml(true)).args(["-p", "2", "--resume", "--quiet"]).run().exits(0);
    let running = sorted(crate::job::of(&dir, "running"));
    let expected = rest.undisturbed().into_iter().find(|(sink, _)| *sink == "running").expect("a sink").1;
    assert_eq!(running, expected);
}
