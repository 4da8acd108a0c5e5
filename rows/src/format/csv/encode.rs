//! Rows as CSV.

use std::sync::Arc;

use crate::format::Encoder;
use crate::format::print::{self, Timestamps};
use crate::{Row, Schema, Value};

/// Writes a row as a line of cells, quoted where necessary.
///
/// Null and the empty text are empty cells, written as `""` if the row has no other column. Lists and maps are JSON,
/// byte strings are copied unchanged, and durations are text such as `1.5s`.
#[derive(Clone, Debug)]
pub struct CsvEncoder {
    /// The columns, each with its slot.
    columns: Arc<[(usize, String)]>,
    header: bool,
    delimiter: u8,
    timestamps: Timestamps,
}

impl CsvEncoder {
    /// An encoder for rows of this schema, with a header line and commas.
    #[must_use]
    pub fn new(schema: &Schema, timestamps: Timestamps) -> Self {
        Self {
            columns: schema.fields().map(|(slot, field)| (slot, field.name.clone())).collect(),
            header: true,
            delimiter: b',',
            timestamps,
        }
    }

    /// Whether each file starts with the column names.
    #[must_use]
    pub fn with_header(self, header: bool) -> Self {
        Self { header, ..self }
    }

    /// Sets the cell separator.
    #[must_use]
    pub fn with_delimiter(self, delimiter: u8) -> Self {
        Self { delimiter, ..self }
    }

    /// Quotes what was appended since `start`, if necessary.
    fn quote(&self, start: usize, out: &mut Vec<u8>) {
        let cell = &out[start..];
        if !cell.iter().any(|&b| b == self.delimiter || matches!(b, b'"' | b'\n' | b'\r')) {
            return;
        }
        let quotes = memchr::memchr_iter(b'"', cell).count();
        let mut from = out.len();
        out.resize(from + quotes + 2, b'"');
        // Work from back to front, because each byte moves to the same or a later position.
        let mut to = out.len() - 1;
        while from > start {
            from -= 1;
            to -= 1;
            let b = out[from];
            out[to] = b;
            if b == b'"' {
                to -= 1;
                out[to] = b;
            }
        }
        out[start] = b'"';
        let last = out.len() - 1;
        out[last] = b'"';
    }

    fn line<'a>(&self, values: impl Iterator<Item = &'a Value>, out: &mut Vec<u8>) {
        let line = out.len();
        for (i, value) in values.enumerate() {
            if i > 0 {
                out.push(self.delimiter);
            }
            let start = out.len();
            print::plain(value, self.timestamps, out);
            self.quote(start, out);
        }
        // A reader would skip a blank line.
        if out.len() == line {
            out.extend(b"\"\"");
        }
        out.push(b'\n');
    }
}

impl Encoder<Row> for CsvEncoder {
    fn header(&self, out: &mut Vec<u8>) {
        if self.header {
            let names: Vec<Value> = self.columns.iter().map(|(_, name)| Value::string(name)).collect();
            self.line(names.iter(), out);
        }
    }

    fn encode(&self, row: &Row, out: &mut Vec<u8>) {
        self.line(self.columns.iter().map(|(slot, _)| row.get(*slot)), out);
    }

    fn extension(&self) -> &'static str {
        "csv"
    }
}
