//! Formats: how the bytes of a line are decoded, and how records are encoded.
//!
//! A [`Format`] is a description from which each file or stream gets its own [`Decoder`], which may keep buffers and
//! caches. A decoder sees one line at a time, without its line ending, and must not rely on anything else. An
//! [`Encoder`] appends whole lines to a buffer.
//!
//! Avro has no lines: see [`avro`].
//!
//! Row formats share a [`Layout`]: the fields, their conversions, and which one holds the event time.

mod any;
pub mod avro;
mod base64;
mod conversion;
pub mod csv;
mod digits;
pub mod duration;
pub mod json;
mod layout;
mod number;
mod print;
mod regex;
mod rfc3339;
mod table;
mod text;
mod text_time;
mod typed;

use crate::Value;

pub use self::regex::{RegexDecoder, RegexFormat};
pub use any::{AnyDecoder, AnyEncoder, AnyFormat};
pub use avro::{AvroSchema, RecordReader, RecordWriter};
pub use conversion::{Conversion, TimeUnit};
pub use csv::{CsvEncoder, CsvFormat};
pub use digits::Digits;
pub use json::{JsonEncoder, JsonFormat};
pub use layout::{EventTime, Layout};
pub use print::Timestamps;
pub use rfc3339::{instant, instant_with_offset};
pub use table::TableEncoder;
pub use text::{TextDecoder, TextEncoder, TextFormat, TextPart, template};
pub use text_time::TextTime;
pub use typed::{JsonLines, JsonLinesDecoder, JsonLinesEncoder};

/// The description of a format, which makes a decoder for every input.
pub trait Format: Send + Sync + 'static {
    /// The decoded value of a line.
    type Item: Send + 'static;
    /// The decoder of one input.
    type Decoder: Decoder<Item = Self::Item> + 'static;

    /// Makes a decoder for a new input.
    fn decoder(&self) -> Self::Decoder;

    /// Whether records carry an event time. Files of such records are merged by it.
    fn timed(&self) -> bool;
}

/// Decodes the lines of one input, in order.
pub trait Decoder: Send {
    /// The decoded value of a line.
    type Item;

    /// Offers the decoder the first line of its input. Returns true if it consumed the line as a header.
    ///
    /// # Errors
    /// The input can't be read in this format.
    fn header(&mut self, _line: &[u8]) -> Result<bool, String> {
        Ok(false)
    }

    /// Decodes a line, given without its line ending.
    ///
    /// # Errors
    /// Describes what is wrong with the line: the field, its value and the expected type.
    fn decode(&mut self, line: &[u8]) -> Result<Decoded<Self::Item>, String>;
}

/// A decoded line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decoded<T> {
    /// A record.
    Record {
        /// Its event time in milliseconds since 1970, if the format provides one.
        time: Option<i64>,
        /// The record itself.
        value: T,
    },
    /// A watermark: event time has advanced to this many milliseconds since 1970. `i64::MAX` is the end of time.
    Watermark(i64),
    /// Nothing: a blank line.
    Nothing,
}

/// Encodes values of `T` as one or more lines each. It appends to a reused buffer, so that no value costs an
/// allocation.
pub trait Encoder<T>: Clone + Send + Sync + 'static {
    /// Appends what precedes the first value of a file.
    fn header(&self, _out: &mut Vec<u8>) {}

    /// Appends `value`, including its line ending.
    fn encode(&self, value: &T, out: &mut Vec<u8>);

    /// The file name extension of such files.
    fn extension(&self) -> &'static str;
}

/// Whether the line contains only white space.
fn is_blank(line: &[u8]) -> bool {
    line.iter().all(u8::is_ascii_whitespace)
}

/// Appends a value as plain text, with ISO times.
pub fn plain(value: &Value, out: &mut Vec<u8>) {
    print::plain(value, Timestamps::Iso, out);
}

/// Appends a value as plain text. Null is `null`.
pub fn plain_as(value: &Value, timestamps: Timestamps, out: &mut Vec<u8>) {
    match value {
        Value::Null | Value::Absent => out.extend_from_slice(b"null"),
        value => print::plain(value, timestamps, out),
    }
}

/// The first `max` characters of `text`, followed by an ellipsis if anything was cut off. For messages.
#[must_use]
pub fn cut(text: &str, max: usize) -> std::borrow::Cow<'_, str> {
    match text.char_indices().nth(max) {
        Some((end, _)) => format!("{}...", &text[..end]).into(),
        None => text.into(),
    }
}
