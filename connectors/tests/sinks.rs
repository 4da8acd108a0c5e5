//! Sinks, driven by hand.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use tidegate_connectors::sink::{CollectSink, FileSink, FnSink, StdoutSink, is_broken_pipe};
use tidegate_rows::format::{CsvEncoder, JsonEncoder, Layout, TextEncoder, TextPart, Timestamps};
use tidegate_rows::{Row, Value};
use tidegate_runtime::Record;
use tidegate_runtime::sink::{Sink, SinkContext, Writer};
use tidegate_runtime::{Domain, Error};

fn open<T>(sink: &impl Sink<T>, worker: usize, workers: usize) -> Result<Box<dyn Writer<T>>, Error> {
    sink.open(SinkContext { worker, workers, ..SinkContext::default() })
}

fn rows(range: std::ops::Range<i64>) -> Vec<Record<Row>> {
    range.map(|i| Record::new(i, Row::from_iter([Value::Int(i), Value::string("x")]))).collect()
}

fn json() -> JsonEncoder {
    JsonEncoder::new(Layout::untyped(["i", "s"]).schema(), Timestamps::Millis)
}

fn csv() -> CsvEncoder {
    CsvEncoder::new(Layout::untyped(["i", "s"]).schema(), Timestamps::Millis)
}

#[test]
fn a_file_is_made_anew_by_the_first_worker_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out/deep/a.jsonl");
    let sink = FileSink::new(path.display().to_string(), json());
    assert!(Sink::<Row>::single_writer(&sink));
    let mut other = open(&sink, 1, 2).unwrap();
    assert!(!path.exists());
    let mut writer = open(&sink, 0, 2).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "", "it is there even if no record comes");
    let mut records = rows(0..2);
    writer.write(&mut records).unwrap();
    assert!(records.is_empty());
    writer.flush().unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "{\"i\":0,\"s\":\"x\"}\n{\"i\":1,\"s\":\"x\"}\n");
    other.write(&mut Vec::new()).unwrap();
    other.flush().unwrap();
    let error = other.write(&mut rows(0..1)).unwrap_err();
    assert_eq!(error.domain(), Domain::Internal);
    open(&sink, 0, 1).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "");
}

#[test]
fn a_directory_has_a_part_of_each_worker() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out");
    let write = |sink: &FileSink<CsvEncoder>, workers: usize| {
        assert!(!Sink::<Row>::single_writer(sink));
        for worker in 0..workers {
            let mut writer = open(sink, worker, workers).unwrap();
            writer.write(&mut rows(worker as i64..worker as i64 + 1)).unwrap();
            writer.flush().unwrap();
        }
    };
    let names = || {
        let mut names: Vec<_> = fs::read_dir(&path).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    write(&FileSink::new(format!("{}/", path.display()), csv()), 4);
    assert_eq!(names(), ["part-0.csv", "part-1.csv", "part-2.csv", "part-3.csv"]);
    assert_eq!(fs::read_to_string(path.join("part-1.csv")).unwrap(), "i,s\n1,x\n");
    // As it is a directory by now, it need not be said again. What the larger run has left is removed.
    fs::write(path.join("part-0.jsonl"), "").unwrap();
    write(&FileSink::new(path.display().to_string(), csv()), 1);
    assert_eq!(names(), ["part-0.csv", "part-0.jsonl"]);
}

#[test]
fn a_full_disk_is_an_error_that_names_the_file() {
    let sink = FileSink::new("/dev/full", json());
    let mut writer = open(&sink, 0, 1).unwrap();
    writer.write(&mut rows(0..3)).unwrap();
    let error = writer.flush().unwrap_err();
    assert_eq!(error.to_string(), "`/dev/full` can't be written");
    assert_eq!(error.domain(), Domain::External);
    assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "No space left on device (os error 28)");
    assert!(!is_broken_pipe(&error));
    let mut writer = open(&sink, 0, 1).unwrap();
    assert!(writer.write(&mut rows(0..100_000)).is_err(), "a large write does not wait for a flush");
}

#[test]
fn a_path_that_cannot_be_made_is_an_error_that_names_it() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file"), "").unwrap();
    let path = dir.path().join("file/below").display().to_string();
    let error = open::<Row>(&FileSink::new(path.clone(), json()), 0, 1).err().unwrap();
    assert_eq!(error.to_string(), format!("`{path}` can't be written"));
}

/// Output that can be looked at.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Little by little, so that lines would mix if they could.
        let n = bytes.len().min(7);
        self.0.lock().unwrap().extend_from_slice(&bytes[..n]);
        std::thread::yield_now();
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn lines_of_several_workers_do_not_mix_and_there_is_one_header() {
    let output = Shared::default();
    let sink = StdoutSink::writing(csv(), output.clone());
    std::thread::scope(|scope| {
        for worker in 0..4 {
            let sink = &sink;
            scope.spawn(move || {
                let mut writer = open(sink, worker, 4).unwrap();
                for i in 0..50 {
                    writer.write(&mut rows(i..i + 20)).unwrap();
                    writer.flush().unwrap();
                }
            });
        }
    });
    let text = String::from_utf8(output.0.lock().unwrap().clone()).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 1 + 4 * 50 * 20);
    assert_eq!(lines[0], "i,s");
    assert!(lines[1..].iter().all(|l| l.strip_suffix(",x").is_some_and(|i| i.parse::<u32>().is_ok())));
}

#[test]
fn a_reader_that_went_away_is_told_from_other_errors() {
    let (input, output) = io::pipe().unwrap();
    let mut writer = open(&StdoutSink::writing(TextEncoder::new(vec![TextPart::Field(0)], Timestamps::Iso), output), 0, 1).unwrap();
    drop(input);
    writer.write(&mut rows(0..1)).unwrap();
    let error = writer.flush().unwrap_err();
    assert!(is_broken_pipe(&error));
    assert_eq!(error.to_string(), "standard output can't be written");
    assert!(!is_broken_pipe(&Error::user("no")));
}

#[test]
fn sinks_into_memory_and_functions() {
    let collected = CollectSink::new();
    for worker in 0..2 {
        open(&collected, worker, 2).unwrap().write(&mut vec![Record::new(worker as i64, "a")]).unwrap();
    }
    assert_eq!(collected.take(), [Record::new(0, "a"), Record::new(1, "a")]);
    assert!(collected.take().is_empty());

    let seen = Arc::new(Mutex::new(0));
    let count = Arc::clone(&seen);
    let sink = FnSink::new(move |record: Record<i32>| {
        *count.lock().unwrap() += record.value;
        if record.value > 2 { Err(Error::user("too much")) } else { Ok(()) }
    });
    let mut writer = open(&sink, 0, 1).unwrap();
    writer.write(&mut vec![Record::new(0, 1), Record::new(0, 2)]).unwrap();
    assert!(writer.write(&mut vec![Record::new(0, 3)]).is_err());
    assert_eq!(*seen.lock().unwrap(), 6);
}
