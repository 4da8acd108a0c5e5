//! Reads one input into batches of entries, for files and standard input.
//!
//! Where a batch ends depends only on the lines, never on timing, except that an [eager](Pace::Eager) reader also
//! hands over what it has before it waits for more.

use std::io::{self, Read};

use tidegate_runtime::Error;
use tidegate_runtime::Record;
use tidegate_runtime::Watermark;
use tidegate_runtime::source::{Batch, SplitId};

use crate::bad::BadRecords;
use crate::entry::Entry;
use crate::file::{Lane, Sample};
use crate::handover::{Count, Parcel, Stop};
use crate::lines::{Line, Lines, Position};
use tidegate_rows::format::{Decoded, Decoder};

/// The maximum number of records in a batch.
const RECORDS: usize = 1024;

/// The maximum number of bytes read for a batch, not counting its last line. Long lines make small batches, and a run
/// of bad lines is counted soon.
const BYTES: u64 = 1 << 20;

/// The number of bytes to read in search of the start time of an input.
const PEEK: u64 = 1 << 20;

/// A source of bytes.
pub(crate) trait Origin: Read {
    /// The number of stored bytes consumed so far.
    fn stored(&self) -> u64;

    /// Moves to an offset, or to the end if that comes first, and returns where it is. The last `unread` bytes were read in vain.
    ///
    /// # Errors
    /// The source can't be read, or has no offsets.
    fn jump(&mut self, _offset: u64, _unread: u64) -> io::Result<u64> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// The number of lines that end at or before an offset.
    ///
    /// # Errors
    /// The source can't be read, or has no offsets.
    fn lines_until(&mut self, _offset: u64) -> io::Result<u64> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Explains an error, if the error says too little by itself.
    fn trouble(&self, _error: &io::Error) -> Option<String> {
        None
    }
}

/// When a batch is handed over.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    /// When it is full.
    Full,
    /// Also when more input would have to be waited for.
    Eager,
    /// After one good record.
    First,
}

/// An input that is being read.
pub(crate) struct Split<R, D: Decoder> {
    id: SplitId,
    /// The name of the input in error messages.
    name: String,
    lines: Lines<R>,
    decoder: D,
    /// The greatest time of records and watermarks so far.
    newest: i64,
    /// The time of the last good record.
    last_good: i64,
    /// The stored bytes counted so far.
    counted: u64,
    /// The lane of the input that this reads, if it does not read all of it.
    lane: Option<Lane>,
    /// Lines that begin here or later are not read before the lane has moved on.
    end: u64,
}

impl<R: Origin, D: Decoder> Split<R, D> {
    pub(crate) fn new(id: SplitId, name: String, input: R, decoder: D) -> Self {
        let lines = Lines::new(input);
        Self { id, name, lines, decoder, newest: Record::UNTIMED, last_good: Record::UNTIMED, counted: 0, lane: None, end: u64::MAX }
    }

    /// Reads only this lane of the input.
    pub(crate) fn keep_to(&mut self, lane: Lane) -> Result<(), Error> {
        if self.position().line == 0 && lane.leg(0).start > 0 {
            // The header determines how to decode the rest.
            self.step()?;
            self.follow(lane, 0)?;
        }
        self.lane = Some(lane);
        let offset = self.position().offset;
        let leg = lane.leg(offset);
        self.end = if leg.start == offset { leg.end } else { offset };
        Ok(())
    }

    /// Moves on to the next leg of a lane, from a line that begins at `offset`.
    #[cold]
    fn follow(&mut self, lane: Lane, offset: u64) -> Result<(), Error> {
        let leg = lane.leg(offset);
        if leg.start > offset {
            let moved = self.lines.jump(leg.start, R::jump);
            moved.map_err(|e| Error::external(format!("`{}` can't be read from byte {}", self.name, leg.start), e))?;
        }
        self.end = leg.end;
        Ok(())
    }

    /// The number of the line that was read last.
    fn line(&mut self) -> u64 {
        let Position { line, offset } = self.lines.position();
        // A lane does not know what lies between its legs.
        if self.lane.is_some() { self.lines.input_mut().lines_until(offset).unwrap_or(line) } else { line }
    }

    /// Continues where an earlier reading of the same input stopped; `skip` skips bytes. `whole` says whether the
    /// last line was complete, or may have grown since.
    pub(crate) fn resume(
        &mut self,
        at: Position,
        newest: i64,
        whole: bool,
        skip: impl FnOnce(&mut R, u64) -> io::Result<u64>,
    ) -> Result<(), Error> {
        if at.line > 0 {
            // The header determines how to decode the rest.
            self.step()?;
        }
        let unreadable = |e| Error::external(format!("`{}` can't be read up to byte {}", self.name, at.offset), e);
        if !self.lines.skip_to(at, skip).map_err(unreadable)? {
            let message =
                format!("`{}` is shorter than it was: the snapshot has read {} bytes of it, {} lines", self.name, at.offset, at.line);
            return Err(Error::user(message));
        }
        if !whole {
            self.lines.finish_line().map_err(unreadable)?;
        }
        (self.newest, self.last_good) = (newest, newest);
        Ok(())
    }

