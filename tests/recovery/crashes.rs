//! The process is killed at random moments and at every step of a checkpoint.

use std::thread;
use std::time::Duration;

use tidegate::connectors::generator::mix;
use tidegate::runtime::failpoint::Point;

use crate::harness::crash::Killed;
use crate::harness::{Dir, Tidegate};
use crate::job::{Setup, of, same, written};

/// How often the process is killed in each setting. `TIDEGATE_CRASHES=1000` looks longer.
fn crashes() -> usize {
    std::env::var("TIDEGATE_CRASHES").ok().and_then(|n| n.parse().ok()).unwrap_or(40)
}

/// Kills the process again and again, each time with another number of workers. Whenever it comes to its end in spite of that, or was killed often enough
/// and may, `check` looks at what it has written, and it begins anew.
pub fn killed_again_and_again(seed: u64, start: impl Fn(&Dir, &str) -> Tidegate, check: impl Fn(&Dir)) {
    let mut drawn = seed << 32;
    let mut random = |range: std::ops::Range<u64>| {
        drawn += 1;
        range.start + mix(drawn) % (range.end - range.start)
    };
    let mut killed = 0;
    while killed < crashes() {
        let dir = Dir::new();
        loop {
            let mut job = start(&dir, &random(1..4).to_string()).start();
            if killed < crashes() {
                thread::sleep(Duration::from_millis(random(20..200)));
                if !job.over() {
                    job.signal("KILL");
                    job.wait();
                    killed += 1;
                    continue;
                }
            }
            job.wait().exits(0);
            break;
        }
        check(&dir);
    }
}

/// Runs a job file from where it was.
pub fn resumed(dir: &Dir, yaml: &str, workers: &str) -> Tidegate {
    dir.job(yaml).args(["--resume", "--quiet", "-p", workers])
}

fn every_result_is_written_once(seed: u64, setup: Setup) {
    let (yaml, expected) = (setup.yaml(true), setup.undisturbed());
    let check = |dir: &Dir| same(&written(dir), &expected, &format!("{} {}", setup.backend, setup.memory));
    killed_again_and_again(seed, |dir, workers| resumed(dir, &yaml, workers), check);
}

/// Slow enough to be killed many times.
const RATE: u64 = 20_000;

#[test]
fn killed_at_random_moments_with_rocksdb_every_result_is_written_once() {
    every_result_is_written_once(1, Setup { rate: RATE, ..Setup::default() });
}

#[test]
fn killed_at_random_moments_with_state_in_memory_every_result_is_written_once() {
    every_result_is_written_once(2, Setup { rate: RATE, backend: "memory", ..Setup::default() });
}

#[test]
fn killed_at_random_moments_while_state_leaves_memory_every_result_is_written_once() {
    // Too little for the keys: state leaves memory all the time.
    every_result_is_written_once(3, Setup { rate: RATE, memory: "256KiB", ..Setup::default() });
}

#[test]
fn killed_at_every_step_of_a_checkpoint_every_result_is_written_once() {
    let setup = Setup { count: 8_000, ..Setup::default() };
    let (yaml, expected) = (setup.yaml(true), setup.undisturbed());
    for point in Killed::DuringCheckpoint.points() {
        for hit in [1, 2] {
            let dir = Dir::new();
            dir.job(&yaml).args(["--quiet", "-p", "2"]).dies_at(point, hit);
            resumed(&dir, &yaml, "3").run().exits(0);
            same(&written(&dir), &expected, &format!("died at {point:?}, hit {hit}"));
        }
    }
}

#[test]
fn killed_while_a_savepoint_is_published_every_result_is_written_once() {
    let setup = Setup { count: 8_000, ..Setup::default() };
    let (yaml, expected) = (setup.yaml(true), setup.undisturbed());
    for point in Killed::AtSavepoint.points() {
        for start in [["--resume"].as_slice(), &["--from", "save"]] {
            let dir = Dir::new();
            dir.job(&yaml).args(["--quiet", "-p", "2", "--savepoint-at-end", "save"]).dies_at(point, 1);
            let next = dir.job(&yaml).args(["--quiet", "-p", "3"]).args(start).run();
            if point == Point::SavepointBeforeManifest && start[0] == "--from" {
                // Without its manifest it is no savepoint.
                next.exits(3);
                resumed(&dir, &yaml, "3").run().exits(0);
            } else {
                next.exits(0);
            }
            same(&written(&dir), &expected, &format!("died at {point:?}, went on by {start:?}"));
        }
    }
}

#[test]
fn an_unknown_failpoint_is_refused() {
    let dir = Dir::new();
    let refused = dir.job(&Setup::default().yaml(true)).env("TIDEGATE_FAILPOINT", "sink-seeled:2").run().exits(2);
    refused.stderr_has("TIDEGATE_FAILPOINT=sink-seeled:2 is not a failpoint").stderr_has("sink-sealed");
}

#[test]
fn at_least_once_there_is_no_gap() {
    let setup = Setup { rate: RATE, mode: "at_least_once", ..Setup::default() };
    let (yaml, expected) = (setup.yaml(true), setup.undisturbed());
    let (_, expected) = expected.iter().find(|(sink, _)| *sink == "running").expect("a sink");
    // Counts may be too high, never too low: of each user the last is at least as high as it should be.
    let highest = |values: &[serde_json::Value]| {
        let mut highest = std::collections::BTreeMap::new();
        for value in values {
            let (user, n) = (value["user"].as_i64().expect("a user"), value["n"].as_i64().expect("a count"));
            let so_far: &mut i64 = highest.entry(user).or_default();
            *so_far = (*so_far).max(n);
        }
        highest
    };
    let expected = highest(expected);
    let check = |dir: &Dir| {
        let found = highest(&of(dir, "running"));
        for (user, n) in &expected {
            assert!(found.get(user).is_some_and(|found| found >= n), "user {user}: {:?} instead of at least {n}", found.get(user));
        }
    };
    killed_again_and_again(9, |dir, workers| resumed(dir, &yaml, workers), check);
}
