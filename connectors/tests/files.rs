//! Files of every kind, read as a worker reads them, with a hand in place of the operator.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod drive;

use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use drive::{Driven, drive, drive_all, drive_from};
use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use tempfile::TempDir;
use tidegate_connectors::entry::{BadRecord, Entry, OnBad};
use tidegate_connectors::file::FileSource;
use tidegate_rows::format::{Conversion, CsvFormat, JsonFormat, Layout, TextFormat, TimeUnit};
use tidegate_rows::{Row, Value};
use tidegate_runtime::Record;
use tidegate_runtime::Watermark;

fn dir(files: &[(&str, &[u8])]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        fs::write(dir.path().join(name), bytes).unwrap();
    }
    dir
}

fn path(dir: &TempDir, name: &str) -> String {
    dir.path().join(name).display().to_string()
}

fn text(path: impl AsRef<str>) -> Driven<Entry<Row>> {
    drive(&FileSource::new(path.as_ref(), TextFormat), 0, 1)
}

/// The first field of all good records, as text.
fn firsts(driven: &Driven<Entry<Row>>) -> Vec<String> {
    let first = |row: &Row| match row.get(0) {
        Value::String(s) => s.to_string(),
        Value::Int(v) => v.to_string(),
        other => format!("{other:?}"),
    };
    driven.records().filter_map(|r| if let Entry::Good(row) = &r.value { Some(first(row)) } else { None }).collect()
}

fn gzip(text: &str) -> Vec<u8> {
    let mut out = GzEncoder::new(Vec::new(), Compression::default());
    out.write_all(text.as_bytes()).unwrap();
    out.finish().unwrap()
}

fn timed() -> Layout {
    Layout::new([("ts", Conversion::Int), ("k", Conversion::String)]).with_event_time("ts", TimeUnit::Millis).unwrap()
}

#[test]
fn lines_end_as_they_may() {
    let dir = dir(&[("a", b"a\r\nb\n\nlast"), ("empty", b""), ("mark", b"\xef\xbb\xbfx\n")]);
    assert_eq!(firsts(&text(path(&dir, "a"))), ["a", "b", "", "last"]);
    assert_eq!(firsts(&text(path(&dir, "mark"))), ["x"]);
    let empty = text(path(&dir, "empty"));
    assert_eq!((empty.records().count(), empty.error.is_none(), empty.ended()), (0, true, 1));
}

#[test]
fn compressed_files_of_several_members() {
    let (first, second) = ("a\nb", "c\nd\n");
    let gz = [gzip(first), gzip(second)].concat();
    let zst = [zstd::encode_all(first.as_bytes(), 0).unwrap(), zstd::encode_all(second.as_bytes(), 0).unwrap()].concat();
    let dir = dir(&[("x.gz", &gz), ("x.zst", &zst), ("none.gz", b""), ("none.zst", b"")]);
    for name in ["x.gz", "x.zst"] {
        let read = text(path(&dir, name));
        assert_eq!(firsts(&read), ["a", "bc", "d"], "{name}");
        let stored = fs::metadata(path(&dir, name)).unwrap().len();
        assert_eq!((read.metrics.bytes.get(), read.metrics.bytes_total.get()), (stored, stored));
        assert_eq!(read.metrics.records.get(), 3);
    }
    for name in ["none.gz", "none.zst"] {
        assert_eq!((text(path(&dir, name)).error, text(path(&dir, name)).ended()), (None, 1));
    }
}

#[test]
fn a_compressed_file_that_is_cut_short_or_damaged_is_an_error_that_says_where() {
    let long: String = (0..50_000).map(|i| format!("{}\n", i * 7919 % 100_003)).collect();
    let (gz, zst) = (gzip(&long), zstd::encode_all(long.as_bytes(), 0).unwrap());
    let mut damaged = gz.clone();
    damaged[20_000..20_400].fill(0xa5);
    let dir = dir(&[("x.gz", &gz[..gz.len() / 2]), ("x.zst", &zst[..zst.len() / 2]), ("y.gz", &damaged)]);
    for (name, what) in
        [("x.gz", "the gzip stream is cut short"), ("x.zst", "the zstd stream is cut short"), ("y.gz", "the gzip stream is damaged")]
    {
        let error = text(path(&dir, name)).error.unwrap();
        assert!(error.starts_with(&format!("`{}` can't be read past line ", path(&dir, name))), "{error}");
        assert!(error.ends_with(&format!("): {what}")), "{error}");
    }
}

