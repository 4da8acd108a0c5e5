//! Files of encoded lines: a single file written by one worker, or a directory with one file per worker.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value as Json;
use tidegate_runtime::sink::{Committable, Committer, Restored, Sink, SinkContext, Writer};
use tidegate_runtime::{Epoch, Error, Kind, Record};

use super::buffer::Buffer;
use super::committed::{self, Committed};
use super::is_regular;
use super::part::{Part, Place};
use crate::kinds;
use tidegate_rows::format::Encoder;

/// Writes a file, which is started anew in every run that does not continue from a snapshot. Missing parent
/// directories are created.
///
/// A path that ends in `/`, or that is a directory, is written in parallel: `part-0.jsonl`, `part-1.jsonl` and so on,
/// one per worker. Parts left by a run with more workers are removed.
///
/// If checkpoints are taken, readers see only the output of completed ones, exactly once, whatever is killed and when
/// (see `committed.rs`).
#[derive(Clone, Debug)]
pub struct FileSink<E> {
    path: PathBuf,
    directory: bool,
    encoder: E,
}

impl<E> FileSink<E> {
    /// A sink that writes to this path.
    pub fn new(path: impl Into<String>, encoder: E) -> Self {
        let path = path.into();
        Self { directory: is_directory(&path), path: path.into(), encoder }
    }

    /// The worker responsible for a file. A part of an earlier run with more workers is assigned by its number.
    fn owner(&self, path: &Path, workers: usize) -> usize {
        number(path).filter(|_| self.directory).map_or(0, |number| number % workers.max(1))
    }

    /// The parts in the directory, other than `own`, that this worker is responsible for.
    fn others<T>(&self, own: &Path, context: &SinkContext) -> Result<Vec<PathBuf>, Error>
    where
        E: Encoder<T>,
    {
        let unreadable = |e| Error::external(format!("`{}` can't be read", self.path.display()), e);
        let mut others = Vec::new();
        for entry in std::fs::read_dir(&self.path).map_err(unreadable)? {
            let path = self.path.join(entry.map_err(unreadable)?.file_name());
            let is_part = number(&path).is_some_and(|number| self.part::<T>(number) == path);
            if is_part && path != own && self.owner(&path, context.workers) == context.worker {
                others.push(path);
            }
        }
        others.sort();
        Ok(others)
    }

    fn part<T>(&self, worker: usize) -> PathBuf
    where
        E: Encoder<T>,
    {
        if self.directory { self.path.join(format!("part-{worker}.{}", self.encoder.extension())) } else { self.path.clone() }
    }

    /// The file of this sink that a part of a snapshot belongs to, or `None` if the sink had another path then.
    fn file_of<T>(&self, part: &Part) -> Option<PathBuf>
    where
        E: Encoder<T>,
    {
        let file = self.part::<T>(number(&part.place.path).filter(|_| self.directory).unwrap_or(0));
        Place::new(file.clone()).is(&part.place).then_some(file)
    }

    /// The parts of a snapshot in order, separated into those of this sink's files, with their current paths, and
    /// others.
    fn known<T>(&self, restored: &Restored) -> Result<Known, Error>
    where
        E: Encoder<T>,
    {
        Ok(self.sorted::<T>(restored.committables.iter().map(Part::read).collect::<Result<_, _>>()?))
    }

    fn sorted<T>(&self, mut parts: Vec<Part>) -> Known
    where
        E: Encoder<T>,
    {
        parts.sort();
        let mut known = Known::default();
        for part in parts {
            match self.file_of::<T>(&part) {
                Some(path) => known.own.push((path, part)),
                None => known.moved.push(part),
            }
        }
        known
    }

    fn header<T>(&self) -> Vec<u8>
    where
        E: Encoder<T>,
    {
        let mut header = Vec::new();
        self.encoder.header(&mut header);
        header
    }
}

/// The parts of a snapshot.
#[derive(Default)]
struct Known {
    own: Vec<(PathBuf, Part)>,
    /// The parts of files at other paths.
    moved: Vec<Part>,
}

impl Known {
    /// The last known part of a file of this sink.
    fn last(&self, path: &Path) -> Option<&Part> {
        self.own.iter().filter(|(own, _)| own == path).map(|(_, part)| part).max_by_key(|part| part.end())
    }

    /// Parts of files at other paths that were uncommitted when the snapshot was taken. What is missing from those
    /// files is carried over into the sink's first file.
    fn carried(&self) -> Vec<&Part> {
        self.moved.iter().filter(|part| part.bytes > 0).collect()
    }
}

