//! Files: a file, a directory or a pattern, read once from start to end.

mod input;
mod listing;
mod schedule;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tidegate_runtime::Error;
use tidegate_runtime::Record;
use tidegate_runtime::source::{Batch, Reader, Source, SourceContext, SplitId};

use crate::bad::BadRecords;
use crate::entry::{Entry, OnBad};
use crate::format::Format;
use crate::handover::{Count, Nothing, Outlet, Parcel, Stop, read_on_thread};
use crate::lines::{Line, Lines};
use crate::split::{Origin, Pace, Split};
use input::Input;
use listing::unreadable;
use schedule::Schedule;

/// A bounded source of files, decompressed by extension (`.gz`, `.zst`).
///
/// The path is a file, a directory (the regular files in it, none below it, none hidden) or a pattern such as `logs/*.csv`. The files, in
/// the order of their names, are dealt to the workers in turn, and each worker reads its own on a thread. If the format gives event time,
/// several files are merged by it, as far as they overlap; else they are read in the order of their names.
pub struct FileSource<F> {
    path: String,
    format: Arc<F>,
    on_bad: OnBad,
}

impl<F: Format> FileSource<F> {
    /// The files that `path` means, in this format.
    pub fn new(path: impl Into<String>, format: F) -> Self {
        Self { path: path.into(), format: Arc::new(format), on_bad: OnBad::default() }
    }

    /// What to do about bad records (default: skip).
    #[must_use]
    pub fn on_bad(self, on_bad: OnBad) -> Self {
        Self { on_bad, ..self }
    }
}

impl<F: Format> Source<Entry<F::Item>> for FileSource<F> {
    fn open(&self, context: SourceContext) -> Result<Box<dyn Reader<Entry<F::Item>>>, Error> {
        let all = context.shared.get_or_make(|| listing::files(&self.path))?;
        let mine: Vec<PathBuf> = all.iter().skip(context.worker).step_by(context.workers.max(1)).cloned().collect();
        if mine.is_empty() {
            return Ok(Box::new(Nothing));
        }
        for path in &mine {
            // Now rather than in an hour, when its turn comes. A pipe is not tried: to open it twice would lose what is in it.
            let metadata = path.metadata().map_err(|e| unreadable(path, &e))?;
            if metadata.is_file() {
                std::fs::File::open(path).map_err(|e| unreadable(path, &e))?;
                context.metrics.bytes_total.add(metadata.len());
            }
        }
        let (format, bad) = (Arc::clone(&self.format), BadRecords::new(self.on_bad));
        read_on_thread("file source", context, move |outlet| read(&mine, &*format, bad, outlet))
    }
}

/// The first line of the first file that `path` means, for its header; empty if there is none.
///
/// # Errors
/// The file can't be read.
pub fn first_line(path: &str) -> Result<Vec<u8>, Error> {
    let Some(first) = listing::files(path)?.into_iter().next() else { return Ok(Vec::new()) };
    // To look into a pipe is to take from it.
    if !first.metadata().map_err(|e| unreadable(&first, &e))?.is_file() {
        return Err(Error::user(format!("`{}` is not a regular file: its header can't be read before the job starts", first.display())));
    }
    let read = || match Lines::new(Input::open(&first)?).next()? {
        Some(Line::Whole(line) | Line::TooLong(line)) => Ok(line.to_vec()),
        None => Ok(Vec::new()),
    };
    read().map_err(|e| unreadable(&first, &e))
}

type FileSplit<F> = Split<Input, <F as Format>::Decoder>;

fn open<F: Format>(index: usize, path: &Path, format: &F) -> Result<FileSplit<F>, Error> {
    let input = Input::open(path).map_err(|e| unreadable(path, &e))?;
    Ok(Split::new(SplitId(u32::try_from(index).unwrap_or(u32::MAX)), path.display().to_string(), input, format.decoder()))
}

/// Reads the files of a worker, by their schedule.
fn read<F: Format>(files: &[PathBuf], format: &F, mut bad: BadRecords, outlet: &Outlet<Entry<F::Item>>) -> Result<(), Stop> {
    let begins = |(index, path): (usize, &PathBuf)| open(index, path, format)?.begins();
    let starts = if format.timed() && files.len() > 1 {
        files.iter().enumerate().map(begins).collect::<Result<_, Error>>()?
    } else {
        vec![Record::UNTIMED; files.len()]
    };
    let mut schedule = Schedule::new(starts);
    let mut splits: Vec<Option<FileSplit<F>>> = files.iter().map(|_| None).collect();
    let mut batch = |index: usize, pace| -> Result<_, Stop> {
        let split = match &mut splits[index] {
            Some(split) => split,
            closed => closed.insert(open(index, &files[index], format)?),
        };
        let parcel = split.batch(pace, &mut bad)?;
        let newest = split.newest();
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

    fn trouble(&self, error: &io::Error) -> Option<String> {
        Self::trouble(self, error)
    }
}
