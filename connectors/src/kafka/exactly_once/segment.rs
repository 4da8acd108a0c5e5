//! The records of an epoch in a file: one zstd frame with a checksum, so that truncation and damage are detected.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use rdkafka::message::{Header, Headers, OwnedHeaders};
use tidegate_runtime::Error;

use crate::kafka::sink::Message;

/// The start of every segment; the digit is the format version.
const MAGIC: &[u8; 8] = b"tgkafka1";

/// Marks a key or a header without a value, and a missing time.
const NONE: u32 = u32::MAX;
const NO_TIME: i64 = i64::MIN;

/// A segment that is being written.
pub(super) struct Writer {
    path: PathBuf,
    stream: zstd::Encoder<'static, BufWriter<File>>,
    pub(super) records: u64,
}

impl Writer {
    pub(super) fn create(path: PathBuf) -> Result<Self, Error> {
        let open = || {
            let mut file = BufWriter::new(File::create(&path)?);
            file.write_all(MAGIC)?;
            let mut stream = zstd::Encoder::new(file, 1)?;
            stream.include_checksum(true)?;
            Ok(stream)
        };
        let stream = open().map_err(|e| unwritable(&path, e))?;
        Ok(Self { path, stream, records: 0 })
    }

    pub(super) fn append(&mut self, message: &Message<'_>) -> Result<(), Error> {
        self.records += 1;
        encode(message, &mut self.stream).map_err(|e| unwritable(&self.path, e))
    }

    /// Finishes the segment. Whoever stores it must sync it to disk.
    pub(super) fn finish(self) -> Result<(PathBuf, u64), Error> {
        let Self { path, stream, records } = self;
        stream.finish().and_then(|mut file| file.flush()).map_err(|e| unwritable(&path, e))?;
        Ok((path, records))
    }
}

fn unwritable(path: &Path, error: io::Error) -> Error {
    Error::external(format!("`{}`, with the output of an epoch, can't be written", path.display()), error)
}

fn encode(message: &Message<'_>, out: &mut impl Write) -> io::Result<()> {
    let mut some = |bytes: Option<&[u8]>| -> io::Result<()> {
        out.write_all(&bytes.map_or(Ok(NONE), |b| u32::try_from(b.len()).map_err(io::Error::other))?.to_le_bytes())?;
        out.write_all(bytes.unwrap_or_default())
    };
    some(message.key)?;
    some(Some(message.value))?;
    let headers = message.headers.as_ref().map(OwnedHeaders::as_borrowed);
    for header in headers.into_iter().flat_map(Headers::iter) {
        some(Some(header.key.as_bytes()))?;
        some(header.value)?;
    }
    // Marks the end of the headers.
    some(None)?;
    out.write_all(&message.time.unwrap_or(NO_TIME).to_le_bytes())
}

