//! What holds for storage of every kind, and what for one kind.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime};

use proptest::prelude::*;
use tempfile::TempDir;

use super::test_server::TestServer;
use super::*;

/// One storage of each kind, and a local directory.
fn each(check: impl Fn(&Storage, &Path)) {
    let (stored, own) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    check(&Storage::open(stored.path().join("not/there/yet").to_str().unwrap()).unwrap(), own.path());
    let server = TestServer::start();
    check(&server.open("s3://bucket/some/prefix").unwrap(), own.path());
    check(&server.open("s3://bucket").unwrap().inside("other").unwrap(), own.path());
}

fn local() -> (TempDir, Storage) {
    let dir = tempfile::tempdir().unwrap();
    let storage = Storage::open(dir.path().join("storage").to_str().unwrap()).unwrap();
    (dir, storage)
}

#[test]
fn files_are_put_replaced_listed_and_deleted() {
    each(|storage, _| {
        assert_eq!(storage.list("").unwrap(), [""; 0]);
        assert_eq!(storage.get("a").unwrap(), None);
        assert_eq!(storage.len("a").unwrap(), None);
        storage.delete("a").unwrap();
        for (name, bytes) in [("b/c/d", "1"), ("b/a", "22"), ("a", ""), ("bc", "4"), ("名 x", "5")] {
            storage.put(name, bytes.as_bytes()).unwrap();
        }
        storage.put("b/a", b"333").unwrap();
        assert_eq!(storage.get("b/a").unwrap().unwrap(), b"333");
        assert_eq!(storage.get("a").unwrap().unwrap(), b"");
        assert_eq!(storage.len("b/c/d").unwrap(), Some(1));
        assert_eq!(storage.list("").unwrap(), ["a", "b/a", "b/c/d", "bc", "名 x"]);
        // A folder matches as a folder, not as the beginning of a name.
        assert_eq!(storage.list("b").unwrap(), ["b/a", "b/c/d"]);
        assert_eq!(storage.list("none").unwrap(), [""; 0]);
        assert_eq!(storage.inside("b").unwrap().list("").unwrap(), ["a", "c/d"]);
        let lengths: Vec<u64> = storage.entries("b").unwrap().iter().map(|file| file.bytes).collect();
        assert_eq!(lengths, [3, 1]);
        storage.delete("b/c/d").unwrap();
        assert_eq!(storage.list("b").unwrap(), ["b/a"]);
    });
}

#[test]
fn the_first_to_put_a_name_keeps_it() {
    each(|storage, _| {
        assert!(storage.put_if_absent("x/1", b"first").unwrap());
        assert!(!storage.put_if_absent("x/1", b"second").unwrap());
        assert_eq!(storage.get("x/1").unwrap().unwrap(), b"first");
        storage.delete("x/1").unwrap();
        assert!(storage.put_if_absent("x/1", b"third").unwrap());
    });
}

