//! A disk that is full: files can't grow beyond a limit, until that is lifted.

use std::process::Command;

use serde_json::Value;

use crate::harness::{Dir, Running, sorted};

/// A job whose state soon takes more than the limit, and which writes little until its end.
fn yaml(backend: &str, rate: u64) -> String {
    format!(
        "name: full
state: {{ backend: {backend}, dir: state, memory: 64KiB }}
checkpoints: {{ every: 1s, dir: ckpt }}
restart: {{ attempts: 0 }}
sources:
  in:
    connector: generator
    rate: {rate}
    count: 40000
    fields:
      user: {{ uniform: [1, 100000] }}
      n: {{ sequence: [0, 1] }}
      ts: {{ time: {{ start: 2026-01-01T00:00:00Z, step: 1ms }} }}
    event_time: {{ field: ts }}
streams:
  counts: {{ from: in, key: user, window: {{ tumbling: 1h }}, aggregate: {{ n: count(), sum: sum(n) }} }}
  marks: {{ from: in, where: 'n % 500 == 0', select: {{ n: n }} }}
sinks:
  counts: {{ from: counts, connector: file, path: out/counts.jsonl }}
  marks: {{ from: marks, connector: file, path: out/marks.jsonl }}
"
    )
}

fn written(dir: &Dir) -> [Vec<Value>; 2] {
    ["out/counts.jsonl", "out/marks.jsonl"].map(|path| sorted(dir.values(path)))
}

fn expected() -> [Vec<Value>; 2] {
    let dir = Dir::new();
    dir.job(&yaml("memory", 100_000_000)).args(["-p", "1", "--quiet"]).run().exits(0);
    written(&dir)
}

/// Starts the job with files of 16 KiB at most. A write beyond that fails, as on a disk that is full.
fn started(dir: &Dir, yaml: &str) -> Running {
    dir.file("job.yaml", yaml);
    let run = "trap '' XFSZ; exec prlimit --fsize=16384:unlimited \"$@\"";
    let job = [env!("CARGO_BIN_EXE_tidegate"), "run", "job.yaml", "-p", "2"];
    dir.command("sh", ["-c", run, "sh"]).args(job).start()
}

const FULL: &str = "File too large";

#[test]
fn a_checkpoint_that_finds_no_room_fails_and_the_next_one_may_succeed() {
    let dir = Dir::new();
    let mut job = started(&dir, &yaml("memory", 8_000));
    job.until_said("a checkpoint failed, and the job goes on: operator `counts`");
    let lifted = Command::new("prlimit").args(["--pid", &job.pid().to_string(), "--fsize=unlimited"]).status();
    assert!(lifted.expect("prlimit runs").success());
    let outcome = job.wait().exits(0).stderr_has(FULL);
    let account = outcome.stderr.lines().find(|line| line.contains(" checkpoints; last: ")).expect("the account of checkpoints");
    assert!(account.contains(" failed (operator `counts`: "), "{account}");
    assert!(written(&dir) == expected());
}

#[test]
fn too_many_failed_checkpoints_end_the_job_which_goes_on_from_the_last_good_one() {
    for backend in ["memory", "rocksdb"] {
        let dir = Dir::new();
        let job = yaml(backend, 8_000).replace("every: 1s", "every: 50ms");
        let outcome = started(&dir, &job).wait().exits(1);
        assert!(
            outcome.stderr.contains(FULL) && outcome.stderr.contains("counts") && !outcome.stderr.contains("panicked"),
            "{}",
            outcome.stderr
        );
        dir.tidegate(["run", "job.yaml", "--resume", "--quiet", "-p", "3"]).run().exits(0);
        assert!(written(&dir) == expected(), "{backend}");
    }
}

#[test]
fn a_stop_that_finds_no_room_for_what_it_needs_fails() {
    for backend in ["memory", "rocksdb"] {
        let dir = Dir::new();
        dir.file("job.yaml", yaml(backend, 100_000_000).replace("every: 1s", "every: 10m"));
        let run = "trap '' XFSZ; exec prlimit --fsize=16384:unlimited \"$@\"";
        let job = [env!("CARGO_BIN_EXE_tidegate"), "run", "job.yaml", "-p", "2", "--savepoint-at-end", "save"];
        dir.command("sh", ["-c", run, "sh"]).args(job).run().exits(1).stderr_has(FULL);
        assert!(!dir.path("save/manifest.json").exists());
    }
}
