//! Counts the bytes of an input that can't tell its position.

use std::io::{self, Read};

use crate::split::Origin;

/// An input and the number of bytes read from it.
pub(crate) struct Counted<R> {
    input: R,
    count: u64,
}

impl<R> Counted<R> {
    pub(crate) fn new(input: R) -> Self {
        Self { input, count: 0 }
    }
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.input.read(buffer)?;
        self.count += n as u64;
        Ok(n)
    }
}

impl<R: Read> Origin for Counted<R> {
    fn stored(&self) -> u64 {
        self.count
    }
}
