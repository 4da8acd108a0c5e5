//! The process is killed at random moments and at every step of a checkpoint.

use std::thread;
use std::time::Duration;

use tidegate::connectors::generator::mix;

use crate::harness::Dir;
use crate::job::{Setup, of, same, written};

/// How often the process is killed in each setting. `TIDEGATE_CRASHES=100` looks longer.
fn crashes() -> usize {
    std::env::var("TIDEGATE_CRASHES").ok().and_then(|n| n.parse().ok()).unwrap_or(6)
}

/// Runs until it is killed `crashes` times, each time with another number of workers, then to the end.
fn killed_again_and_again(setup: &Setup, seed: u64) -> Dir {
    let mut drawn = seed << 32;
    let mut random = |range: std::ops::Range<u64>| {
        drawn += 1;
        range.start + mix(drawn) % (range.end - range.start)
    };
    let dir = Dir::new();
    let yaml = setup.yaml(true);
    let mut killed = 0;
    while killed < crashes() {
        let workers = random(1..4).to_string();
        let mut job = dir.job(&yaml).args(["--resume", "--quiet", "-p", &workers]).start();
        thread::sleep(Duration::from_millis(random(20..260)));
        if job.over() {
            // It came to its end: from here on it would only be read again.
            job.wait().exits(0);
            return dir;
        }
        job.signal("KILL");
        job.wait();
        killed += 1;
    }
    dir.job(&yaml).args(["--resume", "--quiet", "-p", "2"]).run().exits(0);
    dir
}

#[test]
fn killed_at_random_moments_every_result_is_written_once() {
    let setups = [
        Setup::default(),
        Setup { backend: "memory", ..Setup::default() },
        // Too little for the keys: state leaves memory all the time.
        Setup { memory: "256KiB", ..Setup::default() },
    ];
    let expected = setups[0].undisturbed();
    for (seed, setup) in setups.iter().enumerate() {
        let dir = killed_again_and_again(setup, seed as u64 + 1);
        same(&written(&dir), &expected, &format!("{} {}", setup.backend, setup.memory));
    }
}

#[test]
fn killed_at_every_step_of_a_checkpoint_every_result_is_written_once() {
    let steps = [
        "barrier-aligned",
        "snapshot-linked",
        "snapshot-stored",
        "file-stored",
        "upload",
        "sink-sealed",
        "publish-before-manifest",
        "publish-after-manifest",
        "checkpoint-completed",
        "sink-before-commit",
        "file-appended",
        "sink-after-commit",
    ];
    let setup = Setup { count: 8_000, ..Setup::default() };
    let (yaml, expected) = (setup.yaml(true), setup.undisturbed());
    for step in steps {
        for hit in [1, 2] {
            let dir = Dir::new();
            let dies = dir.job(&yaml).args(["--quiet", "-p", "2"]).env("TIDEGATE_FAILPOINT", format!("{step}:{hit}")).run();
            assert!(!dies.succeeded(), "`{step}` was not hit {hit} times");
            dir.job(&yaml).args(["--resume", "--quiet", "-p", "3"]).run().exits(0);
            same(&written(&dir), &expected, &format!("died at {step}:{hit}"));
        }
    }
}

#[test]
fn at_least_once_there_is_no_gap() {
    let setup = Setup { mode: "at_least_once", ..Setup::default() };
    let dir = killed_again_and_again(&setup, 9);
    let expected = setup.undisturbed();
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
    let found = highest(&of(&dir, "running"));
    for (user, n) in highest(expected) {
        assert!(found.get(&user).is_some_and(|found| *found >= n), "user {user}: {:?} instead of at least {n}", found.get(&user));
    }
}
