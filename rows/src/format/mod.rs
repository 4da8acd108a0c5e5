//! Formats: what the bytes of a line mean, and how a record becomes bytes again.
//!
//! A [`Format`] is the description; each file or stream gets a [`Decoder`] of its own from it, which may keep buffers and caches. A decoder
//! sees one line at a time, without its end, and relies on nothing else. An [`Encoder`] appends whole lines to a buffer it is given.
//!
//! Avro has no lines: see [`avro`].
//!
//! Row formats share a [`Layout`]: the fields, how each is converted, and which one is the event time.

mod any;
pub mod avro;
mod base64;
mod conversion;
pub mod csv;
pub mod duration;
pub mod json;
mod layout;
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
pub use json::{JsonEncoder, JsonFormat};
pub use layout::{EventTime, Layout};
pub use print::Timestamps;
pub use rfc3339::{instant, instant_with_offset};
pub use table::TableEncoder;
pub use text::{TextDecoder, TextEncoder, TextFormat, TextPart};
pub use text_time::TextTime;
pub use typed::{JsonLines, JsonLinesDecoder, JsonLinesEncoder};

/// The description of a format; makes a decoder for every input.
pub trait Format: Send + Sync + 'static {
    /// What a line becomes.
    type Item: Send + 'static;
    /// The decoder of one input.
    type Decoder: Decoder<Item = Self::Item> + 'static;

    /// A decoder for a new input.
    fn decoder(&self) -> Self::Decoder;

    /// Do the records carry an event time? Files of such records are merged by it.
    fn timed(&self) -> bool;
}

/// Decodes the lines of one input, in order.
pub trait Decoder: Send {
    /// What a line becomes.
    type Item;

    /// Is offered the first line of its input. True if it took it, as a header.
    ///
    /// # Errors
    /// The input can't be read in this format at all.
    fn header(&mut self, _line: &[u8]) -> Result<bool, String> {
        Ok(false)
    }

    /// Decodes a line, which comes without its end.
    ///
    /// # Errors
    /// What is wrong with the line: a sentence with the field, its value and the type expected.
    fn decode(&mut self, line: &[u8]) -> Result<Decoded<Self::Item>, String>;
}

/// What a line was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decoded<T> {
    /// A record.
    Record {
        /// Its event time in milliseconds since 1970, if the format tells it.
        time: Option<i64>,
        /// The record itself.
        value: T,
    },
    /// No record, but word of how far event time has come, in milliseconds since 1970; `i64::MAX` is its end.
    Watermark(i64),
    /// Nothing: a blank line.
    Nothing,
}

/// Encodes values of `T`, a line or more each. Appends to a buffer that is reused, so that no value costs an allocation.
pub trait Encoder<T>: Clone + Send + Sync + 'static {
    /// What stands before the first value of a file.
    fn header(&self, _out: &mut Vec<u8>) {}

    /// Appends `value`, with the end of its line.
    fn encode(&self, value: &T, out: &mut Vec<u8>);

    /// The extension of a file of such lines.
    fn extension(&self) -> &'static str;
}

/// Is there nothing but white space on this line?
fn is_blank(line: &[u8]) -> bool {
    line.iter().all(u8::is_ascii_whitespace)
}

/// Appends a value as plain text, with ISO times.
pub fn plain(value: &Value, out: &mut Vec<u8>) {
    print::plain(value, Timestamps::Iso, out);
}

/// Appends a value as plain text; null is `null`.
pub fn plain_as(value: &Value, timestamps: Timestamps, out: &mut Vec<u8>) {
    match value {
        Value::Null | Value::Absent => out.extend_from_slice(b"null"),
        value => print::plain(value, timestamps, out),
    }
}

/// The first `max` characters of `text`, with an ellipsis if that is not all: for messages.
#[must_use]
pub fn cut(text: &str, max: usize) -> std::borrow::Cow<'_, str> {
    match text.char_indices().nth(max) {
        Some((end, _)) => format!("{}...", &text[..end]).into(),
        None => text.into(),
    }
}
