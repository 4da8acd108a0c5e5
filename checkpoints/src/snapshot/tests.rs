//! What can be opened, from where, and what the error says if it can't.

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

use super::*;
use crate::publish_savepoint;
use crate::storage::test_server::TestServer;
use crate::test_manifest::{TEXT, file, manifest, manifest_of};

/// A directory with job `fraud`, whose checkpoints 1 and 2 share a file.
fn job() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let storage = Storage::open(dir.path().to_str().unwrap()).unwrap();
    checkpoints(&storage);
    let path = dir.path().join("fraud");
    (dir, path)
}

fn checkpoints(storage: &Storage) {
    let directory = Directory::open(storage, "fraud").unwrap();
    for epoch in 1..=2 {
        let manifest = manifest_of(1, epoch, &["shared/1-a.sst", &format!("checkpoints/{epoch}/1-CURRENT")]);
        manifest.files().for_each(|file| directory.storage().put(&file.path, TEXT).unwrap());
        directory.publish(&manifest).unwrap();
    }
}

fn savepoint(storage: &Storage) {
    let manifest = Manifest { kind: Kind::Savepoint, ..manifest_of(1, 9, &["a.rows", "rows/b.rows"]) };
    manifest.files().for_each(|file| storage.put(&file.path, TEXT).unwrap());
    publish_savepoint(storage, &manifest).unwrap();
}

/// Opens `location`, downloads everything, and returns the epoch.
fn epoch(location: &str) -> Result<u32, SnapshotError> {
    let snapshot = Snapshot::open(location)?;
    let into = tempfile::tempdir().unwrap();
    for part in snapshot.manifest().operators.iter().flat_map(|operator| &operator.parts) {
        snapshot.download_all(&part.db, into.path())?;
        assert!(part.db.iter().all(|file| fs::read(into.path().join(&file.name)).unwrap() == TEXT));
    }
    Ok(snapshot.manifest().epoch.0)
}

fn error(location: &Path) -> String {
    epoch(location.to_str().unwrap()).unwrap_err().to_string()
}

#[test]
fn a_checkpoint_is_opened_by_any_of_its_paths() {
    let (_dir, job) = job();
    let job = job.to_str().unwrap();
    for (path, expected) in [("", 2), ("/", 2), ("/checkpoints/1", 1), ("/checkpoints/1/", 1), ("/checkpoints/2/manifest.json", 2)] {
        assert_eq!(epoch(&format!("{job}{path}")).unwrap(), expected, "{path}");
        assert_eq!(epoch(&format!("file://{job}{path}")).unwrap(), expected, "file://{path}");
    }
    assert_eq!(epoch(&format!("{job}/shared/../checkpoints/1")).unwrap(), 1);
    assert_eq!(Snapshot::open(job).unwrap().place(), format!("{}/checkpoints/2", fs::canonicalize(job).unwrap().display()));
}

#[test]
fn a_link_to_a_checkpoint_is_that_checkpoint() {
    let (dir, job) = job();
    std::os::unix::fs::symlink(job.join("checkpoints/1"), dir.path().join("best")).unwrap();
    assert_eq!(epoch(dir.path().join("best").to_str().unwrap()).unwrap(), 1);
}

#[test]
fn a_savepoint_can_be_moved() {
    let dir = tempfile::tempdir().unwrap();
    let (first, then) = (dir.path().join("first"), dir.path().join("elsewhere/then"));
    savepoint(&Storage::open(first.to_str().unwrap()).unwrap());
    assert_eq!(epoch(first.to_str().unwrap()).unwrap(), 9);
    fs::create_dir(dir.path().join("elsewhere")).unwrap();
    fs::rename(&first, &then).unwrap();
    assert_eq!(epoch(then.to_str().unwrap()).unwrap(), 9);
    assert_eq!(epoch(then.join("manifest.json").to_str().unwrap()).unwrap(), 9);
}

#[test]
fn a_savepoint_does_not_replace_another() {
    let dir = tempfile::tempdir().unwrap();
    let storage = Storage::open(dir.path().to_str().unwrap()).unwrap();
    let first = Manifest { kind: Kind::Savepoint, ..manifest(1, 9) };
    publish_savepoint(&storage, &first).unwrap();
    // When the answer was lost, the same savepoint is published again.
    publish_savepoint(&storage, &first).unwrap();
    let error = publish_savepoint(&storage, &Manifest { epoch: crate::Epoch(10), ..first.clone() }).unwrap_err().to_string();
    assert!(error.contains("already holds a savepoint") && error.contains(storage.root()), "{error}");
    assert_eq!(Snapshot::open(storage.root()).unwrap().manifest(), &first);
}

#[test]
fn a_checkpoint_is_no_savepoint() {
    let (_dir, job) = job();
    let storage = Storage::open(job.to_str().unwrap()).unwrap();
    let error = publish_savepoint(&storage, &manifest(1, 3)).unwrap_err().to_string();
    assert!(error.contains("it is a checkpoint, and would be published as a savepoint"), "{error}");
    let error = Directory::at(storage).publish(&Manifest { kind: Kind::Savepoint, ..manifest(1, 3) }).unwrap_err().to_string();
    assert!(error.contains("it is a savepoint, and would be published as a checkpoint"), "{error}");
}