#[test]
fn a_directory_is_its_visible_files_in_order_of_name() {
    let dir = dir(&[("b.log", b"b"), ("a.log.gz", &gzip("a")), (".hidden", b"no"), ("c.txt", b"c")]);
    fs::create_dir(dir.path().join("aa")).unwrap();
    fs::write(dir.path().join("aa/deep.log"), "deep").unwrap();
    assert_eq!(firsts(&text(path(&dir, ""))), ["a", "b", "c"]);
    assert_eq!(firsts(&text(path(&dir, "*.log*"))), ["a", "b"]);
    assert_eq!(firsts(&text(path(&dir, "*/*.log"))), ["deep"]);
    assert_eq!(firsts(&text(path(&dir, "[bc].*"))), ["b", "c"]);
    // Two workers, dealt in turn; one too many has nothing to do.
    let source = FileSource::new(path(&dir, ""), TextFormat);
    let workers: Vec<_> = (0..4).map(|worker| firsts(&drive(&source, worker, 4))).collect();
    assert_eq!(workers, [vec!["a"], vec!["b"], vec!["c"], vec![]]);
    assert_eq!(firsts(&drive(&source, 0, 2)), ["a", "c"]);
}

#[test]
fn a_file_with_several_names_is_read_once_under_the_first() {
    use std::os::unix::fs::symlink;
    let dir = dir(&[("app-1.log", b"1"), ("app-2.log", b"2")]);
    let at = |name: &str| dir.path().join(name);
    symlink("app-2.log", at("latest.log")).unwrap();
    fs::hard_link(at("app-1.log"), at("backup.log")).unwrap();
    symlink("nowhere", at("gone.log")).unwrap();
    symlink("loop.log", at("loop.log")).unwrap();
    fs::create_dir(at("z")).unwrap();
    fs::write(at("z/3.log"), "3").unwrap();
    // Two links to the directory itself double the paths at each level.
    symlink(".", at("self")).unwrap();
    symlink(dir.path(), at("again")).unwrap();
    symlink("..", at("z/up")).unwrap();
    symlink("z", at("y")).unwrap();
    for (pattern, expected, over) in [
        ("*.log", &["1", "2"][..], &["backup.log", "latest.log"][..]),
        ("", &["1", "2"], &["backup.log", "latest.log"]),
        ("**/*.log", &["1", "2", "3"], &["again", "self"]),
        ("**", &["1", "2", "3"], &["again", "self"]),
        ("*/*.log", &["1", "2", "3"], &["self", "z"]),
        ("./z/../**/3.log", &["3"], &["self"]),
        ("z/*.log", &["3"], &[]),
        ("latest.log", &["2"], &[]),
    ] {
        let read = text(path(&dir, pattern));
        assert_eq!((firsts(&read), read.error), (expected.iter().map(ToString::to_string).collect(), None), "{pattern}");
        let remark = read.metrics.remarked().unwrap_or_default();
        assert_eq!(remark.is_empty(), over.is_empty(), "{pattern}: {remark}");
        assert!(over.iter().all(|name| remark.contains(&path(&dir, name)) || remark.contains("more")), "{pattern}: {remark}");
    }
    let read = text(path(&dir, "*.log"));
    let (one, two) = (format!("`{}`", path(&dir, "app-1.log")), format!("`{}`", path(&dir, "app-2.log")));
    let (other, link) = (format!("`{}`", path(&dir, "backup.log")), format!("`{}`", path(&dir, "latest.log")));
    assert_eq!(read.metrics.remarked(), Some(format!("passed over {other} (the same as {one}), {link} (the same as {two})").as_str()));
}

#[test]
fn a_link_that_leads_elsewhere_after_a_snapshot_is_another_file() {
    use std::os::unix::fs::symlink;
    let dir = dir(&[("day-1.log", b"one\n")]);
    let link = dir.path().join("current.log");
    symlink("day-1.log", &link).unwrap();
    let source = FileSource::new(path(&dir, "*.log"), TextFormat);
    let first = drive(&source, 0, 1);
    assert_eq!(firsts(&first), ["one"]);
    let positions: Vec<_> = first.batches.iter().filter_map(|batch| batch.position.clone()).collect();
    fs::write(dir.path().join("day-2.log"), "two\n").unwrap();
    fs::remove_file(&link).unwrap();
    symlink("day-2.log", &link).unwrap();
    assert_eq!(firsts(&drive_from(&source, &positions)), ["two"]);
}