    /// The current position.
    pub(crate) fn position(&self) -> Position {
        self.lines.position()
    }

    /// The greatest time so far.
    pub(crate) fn newest(&self) -> i64 {
        self.newest
    }

    /// The next batch. The batch that ends the input is empty, so that the end can be sent later than the last
    /// records.
    pub(crate) fn batch(&mut self, pace: Pace, bad: &mut BadRecords) -> Result<Parcel<Entry<D::Item>>, Stop> {
        let mut batch = Batch::new(self.id, Vec::with_capacity(RECORDS));
        let mut count = Count::default();
        let start = self.lines.position().offset;
        while batch.records.len() < RECORDS && self.lines.position().offset - start < BYTES {
            if pace == Pace::Eager && count.records + count.bad > 0 && !self.lines.has_line() {
                break;
            }
            match self.step()? {
                Step::End => {
                    batch.last = batch.records.is_empty();
                    break;
                }
                Step::Decoded(Decoded::Nothing) => {}
                Step::Decoded(Decoded::Record { time, value }) => {
                    let time = time.unwrap_or(Record::UNTIMED);
                    self.newest = self.newest.max(time);
                    self.last_good = time;
                    count.records += 1;
                    batch.records.push(Record::new(time, Entry::Good(value)));
                    if pace == Pace::First {
                        break;
                    }
                }
                Step::Decoded(Decoded::Watermark(watermark)) => {
                    self.newest = self.newest.max(watermark);
                    batch.watermark = Some(Watermark(watermark));
                    // The watermark applies after these records, so it must end the batch.
                    break;
                }
                Step::Bad { line, error } => {
                    count.bad += 1;
                    let counted = Count { bad: count.bad, ..Count::default() };
                    let number = self.line();
                    let noted = bad.note(&self.name, number, &line, error);
                    if let Some(record) = noted.map_err(|e| Stop::Failed(e, counted))? {
                        // Use a time that is never ahead of the surrounding records.
                        batch.records.push(Record::new(self.last_good, Entry::Bad(record)));
                    }
                }
            }
        }
        // A lane that moves on gives back what it had read in vain.
        let stored = self.lines.input().stored().max(self.counted);
        count.bytes = stored - self.counted;
        self.counted = stored;
        Ok(Parcel { batch, count })
    }

    /// The time at which the input starts: that of its first good record, or its first watermark. The least possible
    /// time if there is none near the start.
    pub(crate) fn begins(mut self) -> Result<i64, Error> {
        while self.lines.position().offset < PEEK {
            match self.step()? {
                Step::Decoded(Decoded::Record { time, .. }) => return Ok(time.unwrap_or(Record::UNTIMED)),
                Step::Decoded(Decoded::Watermark(watermark)) => return Ok(watermark),
                Step::Decoded(Decoded::Nothing) | Step::Bad { .. } => {}
                Step::End => break,
            }
        }
        Ok(Record::UNTIMED)
    }

    /// Previews at most `most` records near the start.
    pub(crate) fn sample(&mut self, most: u64, sample: &mut Sample) -> Result<(), Error> {
        let mut seen = 0;
        while seen < most && self.lines.position().offset < PEEK {
            match self.step()? {
                Step::End => break,
                Step::Decoded(Decoded::Nothing | Decoded::Watermark(_)) => continue,
                Step::Decoded(Decoded::Record { time, .. }) => {
                    sample.good += 1;
                    sample.first_time = sample.first_time.or(time);
                }
                Step::Bad { error, .. } => {
                    sample.bad += 1;
                    let line = self.line();
                    sample.first_bad.get_or_insert_with(|| format!("{}:{line}: {error}", self.name));
                }
            }
            seen += 1;
        }
        Ok(())
    }

    /// Reads and decodes a line.
    #[inline]
    fn step(&mut self) -> Result<Step<D::Item>, Error> {
        while let Some(lane) = self.lane
            && self.lines.position().offset >= self.end
            && !self.lines.ended()
        {
            self.follow(lane, self.lines.position().offset)?;
        }
        let Position { line: before, offset } = self.lines.position();
        let line = match self.lines.next() {
            Ok(None) => return Ok(Step::End),
            Ok(Some(Line::Whole(line))) => line,
            Ok(Some(Line::TooLong(start))) => return Ok(Step::Bad { line: start.into(), error: "the line is longer than 16 MiB".into() }),
            Err(e) => {
                let what = self.lines.input().trouble(&e).map(|t| format!(": {t}")).unwrap_or_default();
                let message = format!("`{}` can't be read past line {before} (byte {offset}){what}", self.name);
                return Err(Error::external(message, e));
            }
        };
        if before == 0 && self.decoder.header(line).map_err(|e| Error::user(format!("`{}`: {e}", self.name)))? {
            return Ok(Step::Decoded(Decoded::Nothing));
        }
        Ok(match self.decoder.decode(line) {
            Ok(decoded) => Step::Decoded(decoded),
            Err(error) => Step::Bad { line: line.into(), error },
        })
    }
}

enum Step<T> {
    Decoded(Decoded<T>),
    Bad { line: Box<[u8]>, error: String },
    End,
}