#[test]
fn a_checkpoint_cannot_be_moved() {
    let (dir, job) = job();
    fs::rename(job.join("checkpoints/1"), dir.path().join("moved")).unwrap();
    let error = error(&dir.path().join("moved"));
    assert!(error.contains("/moved holds a checkpoint that was moved"), "{error}");
}

#[test]
fn buckets_are_opened_as_directories_are() {
    let server = TestServer::start();
    checkpoints(&server.open("s3://bucket").unwrap());
    checkpoints(&server.open("s3://bucket/deep/er").unwrap());
    savepoint(&server.open("s3://bucket/saved").unwrap());
    let open = |location: &str| Snapshot::open_with(location, &|url| server.open(url));
    for (url, epoch) in [
        ("s3://bucket/fraud", 2),
        ("s3://bucket/fraud/checkpoints/1", 1),
        ("s3://bucket/deep/er/fraud/", 2),
        ("s3://bucket/deep/er/fraud/checkpoints/2/manifest.json", 2),
        ("s3://bucket/saved", 9),
        ("s3://bucket/saved/manifest.json", 9),
    ] {
        let snapshot = open(url).unwrap();
        assert_eq!(snapshot.manifest().epoch.0, epoch, "{url}");
        let into = tempfile::tempdir().unwrap();
        for file in snapshot.manifest().files() {
            snapshot.download(file, &into.path().join(&file.name)).unwrap();
        }
    }
    assert!(matches!(open("s3://bucket/none").unwrap_err(), SnapshotError::Absent(place) if place == "s3://bucket/none"));
    assert!(matches!(open("s3://bucket/deep").unwrap_err(), SnapshotError::Incomplete(_)));
}

#[test]
fn errors_say_what_is_missing() {
    let (dir, job) = job();
    let says = |path: &str, what: &str| {
        let error = error(&dir.path().join(path));
        assert!(error.contains(what) && error.contains(path.trim_end_matches("/manifest.json")), "{error}");
    };
    says("nowhere", "there is nothing at");
    says("nowhere/manifest.json", "there is nothing at");
    fs::create_dir(dir.path().join("empty")).unwrap();
    says("empty", "has no manifest.json: it is incomplete");
    fs::remove_file(job.join("checkpoints/1/manifest.json")).unwrap();
    says("fraud/checkpoints/1", "has no manifest.json: it is incomplete");
    fs::write(dir.path().join("my-manifest.json"), "").unwrap();
    says("my-manifest.json", "has no manifest.json");

    let json = fs::read_to_string(job.join("checkpoints/2/manifest.json")).unwrap();
    let damaged = |text: &str, what: &str| {
        fs::write(job.join("checkpoints/2/manifest.json"), text).unwrap();
        says("fraud/checkpoints/2", what);
    };
    damaged(&json.replacen("\"workers\": 1", "\"workers\": 2", 1), "its manifest.json is damaged: its checksum is");
    damaged(&json.replacen("\"workers\": 1", "\"workers\": !", 1), "at line 9 column");
    damaged(&json.replacen("\"format\": 2", "\"format\": 5", 1), "format 5");
    // Now everything that is left is damaged.
    says("fraud", "none of the checkpoints in");
    fs::write(job.join("checkpoints/2/manifest.json"), &json).unwrap();
    assert_eq!(epoch(job.to_str().unwrap()).unwrap(), 2);
}

#[test]
fn files_are_checked_before_anything_is_restored_and_when_they_are_fetched() {
    let (dir, job) = job();
    fs::write(job.join("checkpoints/2/1-CURRENT"), b"tex").unwrap();
    let text = error(&job.join("checkpoints/2"));
    assert!(text.contains("checkpoints/2 can't be restored from: checkpoints/2/1-CURRENT has 3 bytes"), "{text}");
    let snapshot = Snapshot::open(job.to_str().unwrap()).unwrap();
    assert_eq!(snapshot.manifest().epoch.0, 1);
    assert_eq!(snapshot.passed_over().len(), 1);
    assert!(snapshot.passed_over()[0].to_string().contains("checkpoints/2"));

    // The length is right, so only the checksum tells.
    fs::write(job.join("shared/1-a.sst"), b"test").unwrap();
    let text = snapshot.download(&file("shared/1-a.sst"), &dir.path().join("a.sst")).unwrap_err().to_string();
    assert!(text.contains("a.sst (stored as shared/1-a.sst) has checksum") && text.contains("damaged"), "{text}");
    fs::remove_file(job.join("shared/1-a.sst")).unwrap();
    let text = error(&job);
    assert!(text.contains("none of the checkpoints") && text.contains("shared/1-a.sst is missing"), "{text}");
}

#[test]
fn a_manifest_without_files_is_enough() {
    let dir = tempfile::tempdir().unwrap();
    let empty = Manifest { kind: Kind::Savepoint, operators: Vec::new(), ..manifest(1, 4) };
    fs::write(dir.path().join("manifest.json"), empty.to_json().unwrap()).unwrap();
    assert_eq!(epoch(dir.path().to_str().unwrap()).unwrap(), 4);
}