#[test]
fn what_cannot_be_read_is_said_at_the_start() {
    let dir = dir(&[("a", b"a"), ("locked", b"a")]);
    fs::create_dir(dir.path().join("empty")).unwrap();
    for (name, error) in [
        ("none", format!("`{}` does not exist", path(&dir, "none"))),
        ("*.csv", format!("no file matches `{}`", path(&dir, "*.csv"))),
        ("empty", format!("the directory `{}` holds no files", path(&dir, "empty"))),
        ("a/b", format!("`{}` can't be read: Not a directory (os error 20)", path(&dir, "a/b"))),
    ] {
        assert_eq!(text(path(&dir, name)).error, Some(error));
    }
    let locked = dir.path().join("locked");
    fs::set_permissions(&locked, std::os::unix::fs::PermissionsExt::from_mode(0o000)).unwrap();
    // Root may read everything.
    if fs::File::open(&locked).is_err() {
        assert_eq!(text(path(&dir, "locked")).error, Some(format!("`{}` can't be read: permission denied", locked.display())));
    }
}

#[test]
fn a_header_is_read_in_each_file_and_a_missing_column_names_the_file() {
    let dir = dir(&[("a.csv", b"k,ts\nx,1\n"), ("b.csv", b"ts,more,k\n2,?,y\n")]);
    assert_eq!(firsts(&drive(&FileSource::new(path(&dir, ""), CsvFormat::new(timed())), 0, 1)), ["1", "2"]);
    fs::write(path(&dir, "c.csv"), "k,time\nx,1\n").unwrap();
    let error = drive(&FileSource::new(path(&dir, ""), CsvFormat::new(timed())), 0, 1).error;
    assert_eq!(error, Some(format!("`{}`: the header has no column `ts`; it has k, time", path(&dir, "c.csv"))));
}

#[test]
fn bad_records_are_skipped_kept_or_the_end() {
    let lines = b"nonsense\n{\"ts\":5,\"k\":\"a\"}\n{\"ts\":\"x\"}\n\n{\"ts\":3}\n{\"k\":\"\xff\"}\n";
    let dir = dir(&[("a.jsonl", lines)]);
    let name = path(&dir, "a.jsonl");
    let read = |on_bad| drive(&FileSource::new(name.clone(), JsonFormat::new(timed())).on_bad(on_bad), 0, 1);

    let skipped = read(OnBad::Skip);
    assert_eq!(firsts(&skipped), ["5", "3"]);
    assert_eq!((skipped.metrics.records.get(), skipped.metrics.bad.get()), (2, 3));

    let kept = read(OnBad::Keep);
    assert_eq!((kept.metrics.records.get(), kept.metrics.bad.get()), (2, 3));
    let bad = |time, line, text: &str, error: &str| {
        let bad = BadRecord { source: name.clone(), line, text: text.into(), error: error.into() };
        Record::new(time, Entry::<Row>::Bad(Box::new(bad)))
    };
    let found: Vec<_> = kept.records().filter(|r| matches!(r.value, Entry::Bad(_))).cloned().collect();
    let expected = [
        bad(Record::UNTIMED, 1, "nonsense", "the line is not a JSON object"),
        bad(5, 3, "{\"ts\":\"x\"}", "field `ts`: \"x\" is not an int"),
        bad(3, 6, "{\"k\":\"\u{fffd}\"}", "the line is not UTF-8 text"),
    ];
    assert_eq!(found, expected);

    let failed = read(OnBad::Fail);
    assert_eq!(failed.error, Some(format!("{name}:1: the line is not a JSON object, in `nonsense`")));
    assert_eq!(failed.metrics.bad.get(), 1);
}

#[test]
fn a_line_past_16_mib_is_a_bad_record() {
    let mut long = vec![b'x'; (16 << 20) + 1];
    long.extend_from_slice(b"\nshort\n");
    let dir = dir(&[("a", &long)]);
    let source = FileSource::new(path(&dir, "a"), TextFormat).on_bad(OnBad::Keep);
    let read = drive(&source, 0, 1);
    assert_eq!(firsts(&read), ["short"]);
    let bad: Vec<_> =
        read.records().filter_map(|r| if let Entry::Bad(bad) = &r.value { Some((bad.line, bad.error.as_str())) } else { None }).collect();
    assert_eq!(bad, [(1, "the line is longer than 16 MiB")]);
}

