//! What is deleted and what stays: cases, a naive model, and the order of deletion in storage.

use proptest::prelude::*;

use super::*;
use crate::Storage;
use crate::test_manifest::{TEXT, manifest, manifest_of};

fn stored(name: &str, stored_ms: i64) -> Stored {
    Stored { name: name.to_owned(), bytes: 4, stored_ms }
}

const DAY_MS: i64 = 86_400_000;

fn nothing_in_flight() -> InFlight {
    InFlight { files: HashSet::new(), since_ms: DAY_MS }
}

fn removed(manifests: &[Manifest], keep: usize, files: &[Stored], in_flight: &InFlight) -> (Vec<u32>, Vec<String>) {
    let Removal { checkpoints, files } = plan(manifests, keep, files, in_flight);
    (checkpoints.into_iter().map(|epoch| epoch.0).collect(), files)
}

#[test]
fn a_file_goes_with_the_last_checkpoint_that_names_it() {
    let manifests =
        [manifest_of(1, 3, &["shared/c", "shared/b"]), manifest_of(1, 2, &["shared/b", "shared/a"]), manifest_of(1, 1, &["shared/a"])];
    let files = ["shared/a", "shared/b", "shared/c"].map(|name| stored(name, 0));
    let plan = |keep| removed(&manifests, keep, &files, &nothing_in_flight());
    assert_eq!(plan(3), (vec![], vec![]));
    assert_eq!(plan(2), (vec![1], vec![]));
    assert_eq!(plan(1), (vec![2, 1], vec!["shared/a".to_owned()]));
    assert_eq!(plan(0), plan(1), "one stays");
    assert_eq!(plan(9), plan(3));
}

#[test]
fn savepoints_stay_and_do_not_count() {
    let savepoint = Manifest { kind: Kind::Savepoint, ..manifest_of(1, 2, &["shared/s"]) };
    let manifests = [manifest_of(1, 3, &[]), savepoint, manifest_of(1, 1, &["shared/a"])];
    let files = [stored("shared/a", 0), stored("shared/s", 0)];
    assert_eq!(removed(&manifests, 2, &files, &nothing_in_flight()), (vec![], vec![]));
    assert_eq!(removed(&manifests, 1, &files, &nothing_in_flight()), (vec![1], vec!["shared/a".to_owned()]));
}

#[test]
fn the_newest_are_those_of_the_newest_run() {
    // Newest first, as a directory lists them. The epochs of the first run are higher, but abandoned.
    let manifests = [manifest(2, 6), manifest(1, 8), manifest(1, 7)];
    assert_eq!(removed(&manifests, 2, &[], &nothing_in_flight()).0, [7]);
}

#[test]
fn what_is_in_flight_stays() {
    let manifests = [manifest_of(1, 2, &[]), manifest_of(1, 1, &["shared/a", "shared/b"])];
    let files = ["shared/a", "shared/b", "shared/orphan"].map(|name| stored(name, 0));
    let in_flight = InFlight { files: ["shared/a".to_owned(), "shared/orphan".to_owned()].into(), since_ms: DAY_MS };
    assert_eq!(removed(&manifests, 1, &files, &in_flight).1, ["shared/b"]);
}

#[test]
fn what_may_belong_to_an_upload_stays() {
    let quarter = 15 * 60 * 1_000;
    let manifests = [manifest_of(1, 2, &[]), manifest_of(1, 1, &["shared/released", "shared/released-new"])];
    let files = [
        stored("shared/released", DAY_MS - 1),
        stored("shared/released-new", DAY_MS),
        // No manifest names these. Only their age tells that none will, and the clock of the storage may be slow.
        stored("shared/orphan", DAY_MS - quarter - 1),
        stored("shared/orphan-new", DAY_MS - quarter),
        stored("checkpoints/9/1-x", 0),
        stored("shared/.tmp-abc", 0),
    ];
    let gone = removed(&manifests, 1, &files, &nothing_in_flight()).1;
    assert_eq!(gone, ["checkpoints/9/1-x", "shared/.tmp-abc", "shared/orphan", "shared/released"]);
}

