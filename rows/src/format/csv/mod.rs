//! Comma-separated values, quoted as in RFC 4180.
//!
//! A record is one line: a quoted cell that goes on in the next line makes a bad record of each. An empty cell is null, but the empty
//! text in a field of type string. Numbers and times may have spaces around them.

mod decode;
mod encode;

pub use decode::{CsvDecoder, CsvFormat};
pub use encode::CsvEncoder;