/// Whether output at this path is a directory of parts.
#[must_use]
pub fn is_directory(path: &str) -> bool {
    path.ends_with('/') || Path::new(path).is_dir()
}

/// The number of a part file.
fn number(path: &Path) -> Option<usize> {
    path.file_name()?.to_str()?.strip_prefix("part-")?.split('.').next()?.parse().ok()
}

impl<T: 'static, E: Encoder<T>> Sink<T> for FileSink<E> {
    fn kind(&self) -> Kind {
        kinds::FILE
    }

    fn accepts(&self, committables: &[Json]) -> Result<(), Error> {
        let (known, header) = (self.sorted::<T>(committables.iter().map(Part::told).collect::<Result<_, _>>()?), self.header::<T>());
        let mut lengths: BTreeMap<&Path, Option<u64>> = BTreeMap::new();
        for (path, part) in &known.own {
            let length = match lengths.get(path.as_path()) {
                Some(length) => *length,
                None => committed::length(path)?,
            };
            lengths.insert(path, committed::fits(path, part, length, &header)?);
        }
        Ok(())
    }

    fn recover(&self, restored: &Restored) -> Result<(), Error> {
        let (known, header) = (self.known::<T>(restored)?, self.header::<T>());
        known.own.iter().try_for_each(|(path, part)| committed::recover(path, part, &header))?;
        match known.carried() {
            carried if carried.is_empty() => Ok(()),
            carried => committed::carry(&self.part::<T>(0), &carried, &header),
        }
    }

    fn open(&self, context: SinkContext) -> Result<Box<dyn Writer<T>>, Error> {
        let path = self.part::<T>(context.worker);
        let buffer = Buffer::new(self.encoder.clone());
        // A single file belongs to worker 0: all records go there, and it exists even if there are none.
        if !self.directory && context.worker != 0 {
            return Ok(Box::new(FileWriter { path, file: None, others: Vec::new(), buffer }));
        }
        let known = context.restored.as_deref().map(|restored| self.known::<T>(restored)).transpose()?.unwrap_or_default();
        let length = match known.last(&path) {
            Some(part) => Some(part.end()),
            None if context.worker == 0 && !known.carried().is_empty() => committed::length(&path)?,
            None => None,
        };
        let segments = context.transactional.then(|| context.scratch.clone());
        let file = Committed::open(Place::new(path.clone()), length, self.header::<T>(), segments)?;
        let mut others = Vec::new();
        if self.directory {
            for other in self.others::<T>(&path, &context)? {
                match known.last(&other) {
                    Some(part) => others.push(part.committed()),
                    // Left by an earlier run, or by one that continued after the snapshot.
                    None => std::fs::remove_file(&other)
                        .map_err(|e| Error::external(format!("`{}` of an earlier run can't be removed", other.display()), e))?,
                }
            }
        }
        Ok(Box::new(FileWriter { path, file: Some(file), others, buffer }))
    }

    fn single_writer(&self) -> bool {
        !self.directory
    }

    /// Called when the file is open, so it exists. The slow part is syncing segments to disk, which the writer does
    /// not do.
    fn inline(&self) -> bool {
        self.directory || is_regular(&self.path)
    }
}

struct FileWriter<E> {
    path: PathBuf,
    file: Option<Committed>,
    /// Parts written with other numbers of workers. A snapshot must include them.
    others: Vec<Part>,
    buffer: Buffer<E>,
}

impl<T: 'static, E: Encoder<T>> Writer<T> for FileWriter<E> {
    fn write(&mut self, records: &mut Vec<Record<T>>) -> Result<(), Error> {
        let Some(file) = &mut self.file else {
            if records.is_empty() {
                return Ok(());
            }
            return Err(Error::internal(format!("records for `{}` came to a worker that does not write it", self.path.display())));
        };
        self.buffer.take(records, |bytes| file.write(bytes))
    }

    fn flush(&mut self) -> Result<(), Error> {
        match &mut self.file {
            Some(file) => self.buffer.write(|bytes| file.write(bytes)),
            None => Ok(()),
        }
    }

    fn seal(&mut self, _: Epoch) -> Result<Vec<Committable>, Error> {
        <Self as Writer<T>>::flush(self)?;
        match &mut self.file {
            Some(file) => {
                let part = file.seal();
                Ok([part].iter().chain(&self.others).map(Part::write).collect())
            }
            None => Ok(Vec::new()),
        }
    }

    fn committer(&mut self) -> Option<Box<dyn Committer>> {
        self.file.as_ref().and_then(Committed::appender).map(|appender| Box::new(appender) as Box<dyn Committer>)
    }
}
