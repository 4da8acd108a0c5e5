//! Tests what RocksDB has to keep, to drop, and to detect as broken.

use std::fs;
use std::os::unix::fs::FileExt;

use proptest::prelude::*;

use super::rig::{Rig, instance, resources, row, scan};
use crate::state::Rows;
use crate::state::codec;
use crate::state::disk::{Disk, Garbage, read_files};

fn key(group: u16, state: u8, namespace: i64, rest: u8) -> Vec<u8> {
    let mut key = Vec::new();
    codec::encode_prefix(group, state, &mut key);
    codec::encode_ordered(namespace, &mut key);
    key.push(rest);
    key
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn a_range_of_groups_holds_exactly_their_rows(groups in proptest::collection::btree_set(any::<u16>(), 0..40), mut a: u16, mut b: u16) {
        if a > b {
            std::mem::swap(&mut a, &mut b);
        }
        let dir = tempfile::tempdir().unwrap();
        let disk = Disk::open(&dir.path().join("db"), &resources(), &Garbage::default()).unwrap();
        let mut rows = Rows::default();
        groups.iter().for_each(|group| row(&mut rows, &key(*group, 1, -1, 2), b"value"));
        disk.write(&rows).unwrap();
        disk.link(&dir.path().join("link")).unwrap();
        let mut found = Vec::new();
        read_files(&dir.path().join("link"), a..b, |key, _| Ok(found.push(codec::decode_prefix(key)?.0))).unwrap();
        prop_assert_eq!(found, groups.into_iter().filter(|group| (a..b).contains(group)).collect::<Vec<_>>());
    }

    #[test]
    fn compaction_drops_what_is_over_and_nothing_else(
        rows in proptest::collection::btree_set((0..5u16, 0..3u8, -5..5i64, 0..3u8), 0..60),
        floor in -6..6i64,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let garbage = Garbage::default();
        // State 1 has namespaces. The others have none, whatever their keys look like.
        let of_state = garbage.namespaces(1);
        let disk = Disk::open(&dir.path().join("db"), &resources(), &garbage).unwrap();
        let mut written = Rows::default();
        rows.iter().for_each(|(g, s, n, k)| row(&mut written, &key(*g, *s, *n, *k), b"value"));
        disk.write(&written).unwrap();
        of_state.store(floor, std::sync::atomic::Ordering::Relaxed);
        disk.compact();
        let left: Vec<Vec<u8>> = scan(&disk).into_iter().map(|(key, _)| key).collect();
        let expected: Vec<Vec<u8>> =
            rows.iter().filter(|(_, s, n, _)| *s != 1 || *n >= floor).map(|(g, s, n, k)| key(*g, *s, *n, *k)).collect();
        prop_assert_eq!(left, expected);
    }
}

#[test]
fn rows_of_a_namespace_that_ended_during_a_snapshot_survive_compaction_until_it_is_linked() {
    let rig = &mut Rig::new(true, usize::MAX);
    (0..100).for_each(|key| *rig.windowed.borrow_mut().get_or_insert_with(5, &key, || 0).unwrap() += 1);
    rig.evict(1_000);
    let then = rig.all();
    rig.freeze();
    rig.windowed.borrow_mut().end_below(6);
    rig.instance().disk().unwrap().compact();
    let snapshot = rig.finish(10);
    assert_eq!(Rig::restored(&[&snapshot], 0..128, true, usize::MAX, true).all(), then);
    rig.instance().disk().unwrap().compact();
    assert_eq!(scan(rig.instance().disk().unwrap()), []);
}

#[test]
fn rows_that_ended_before_a_restore_do_not_come_back_with_their_namespace() {
    let rig = &mut Rig::new(true, usize::MAX);
    (0..100).for_each(|key| *rig.windowed.borrow_mut().get_or_insert_with(5, &key, || 0).unwrap() += 1);
    rig.evict(1_000);
    rig.windowed.borrow_mut().end_below(6);
    rig.freeze();
    let snapshot = rig.finish(10);
    let rig = Rig::restored(&[&snapshot], 0..128, true, usize::MAX, true);
    assert!(!scan(rig.instance().disk().unwrap()).is_empty(), "there is something that could come back");
    // Before the watermark is known again, a record arrives for a window that had already fired.
    *rig.windowed.borrow_mut().get_or_insert_with(5, &1, || 0).unwrap() += 7;
    rig.evict(1_000);
    rig.instance().disk().unwrap().compact();
    assert_eq!(rig.all().windowed, [(5, 1, 7)]);
}

