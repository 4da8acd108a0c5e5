//! The directory of a job: what exists, what is newest, who may publish.

use std::collections::BTreeMap;
use std::process::Command;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::failpoint::Point;
use crate::storage::test_server::TestServer;
use crate::test_manifest::{TEXT, manifest, manifest_of};

fn local() -> (TempDir, Directory) {
    let dir = tempfile::tempdir().unwrap();
    let storage = Storage::open(dir.path().to_str().unwrap()).unwrap();
    (dir, Directory::open(&storage, "fraud").unwrap())
}

/// One directory of each kind of storage.
fn each(check: impl Fn(&Directory)) {
    let (_dir, directory) = local();
    check(&directory);
    let server = TestServer::start();
    let storage = server.open("s3://bucket/checkpoints").unwrap();
    check(&Directory::open(&storage, "fraud").unwrap());
}

fn store(directory: &Directory, manifest: &Manifest) {
    for file in manifest.files() {
        directory.storage().put(&file.path, TEXT).unwrap();
    }
}

/// Generation and epoch of the newest checkpoint, and what was passed over.
fn latest(directory: &Directory) -> (Option<(u64, u32)>, Vec<String>) {
    let mut reports = Vec::new();
    let latest = directory.latest_valid(&mut |unusable| reports.push(unusable.to_string())).unwrap();
    (latest.map(|manifest| (manifest.generation, manifest.epoch.0)), reports)
}

#[test]
fn a_checkpoint_exists_once_it_is_published() {
    each(|directory| {
        assert_eq!(latest(directory), (None, vec![]));
        assert_eq!(directory.list().unwrap(), []);
        let generation = directory.begin_generation().unwrap();
        let first = manifest_of(generation, 1, &["shared/1-a", "checkpoints/1/1-b"]);
        store(directory, &first);
        assert_eq!(latest(directory), (None, vec![]), "its files alone are no checkpoint");
        directory.publish(&first).unwrap();
        assert_eq!(directory.latest_valid(&mut |_| ()).unwrap(), Some(first.clone()));
        // When the answer was lost, the same checkpoint is published again.
        directory.publish(&first).unwrap();
        let second = manifest_of(generation, 10, &["shared/1-a"]);
        directory.publish(&second).unwrap();
        let found: Vec<Manifest> = directory.list().unwrap().into_iter().map(|found| found.manifest.unwrap()).collect();
        assert_eq!(found, [second, first], "by number, not by text");
    });
}

#[test]
fn a_damaged_checkpoint_is_named_and_the_one_before_is_used() {
    each(|directory| {
        for epoch in 1..=4 {
            let manifest = manifest_of(1, epoch, &["shared/1-a", &format!("shared/1-{epoch}")]);
            store(directory, &manifest);
            directory.publish(&manifest).unwrap();
        }
        directory.storage().put("checkpoints/4/manifest.json", b"{\"format\": 1,").unwrap();
        directory.storage().delete("shared/1-3").unwrap();
        directory.storage().put("shared/1-2", b"tex").unwrap();
        let (epoch, reports) = latest(directory);
        assert_eq!(epoch, Some((1, 1)));
        let [four, three, two] = &reports[..] else { panic!("{reports:?}") };
        assert!(
            four.contains("checkpoints/4 can't be restored from") && four.contains("manifest.json is damaged") && four.contains("line 1"),
            "{four}"
        );
        assert!(three.contains("checkpoints/3") && three.contains("shared/1-3 is missing"), "{three}");
        assert!(two.contains("checkpoints/2") && two.contains("shared/1-2 has 3 bytes but should have 4"), "{two}");
    });
}

#[test]
fn a_manifest_in_the_folder_of_another_epoch_is_no_checkpoint() {
    let (_dir, directory) = local();
    directory.storage().put("checkpoints/9/manifest.json", &manifest(1, 8).to_json().unwrap()).unwrap();
    directory.storage().put("checkpoints/x/manifest.json", b"of somebody else").unwrap();
    let (epoch, reports) = latest(&directory);
    assert_eq!(epoch, None);
    assert!(reports.len() == 1 && reports[0].contains("epoch 8"), "{reports:?}");
}

#[test]
fn only_the_latest_run_publishes() {
    each(|directory| {
        assert_eq!(directory.begin_generation().unwrap(), 1);
        directory.publish(&manifest(1, 1)).unwrap();
        assert_eq!(directory.begin_generation().unwrap(), 2);
        let error = directory.publish(&manifest(1, 2)).unwrap_err();
        assert!(matches!(error, DirectoryError::Fenced { own: 1, newer: 2, .. }), "{error}");
        assert!(error.to_string().contains("run 2 has taken over"), "{error}");
        assert_eq!(latest(directory).0, Some((1, 1)), "what was refused does not exist");
        directory.publish(&manifest(2, 2)).unwrap();
        assert_eq!(directory.begin_generation().unwrap(), 3);
    });
}

