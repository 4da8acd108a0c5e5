//! Savepoints: at the end, at a signal, on demand; into another backend, at another parallelism.

use crate::harness::Dir;
use crate::job::{Setup, same, written};

/// The first part of the input ends in a savepoint, the rest goes on from there, elsewhere and otherwise.
#[test]
fn a_savepoint_moves_between_backends_and_numbers_of_workers() {
    let expected = Setup::default().undisturbed();
    for (from, to) in [("memory", "rocksdb"), ("rocksdb", "memory"), ("rocksdb", "rocksdb")] {
        let dir = Dir::new();
        let first = Setup { backend: from, count: 9_001, rate: 100_000_000, ..Setup::default() };
        dir.job(&first.yaml(false)).args(["-p", "3", "--savepoint-at-end", "save/one", "--quiet"]).run().exits(0);
        // Moved, as whoever archives it would.
        std::fs::create_dir_all(dir.path("archive")).expect("a directory");
        std::fs::rename(dir.path("save/one"), dir.path("archive/one")).expect("it can be moved");
        let second = Setup { backend: to, count: 16_000, rate: 100_000_000, ..Setup::default() };
        let args = ["-p", "1", "--from", "archive/one", "--savepoint-at-end", "save/two", "--quiet"];
        dir.job(&second.yaml(true)).args(args).run().exits(0);
        let last = Setup { backend: from, rate: 100_000_000, ..Setup::default() };
        dir.job(&last.yaml(true)).args(["-p", "2", "--from", "save/two", "--quiet"]).run().exits(0);
        same(&written(&dir), &expected, &format!("{from} to {to}"));
    }
}

#[test]
fn a_stopped_job_resumes_where_it_was() {
    let dir = Dir::new();
    let setup = Setup::default();
    let yaml = setup.yaml(true);
    for workers in ["1", "3"] {
        let mut job = dir.job(&yaml).args(["--resume", "--quiet", "-p", workers]).start();
        std::thread::sleep(std::time::Duration::from_millis(150));
        job.signal("TERM");
        job.wait().exits(0);
    }
    dir.job(&yaml).args(["--resume", "--quiet", "-p", "2"]).run().exits(0);
    same(&written(&dir), &setup.undisturbed(), "stopped twice");
}

#[test]
fn a_savepoint_on_demand_does_not_disturb_the_job() {
    let dir = Dir::new();
    let setup = Setup { count: 60_000, ..Setup::default() };
    let yaml = setup.yaml(true);
    let job = dir.job(&yaml).args(["--quiet", "-p", "2"]).start();
    std::thread::sleep(std::time::Duration::from_millis(400));
    dir.tidegate(["savepoint", "job.yaml", "--to", "save"]).run().exits(0);
    let inspected = dir.tidegate(["savepoint", "inspect", "save"]).run().exits(0);
    for part in ["savepoint of `crash`", "tumbling", "state `slices`", "\"next\"", "sinks.running"] {
        assert!(inspected.stdout.contains(part), "`{part}` is missing\n{}", inspected.stdout);
    }
    let rows = dir.tidegate(["savepoint", "inspect", "save", "--rows", "running"]).run().exits(0).values();
    assert!(rows.len() > 400, "{} rows", rows.len());
    job.wait().exits(0);
    let expected = setup.undisturbed();
    same(&written(&dir), &expected, "the job that was asked");
    // And another goes on from it, with files of its own that hold what the first had written by then.
    let verdict = dir.tidegate(["check", "job.yaml", "--against", "save"]).run().exits(0);
    assert!(verdict.stdout.contains("restored"), "{}", verdict.stdout);
    dir.tidegate(["run", "job.yaml", "--from", "save", "--quiet", "-p", "3"]).run().exits(0);
    same(&written(&dir), &expected, "the job that goes on from it");
}
