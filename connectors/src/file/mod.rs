//! Files: a file, a directory or a pattern, read once from start to end.

pub(crate) mod input;
mod lane;
pub(crate) mod listing;
mod position;
mod sample;
mod schedule;

use std::io;
use std::path::Path;
use std::sync::Arc;

use tidegate_runtime::Error;
use tidegate_runtime::Kind;
use tidegate_runtime::Record;
use tidegate_runtime::source::{Batch, Reader, Resumed, Source, SourceContext, SplitId};

use crate::bad::BadRecords;
use crate::entry::{Entry, OnBad};
use crate::handover::{Count, Nothing, Outlet, Parcel, Stop, read_on_thread};
use crate::kinds;
use crate::lines::{Line, Lines};
use crate::path::same_file;
use crate::split::{Origin, Pace, Split};
use input::{Input, compression};
pub(crate) use lane::Lane;
pub use listing::Meaning;
use listing::{Listed, Listing, unreadable};
use position::{Key, Position, Positions};
pub use sample::Sample;
use schedule::Schedule;
use tidegate_rows::format::Format;

/// A bounded source of files, decompressed by extension (`.gz`, `.zst`).
///
/// The path is a file, a directory (its regular files, without subdirectories and hidden files) or a pattern such as
/// `logs/*.csv`. A file with several names, by symbolic or hard links, is read once, under the first name. The files,
/// ordered by name, are assigned to the workers in turn, and each worker reads its own on a thread. If the format
/// provides event time, several files are merged by it as far as they overlap; otherwise they are read in name order.
///
/// After a restore, each file is read from its position in the snapshot, including what was appended since, unless it
/// is compressed. If the last line read had no line ending, what has been appended to that line is skipped: the line
/// was already a record.
///
/// With [`split`](FileSource::split), all workers read a large file together.
pub struct FileSource<F> {
    path: String,
    format: Arc<F>,
    on_bad: OnBad,
    split: bool,
}

impl<F: Format> FileSource<F> {
    /// Reads the files that `path` denotes, in this format.
    pub fn new(path: impl Into<String>, format: F) -> Self {
        Self { path: path.into(), format: Arc::new(format), on_bad: OnBad::default(), split: false }
    }

    /// What to do about bad records (default: skip).
    #[must_use]
    pub fn on_bad(self, on_bad: OnBad) -> Self {
        Self { on_bad, ..self }
    }

    /// Whether several workers may read one file, if it is large and not compressed (default: no). Its lines then have no order, except that
    /// those of one worker do.
    #[must_use]
    pub fn split(self, split: bool) -> Self {
        Self { split, ..self }
    }

    /// What there is to read, dealt to the workers in turn: files, and lanes of large ones.
    fn parts(&self, files: &[Listed], positions: &Positions, workers: usize) -> Vec<Part> {
        let lanes = |file: &Listed| -> Vec<Option<Lane>> {
            // What has begun goes on as it began.
            if let Some((_, lane)) = positions.keys().find(|(path, _)| *path == file.resolved) {
                return lane.map_or_else(|| vec![None], |lane| lane.siblings().map(Some).collect());
            }
            let length = file.path.metadata().ok().filter(|metadata| metadata.is_file()).map_or(0, |metadata| metadata.len());
            let shared = self.split && compression(&file.path).is_none();
            Lane::all(if shared { length } else { 0 }, workers).collect()
        };
        files.iter().flat_map(|file| lanes(file).into_iter().map(|lane| Part { file: file.clone(), lane })).collect()
    }
}

impl<F: Format> Source<Entry<F::Item>> for FileSource<F> {
    fn kind(&self) -> Kind {
        kinds::FILE
    }

