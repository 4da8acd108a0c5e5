//! Comma-separated values, quoted as in RFC 4180.
//!
//! A record is one line: a quoted cell that spans two lines makes a bad record of each. An empty cell is null, except
//! in a field of type string, where it is the empty text. Numbers and times may be surrounded by spaces.

mod decode;
mod encode;

pub use decode::{CsvDecoder, CsvFormat};
pub use encode::CsvEncoder;
