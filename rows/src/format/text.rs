//! Plain text: each line is a row with the single field `line`, and each row is a line.

use std::ops::Range;
use std::sync::Arc;

use compact_str::CompactString;

use super::print::{self, Timestamps};
use super::{Decoded, Decoder, Encoder, Format};
use crate::{Row, Schema, Type, Value};

/// Lines, unchanged. A blank line is a record like any other.
#[derive(Clone, Copy, Debug, Default)]
pub struct TextFormat;

impl TextFormat {
    /// The schema of the rows: one string field, `line`.
    #[must_use]
    pub fn schema() -> Schema {
        Schema::new([("line", Type::String)])
    }
}

impl Format for TextFormat {
    type Item = Row;
    type Decoder = TextDecoder;

    fn decoder(&self) -> TextDecoder {
        TextDecoder
    }

    fn timed(&self) -> bool {
        false
    }
}

/// Decodes lines of text into rows.
#[derive(Debug)]
pub struct TextDecoder;

impl Decoder for TextDecoder {
    type Item = Row;

    fn decode(&mut self, line: &[u8]) -> Result<Decoded<Row>, String> {
        let text = std::str::from_utf8(line).map_err(|_| "the line is not UTF-8 text".to_owned())?;
        let row = Row(Box::new([Value::String(CompactString::new(text))]));
        Ok(Decoded::Record { time: None, value: row })
    }
}

/// A piece of a line of text. A field is the number of its slot, or what it is called as long as no schema says where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TextPart<F = usize> {
    /// As it stands.
    Literal(Box<str>),
    /// The value of this field.
    Field(F),
}

/// Splits a text with fields in it: `{name}` is a field, given as its place in the text, and `{{` and `}}` are braces.
///
/// # Errors
/// The place of a single brace.
pub fn template(text: &str) -> Result<Vec<TextPart<Range<usize>>>, usize> {
    let (mut parts, mut literal) = (Vec::new(), String::new());
    let mut rest = text;
    while let Some(brace) = rest.find(['{', '}']) {
        let at = text.len() - rest.len() + brace;
        let (before, from) = rest.split_at(brace);
        literal.push_str(before);
        if let Some(after) = from.strip_prefix("{{").or_else(|| from.strip_prefix("}}")) {
            literal.push_str(&from[..1]);
            rest = after;
            continue;
        }
        let (field, after) = from.strip_prefix('{').and_then(|inner| inner.split_once('}')).ok_or(at)?;
        if !literal.is_empty() {
            parts.push(TextPart::Literal(std::mem::take(&mut literal).into()));
        }
        parts.push(TextPart::Field(at + 1..at + 1 + field.len()));
        rest = after;
    }
    literal.push_str(rest);
    if !literal.is_empty() {
        parts.push(TextPart::Literal(literal.into()));
    }
    Ok(parts)
}

/// Writes a row as a line composed of parts. Null is `null`.
#[derive(Clone, Debug)]
pub struct TextEncoder {
    parts: Arc<[TextPart]>,
    timestamps: Timestamps,
}

impl TextEncoder {
    /// An encoder that composes lines of these parts.
    #[must_use]
    pub fn new(parts: Vec<TextPart>, timestamps: Timestamps) -> Self {
        Self { parts: parts.into(), timestamps }
    }
}

impl Encoder<Row> for TextEncoder {
    fn encode(&self, row: &Row, out: &mut Vec<u8>) {
        for part in &*self.parts {
            match part {
                TextPart::Literal(text) => out.extend_from_slice(text.as_bytes()),
                TextPart::Field(slot) => match row.get(*slot) {
                    Value::Null => out.extend_from_slice(b"null"),
                    value => print::plain(value, self.timestamps, out),
                },
            }
        }
        out.push(b'\n');
    }

    fn extension(&self) -> &'static str {
        "txt"
    }
}