/// A linked snapshot of a few thousand rows.
fn linked() -> (tempfile::TempDir, std::path::PathBuf) {
    let rig = &mut Rig::new(true, usize::MAX);
    (0..5_000).for_each(|key| rig.keyed.borrow_mut().insert(&key, format!("value {key}")).unwrap());
    rig.freeze();
    let snapshot = rig.finish(1_000);
    let dir = tempfile::tempdir().unwrap();
    super::rig::copy(&snapshot.link.unwrap(), &dir.path().join("db"));
    let table = fs::read_dir(dir.path().join("db")).unwrap().map(|f| f.unwrap().path()).find(|p| p.extension().is_some_and(|e| e == "sst"));
    let table = table.expect("a table");
    (dir, table)
}

#[test]
fn a_broken_table_is_an_error_that_names_the_directory() {
    let size = fs::metadata(linked().1).unwrap().len();
    for at in [100, size / 4, size / 2, size - 200, size - 20] {
        let (dir, table) = linked();
        let db = dir.path().join("db");
        let file = fs::OpenOptions::new().read(true).write(true).open(table).unwrap();
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ 0x55], at).unwrap();
        let mut rows = 0;
        let read = read_files(&db, 0..128, |_, _| Ok(rows += 1));
        let live = Disk::open(&db, &resources(), &Garbage::default()).and_then(|disk| disk.scan(&[], |_, _| Ok(())));
        for result in [read, live] {
            match result {
                Err(error) => assert!(error.to_string().contains(&*db.to_string_lossy()), "{error}"),
                // Bytes that hold no row, such as the table's properties, need not be read.
                Ok(()) => assert!(at > size / 2 && rows == 5_000, "byte {at} of {size}: {rows} rows"),
            }
        }
    }
}

#[test]
fn a_table_that_is_cut_short_or_gone_is_an_error_that_names_the_directory() {
    for cut in [true, false] {
        let (dir, table) = linked();
        let db = dir.path().join("db");
        if cut {
            let file = fs::OpenOptions::new().write(true).open(table).unwrap();
            file.set_len(file.metadata().unwrap().len() / 2).unwrap();
        } else {
            fs::remove_file(table).unwrap();
        }
        let error = read_files(&db, 0..128, |_, _| Ok(())).unwrap_err();
        assert!(error.to_string().contains(&*db.to_string_lossy()), "{error}");
    }
}

#[test]
fn rows_that_come_in_sorted_pieces_are_taken_over_all() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::open(&dir.path().join("db"), &resources(), &Garbage::default()).unwrap();
    let order = [3, 5, 9, 1, 4, 8, 2, 10, 0, 7, 6];
    let row = |n: u8| (key(1, 1, 1, n), vec![n]);
    disk.ingest(|files| order.iter().try_for_each(|n| files.put(&row(*n).0, &row(*n).1))).unwrap();
    assert_eq!(scan(&disk), (0..=10).map(row).collect::<Vec<_>>());
}

#[test]
fn a_disk_that_can_not_be_written_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, b"in the way").unwrap();
    let opened = instance(Some(file.join("db")), 0..128, 0).disk().map(|_| ()).unwrap_err();
    assert!(opened.to_string().contains("file/db"), "{opened}");

    // The directory is removed while the disk is open.
    let db = dir.path().join("db");
    let disk = Disk::open(&db, &resources(), &Garbage::default()).unwrap();
    fs::remove_dir_all(&db).unwrap();
    let mut rows = Rows::default();
    row(&mut rows, &key(1, 1, 1, 1), b"value");
    let written = disk.write(&rows).and_then(|()| disk.link(&dir.path().join("link"))).unwrap_err();
    assert!(written.to_string().contains(&*db.to_string_lossy()), "{written}");
}
