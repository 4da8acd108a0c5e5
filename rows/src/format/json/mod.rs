//! JSON Lines: one object per line, decoded straight into the slots of a row.
//!
//! Fields that the layout does not name are skipped without being built. A missing field is null. If a field is
//! repeated, the last value wins.

mod any;
mod cursor;
mod encode;
mod record;

pub use encode::JsonEncoder;
pub(super) use encode::write_value;
pub use record::{JsonDecoder, JsonFormat};

use crate::Value;

/// Parses a JSON text. `None` if it is invalid.
pub(super) fn value(text: &str) -> Option<Value> {
    let mut json = serde_json::Deserializer::from_str(text);
    let value = serde::de::DeserializeSeed::deserialize(any::AnySeed, &mut json).ok()?;
    json.end().ok()?;
    Some(value)
}

/// The error message of serde_json without the line number, which is always 1.
pub(super) fn complaint(error: &serde_json::Error) -> String {
    error.to_string().replace(" at line 1 column ", " at column ").replace(" at line 0 column 0", "")
}
