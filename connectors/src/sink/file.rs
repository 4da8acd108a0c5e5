//! Files of encoded lines: one, written by one worker, or a directory with one of each worker.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tidegate_runtime::Error;
use tidegate_runtime::Record;
use tidegate_runtime::sink::{Sink, SinkContext, Writer};

use super::buffer::Buffer;
use crate::format::Encoder;

/// Writes a file, anew in every run. Directories on the way to it are made.
///
/// A path that ends in `/`, or that is a directory, is written in parallel: `part-0.jsonl`, `part-1.jsonl` and so on, one for each worker;
/// parts that a run with more workers has left are removed.
#[derive(Clone, Debug)]
pub struct FileSink<E> {
    path: PathBuf,
    directory: bool,
    encoder: E,
}

impl<E> FileSink<E> {
    /// A sink at this path.
    pub fn new(path: impl Into<String>, encoder: E) -> Self {
        let path = path.into();
        let directory = path.ends_with('/') || Path::new(&path).is_dir();
        Self { path: path.into(), directory, encoder }
    }
}

impl<T: 'static, E: Encoder<T>> Sink<T> for FileSink<E> {
    fn open(&self, context: SinkContext) -> Result<Box<dyn Writer<T>>, Error> {
        let mut buffer = Buffer::new(self.encoder.clone());
        let part = |worker: usize| self.path.join(format!("part-{worker}.{}", self.encoder.extension()));
        let path = if self.directory { part(context.worker) } else { self.path.clone() };
        // A single file belongs to worker 0: all records go there, and it is there even if none comes.
        let file = if self.directory || context.worker == 0 {
            let file = create(&path).map_err(|e| Error::external(format!("`{}` can't be written", path.display()), e))?;
            buffer.header();
            Some(file)
        } else {
            None
        };
        if self.directory {
            // Each worker removes those of its residue, so that none removes what another has just made.
            let old = (1..).map(|n| part(context.worker + n * context.workers.max(1)));
            for path in old.take_while(|path| path.exists()) {
                fs::remove_file(&path)
                    .map_err(|e| Error::external(format!("`{}` of an earlier run can't be removed", path.display()), e))?;
            }
        }
        Ok(Box::new(FileWriter { path, file, buffer }))
    }

    fn single_writer(&self) -> bool {
        !self.directory
    }
}

fn create(path: &Path) -> io::Result<File> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    File::create(path)
}

struct FileWriter<E> {
    path: PathBuf,
    file: Option<File>,
    buffer: Buffer<E>,
}

impl<E> FileWriter<E> {
    fn failed(&self, error: io::Error) -> Error {
        Error::external(format!("`{}` can't be written", self.path.display()), error)
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
        let result = self.buffer.take(records, |bytes| file.write_all(bytes));
        result.map_err(|e| self.failed(e))
    }

    fn flush(&mut self) -> Result<(), Error> {
        let Some(file) = &mut self.file else { return Ok(()) };
        let result = self.buffer.write(|bytes| file.write_all(bytes));
        result.map_err(|e| self.failed(e))
    }
}