#[test]
fn runs_that_begin_at_once_are_different_runs() {
    let (_dir, directory) = local();
    let mut runs: Vec<u64> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| directory.begin_generation().unwrap())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    runs.sort_unstable();
    // Of two runs with the same number neither may publish, because a higher one exists.
    let highest = *runs.last().unwrap();
    assert_eq!(runs.iter().filter(|run| **run == highest).count(), 1);
    let may = |run: &&u64| directory.publish(&manifest(**run, 1)).is_ok();
    assert_eq!(runs.iter().filter(may).collect::<Vec<_>>(), [&highest]);
}

/// A run publishes while another takes over: the other run sees every checkpoint that the first was told exists.
#[test]
fn what_was_published_is_seen_by_who_takes_over() {
    for _ in 0..25 {
        let (_dir, directory) = local();
        let old = directory.begin_generation().unwrap();
        let (published, (new, seen)) = std::thread::scope(|scope| {
            let publish = || (1..200).take_while(|epoch| directory.publish(&manifest(old, *epoch)).is_ok()).last();
            let take_over = || (directory.begin_generation().unwrap(), latest(&directory).0);
            let (publisher, successor) = (scope.spawn(publish), scope.spawn(take_over));
            (publisher.join().unwrap(), successor.join().unwrap())
        });
        assert_eq!(new, 2);
        assert!(seen.map(|(_, epoch)| epoch) >= published, "{published:?} was published, but {seen:?} seen");
    }
}

#[test]
fn a_run_is_newer_than_all_that_published_even_if_their_claims_are_gone() {
    let (_dir, directory) = local();
    directory.publish(&manifest(6, 1)).unwrap();
    assert_eq!(directory.begin_generation().unwrap(), 7);
}

#[test]
fn a_run_that_went_another_way_is_newer_whatever_the_epochs() {
    each(|directory| {
        for epoch in 5..=8 {
            directory.publish(&manifest(1, epoch)).unwrap();
        }
        // The second run was restored from epoch 5 on purpose. Epochs 6 to 8 belong to a time line that it left.
        directory.publish(&manifest(2, 6)).unwrap();
        let order = || -> Vec<_> {
            directory.list().unwrap().into_iter().map(|found| found.manifest.unwrap()).map(|m| (m.generation, m.epoch.0)).collect()
        };
        assert_eq!(order(), [(2, 6), (1, 8), (1, 7), (1, 5)]);
        assert_eq!(latest(directory).0, Some((2, 6)));
        directory.publish(&manifest(2, 7)).unwrap();
        assert_eq!(order(), [(2, 7), (2, 6), (1, 8), (1, 5)]);
    });
}

#[test]
fn a_checkpoint_that_is_adopted_is_the_newest() {
    let (_dir, directory) = local();
    let first = directory.begin_generation().unwrap();
    for epoch in 1..=3 {
        let manifest = manifest_of(first, epoch, &[&Directory::shared_path(first, "a"), &Directory::own_path(first, Epoch(epoch), "b")]);
        store(&directory, &manifest);
        directory.publish(&manifest).unwrap();
    }
    let second = directory.begin_generation().unwrap();
    let chosen = directory.list().unwrap().pop().unwrap().manifest.unwrap();
    directory.adopt(&chosen, second).unwrap();
    assert_eq!(latest(&directory), (Some((second, 1)), vec![]));
    assert_eq!(directory.latest_valid(&mut |_| ()).unwrap().unwrap().operators, chosen.operators);
    assert!(directory.adopt(&chosen, first).is_err());
}

#[test]
fn one_epoch_is_published_once_a_run() {
    let (_dir, directory) = local();
    directory.publish(&manifest(1, 1)).unwrap();
    let error = directory.publish(&Manifest { created_ms: 0, ..manifest(1, 1) }).unwrap_err().to_string();
    assert!(error.contains("checkpoint 1 is already in") && error.contains("fraud"), "{error}");
    // Files that are not manifests do no harm.
    directory.storage().put("checkpoints/2/manifest.json", b"half").unwrap();
    directory.publish(&manifest(1, 2)).unwrap();
    assert_eq!(latest(&directory).0, Some((1, 2)));
}

#[test]
fn what_cannot_be_is_not_published() {
    let (_dir, directory) = local();
    let error = directory.publish(&Manifest { key_groups: 0, ..manifest(1, 3) }).unwrap_err().to_string();
    assert!(error.contains("epoch 3 can't be published") && error.contains("0 key groups"), "{error}");
    assert_eq!(directory.list().unwrap(), []);
}

#[test]
fn a_job_has_a_folder_of_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let storage = Storage::open(dir.path().to_str().unwrap()).unwrap();
    for bad in ["", "..", "a/b", "."] {
        let error = Directory::open(&storage, bad).unwrap_err().to_string();
        assert!(error.contains(&format!("{bad:?}")), "{error}");
    }
    Directory::open(&storage, "a job").unwrap().publish(&manifest(1, 1)).unwrap();
    assert!(dir.path().join("a job/checkpoints/1/manifest.json").exists());
}