/// Passes each record of a segment to `take`.
pub(super) fn read(path: &Path, records: u64, mut take: impl FnMut(Message<'_>) -> Result<(), Error>) -> Result<(), Error> {
    let damaged = |e: io::Error| Error::external(format!("`{}`, with the output of an epoch, can't be read", path.display()), e);
    let mut file = BufReader::new(File::open(path).map_err(damaged)?);
    let mut magic = [0; MAGIC.len()];
    file.read_exact(&mut magic).map_err(damaged)?;
    if magic != *MAGIC {
        return Err(damaged(io::Error::other("it is none that this version writes")));
    }
    let mut stream = zstd::Decoder::with_buffer(file).map_err(damaged)?;
    let (mut key, mut value, mut name, mut text) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..records {
        let mut decode = || -> io::Result<_> {
            let has_key = fill(&mut stream, &mut key)?;
            fill(&mut stream, &mut value)?;
            let mut headers: Option<OwnedHeaders> = None;
            while fill(&mut stream, &mut name)? {
                let has_text = fill(&mut stream, &mut text)?;
                let key = std::str::from_utf8(&name).map_err(io::Error::other)?;
                let header = Header { key, value: has_text.then_some(text.as_slice()) };
                headers = Some(headers.unwrap_or_default().insert(header));
            }
            let mut time = [0; 8];
            stream.read_exact(&mut time)?;
            Ok((has_key, headers, Some(i64::from_le_bytes(time)).filter(|t| *t != NO_TIME)))
        };
        let (has_key, headers, time) = decode().map_err(damaged)?;
        take(Message { key: has_key.then_some(key.as_slice()), value: &value, time, headers })?;
    }
    // The checksum is at the end.
    match stream.read(&mut [0]).map_err(damaged)? {
        0 => Ok(()),
        _ => Err(damaged(io::Error::other("it holds more records than the checkpoint says"))),
    }
}

/// Reads a field that may be missing.
fn fill(stream: &mut impl Read, into: &mut Vec<u8>) -> io::Result<bool> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    into.clear();
    let length = u32::from_le_bytes(length);
    if length == NONE {
        return Ok(false);
    }
    // Don't reserve memory in advance: a damaged length must not cause a huge allocation.
    if stream.take(length.into()).read_to_end(into)? as u64 == u64::from(length) {
        Ok(true)
    } else {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Plain = (Option<Vec<u8>>, Vec<u8>, Option<i64>, Vec<(String, Option<Vec<u8>>)>);

    fn write(path: &Path, records: &[Plain]) {
        let mut writer = Writer::create(path.to_owned()).unwrap();
        for (key, value, time, headers) in records {
            let add = |all: OwnedHeaders, (key, value): &(String, Option<Vec<u8>>)| all.insert(Header { key, value: value.as_ref() });
            let headers = (!headers.is_empty()).then(|| headers.iter().fold(OwnedHeaders::new(), add));
            writer.append(&Message { key: key.as_deref(), value, time: *time, headers }).unwrap();
        }
        assert_eq!(writer.finish().unwrap(), (path.to_owned(), records.len() as u64));
    }

    fn read_all(path: &Path, count: usize) -> Result<Vec<Plain>, Error> {
        let mut records = Vec::new();
        read(path, count as u64, |m| {
            let headers = m.headers.as_ref().map(OwnedHeaders::as_borrowed).into_iter().flat_map(Headers::iter);
            let headers = headers.map(|h| (h.key.to_owned(), h.value.map(<[u8]>::to_vec))).collect();
            records.push((m.key.map(<[u8]>::to_vec), m.value.to_vec(), m.time, headers));
            Ok(())
        })?;
        Ok(records)
    }

    /// Savepoints of released versions contain such files. A different format needs a new number in [`MAGIC`], and
    /// this one must stay readable.
    #[test]
    fn segments_are_written_as_they_always_were() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("segment");
        write(&path, &[(Some(b"k".to_vec()), b"vv".to_vec(), Some(5), vec![("h".to_owned(), None)])]);
        let bytes = std::fs::read(&path).unwrap();
        let frame = bytes.strip_prefix(b"tgkafka1").unwrap();
        let kept = b"\x01\0\0\0k\x02\0\0\0vv\x01\0\0\0h\xff\xff\xff\xff\xff\xff\xff\xff\x05\0\0\0\0\0\0\0";
        assert_eq!(zstd::decode_all(frame).unwrap(), kept);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn what_is_written_is_read(records in proptest::collection::vec(
            (
                proptest::option::of(proptest::collection::vec(any::<u8>(), 0..9)),
                proptest::collection::vec(any::<u8>(), 0..99),
                proptest::option::of(0..i64::MAX),
                proptest::collection::vec(("[a-z]{1,3}", proptest::option::of(proptest::collection::vec(any::<u8>(), 1..5))), 0..3),
            ),
            0..20,
        )) {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("segment");
            write(&path, &records);
            prop_assert_eq!(read_all(&path, records.len()).unwrap(), records);
        }
    }

    #[test]
    fn a_segment_that_is_cut_short_or_changed_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("segment");
        let records: Vec<Plain> = (0..50_u8).map(|n| (None, vec![n; 10], None, Vec::new())).collect();
        write(&path, &records);
        let whole = std::fs::read(&path).unwrap();
        assert!(read_all(&path, 49).is_err() && read_all(&path, 51).is_err());
        for at in 0..whole.len() {
            std::fs::write(&path, &whole[..at]).unwrap();
            assert!(read_all(&path, 50).is_err(), "cut at {at}");
            let mut changed = whole.clone();
            changed[at] ^= 0x10;
            std::fs::write(&path, changed).unwrap();
            // A reader may ignore parts of a frame's header, but what it reads must be correct.
            assert!(read_all(&path, 50).map_or(true, |found| found == records), "changed at {at}");
        }
    }
}