#[test]
fn files_are_uploaded_and_downloaded_whatever_their_size() {
    each(|storage, own| {
        // Below and above the size that is sent in one piece.
        for size in [0, 1_000, (20 << 20) + 7] {
            let bytes: Vec<u8> = (0..size as u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
            let (from, to) = (own.join("from"), own.join("deep/er/to"));
            let _ = fs::remove_file(&from);
            fs::write(&from, &bytes).unwrap();
            // Storing a file twice has the same result as once.
            storage.upload(&from, "shared/x").unwrap();
            storage.upload(&from, "shared/x").unwrap();
            assert_eq!(storage.len("shared/x").unwrap(), Some(size));
            storage.download("shared/x", &to).unwrap();
            assert!(fs::read(&to).unwrap() == bytes);
        }
        let error = storage.download("shared/none", &own.join("to")).unwrap_err().to_string();
        assert!(error.contains("shared/none") && error.contains(storage.root()), "{error}");
        let error = storage.upload(&own.join("nothing"), "shared/y").unwrap_err().to_string();
        assert!(error.contains("shared/y") && error.contains("/nothing"), "{error}");
    });
}

#[test]
fn files_bear_the_time_they_were_stored() {
    each(|storage, own| {
        let old = own.join("old.sst");
        fs::write(&old, b"x").unwrap();
        let long_ago = SystemTime::now() - Duration::from_secs(86_400);
        fs::File::options().write(true).open(&old).unwrap().set_modified(long_ago).unwrap();
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis() as i64;
        storage.upload(&old, "old.sst").unwrap();
        let stored = storage.entries("").unwrap().remove(0).stored_ms;
        // Some file systems, and S3, have times in whole seconds.
        assert!((now - 2_000..now + 60_000).contains(&stored), "{stored} at {now}");
    });
}

#[test]
fn names_lead_nowhere_else() {
    each(|storage, own| {
        for name in ["", "/etc/x", "../x", "a/../../x", "a//b", "."] {
            assert!(storage.put(name, b"").is_err(), "{name}");
            assert!(storage.put_if_absent(name, b"").is_err(), "{name}");
            assert!(storage.get(name).is_err(), "{name}");
            assert!(storage.len(name).is_err(), "{name}");
            assert!(storage.delete(name).is_err(), "{name}");
            assert!(storage.upload(&own.join("x"), name).is_err(), "{name}");
            assert!(storage.download(name, &own.join("x")).is_err(), "{name}");
            assert!(storage.inside(name).is_err(), "{name}");
        }
    });
}

#[test]
fn urls_say_what_storage_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a b").to_str().unwrap().to_owned();
    Storage::open(&path).unwrap().put("x", b"1").unwrap();
    let url = format!("file://{}", path.replace(' ', "%20"));
    assert_eq!(Storage::open(&url).unwrap().get("x").unwrap().unwrap(), b"1");
    assert_eq!(Storage::open("some/dir").unwrap().root(), std::env::current_dir().unwrap().join("some/dir").to_str().unwrap());
    let says = |url: &str, what: &str| {
        let error = Storage::open_with(url, []).unwrap_err().to_string();
        assert!(error.contains(what) && error.contains(url), "{error}");
    };
    says("gs://bucket/x", "`gs` is no storage");
    says("s3:///x", "no bucket");
    says("file://host/x", "three slashes");
    assert_eq!(Storage::open_with("s3://bucket/a/b/", []).unwrap().root(), "s3://bucket/a/b");
}

#[test]
fn a_bucket_that_refuses_is_an_error_that_names_it() {
    let server = TestServer::start();
    let storage = server.open_as("s3://bucket/p", "wrong").unwrap();
    for error in [storage.put("x", b"").unwrap_err(), storage.get("x").unwrap_err(), storage.list("x").unwrap_err()] {
        assert!(error.to_string().contains("s3://bucket/p/x"), "{error}");
    }
}

#[test]
fn a_server_that_is_not_there_is_an_error_that_says_so() {
    let own = tempfile::tempdir().unwrap();
    for scheme in ["http", "https"] {
        // Nothing listens on a port that was just released.
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let endpoint = format!("{scheme}://127.0.0.1:{port}");
        let variables = [("AWS_ENDPOINT_URL", endpoint.as_str()), ("AWS_ACCESS_KEY_ID", "key"), ("AWS_SECRET_ACCESS_KEY", "secret")];
        let storage = Storage::open_with("s3://bucket/p", variables.map(|(name, value)| (name.to_owned(), value.to_owned()))).unwrap();
        let error = storage.download("x", &own.path().join("x")).unwrap_err().to_string();
        assert!(error.contains("s3://bucket/p/x") && error.contains(&endpoint) && error.contains("refused"), "{error}");
    }
}

