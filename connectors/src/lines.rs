//! Splits a stream of bytes into lines.
//!
//! A line ends with `\n` or `\r\n`; the last line may have no line ending. A byte order mark at the very start is
//! dropped. Of a line longer than [`LONGEST`] only the start is kept, for an error message, so memory is bounded for
//! any input.

use std::io::{ErrorKind, Read};
use std::ops::Range;

use memchr::memchr;

/// The maximum length of a line: 16 MiB.
pub(crate) const LONGEST: usize = 16 << 20;

/// The size of a read. If many files overlap in time, each holds a buffer of this size.
const BLOCK: usize = 64 << 10;

/// How much of an overlong line is kept.
const START: usize = 1024;

/// A position in the decompressed stream: after the last line returned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Position {
    /// The number of lines returned.
    pub(crate) line: u64,
    /// The number of bytes consumed by them.
    pub(crate) offset: u64,
}

/// One line, without its line ending.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line<'a> {
    Whole(&'a [u8]),
    /// The start of an overlong line.
    TooLong(&'a [u8]),
}

/// The lines of a stream.
pub(crate) struct Lines<R> {
    input: R,
    buffer: Vec<u8>,
    /// The part of the buffer that has been read but not returned.
    ready: Range<usize>,
    ended: bool,
    position: Position,
    longest: usize,
    /// The start of the last overlong line.
    head: Vec<u8>,
}

impl<R: Read> Lines<R> {
    pub(crate) fn new(input: R) -> Self {
        Self::with_longest(input, LONGEST)
    }

    fn with_longest(input: R, longest: usize) -> Self {
        Self { input, buffer: Vec::new(), ready: 0..0, ended: false, position: Position::default(), longest, head: Vec::new() }
    }

    pub(crate) fn input(&self) -> &R {
        &self.input
    }

    pub(crate) fn input_mut(&mut self) -> &mut R {
        &mut self.input
    }

    /// Goes to the first line that begins at or after `offset`, which lies ahead and is not zero. `jump` moves the input to an offset, or to
    /// its end if that comes first, and returns where it is; it also receives the number of bytes that were read in vain.
    pub(crate) fn jump(&mut self, offset: u64, jump: impl FnOnce(&mut R, u64, u64) -> std::io::Result<u64>) -> std::io::Result<()> {
        // If the byte before the offset ends a line, a line begins there.
        let before = offset - 1;
        let unread = self.ready.len() as u64;
        self.ready = 0..0;
        self.position.offset = jump(&mut self.input, before, unread)?;
        self.ended = self.position.offset < before;
        self.finish_line()
    }

    pub(crate) fn position(&self) -> Position {
        self.position
    }

    /// Skips to a position, using up buffered bytes first and calling `skip` for the rest. Returns false if the input
    /// ends before it.
    pub(crate) fn skip_to(&mut self, position: Position, skip: impl FnOnce(&mut R, u64) -> std::io::Result<u64>) -> std::io::Result<bool> {
        let ahead = position.offset.saturating_sub(self.position.offset);
        let ready = u64::try_from(self.ready.len()).unwrap_or(u64::MAX).min(ahead);
        self.ready.start += ready as usize;
        let skipped = if ahead > ready { skip(&mut self.input, ahead - ready)? } else { 0 };
        self.position = position;
        Ok(ready + skipped == ahead)
    }

    /// Skips what has been appended to the last line since it was returned without a line ending.
    pub(crate) fn finish_line(&mut self) -> std::io::Result<()> {
        let line = self.position.line;
        self.next()?;
        self.position.line = line;
        Ok(())
    }

    /// Whether nothing is left.
    pub(crate) fn ended(&self) -> bool {
        self.ended && self.ready.is_empty()
    }

    /// Whether the next line is available without reading.
    pub(crate) fn has_line(&self) -> bool {
        memchr(b'\n', &self.buffer[self.ready.clone()]).is_some()
    }

    /// The next line, or `None` at the end.
    pub(crate) fn next(&mut self) -> std::io::Result<Option<Line<'_>>> {
        let mut searched = 0;
        loop {
            if let Some(at) = memchr(b'\n', &self.buffer[self.ready.start + searched..self.ready.end]) {
                return Ok(Some(self.give(searched + at, 1)));
            }
            searched = self.ready.len();
            if self.ended {
                return Ok((searched > 0).then(|| self.give(searched, 0)));
            }
            if searched > self.longest {
                return self.pass_over().map(Some);
            }
            self.fill()?;
        }
    }

    /// Returns the next `length` bytes as a line, which is followed by a line ending of `end` bytes.
    fn give(&mut self, length: usize, end: usize) -> Line<'_> {
        let start = self.ready.start;
        self.ready.start += length + end;
        let mut line = &self.buffer[start..start + length];
        if self.position.offset == 0 {
            line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
        }
        self.position.line += 1;
        self.position.offset += (length + end) as u64;
        if line.len() > self.longest {
            return Line::TooLong(&line[..START.min(line.len())]);
        }
        Line::Whole(line.strip_suffix(b"\r").unwrap_or(line))
    }

    /// Skips the rest of an overlong line.
    fn pass_over(&mut self) -> std::io::Result<Line<'_>> {
        self.head.clear();
        self.head.extend_from_slice(&self.buffer[self.ready.start..self.ready.start + START.min(self.ready.len())]);
        let mut length = 0;
        loop {
            if let Some(at) = memchr(b'\n', &self.buffer[self.ready.clone()]) {
                self.ready.start += at + 1;
                length += at + 1;
                break;
            }
            length += self.ready.len();
            self.ready = 0..0;
            if self.ended {
                break;
            }
            self.fill()?;
        }
        self.position.line += 1;
        self.position.offset += length as u64;
        Ok(Line::TooLong(&self.head))
    }

    /// Reads more bytes into the buffer, after the unreturned ones.
    fn fill(&mut self) -> std::io::Result<()> {
        if self.ready.start > 0 {
            self.buffer.copy_within(self.ready.clone(), 0);
            self.ready = 0..self.ready.len();
        }
        if self.buffer.len() - self.ready.end < BLOCK / 2 {
            // Double the buffer, so that a long line is not copied again for each block of it.
            let size = (self.ready.end * 2).max(BLOCK);
            self.buffer.resize(size, 0);
        }
        loop {
            match self.input.read(&mut self.buffer[self.ready.end..]) {
                Ok(0) => self.ended = true,
                Ok(n) => self.ready.end += n,
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                Err(e) => return Err(e),
            }
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Returns its bytes a few at a time.
    struct Dribble<'a>(&'a [u8], usize);

    impl Read for Dribble<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let n = self.1.min(self.0.len()).min(buffer.len());
            buffer[..n].copy_from_slice(&self.0[..n]);
            self.0 = &self.0[n..];
            Ok(n)
        }
    }

    fn lines(bytes: &[u8], step: usize, longest: usize) -> Vec<Result<Vec<u8>, Vec<u8>>> {
        let mut lines = Lines::with_longest(Dribble(bytes, step), longest);
        let mut out = Vec::new();
        while let Some(line) = lines.next().unwrap() {
            out.push(match line {
                Line::Whole(line) => Ok(line.to_vec()),
                Line::TooLong(start) => Err(start.to_vec()),
            });
        }
        assert_eq!(lines.position(), Position { line: out.len() as u64, offset: bytes.len() as u64 });
        out
    }

    #[test]
    fn line_ends_of_every_kind() {
        for step in [1, 2, 100] {
            let cut = |text: &str| -> Vec<String> {
                lines(text.as_bytes(), step, 100).into_iter().map(|l| String::from_utf8(l.unwrap()).unwrap()).collect()
            };
            assert_eq!(cut("a\nb\n"), ["a", "b"]);
            assert_eq!(cut("a\r\n\r\nb"), ["a", "", "b"]);
            assert_eq!(cut("\u{feff}a\n\u{feff}b"), ["a", "\u{feff}b"]);
            assert_eq!(cut("a\rb\n\n"), ["a\rb", ""]);
            assert!(cut("").is_empty());
        }
    }

    #[test]
    fn a_line_that_is_too_long_is_passed_over() {
        let long = "x".repeat(700_000);
        let text = format!("a\n{long}\nb\n{long}");
        for step in [1000, BLOCK] {
            let lines = lines(text.as_bytes(), step, 300_000);
            assert_eq!(lines, [Ok(b"a".to_vec()), Err(vec![b'x'; START]), Ok(b"b".to_vec()), Err(vec![b'x'; START])]);
        }
    }

    proptest! {
        #[test]
        fn lines_are_those_of_the_text_however_it_arrives(text in "[ab\n]{0,60}", step in 1..9usize) {
            let expected: Vec<_> = text.lines().map(|l| Ok(l.as_bytes().to_vec())).collect();
            prop_assert_eq!(lines(text.as_bytes(), step, 100), expected);
        }
    }
}