    /// Files that have been read must not be shorter than before, if they are among those that are read now.
    fn accepts(&self, positions: &[serde_json::Value]) -> Result<(), Error> {
        let mut positions = position::read(Some(positions))?;
        // Whether there is anything to read now is not a question of the snapshot.
        let Ok(all) = Listing::of(&self.path) else { return Ok(()) };
        for ((path, _), position) in &mut positions {
            if let Some(file) = all.files.iter().find(|file| file.resolved == *path) {
                position.meet(&file.path)?;
            }
        }
        Ok(())
    }

    fn open(&self, context: SourceContext) -> Result<Box<dyn Reader<Entry<F::Item>>>, Error> {
        let all = context.shared.get_or_make(|| Listing::of(&self.path))?;
        if let Some(remark) = all.remark() {
            context.metrics.remark(remark);
        }
        let all = &all.files;
        let mut positions = position::read(context.restored.as_deref().map(Vec::as_slice))?;
        let workers = context.workers.max(1);
        let parts = self.parts(all, &positions, workers);
        let mine: Vec<Part> = parts.iter().skip(context.worker).step_by(workers).cloned().collect();
        // Remember files that have disappeared, so that they aren't read again if they return.
        let is_of = |parts: &[Part], key: &Key| parts.iter().any(|part| part.key() == *key);
        let gone: Vec<Key> = positions.keys().filter(|key| !is_of(&parts, key)).skip(context.worker).step_by(workers).cloned().collect();
        positions.retain(|key, _| is_of(&mine, key) || gone.contains(key));
        if mine.is_empty() && positions.is_empty() {
            return Ok(Box::new(Nothing));
        }
        for part in &mine {
            positions.get_mut(&part.key()).map_or(Ok(()), |position| position.meet(&part.file.path))?;
        }
        for part in mine.iter().filter(|part| positions.get(&part.key()).is_none_or(|position| !position.ended)) {
            // Fail now rather than in an hour, when the file's turn comes. Don't try a pipe: opening it twice would
            // lose its content.
            let path = &part.file.path;
            let metadata = path.metadata().map_err(|e| unreadable(path, &e))?;
            if metadata.is_file() {
                std::fs::File::open(path).map_err(|e| unreadable(path, &e))?;
                context.metrics.bytes_total.add(metadata.len() / part.lane.map_or(1, |lane| lane.of));
            }
        }
        let (format, bad) = (Arc::clone(&self.format), BadRecords::new(self.on_bad));
        let resumed = positions.iter().enumerate().map(|(n, (key, position))| Resumed {
            split: split_id(mine.iter().position(|part| part.key() == *key).unwrap_or(mine.len() + n)),
            position: position.to_json(),
            ended: position.ended || !is_of(&mine, key),
        });
        let resumed = resumed.collect();
        read_on_thread("file source", context, resumed, move |outlet| read(&mine, &positions, &*format, bad, outlet))
    }
}

/// Whether this file, under any of its names, is among those that `path` denotes now.
#[must_use]
pub fn is_read(path: &str, file: &Path) -> bool {
    file.is_file() && Listing::of(path).is_ok_and(|listing| listing.files.iter().any(|listed| same_file(&listed.path, file)))
}

/// The first line of the first file that `path` denotes, for its header. Empty if there is none.
///
/// # Errors
/// The file can't be read.
pub fn first_line(path: &str) -> Result<Vec<u8>, Error> {
    let Some(Listed { path: first, .. }) = Listing::of(path)?.files.into_iter().next() else { return Ok(Vec::new()) };
    // Looking into a pipe would consume its content.
    if !first.metadata().map_err(|e| unreadable(&first, &e))?.is_file() {
        return Err(Error::user(format!("`{}` is not a regular file: its header can't be read before the job starts", first.display())));
    }
    let read = || match Lines::new(Input::open(&first)?).next()? {
        Some(Line::Whole(line) | Line::TooLong(line)) => Ok(line.to_vec()),
        None => Ok(Vec::new()),
    };
    read().map_err(|e| unreadable(&first, &e))
}

/// A file, or a lane of it.
#[derive(Clone)]
struct Part {
    file: Listed,
    lane: Option<Lane>,
}