#[test]
fn of_many_that_put_a_name_at_once_one_does() {
    let (_dir, storage) = local();
    for round in 0..20 {
        let name = format!("generations/{round}");
        let winners: Vec<u8> = std::thread::scope(|scope| {
            let one = |n: u8| storage.put_if_absent(&name, &[n]).unwrap().then_some(n);
            let threads: Vec<_> = (0..8).map(|n| scope.spawn(move || one(n))).collect();
            threads.into_iter().filter_map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(winners.len(), 1);
        assert_eq!(storage.get(&name).unwrap().unwrap(), winners);
    }
    assert_eq!(storage.entries("").unwrap().len(), 20, "nothing else is left behind");
}

#[test]
fn threads_share_storage() {
    each(|storage, own| {
        std::thread::scope(|scope| {
            for thread in 0..6u8 {
                scope.spawn(move || {
                    for n in 0..8u8 {
                        let (name, from) = (format!("shared/{thread}-{n}"), own.join(format!("{thread}-{n}")));
                        fs::write(&from, [thread, n]).unwrap();
                        storage.upload(&from, &name).unwrap();
                        assert_eq!(storage.get(&name).unwrap().unwrap(), [thread, n]);
                    }
                });
            }
        });
        assert_eq!(storage.list("shared").unwrap().len(), 48);
    });
}

#[test]
fn a_folder_that_is_emptied_is_in_nobodys_way() {
    let (_dir, storage) = local();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (name, storage) = (format!("checkpoints/1/{thread}"), &storage);
            scope.spawn(move || {
                for _ in 0..100 {
                    storage.put(&name, b"x").unwrap();
                    storage.delete(&name).unwrap();
                }
            });
        }
    });
}

#[test]
fn readers_see_the_old_file_or_the_new_one() {
    let (_dir, storage) = local();
    let contents = |n: u8| vec![n; 100_000];
    storage.put("x", &contents(0)).unwrap();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| (1..50).for_each(|n| storage.put("x", &contents(n)).unwrap()));
        while !writer.is_finished() {
            let seen = storage.get("x").unwrap().unwrap();
            assert!(seen == contents(seen[0]));
        }
    });
}

#[test]
fn a_directory_shares_what_is_never_written_again_and_copies_the_rest() {
    let (dir, storage) = local();
    let inode = |path: &Path| fs::metadata(path).unwrap().ino();
    let stored = |name: &str| dir.path().join("storage").join(name);
    for (name, shared) in [("1.sst", true), ("a.rows", true), ("MANIFEST-000004", false), ("CURRENT", false)] {
        let (from, to) = (dir.path().join(name), dir.path().join("restored").join(name));
        fs::write(&from, b"old").unwrap();
        storage.upload(&from, name).unwrap();
        assert_eq!(inode(&from), inode(&stored(name)), "{name}");
        storage.download(name, &to).unwrap();
        assert_eq!(inode(&to) == inode(&stored(name)), shared, "{name}");
        // A second download replaces what was there.
        fs::remove_file(&to).unwrap();
        fs::write(&to, b"of a run before").unwrap();
        storage.download(name, &to).unwrap();
        assert_eq!(fs::read(&to).unwrap(), b"old");
    }
    // A database goes on writing to the files it was given.
    fs::write(dir.path().join("restored/CURRENT"), b"new").unwrap();
    assert_eq!(storage.get("CURRENT").unwrap().unwrap(), b"old");
    // Another file of the same name replaces the one before, to which others still have links.
    fs::write(dir.path().join("2.sst"), b"other").unwrap();
    storage.upload(&dir.path().join("2.sst"), "1.sst").unwrap();
    assert_eq!(storage.get("1.sst").unwrap().unwrap(), b"other");
    assert_eq!(fs::read(dir.path().join("1.sst")).unwrap(), b"old");
}

#[test]
fn a_file_of_another_file_system_is_copied() {
    let (_dir, storage) = local();
    let Ok(elsewhere) = tempfile::tempdir_in("/dev/shm") else { return };
    let from = elsewhere.path().join("1.sst");
    fs::write(&from, b"bytes").unwrap();
    storage.upload(&from, "1.sst").unwrap();
    storage.download("1.sst", &elsewhere.path().join("2.sst")).unwrap();
    assert_eq!(fs::read(elsewhere.path().join("2.sst")).unwrap(), b"bytes");
}

#[test]
fn a_folder_that_cannot_be_made_is_an_error() {
    // Folders can't be created there, though the system only reports that they are not found.
    let storage = Storage::open("/proc/tidegate/deep").unwrap();
    for error in [storage.put("a", b"").unwrap_err(), storage.prepare().unwrap_err()] {
        assert!(error.to_string().contains("/proc/tidegate/deep"), "{error}");
    }
    let (dir, storage) = local();
    storage.prepare().unwrap();
    assert!(dir.path().join("storage").is_dir());
    assert!(storage.entries("").unwrap().is_empty(), "nothing is left there");
}

