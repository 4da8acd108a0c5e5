//! Standard input, with a pipe in its place.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod drive;

use std::io::Write;
use std::time::{Duration, Instant};

use drive::{drive, open};
use tidegate_connectors::entry::Entry;
use tidegate_connectors::stdin::StdinSource;
use tidegate_rows::Row;
use tidegate_rows::format::TextFormat;
use tidegate_runtime::source::{Batch, Poll, Reader};

fn next(reader: &mut Box<dyn Reader<Entry<Row>>>) -> Option<Batch<Entry<Row>>> {
    let start = Instant::now();
    loop {
        match reader.poll().unwrap() {
            Poll::Batch(batch) => return Some(batch),
            Poll::Finished => return None,
            Poll::Pending | Poll::After(_) => assert!(start.elapsed() < Duration::from_secs(10), "nothing came"),
        }
        std::thread::yield_now();
    }
}

#[test]
fn a_line_is_handed_over_as_soon_as_it_is_there() {
    let (input, mut output) = std::io::pipe().unwrap();
    let source = StdinSource::reading(TextFormat, input);
    let (reader, metrics) = open(&source, 0, 2);
    let mut reader = reader.unwrap();
    assert_eq!(next(&mut reader).unwrap().records.len(), 0, "the split is announced before there is a line");
    for line in ["a\n", "b\nc\n"] {
        output.write_all(line.as_bytes()).unwrap();
        assert_eq!(next(&mut reader).unwrap().records.len(), line.len() / 2);
    }
    output.write_all(b"last").unwrap();
    assert!(matches!(reader.poll(), Ok(Poll::Pending)));
    drop(output);
    assert_eq!(next(&mut reader).unwrap().records.len(), 1);
    assert!(next(&mut reader).unwrap().last);
    assert!(next(&mut reader).is_none());
    assert_eq!((metrics.records.get(), metrics.bytes.get()), (4, 10));
}

#[test]
fn only_worker_0_reads() {
    let source = StdinSource::reading(TextFormat, &b"a\nb\n"[..]);
    assert_eq!(drive(&source, 1, 2).batches.len(), 0);
    let read = drive(&source, 0, 2);
    assert_eq!(read.records().count(), 2);
    assert!(read.batches.last().unwrap().last);
}