proptest! {
    /// Compares the plan with the definition, file by file.
    #[test]
    fn the_plan_is_that_of_the_naive_model(
        checkpoints in prop::collection::vec((prop::collection::vec(0usize..12, 0..6), prop::bool::weighted(0.2)), 0..7),
        keep in 0usize..5, ages in prop::collection::vec(0i64..3_000_000, 12), flying in prop::collection::hash_set(0usize..12, 0..3),
        since_ms in 0i64..3_000_000,
    ) {
        let name = |n: &usize| format!("shared/{n}");
        let manifests: Vec<Manifest> = checkpoints.iter().enumerate().map(|(at, (files, savepoint))| {
            let names: Vec<String> = files.iter().map(name).collect();
            let kind = if *savepoint { Kind::Savepoint } else { Kind::Checkpoint };
            Manifest { kind, ..manifest_of(1, 100 - at as u32, &names.iter().map(String::as_str).collect::<Vec<_>>()) }
        }).collect();
        let files: Vec<Stored> = ages.iter().enumerate().map(|(n, age)| stored(&name(&n), *age)).collect();
        let in_flight = InFlight { files: flying.iter().map(name).collect(), since_ms };
        let removal = plan(&manifests, keep, &files, &in_flight);

        let stays = |at: usize| {
            let newer = checkpoints[..at].iter().filter(|(_, savepoint)| !savepoint).count();
            checkpoints[at].1 || newer < keep.max(1)
        };
        let gone: Vec<Epoch> = (0..checkpoints.len()).filter(|at| !stays(*at)).map(|at| manifests[at].epoch).collect();
        prop_assert_eq!(&removal.checkpoints, &gone);
        for (n, age) in ages.into_iter().enumerate() {
            let users: Vec<usize> = (0..checkpoints.len()).filter(|at| checkpoints[*at].0.contains(&n)).collect();
            let needed = users.iter().any(|at| stays(*at)) || flying.contains(&n);
            let late = if users.is_empty() { age + 900_000 >= since_ms } else { age >= since_ms };
            prop_assert_eq!(removal.files.contains(&name(&n)), !needed && !late, "file {}", n);
        }
    }
}

fn directory() -> (tempfile::TempDir, Directory) {
    let dir = tempfile::tempdir().unwrap();
    let storage = Storage::open(dir.path().to_str().unwrap()).unwrap();
    let directory = Directory::open(&storage, "fraud").unwrap();
    (dir, directory)
}

fn publish(directory: &Directory, manifest: &Manifest) {
    for file in manifest.files() {
        directory.storage().put(&file.path, TEXT).unwrap();
    }
    directory.publish(manifest).unwrap();
}

/// Later than anything the tests store.
fn later() -> InFlight {
    InFlight { files: HashSet::new(), since_ms: i64::MAX }
}

#[test]
fn what_is_removed_is_gone_and_the_rest_is_whole() {
    let (_dir, directory) = directory();
    let run = directory.begin_generation().unwrap();
    for epoch in 1..=5u32 {
        let (before, own) = (format!("shared/{}", epoch - 1), format!("checkpoints/{epoch}/1-x"));
        publish(&directory, &manifest_of(run, epoch, &[&format!("shared/{epoch}"), &before, &own]));
    }
    directory.storage().put("checkpoints/6/1-x", b"of a checkpoint that was never completed").unwrap();
    let removal = retain(&directory, run, 2, &later()).unwrap();
    assert_eq!(removal.checkpoints, [Epoch(3), Epoch(2), Epoch(1)]);
    let left = [
        "checkpoints/4/1-x",
        "checkpoints/4/manifest.json",
        "checkpoints/5/1-x",
        "checkpoints/5/manifest.json",
        "generations/1",
        "shared/3",
        "shared/4",
        "shared/5",
    ];
    assert_eq!(directory.storage().list("").unwrap(), left);
    assert_eq!(directory.latest_valid(&mut |bad| panic!("{bad}")).unwrap().unwrap().epoch, Epoch(5));
    assert_eq!(retain(&directory, run, 2, &later()).unwrap(), Removal::default());
}

#[test]
fn uploads_of_now_are_not_taken_for_leftovers() {
    let (_dir, directory) = directory();
    let run = directory.begin_generation().unwrap();
    publish(&directory, &manifest(run, 1));
    directory.storage().put("shared/1-new", b"").unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as i64;
    retain(&directory, run, 1, &InFlight { files: HashSet::new(), since_ms: now }).unwrap();
    assert_eq!(directory.storage().list("shared").unwrap(), ["shared/1-new"]);
}

#[test]
fn a_run_that_was_taken_over_from_deletes_nothing() {
    let (_dir, directory) = directory();
    let old = directory.begin_generation().unwrap();
    (1..4).for_each(|epoch| publish(&directory, &manifest_of(old, epoch, &["shared/a"])));
    let new = directory.begin_generation().unwrap();
    let before = directory.storage().list("").unwrap();
    assert!(matches!(retain(&directory, old, 1, &later()), Err(DirectoryError::Fenced { .. })));
    assert_eq!(directory.storage().list("").unwrap(), before);
    assert_eq!(retain(&directory, new, 1, &later()).unwrap().checkpoints.len(), 2);
}

#[test]
fn files_that_a_newer_release_may_need_stay() {
    let (_dir, directory) = directory();
    let run = directory.begin_generation().unwrap();
    (1..4).for_each(|epoch| publish(&directory, &manifest_of(run, epoch, &[&format!("shared/{epoch}")])));
    directory.storage().put("checkpoints/9/manifest.json", b"{\"format\": 3}").unwrap();
    let removal = retain(&directory, run, 1, &later()).unwrap();
    assert_eq!((removal.checkpoints.len(), removal.files.len()), (2, 0));
    // A manifest that is merely damaged keeps no files.
    directory.storage().put("checkpoints/9/manifest.json", b"{").unwrap();
    assert_eq!(retain(&directory, run, 1, &later()).unwrap().files, ["shared/1", "shared/2"]);
    assert!(directory.storage().len("checkpoints/9/manifest.json").unwrap().is_some());
}
