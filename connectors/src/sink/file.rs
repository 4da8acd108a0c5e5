//! Files of encoded lines: one, written by one worker, or a directory with one of each worker.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value as Json;
use tidegate_runtime::sink::{Sink, SinkContext, Writer};
use tidegate_runtime::{Epoch, Error, Record};

use super::buffer::Buffer;
use super::committed::{Committed, Part};
use crate::format::Encoder;

/// Writes a file, anew in every run that does not go on from a snapshot. Directories on the way to it are made.
///
/// A path that ends in `/`, or that is a directory, is written in parallel: `part-0.jsonl`, `part-1.jsonl` and so on, one for each worker;
/// parts that a run with more workers has left are removed.
///
/// If checkpoints are taken, readers see what is part of a complete one, exactly once, whatever is killed when (see `committed.rs`).
#[derive(Clone, Debug)]
pub struct FileSink<E> {
    path: PathBuf,
    directory: bool,
    encoder: E,
    /// What the files held in the snapshot that the run goes on from.
    restored: Arc<Mutex<Option<Vec<Part>>>>,
}

impl<E> FileSink<E> {
    /// A sink at this path.
    pub fn new(path: impl Into<String>, encoder: E) -> Self {
        let path = path.into();
        let directory = path.ends_with('/') || Path::new(&path).is_dir();
        Self { path: path.into(), directory, encoder, restored: Arc::default() }
    }

    /// The worker that looks after a file: that which writes it, or would if there were as many workers as there were.
    fn owner(&self, path: &Path, workers: usize) -> usize {
        let number = || path.file_name()?.to_str()?.strip_prefix("part-")?.split('.').next()?.parse::<usize>().ok();
        number().filter(|_| self.directory).map_or(0, |number| number % workers.max(1))
    }

    fn part<T>(&self, worker: usize) -> PathBuf
    where
        E: Encoder<T>,
    {
        if self.directory { self.path.join(format!("part-{worker}.{}", self.encoder.extension())) } else { self.path.clone() }
    }
}

impl<T: 'static, E: Encoder<T>> Sink<T> for FileSink<E> {
    fn recover(&self, committables: &[Json], context: SinkContext) -> Result<(), Error> {
        let mut parts = committables.iter().map(Part::read).collect::<Result<Vec<_>, _>>()?;
        parts.sort();
        let mine: Vec<Part> = parts.iter().filter(|part| self.owner(&part.path, context.workers) == context.worker).cloned().collect();
        super::committed::recover(&mine)?;
        *self.restored.lock().unwrap_or_else(PoisonError::into_inner) = Some(parts);
        Ok(())
    }

    fn open(&self, context: SinkContext) -> Result<Box<dyn Writer<T>>, Error> {
        let path = self.part::<T>(context.worker);
        let buffer = Buffer::new(self.encoder.clone());
        // A single file belongs to worker 0: all records go there, and it is there even if none comes.
        if !self.directory && context.worker != 0 {
            return Ok(Box::new(FileWriter { path, file: None, buffer }));
        }
        let restored = self.restored.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let length = restored.iter().flatten().filter(|part| part.path == path).map(Part::end).max();
        let mut header = Vec::new();
        self.encoder.header(&mut header);
        let file = Committed::open(&path, length, &header, context.transactional)?;
        if self.directory && restored.is_none() {
            // Each worker removes those of its residue, so that none removes what another has just made.
            let old = (1..).map(|n| self.part::<T>(context.worker + n * context.workers.max(1)));
            for path in old.take_while(|path| path.exists()) {
                std::fs::remove_file(&path)
                    .map_err(|e| Error::external(format!("`{}` of an earlier run can't be removed", path.display()), e))?;
            }
        }
        Ok(Box::new(FileWriter { path, file: Some(file), buffer }))
    }

    fn single_writer(&self) -> bool {
        !self.directory
    }
}

struct FileWriter<E> {
    path: PathBuf,
    file: Option<Committed>,
    buffer: Buffer<E>,
}

impl<E> FileWriter<E> {
    fn failed(path: &Path) -> impl Fn(std::io::Error) -> Error + '_ {
        |error| Error::external(format!("`{}` can't be written", path.display()), error)
    }
}

impl<T: 'static, E: Encoder<T>> Writer<T> for FileWriter<E> {
    fn write(&mut self, records: &mut Vec<Record<T>>) -> Result<(), Error> {
        let Some(file) = &mut self.file else {
            if records.is_empty() {
                return Ok(());
            }
            return Err(Error::internal(format!("records for `{}` came to a worker that does not write it", self.path.display())));
        };
        self.buffer.take(records, |bytes| file.write(bytes)).map_err(Self::failed(&self.path))
    }

    fn flush(&mut self) -> Result<(), Error> {
        let Some(file) = &mut self.file else { return Ok(()) };
        self.buffer.write(|bytes| file.write(bytes)).map_err(Self::failed(&self.path))
    }

    fn seal(&mut self, epoch: Epoch) -> Result<Vec<Json>, Error> {
        <Self as Writer<T>>::flush(self)?;
        match &mut self.file {
            Some(file) => file.seal(epoch).map(|part| vec![part.write()]).map_err(Self::failed(&self.path)),
            None => Ok(Vec::new()),
        }
    }

    fn commit(&mut self, epoch: Epoch) -> Result<(), Error> {
        match &mut self.file {
            Some(file) => file.commit(epoch).map_err(Self::failed(&self.path)),
            None => Ok(()),
        }
    }
}