#[test]
fn a_folder_is_no_file() {
    let (_dir, storage) = local();
    storage.put("a/b", b"").unwrap();
    assert_eq!(storage.len("a").unwrap(), None);
    assert_eq!(storage.get("a").unwrap(), None);
    assert_eq!(storage.get("a/b/c").unwrap(), None);
    storage.delete("a").unwrap();
    assert_eq!(storage.list("").unwrap(), ["a/b"]);
}

#[test]
fn what_an_interrupted_write_left_is_told_from_files() {
    let (dir, storage) = local();
    storage.put("shared/x", b"1").unwrap();
    fs::write(dir.path().join("storage/shared/.tmp-abc"), b"half").unwrap();
    assert_eq!(storage.list("").unwrap(), ["shared/x"]);
    let entries = storage.entries("shared").unwrap();
    assert_eq!(entries.iter().map(|file| file.name.as_str()).collect::<Vec<_>>(), ["shared/.tmp-abc", "shared/x"]);
    // It can be deleted like any other file.
    storage.delete("shared/.tmp-abc").unwrap();
    assert_eq!(storage.entries("shared").unwrap().len(), 1);
}

#[test]
fn a_folder_goes_with_its_last_file_unless_it_is_at_the_top() {
    let (dir, storage) = local();
    for name in ["checkpoints/1/a", "checkpoints/1/b", "shared/x"] {
        storage.put(name, b"").unwrap();
    }
    storage.delete("checkpoints/1/a").unwrap();
    assert!(dir.path().join("storage/checkpoints/1").exists());
    storage.delete("checkpoints/1/b").unwrap();
    assert!(!dir.path().join("storage/checkpoints/1").exists());
    storage.delete("shared/x").unwrap();
    assert!(dir.path().join("storage/shared").exists(), "an upload into it may be under way");
}

#[derive(Clone, Debug)]
enum Step {
    Put(String, Vec<u8>),
    PutIfAbsent(String, Vec<u8>),
    Upload(String, Vec<u8>),
    Delete(String),
    List(String),
}

fn step() -> impl Strategy<Value = Step> {
    let name = || "[ab]/[ab]|[ab]/c/[ab]";
    let bytes = || prop::collection::vec(any::<u8>(), 0..9);
    prop_oneof![
        (name(), bytes()).prop_map(|(name, bytes)| Step::Put(name, bytes)),
        (name(), bytes()).prop_map(|(name, bytes)| Step::PutIfAbsent(name, bytes)),
        (name(), bytes()).prop_map(|(name, bytes)| Step::Upload(name, bytes)),
        name().prop_map(Step::Delete),
        "|a|b|a/c".prop_map(Step::List),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_directory_is_a_map_of_names_to_bytes(steps in prop::collection::vec(step(), 0..30)) {
        let (dir, storage) = local();
        let mut model = BTreeMap::new();
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::Put(name, bytes) => {
                    storage.put(&name, &bytes).unwrap();
                    model.insert(name, bytes);
                }
                Step::PutIfAbsent(name, bytes) => {
                    prop_assert_eq!(storage.put_if_absent(&name, &bytes).unwrap(), !model.contains_key(&name));
                    model.entry(name).or_insert(bytes);
                }
                Step::Upload(name, bytes) => {
                    let from = dir.path().join(number.to_string());
                    fs::write(&from, &bytes).unwrap();
                    storage.upload(&from, &name).unwrap();
                    model.insert(name, bytes);
                }
                Step::Delete(name) => {
                    storage.delete(&name).unwrap();
                    prop_assert_eq!(storage.get(&name).unwrap(), None);
                    model.remove(&name);
                }
                Step::List(folder) => {
                    let inside = |name: &&String| folder.is_empty() || name.starts_with(&format!("{folder}/"));
                    prop_assert_eq!(storage.list(&folder).unwrap(), model.keys().filter(inside).cloned().collect::<Vec<_>>());
                }
            }
        }
        for (name, bytes) in &model {
            let stored = storage.get(name).unwrap();
            prop_assert_eq!(stored.as_ref(), Some(bytes));
        }
        prop_assert_eq!(storage.entries("").unwrap().len(), model.len());
    }
}
