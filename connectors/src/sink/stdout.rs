//! Standard output: whole lines, from any worker.

use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use tidegate_runtime::Error;
use tidegate_runtime::Kind;
use tidegate_runtime::Record;
use tidegate_runtime::sink::{Sink, SinkContext, Writer};

use super::buffer::Buffer;
use super::is_regular;
use crate::kinds;
use tidegate_rows::format::Encoder;

/// Writes lines to standard output. Each worker writes under a lock, so lines never mix. The header is written once,
/// first.
#[derive(Clone)]
pub struct StdoutSink<E> {
    encoder: E,
    output: Arc<Mutex<Output>>,
}

struct Output {
    /// Replaces standard output.
    given: Option<Box<dyn Write + Send>>,
    header: bool,
}

impl<E> StdoutSink<E> {
    /// A sink that writes lines with this encoder.
    pub fn new(encoder: E) -> Self {
        Self { encoder, output: Arc::new(Mutex::new(Output { given: None, header: false })) }
    }

    /// Writes to `output` instead of standard output.
    pub fn writing(encoder: E, output: impl Write + Send + 'static) -> Self {
        Self { encoder, output: Arc::new(Mutex::new(Output { given: Some(Box::new(output)), header: false })) }
    }
}

impl<T: 'static, E: Encoder<T>> Sink<T> for StdoutSink<E> {
    fn kind(&self) -> Kind {
        kinds::STDOUT
    }

    fn open(&self, _: SinkContext) -> Result<Box<dyn Writer<T>>, Error> {
        let mut header = Vec::new();
        self.encoder.header(&mut header);
        Ok(Box::new(StdoutWriter { buffer: Buffer::new(self.encoder.clone()), header, output: Arc::clone(&self.output) }))
    }

    fn inline(&self) -> bool {
        let given = self.output.lock().unwrap_or_else(PoisonError::into_inner).given.is_some();
        !given && is_regular(Path::new("/dev/stdout"))
    }
}

struct StdoutWriter<E> {
    buffer: Buffer<E>,
    header: Vec<u8>,
    output: Arc<Mutex<Output>>,
}

impl Output {
    fn write(&mut self, header: &[u8], bytes: &[u8]) -> io::Result<()> {
        let header = if std::mem::replace(&mut self.header, true) { &[] } else { header };
        match &mut self.given {
            Some(output) => write_all(output, header, bytes),
            None => write_all(&mut io::stdout().lock(), header, bytes),
        }
    }
}

fn write_all(output: &mut impl Write, header: &[u8], bytes: &[u8]) -> io::Result<()> {
    output.write_all(header)?;
    output.write_all(bytes)?;
    output.flush()
}

fn failed(error: io::Error) -> Error {
    Error::external("standard output can't be written", error)
}

impl<T: 'static, E: Encoder<T>> Writer<T> for StdoutWriter<E> {
    fn write(&mut self, records: &mut Vec<Record<T>>) -> Result<(), Error> {
        let Self { buffer, header, output } = self;
        let write = |bytes: &[u8]| output.lock().unwrap_or_else(PoisonError::into_inner).write(header, bytes);
        buffer.take(records, write).map_err(failed)
    }

    fn flush(&mut self) -> Result<(), Error> {
        let Self { buffer, header, output } = self;
        let write = |bytes: &[u8]| output.lock().unwrap_or_else(PoisonError::into_inner).write(header, bytes);
        buffer.write(write).map_err(failed)
    }
}
