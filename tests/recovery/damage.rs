//! What a restore finds broken, and what stands in the way.

use std::fs;
use std::path::PathBuf;

use crate::harness::Dir;
use crate::job::{Setup, same, written};

/// A job that was stopped half-way, with checkpoints.
fn stopped(setup: &Setup) -> Dir {
    let dir = Dir::new();
    let mut job = dir.job(&setup.yaml(true)).args(["--quiet", "-p", "2"]).start();
    std::thread::sleep(std::time::Duration::from_millis(350));
    job.signal("TERM");
    job.wait().exits(0);
    dir
}

/// The folders of the checkpoints in this one, newest first.
pub fn checkpoints(folder: PathBuf) -> Vec<PathBuf> {
    let mut found: Vec<(u64, PathBuf)> = fs::read_dir(folder)
        .expect("checkpoints")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.join("manifest.json").exists())
        .map(|path| (path.file_name().and_then(|n| n.to_str()?.parse().ok()).expect("an epoch"), path))
        .collect();
    found.sort_by_key(|(epoch, _)| std::cmp::Reverse(*epoch));
    found.into_iter().map(|(_, path)| path).collect()
}

/// Flips a bit in a file of state.
pub fn flip(checkpoint: &PathBuf) {
    let mut files = fs::read_dir(checkpoint).expect("files").map(|e| e.expect("an entry").path());
    let path = files.find(|path| path.to_string_lossy().contains("MANIFEST-")).expect("a file of state");
    let mut bytes = fs::read(&path).expect("it can be read");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    fs::write(&path, bytes).expect("it can be written");
}

#[test]
fn a_damaged_checkpoint_is_named_and_the_one_before_is_used() {
    let setup = Setup::default();
    let expected = setup.undisturbed();
    type Damage = fn(&PathBuf);
    let damages: [(&str, Damage); 3] = [
        ("a manifest cut short", |checkpoint| {
            let path = checkpoint.join("manifest.json");
            let text = fs::read(&path).expect("a manifest");
            fs::write(&path, &text[..text.len() / 2]).expect("it can be written");
        }),
        ("a file that is gone", |checkpoint| {
            let gone = fs::read_dir(checkpoint).expect("files").map(|e| e.expect("an entry").path());
            let gone: Vec<_> = gone.filter(|path| !path.ends_with("manifest.json")).collect();
            fs::remove_file(&gone[0]).expect("it can be removed");
        }),
        ("a flipped bit", flip),
    ];
    for (what, damage) in damages {
        let dir = stopped(&setup);
        let newest = checkpoints(dir.path("ckpt/crash/checkpoints"))[0].clone();
        damage(&newest);
        // What the newest had committed is cut off and written again.
        let outcome = dir.tidegate(["run", "job.yaml", "--resume", "-p", "3"]).run().exits(0);
        let epoch = newest.file_name().expect("an epoch").to_string_lossy().into_owned();
        assert!(
            outcome.stderr.contains("checkpoint passed over") && outcome.stderr.contains(&format!("checkpoints/{epoch}")),
            "{what}\n{}",
            outcome.stderr
        );
        same(&written(&dir), &expected, what);
    }
}

#[test]
fn one_process_at_a_time_has_a_state_directory() {
    let dir = Dir::new();
    let setup = Setup { count: 100_000, ..Setup::default() };
    let mut first = dir.job(&setup.yaml(true)).args(["--quiet", "-p", "1"]).start();
    std::thread::sleep(std::time::Duration::from_millis(200));
    let second = dir.tidegate(["run", "job.yaml", "--quiet", "-p", "1"]).run().exits(1);
    assert!(second.stderr.contains("the job runs already") && second.stderr.contains("state/crash"), "{}", second.stderr);
    first.signal("TERM");
    first.wait().exits(0);
}

#[test]
fn a_restore_that_does_not_fit_starts_nothing() {
    let dir = stopped(&Setup::default());
    let other = Setup::default().yaml(true).replace("sum: sum(n)", "sum: max(n)");
    dir.file("other.yaml", other);
    let before = written(&dir);
    let outcome = dir.tidegate(["run", "other.yaml", "--resume"]).run().exits(3);
    assert!(
        outcome.stderr.contains("tumbling") && outcome.stderr.contains("sum(n: int)") && outcome.stderr.contains("max(n: int)"),
        "{}",
        outcome.stderr
    );
    let checked = dir.tidegate(["check", "other.yaml", "--against", "ckpt/crash"]).run().exits(3);
    assert!(checked.stdout.contains("refused"), "{}", checked.stdout);
    same(&written(&dir), &before, "nothing was started");

    let fewer = Setup::default().yaml(true);
    let fewer: String = fewer.lines().filter(|line| !line.contains("running")).map(|line| format!("{line}\n")).collect();
    dir.file("fewer.yaml", fewer);
    dir.tidegate(["check", "fewer.yaml", "--against", "ckpt/crash"]).run().exits(3);
    dir.tidegate(["check", "fewer.yaml", "--against", "ckpt/crash", "--allow-dropped-state"]).run().exits(0);
    dir.tidegate(["run", "fewer.yaml", "--resume", "--allow-dropped-state", "--quiet"]).run().exits(0);
}

#[test]
fn what_is_not_there_is_said() {
    let dir = Dir::new();
    dir.file("job.yaml", Setup::default().yaml(true));
    dir.tidegate(["run", "job.yaml", "--from", "nowhere"]).run().exits(3).stderr_has("nowhere");
    dir.tidegate(["savepoint", "inspect", "nowhere"]).run().exits(1).stderr_has("nowhere");
    dir.tidegate(["savepoint", "job.yaml", "--to", "save"]).run().exits(1).stderr_has("no running job");
    let memory = Setup::default().yaml(false);
    dir.file("plain.yaml", memory);
    dir.tidegate(["run", "plain.yaml", "--resume"]).run().exits(3).stderr_has("checkpoints");
}

#[test]
fn a_job_that_fails_for_an_outside_reason_is_started_again() {
    let dir = Dir::new();
    let setup = Setup { count: 12_000, ..Setup::default() };
    let yaml = setup.yaml(true).replace("restart: { attempts: 0 }", "restart: { attempts: 3, delay: 20ms }");
    // The folder of a sink is made away with while the job runs: pending parts can't be written, and it starts again.
    let job = dir.job(&yaml).args(["-p", "2"]).start();
    std::thread::sleep(std::time::Duration::from_millis(150));
    // Something may be put there while it is being removed.
    while dir.path("ckpt").exists() && fs::remove_dir_all(dir.path("ckpt")).is_err() {}
    let outcome = job.wait();
    // Checkpoints that can't be published cost the checkpoint; the job goes on with later ones.
    outcome.exits(0);
    same(&written(&dir), &setup.undisturbed(), "the directory of checkpoints vanished");
}
