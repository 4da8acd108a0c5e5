//! Checkpoints in a bucket.

use crate::crashes::{killed_again_and_again, resumed};
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