#[test]
fn many_missing_files_are_counted() {
    let all = (0..9).map(|n| Fault { path: format!("shared/{n}"), expected: 1, found: None }).collect();
    let text = Damage::Files(all).to_string();
    assert_eq!(text, "shared/0 is missing, shared/1 is missing, shared/2 is missing, and 6 more files");
}

/// What the process below does. It runs with a failpoint set, and dies there.
#[test]
#[ignore = "run by the test below, in a process that dies"]
fn victim() {
    let storage = Storage::open(&std::env::var("TIDEGATE_TEST_DIRECTORY").unwrap()).unwrap();
    let directory = Directory::open(&storage, "fraud").unwrap();
    let generation = directory.begin_generation().unwrap();
    let first = directory.latest_valid(&mut |_| ()).unwrap().map_or(1, |latest| latest.epoch.0 + 1);
    for epoch in first..first + 3 {
        let (own, shared) = (Directory::own_path(generation, Epoch(epoch), "a"), Directory::shared_path(generation, &epoch.to_string()));
        let local = storage.root().to_owned() + "/local";
        let _ = std::fs::remove_file(&local);
        std::fs::write(&local, TEXT).unwrap();
        storage.inside("fraud").unwrap().upload(local.as_ref(), &own).unwrap();
        storage.inside("fraud").unwrap().upload(local.as_ref(), &shared).unwrap();
        directory.publish(&manifest_of(generation, epoch, &[&own, &shared])).unwrap();
    }
}

#[test]
fn a_run_that_dies_anywhere_leaves_the_checkpoints_it_published() {
    let (dir, directory) = local();
    let run = |failpoint: Option<(Point, u64)>| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "directory::tests::victim", "--ignored"]).env_remove(failpoint::VARIABLE);
        command
            .env("TIDEGATE_TEST_DIRECTORY", dir.path())
            .envs(failpoint.map(|(point, nth)| (failpoint::VARIABLE, format!("{}:{nth}", point.name()))));
        assert_eq!(command.output().unwrap().status.success(), failpoint.is_none());
        let (latest, reports) = latest(&directory);
        assert_eq!(reports, [""; 0], "nothing that exists is damaged");
        latest.map(|(_, epoch)| epoch)
    };
    assert_eq!(run(Some((Point::Upload, 1))), None);
    assert_eq!(run(Some((Point::PublishBeforeManifest, 1))), None);
    assert_eq!(run(Some((Point::PublishAfterManifest, 1))), Some(1));
    assert_eq!(run(Some((Point::Upload, 4))), Some(2));
    assert_eq!(run(Some((Point::PublishBeforeManifest, 3))), Some(4));
    assert_eq!(run(None), Some(7));
    assert_eq!(directory.begin_generation().unwrap(), 7, "each run had a generation of its own");
}

#[derive(Clone, Debug)]
enum Step {
    /// A new run takes over.
    Begin,
    /// Run `.0`, counted back from the newest, publishes epoch `.1`.
    Publish(usize, u32),
    /// Something damages the manifest of epoch `.0`.
    Damage(u32),
}

fn step() -> impl Strategy<Value = Step> {
    let epoch = 1u32..6;
    prop_oneof![
        Just(Step::Begin),
        (0usize..3, epoch.clone()).prop_map(|(run, epoch)| Step::Publish(run, epoch)),
        epoch.prop_map(Step::Damage)
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_latest_checkpoint_is_that_of_the_model(steps in prop::collection::vec(step(), 0..25)) {
        let (_dir, directory) = local();
        let mut runs = vec![directory.begin_generation().unwrap()];
        // By epoch, the run that published it; `None` means damaged.
        let mut model: BTreeMap<u32, Option<u64>> = BTreeMap::new();
        for step in steps {
            match step {
                Step::Begin => runs.push(directory.begin_generation().unwrap()),
                Step::Publish(back, epoch) => {
                    let run = runs[(runs.len() - 1).saturating_sub(back)];
                    let published = directory.publish(&manifest(run, epoch)).is_ok();
                    prop_assert_eq!(published, run == runs[runs.len() - 1]);
                    if published {
                        model.insert(epoch, Some(run));
                    }
                }
                Step::Damage(epoch) => {
                    directory.storage().put(&format!("checkpoints/{epoch}/manifest.json"), b"{").unwrap();
                    model.insert(epoch, None);
                }
            }
            let newest = model.iter().filter_map(|(epoch, run)| Some(((*run)?, *epoch))).max();
            let damaged = model.values().filter(|run| run.is_none()).count();
            let (found, reports) = latest(&directory);
            prop_assert_eq!((found, reports.len()), (newest, damaged));
        }
    }
}
