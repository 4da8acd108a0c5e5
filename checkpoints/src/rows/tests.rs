//! Compares files of rows, whole and damaged, with a list of rows.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use proptest::prelude::*;

use super::*;

fn write(path: &Path, rows: &[Row]) -> Finished {
    let mut writer = RowWriter::create(path).unwrap();
    for row in rows {
        writer.push(row.group, row.state, &row.key, &row.value).unwrap();
    }
    writer.finish().unwrap()
}

/// The rows of these groups in the order in which the file should give them: by group, and else as written.
fn expected(rows: &[Row], groups: std::ops::Range<u16>) -> Vec<Row> {
    let mut rows: Vec<Row> = rows.iter().filter(|row| groups.contains(&row.group)).cloned().collect();
    rows.sort_by_key(|row| row.group);
    rows
}

fn read(path: &Path, groups: std::ops::Range<u16>) -> Result<Vec<Row>, RowsError> {
    RowReader::open(path)?.groups(groups).collect()
}

fn row() -> impl Strategy<Value = Row> {
    let bytes = |most| prop::collection::vec(any::<u8>(), 0..most);
    (0u16..12, 0u8..4, bytes(24), bytes(200)).prop_map(|(group, state, key, value)| Row { group, state, key, value })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn what_was_written_is_read_back(rows in prop::collection::vec(row(), 0..400), from in 0u16..12, to in 0u16..13) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.rows");
        let finished = write(&path, &rows);
        prop_assert_eq!(read(&path, 0..u16::MAX).unwrap(), expected(&rows, 0..u16::MAX));
        prop_assert_eq!(read(&path, from..to).unwrap(), expected(&rows, from..to));
        let mut by_state = BTreeMap::new();
        rows.iter().for_each(|row| *by_state.entry(row.state).or_insert(0u64) += 1);
        let reader = RowReader::open(&path).unwrap();
        prop_assert_eq!(reader.rows_by_state(), &by_state);
        prop_assert_eq!(reader.rows(from..to), expected(&rows, from..to).len() as u64);
        prop_assert_eq!((finished.rows, &finished.rows_by_state), (rows.len() as u64, &by_state));
        let file = crate::FileRef { path: "a".into(), name: "a".into(), bytes: finished.bytes, checksum: finished.checksum };
        crate::verify(&file, &path).unwrap();
    }

    /// Whatever happens to a file, reading gives what was written, or an error that names the file.
    #[test]
    fn damage_is_found_or_does_not_matter(
        rows in prop::collection::vec(row(), 1..200), at: prop::sample::Index, bit in 0u8..8, cut: bool, group in 0u16..12,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.rows");
        write(&path, &rows);
        let mut bytes = fs::read(&path).unwrap();
        let at = at.index(bytes.len());
        if cut { bytes.truncate(at) } else { bytes[at] ^= 1 << bit }
        fs::write(&path, &bytes).unwrap();
        // A checksum covers every byte.
        let error = read(&path, 0..u16::MAX).unwrap_err().to_string();
        prop_assert!(error.contains("a.rows"), "{}", error);
        match read(&path, group..group + 1) {
            Ok(read) => prop_assert_eq!(read, expected(&rows, group..group + 1)),
            Err(error) => prop_assert!(error.to_string().contains("a.rows")),
        }
        prop_assert!(!cut || RowReader::open(&path).is_err());
    }

    /// Bytes that never were a file of rows are an error, even with checksums that match.
    #[test]
    fn a_forged_block_is_no_panic(raw in prop::collection::vec(any::<u8>(), 0..200), rows in 0u32..20, claimed in 0u32..300) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.rows");
        let block = zstd::bulk::compress(&raw, 1).unwrap();
        let place = footer::Place { group: 1, rows, offset: HEADER as u64, stored: block.len() as u32, raw: claimed, checksum: xxhash_rust::xxh3::xxh3_64(&block) };
        let footer = footer::Footer { blocks: vec![place], rows_by_state: BTreeMap::new() }.encode();
        let mut bytes = [&MAGIC[..], &VERSION.to_le_bytes(), &block, &footer].concat();
        bytes.extend((footer.len() as u64).to_le_bytes());
        bytes.extend(xxhash_rust::xxh3::xxh3_64(&footer).to_le_bytes());
        bytes.extend(END);
        fs::write(&path, &bytes).unwrap();
        let read: Vec<_> = RowReader::open(&path).unwrap().groups(0..9).collect();
        let good = read.iter().filter(|row| row.is_ok()).count();
        prop_assert!(read.len() - good <= 1 && good <= rows as usize);
    }

    #[test]
    fn a_forged_footer_is_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), end: u64) {
        if let Some(footer) = footer::Footer::decode(&bytes, 8, end) {
            prop_assert_eq!(footer.encode(), bytes);
        }
    }
}

