//! Buffers encoded lines and writes whole lines at a time.

use tidegate_runtime::Record;

use tidegate_rows::format::Encoder;

/// How many bytes to collect before writing.
const FULL: usize = 128 << 10;

pub(super) struct Buffer<E> {
    encoder: E,
    bytes: Vec<u8>,
}

impl<E> Buffer<E> {
    pub(super) fn new(encoder: E) -> Self {
        Self { encoder, bytes: Vec::new() }
    }

    /// Encodes the records, and calls `out` whenever enough has been collected.
    pub(super) fn take<T, F>(&mut self, records: &mut Vec<Record<T>>, mut out: impl FnMut(&[u8]) -> Result<(), F>) -> Result<(), F>
    where
        E: Encoder<T>,
    {
        for record in records.drain(..) {
            self.encoder.encode(&record.value, &mut self.bytes);
            if self.bytes.len() >= FULL {
                self.write(&mut out)?;
            }
        }
        Ok(())
    }

    /// Passes the buffered bytes to `out`.
    pub(super) fn write<F>(&mut self, out: impl FnOnce(&[u8]) -> Result<(), F>) -> Result<(), F> {
        if self.bytes.is_empty() {
            return Ok(());
        }
        let result = out(&self.bytes);
        // Clear even after an error: part of it may have been written, and the job is over.
        self.bytes.clear();
        result
    }
}
