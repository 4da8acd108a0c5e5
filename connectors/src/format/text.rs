//! Plain text: a line is a row of one field, `line`, and a row is a line.

use compact_str::CompactString;
use tidegate_runtime::record::Record;

use super::print::{self, Timestamps};
use super::{Decoded, Decoder, Encoder, Format};
use crate::row::{Row, Schema, Type, Value};

/// Lines as they are. A blank line is a record like any other.
#[derive(Clone, Copy, Debug, Default)]
pub struct TextFormat;

impl TextFormat {
    /// The schema of the rows: a string called `line`.
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
        Ok(Decoded::Record(Record::new(Record::UNTIMED, row)))
    }
}

/// Writes the values of a row, with a space between. Null is `null`; timestamps are ISO text unless said otherwise.
#[derive(Clone, Copy, Debug)]
pub struct TextEncoder {
    only: Option<usize>,
    timestamps: Timestamps,
}

impl Default for TextEncoder {
    fn default() -> Self {
        Self { only: None, timestamps: Timestamps::Iso }
    }
}

impl TextEncoder {
    /// An encoder of all fields.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes only the field in this slot.
    #[must_use]
    pub fn only(self, slot: usize) -> Self {
        Self { only: Some(slot), ..self }
    }

    /// Writes timestamps in this form.
    #[must_use]
    pub fn with_timestamps(self, timestamps: Timestamps) -> Self {
        Self { timestamps, ..self }
    }

    fn value(&self, value: &Value, out: &mut Vec<u8>) {
        match value {
            Value::Null => out.extend_from_slice(b"null"),
            value => print::plain(value, self.timestamps, out),
        }
    }
}

impl Encoder<Row> for TextEncoder {
    fn encode(&self, row: &Row, out: &mut Vec<u8>) {
        if let Some(slot) = self.only {
            self.value(row.get(slot), out);
        } else {
            for (i, value) in row.0.iter().enumerate() {
                if i > 0 {
                    out.push(b' ');
                }
                self.value(value, out);
            }
        }
        out.push(b'\n');
    }

    fn extension(&self) -> &'static str {
        "txt"
    }
}
