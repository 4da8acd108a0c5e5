//! Checkpoints in a bucket.

use crate::crashes::{killed_again_and_again, resumed};
use crate::damage::{checkpoints, flip};
use crate::harness::Dir;
use crate::job::{Setup, same, written};
use crate::server::S3;

#[test]
fn killed_at_random_moments_with_checkpoints_in_s3_every_result_is_written_once() {
    let server = S3::start();
    let setup = Setup { rate: 15_000, dir: "s3://bucket/DIR", every: "60ms", ..Setup::default() };
    let (yaml, expected) = (setup.yaml(true), setup.undisturbed());
    let start = |dir: &Dir, workers: &str| {
        // One place in the bucket for each directory.
        let name = dir.path("").file_name().expect("a name").to_string_lossy().into_owned();
        let job = resumed(dir, &yaml.replace("DIR", &name), workers);
        server.variables("secret").into_iter().fold(job, |job, (name, value)| job.env(name, value))
    };
    killed_again_and_again(5, start, |dir| {
        assert!(!dir.path("ckpt").exists() && !dir.path("s3:").exists());
        same(&written(dir), &expected, "checkpoints in s3");
    });
}

#[test]
fn a_bucket_that_can_not_be_reached_starts_nothing() {
    let server = S3::start();
    let dir = Dir::new();
    let job = dir.job(&Setup { dir: "s3://bucket/jobs", ..Setup::default() }.yaml(true)).args(["--quiet"]);
    let job = server.variables("wrong").into_iter().fold(job, |job, (name, value)| job.env(name, value));
    job.run().exits(1).stderr_has("checkpoints can't be kept in `s3://bucket/jobs`").stderr_lacks("panicked");
    assert!(!dir.path("out").exists());
}

/// What lies in a bucket is looked into only when it is brought: after the run has begun.
#[test]
fn a_checkpoint_damaged_in_a_bucket_is_named_and_the_one_before_is_used() {
    let server = S3::start();
    let setup = Setup { dir: "s3://bucket/jobs", every: "60ms", ..Setup::default() };
    let dir = Dir::new();
    let run = |args: &[&str]| {
        let job = dir.job(&setup.yaml(true)).args(args);
        server.variables("secret").into_iter().fold(job, |job, (name, value)| job.env(name, value))
    };
    let folder = || server.path("jobs/crash/checkpoints");
    let mut job = run(&["--quiet", "-p", "2"]).start();
    while !folder().exists() || checkpoints(folder()).len() < 2 {
        assert!(!job.over(), "it ended before there were two checkpoints");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    job.signal("TERM");
    job.wait().exits(0);
    let newest = checkpoints(folder())[0].clone();
    flip(&newest);
    let epoch = newest.file_name().expect("an epoch").to_string_lossy().into_owned();
    let outcome = run(&["--resume", "-p", "3"]).run().exits(0);
    outcome.stderr_has(&format!("checkpoint passed over: s3://bucket/jobs/crash/checkpoints/{epoch}"));
    same(&written(&dir), &setup.undisturbed(), "the newest checkpoint was damaged");
}