#[test]
fn a_watermark_in_the_data_ends_its_batch() {
    let dir = dir(&[("a.jsonl", b"{\"ts\":1}\n{\"w\":0}\n{\"ts\":2}\n{\"ts\":3}\n{\"w\":2}\n")]);
    let format = JsonFormat::new(timed().with_watermark_field("w"));
    let read = drive(&FileSource::new(path(&dir, "a.jsonl"), format), 0, 1);
    let seen: Vec<_> = read.batches.iter().map(|b| (b.records.len(), b.watermark, b.last)).collect();
    assert_eq!(seen, [(1, Some(Watermark(0)), false), (2, Some(Watermark(2)), false), (0, None, true)]);
}

#[test]
fn batches_are_cut_alike_in_every_run() {
    let lines: String = (0..5000).map(|i| if i % 7 == 0 { "bad\n".to_owned() } else { format!("{i},k{i}\n") }).collect();
    let other: String = (1000..6000).map(|i| format!("{i},o{i}\n")).collect();
    let dir = dir(&[("a", lines.as_bytes()), ("b", other.as_bytes())]);
    let source = FileSource::new(path(&dir, ""), CsvFormat::new(timed()).with_header(false));
    let once = drive(&source, 0, 1);
    assert!(once.batches.iter().all(|b| b.records.len() <= 1024));
    assert!(once.batches.len() > 8);
    for _ in 0..5 {
        let again = drive(&source, 0, 1);
        let shape = |d: &Driven<Entry<Row>>| d.batches.iter().map(|b| (b.split, b.records.clone(), b.last)).collect::<Vec<_>>();
        assert!(shape(&once) == shape(&again));
    }
}

/// Reads a directory as one worker does, under the rule of the source operator, and returns how many records were late.
fn late(dir: &Path, max_delay: i64) -> (usize, usize) {
    let source = FileSource::new(dir.display().to_string(), CsvFormat::new(timed()).with_header(false));
    let read = drive(&source, 0, 1);
    assert_eq!(read.error, None);
    let (mut known, mut watermark) = (std::collections::HashMap::new(), i64::MIN);
    let (mut late, mut count) = (0, 0);
    for batch in &read.batches {
        let newest = known.entry(batch.split).or_insert(None);
        for record in &batch.records {
            late += usize::from(record.time <= watermark);
            *newest = (*newest).max(Some(record.time));
            count += 1;
        }
        if batch.last {
            known.remove(&batch.split);
        }
        let least = known.values().map(|newest| newest.map_or(i64::MIN, |t: i64| t - max_delay - 1)).min();
        watermark = watermark.max(least.unwrap_or(i64::MAX));
    }
    assert_eq!(watermark, i64::MAX);
    (late, count)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn several_files_are_merged_by_event_time_and_no_record_is_late(
        files in proptest::collection::vec((0..20_000i64, 0..4000i64, 1..5i64), 1..5),
        max_delay in 0..50i64,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let mut expected = 0;
        for (name, (start, count, step)) in files.iter().enumerate() {
            // Names say nothing about times; each record is at most `max_delay` behind the newest.
            let lines: String = (0..*count).map(|i| format!("{},x\n", start + i * step - if i > 0 { i * 31 % (max_delay + 1) } else { 0 })).collect();
            fs::write(dir.path().join(format!("{name}.csv")), lines).unwrap();
            expected += *count as usize;
        }
        prop_assert_eq!(late(dir.path(), max_delay), (0, expected));
    }
}

#[test]
fn the_source_can_be_opened_by_several_workers_at_once() {
    let dir = dir(&[("a", b"1,x"), ("b", b"2,x"), ("c", b"3,x")]);
    let source = Arc::new(FileSource::new(path(&dir, ""), CsvFormat::new(timed()).with_header(false)));
    let mut all: Vec<String> = drive_all(&*source, 2).iter().flat_map(firsts).collect();
    all.sort();
    assert_eq!(all, ["1", "2", "3"]);
}
