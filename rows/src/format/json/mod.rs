//! JSON Lines: one object per line, straight into the slots of a row.
//!
//! Fields the layout does not name are skipped without being built. A missing field is null; of a field given twice the last counts.

mod any;
mod encode;
mod record;

pub use encode::JsonEncoder;
pub(super) use encode::write_value;
pub use record::{JsonDecoder, JsonFormat};

use crate::Value;

/// The value of a JSON text, if it is one.
pub(super) fn value(text: &str) -> Option<Value> {
    let mut json = serde_json::Deserializer::from_str(text);
    let value = serde::de::DeserializeSeed::deserialize(any::AnySeed, &mut json).ok()?;
    json.end().ok()?;
    Some(value)
}

/// What serde_json says, without the number of the line: there is only one.
pub(super) fn complaint(error: &serde_json::Error) -> String {
    error.to_string().replace(" at line 1 column ", " at column ").replace(" at line 0 column 0", "")
}
