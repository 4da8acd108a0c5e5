//! Walks over the JSON of a line, eight bytes at a time where it can.
//!
//! Built for the lines that machines write: short objects of numbers, words and times. On such lines `serde_json` takes more than twice as
//! long, and so does sonic-rs, a parser with SIMD. What is rare, such as an escape in a text that is wanted, is left to `serde_json`: the
//! walk only finds its end.

use crate::format::number::{Number, ONES, digits, eight};

/// How deep arrays and objects may nest. `serde_json` refuses more than 127 levels, so deeper ones are left to it.
const DEPTH: u32 = 100;

const HIGH: u64 = 0x8080_8080_8080_8080;

/// A position in a line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'l> {
    line: &'l str,
    at: usize,
}

impl<'l> Cursor<'l> {
    /// At the start of a line.
    pub(super) fn new(line: &'l str) -> Self {
        Self { line, at: 0 }
    }

    /// The byte under the cursor.
    #[inline(always)]
    pub(super) fn peek(&self) -> Option<u8> {
        self.line.as_bytes().get(self.at).copied()
    }

    /// Passes over white space and returns the byte after it.
    #[inline(always)]
    pub(super) fn next_token(&mut self) -> Option<u8> {
        loop {
            match self.peek()? {
                b' ' | b'\t' | b'\n' | b'\r' => self.at += 1,
                byte => return Some(byte),
            }
        }
    }

    /// Passes over one byte.
    #[inline(always)]
    pub(super) fn step(&mut self) {
        self.at += 1;
    }

    /// Passes over `text` if it comes next.
    #[inline(always)]
    pub(super) fn passes(&mut self, text: &str) -> bool {
        let next = self.line.as_bytes().get(self.at..self.at + text.len());
        let passes = next == Some(text.as_bytes());
        if passes {
            self.at += text.len();
        }
        passes
    }

    /// The text between `from` and this position.
    pub(super) fn since(&self, from: Self) -> Option<&'l str> {
        self.line.get(from.at..self.at)
    }

    /// Moves to the next quote, backslash or control character, and returns it.
    #[inline(always)]
    fn find_special(&mut self) -> Option<u8> {
        while let Some(word) = eight(self.line.as_bytes(), self.at) {
            let (quote, backslash) = (word ^ (ONES * b'"' as u64), word ^ (ONES * b'\\' as u64));
            // The lowest flag that is set is right. Higher ones may be set by a borrow.
            let found =
                (quote.wrapping_sub(ONES) & !quote | backslash.wrapping_sub(ONES) & !backslash | word.wrapping_sub(ONES * 0x20) & !word)
                    & HIGH;
            if found != 0 {
                self.at += (found.trailing_zeros() / 8) as usize;
                return self.peek();
            }
            self.at += 8;
        }
        loop {
            match self.peek()? {
                byte if byte == b'"' || byte == b'\\' || byte < b' ' => return Some(byte),
                _ => self.at += 1,
            }
        }
    }

    /// A text, with the cursor at its opening quote. `None` if it has escapes, or is no text.
    #[inline(always)]
    pub(super) fn text(&mut self) -> Option<&'l str> {
        let start = self.at + 1;
        self.at = start;
        if self.find_special()? != b'"' {
            return None;
        }
        self.at += 1;
        self.line.get(start..self.at - 1)
    }

    /// A number, as for [`Number::at`].
    #[inline(always)]
    pub(super) fn number(&mut self) -> Option<Number> {
        Number::at(self.line.as_bytes(), &mut self.at)
    }

    /// Passes over a value of any kind. `None` if it is invalid, or nests too deep.
    pub(super) fn skip(&mut self) -> Option<()> {
        self.skip_within(0)
    }

    fn skip_within(&mut self, depth: u32) -> Option<()> {
        match self.next_token()? {
            b'"' => self.skip_text(),
            b'{' if depth < DEPTH => self.skip_entries(depth, b'}'),
            b'[' if depth < DEPTH => self.skip_entries(depth, b']'),
            b't' => self.passes("true").then_some(()),
            b'f' => self.passes("false").then_some(()),
            b'n' => self.passes("null").then_some(()),
            b'-' | b'0'..=b'9' => self.skip_number(),
            _ => None,
        }
    }

    fn skip_entries(&mut self, depth: u32, end: u8) -> Option<()> {
        self.at += 1;
        if self.next_token()? == end {
            self.at += 1;
            return Some(());
        }
        loop {
            if end == b'}' {
                if self.next_token()? != b'"' {
                    return None;
                }
                self.skip_text()?;
                if self.next_token()? != b':' {
                    return None;
                }
                self.at += 1;
            }
            self.skip_within(depth + 1)?;
            let next = self.next_token()?;
            self.at += 1;
            match next {
                b',' => {}
                byte if byte == end => return Some(()),
                _ => return None,
            }
        }
    }

    #[inline(always)]
    fn skip_text(&mut self) -> Option<()> {
        self.at += 1;
        loop {
            let special = self.find_special()?;
            self.at += 1;
            match special {
                b'"' => return Some(()),
                b'\\' => {
                    let escape = self.peek()?;
                    self.at += 1;
                    match escape {
                        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => {}
                        b'u' => {
                            let hex = self.line.as_bytes().get(self.at..self.at + 4)?;
                            if !hex.iter().all(u8::is_ascii_hexdigit) {
                                return None;
                            }
                            self.at += 4;
                        }
                        _ => return None,
                    }
                }
                _ => return None,
            }
        }
    }

    fn skip_number(&mut self) -> Option<()> {
        let digits = |cursor: &mut Self| {
            let start = cursor.at;
            digits(cursor.line.as_bytes(), &mut cursor.at, &mut 0);
            (cursor.at > start).then_some(())
        };
        self.at += usize::from(self.peek()? == b'-');
        if self.peek()? == b'0' {
            self.at += 1
        } else {
            digits(self)?
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            digits(self)?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            self.at += usize::from(matches!(self.peek(), Some(b'+' | b'-')));
            digits(self)?;
        }
        // A digit after a zero is an error, which shows at the next token.
        Some(())
    }

    /// Whether only white space is left.
    #[inline(always)]
    pub(super) fn is_at_end(&mut self) -> bool {
        self.next_token().is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whatever is skipped is one value of JSON.
        #[test]
        fn what_is_skipped_is_json(text in "[\\[\\]{}\",:0-9a-e.+\\- \\\\ntruelsf]{0,24}") {
            let mut cursor = Cursor::new(&text);
            let skipped = cursor.skip().is_some() && cursor.is_at_end();
            let read = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
            prop_assert_eq!(skipped, read, "{}", text);
        }

        #[test]
        fn the_end_of_a_text_is_found_wherever_it_lies(text in "[a-zéß☃ ]{0,40}", after in "[a\"\\\\]{0,12}") {
            let quoted = format!("\"{text}\"{after}");
            prop_assert_eq!(Cursor::new(&quoted).text(), Some(text.as_str()));
        }
    }
}