impl Part {
    fn key(&self) -> Key {
        (self.file.resolved.clone(), self.lane)
    }
}

type FileSplit<F> = Split<Input, <F as Format>::Decoder>;

fn split_id(index: usize) -> SplitId {
    SplitId(u32::try_from(index).unwrap_or(u32::MAX))
}

fn open<F: Format>(index: usize, path: &Path, lane: Option<Lane>, from: Option<&Position>, format: &F) -> Result<FileSplit<F>, Error> {
    let mut input = Input::open(path).map_err(|e| unreadable(path, &e))?;
    let whole = from.map_or(Ok(true), |from| input.ends_line(from.bytes)).map_err(|e| unreadable(path, &e))?;
    let mut split = Split::new(split_id(index), path.display().to_string(), input, format.decoder());
    if let Some(from) = from {
        split.resume(from.at(), from.newest, whole, Input::skip)?;
    }
    lane.map_or(Ok(()), |lane| split.keep_to(lane))?;
    Ok(split)
}

/// Reads the parts of a worker by their schedule, starting from the positions of a snapshot.
fn read<F: Format>(
    parts: &[Part],
    positions: &Positions,
    format: &F,
    mut bad: BadRecords,
    outlet: &Outlet<Entry<F::Item>>,
) -> Result<(), Stop> {
    let begins = |(index, part): (usize, &Part)| match positions.get(&part.key()) {
        Some(position) => Ok(position.newest),
        None => open(index, &part.file.path, part.lane, None, format)?.begins(),
    };
    let starts = if format.timed() && parts.len() > 1 {
        parts.iter().enumerate().map(begins).collect::<Result<_, Error>>()?
    } else {
        vec![Record::UNTIMED; parts.len()]
    };
    let mut schedule = Schedule::new(starts);
    for (index, position) in parts.iter().enumerate().filter_map(|(index, part)| Some((index, positions.get(&part.key())?))) {
        // The operator already knows this part.
        schedule.sent(index, position.newest, position.ended);
    }
    let mut splits: Vec<Option<FileSplit<F>>> = parts.iter().map(|_| None).collect();
    let mut batch = |index: usize, pace| -> Result<_, Stop> {
        let part = &parts[index];
        let split = match &mut splits[index] {
            Some(split) => split,
            closed => closed.insert(open(index, &part.file.path, part.lane, positions.get(&part.key()), format)?),
        };
        let mut parcel = split.batch(pace, &mut bad)?;
        let newest = split.newest();
        parcel.batch.position = Some(Position::new(&part.file.path, part.lane, split.position(), newest, parcel.batch.last).to_json());
        if parcel.batch.last {
            splits[index] = None;
        }
        Ok((parcel, newest))
    };
    while let Some(index) = schedule.next() {
        let (parcel, newest) = batch(index, Pace::Full)?;
        let last = parcel.batch.last;
        while let Some(other) = schedule.before(index, newest, last) {
            if other == index {
                schedule.sent(index, Record::UNTIMED, false);
                let empty = Batch::new(parcel.batch.split, Vec::new());
                outlet.send(Parcel { batch: empty, count: Count::default() })?;
                continue;
            }
            let (first, newest) = batch(other, Pace::First)?;
            schedule.sent(other, newest, first.batch.last);
            outlet.send(first)?;
        }
        schedule.sent(index, newest, last);
        outlet.send(parcel)?;
    }
    Ok(())
}

impl Origin for Input {
    fn stored(&self) -> u64 {
        Self::stored(self)
    }

    fn jump(&mut self, offset: u64, unread: u64) -> io::Result<u64> {
        Self::jump(self, offset, unread)
    }

    fn lines_until(&mut self, offset: u64) -> io::Result<u64> {
        Self::lines_until(self, offset)
    }

    fn trouble(&self, error: &io::Error) -> Option<String> {
        Self::trouble(self, error)
    }
}
