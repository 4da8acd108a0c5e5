//! Values as text, shared by all encoders. They are printed into a buffer without allocating.

use std::io::Write;

use jiff::Timestamp;
use jiff::fmt::temporal::DateTimePrinter;

use super::{duration, json, layout::floor_ms, rfc3339};
use crate::{Decimal, Value};

/// How timestamps are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Timestamps {
    /// Integer milliseconds since 1970, rounded down.
    #[default]
    Millis,
    /// RFC 3339 text in UTC, with all digits of the fraction.
    Iso,
}

/// Appends an instant. ISO text is not quoted.
pub(super) fn timestamp(t: Timestamp, form: Timestamps, out: &mut Vec<u8>) {
    match form {
        Timestamps::Millis if t == rfc3339::NEVER => int(rfc3339::NEVER_MS, out),
        Timestamps::Iso if t == rfc3339::NEVER => out.extend_from_slice(rfc3339::NEVER_TEXT.as_bytes()),
        Timestamps::Millis => int(floor_ms(t), out),
        Timestamps::Iso => {
            static PRINTER: DateTimePrinter = DateTimePrinter::new();
            // Writing to a vector can't fail.
            let _ = PRINTER.print_timestamp(&t, &mut *out);
        }
    }
}

pub(super) fn int(v: i64, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(v).as_bytes());
}

pub(super) fn uint(v: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(v).as_bytes());
}

/// Appends a float with the fewest digits that read back as the same float, or `NaN`, `inf` or `-inf`.
pub(super) fn double(v: f64, out: &mut Vec<u8>) {
    out.extend_from_slice(ryu::Buffer::new().format(v).as_bytes());
}

/// Appends a decimal with all its digits.
pub(super) fn decimal(v: Decimal, out: &mut Vec<u8>) {
    // Writing to a vector can't fail.
    let _ = write!(out, "{v}");
}

/// Appends a value as plain text, for cells and for people. Null is empty, byte strings are copied unchanged, lists
/// and maps are JSON.
pub(super) fn plain(value: &Value, timestamps: Timestamps, out: &mut Vec<u8>) {
    match value {
        Value::Null | Value::Absent => {}
        Value::Bool(v) => out.extend_from_slice(if *v { b"true" } else { b"false" }),
        Value::Int(v) => int(*v, out),
        Value::Uint(v) => uint(*v, out),
        Value::Double(v) => double(*v, out),
        Value::Decimal(v) => decimal(*v, out),
        Value::String(v) => out.extend_from_slice(v.as_bytes()),
        Value::Bytes(v) => out.extend_from_slice(v),
        Value::Timestamp(v) => timestamp(*v, timestamps, out),
        Value::Duration(v) => duration::print(*v, out),
        Value::List(_) | Value::Map(_) => json::write_value(value, timestamps, out),
    }
}
