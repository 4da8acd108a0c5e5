//! Encoded lines on their way out, whole lines at a time.

use tidegate_runtime::Record;

use tidegate_rows::format::Encoder;

/// How much is gathered before it is written.
const FULL: usize = 128 << 10;

pub(super) struct Buffer<E> {
    encoder: E,
    bytes: Vec<u8>,
}

impl<E> Buffer<E> {
    pub(super) fn new(encoder: E) -> Self {
        Self { encoder, bytes: Vec::new() }
    }

    /// Takes the records over, and writes by `out` whenever there is enough.
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

    /// Writes what there is by `out`.
    pub(super) fn write<F>(&mut self, out: impl FnOnce(&[u8]) -> Result<(), F>) -> Result<(), F> {
        if self.bytes.is_empty() {
            return Ok(());
        }
        let result = out(&self.bytes);
        // Also after an error: part of it may have been written, and the job is over.
        self.bytes.clear();
        result
    }
}