#[test]
fn blocks_are_cut_at_their_size_and_large_rows_fit() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.rows");
    let mut rows: Vec<Row> =
        (0..30_000u32).map(|n| Row { group: (n % 3) as u16, state: 0, key: n.to_be_bytes().to_vec(), value: vec![n as u8; 20] }).collect();
    rows.push(Row { group: 1, state: 9, key: b"large".to_vec(), value: vec![7; 3 << 20] });
    write(&path, &rows);
    let reader = RowReader::open(&path).unwrap();
    // 10,000 rows of 27 bytes per group make four full blocks and a rest.
    assert!(reader.footer.blocks.iter().all(|block| block.raw >= 64 << 10 || block.rows < 2_500));
    assert_eq!(reader.footer.blocks.iter().filter(|block| block.group == 0).count(), 5);
    assert_eq!(read(&path, 0..3).unwrap(), expected(&rows, 0..3));
}

#[test]
fn many_groups_are_written_before_they_fill_the_memory() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.rows");
    let mut writer = RowWriter::create(&path).unwrap();
    // 48 MiB, spread so thinly that no group ever fills a block.
    for round in 0..3u8 {
        for group in 0..8_192 {
            writer.push(group, round, &[round], &[0; 2_048]).unwrap();
            assert!(writer.buffered <= 16 << 20);
        }
    }
    assert_eq!(writer.finish().unwrap().rows, 3 * 8_192);
    let states: Vec<u8> = RowReader::open(&path).unwrap().groups(8_191..8_192).map(|row| row.unwrap().state).collect();
    assert_eq!(states, [0, 1, 2]);
}

#[test]
fn only_the_blocks_of_the_groups_asked_for_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.rows");
    let row = |group| Row { group, state: 0, key: vec![group as u8; 10], value: vec![1] };
    write(&path, &[row(1), row(2)]);
    let mut bytes = fs::read(&path).unwrap();
    bytes[HEADER] ^= 1;
    fs::write(&path, &bytes).unwrap();
    assert_eq!(read(&path, 2..3).unwrap(), [row(2)]);
    let error = read(&path, 1..2).unwrap_err().to_string();
    assert!(error.contains("damaged") && error.contains("checksum") && error.contains("key group 1"), "{error}");
}

#[test]
fn errors_say_what_is_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.rows");
    let says = |bytes: &[u8], what: &str| {
        fs::write(&path, bytes).unwrap();
        let error = RowReader::open(&path).unwrap_err().to_string();
        assert!(error.contains(what) && error.contains("a.rows"), "{error}");
    };
    write(&path, &[]);
    let whole = fs::read(&path).unwrap();
    says(b"", "0 bytes");
    says(&[b'x'; 64], "begin");
    let mut newer = whole.clone();
    newer[6] = 2;
    says(&newer, "version 2");
    says(&[&whole[..], b"x"].concat(), "cut off, or never finished");
    let error = RowReader::open(dir.path().join("none")).unwrap_err().to_string();
    assert!(error.contains("/none"), "{error}");
    let error = RowWriter::create(dir.path().join("no/such")).err().unwrap().to_string();
    assert!(error.contains("no/such"), "{error}");
}

/// The bytes of a file are part of the format: this release must read the files of earlier ones. It may write others, because zstd may change.
#[test]
fn golden_file_can_be_read_for_ever() {
    let golden = concat!(
        "7467726f77730100",                                             // "tgrows", version 1
        "28b52ffd200b5900000103056b657976616c7565",                     // a block: state 1, "key" -> "value"
        "0300010000000800000000000000140000000b000000baa739fc5ecb8d8f", // its place: group 3, 1 row at 8, 20 bytes for 11
        "010100000000000000",                                           // state 1 has 1 row
        "01000000000000000100000000000000",                             // 1 block, 1 state
        "370000000000000006634bff27fa04cb7467726f77656e64",             // length and checksum of the footer, "tgrowend"
    );
    let bytes: Vec<u8> = (0..golden.len()).step_by(2).map(|at| u8::from_str_radix(&golden[at..at + 2], 16).unwrap()).collect();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.rows");
    fs::write(&path, bytes).unwrap();
    assert_eq!(read(&path, 0..128).unwrap(), [Row { group: 3, state: 1, key: b"key".to_vec(), value: b"value".to_vec() }]);
}

#[test]
fn a_file_that_is_linked_to_elsewhere_is_not_touched_by_the_next_of_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let (local, published) = (dir.path().join("0-0.rows"), dir.path().join("published"));
    let write = |value: &[u8]| {
        let mut writer = RowWriter::create(&local).unwrap();
        writer.push(1, 0, b"key", value).unwrap();
        writer.finish().unwrap();
    };
    write(b"old");
    fs::hard_link(&local, &published).unwrap();
    write(b"new");
    let value = |path| RowReader::open(path).unwrap().groups(0..9).next().unwrap().unwrap().value;
    assert_eq!((value(&published), value(&local)), (b"old".to_vec(), b"new".to_vec()));
}
