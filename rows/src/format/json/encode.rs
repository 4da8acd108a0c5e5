//! Rows as JSON Lines.

use std::sync::Arc;

use crate::format::print::{self, Timestamps};
use crate::format::{Encoder, base64, duration};
use crate::{Field, Row, Schema, Value};

/// Writes a row as an object: the fields in schema order, including nulls, and then the rest. Fields that the row
/// lacks are left out.
///
/// Integers and decimals are numbers with all their digits. Doubles are exact, but NaN and infinities, which JSON
/// lacks, become null. Timestamps are integer milliseconds or ISO text, durations are text such as `"1.5s"`, byte
/// strings are base64, and map keys are text.
#[derive(Clone, Debug)]
pub struct JsonEncoder {
    /// The fields, each as its slot and the prefix `,"name":`.
    names: Arc<[(usize, Box<[u8]>)]>,
    /// The slot of the rest, whose entries are written as fields.
    rest: Option<usize>,
    timestamps: Timestamps,
}

impl JsonEncoder {
    /// An encoder for rows of this schema.
    #[must_use]
    pub fn new(schema: &Schema, timestamps: Timestamps) -> Self {
        let name = |(slot, field): (usize, &Field)| {
            let mut out = vec![b','];
            text(&field.name, &mut out);
            out.push(b':');
            (slot, out.into_boxed_slice())
        };
        Self { names: schema.fields().map(name).collect(), rest: schema.rest(), timestamps }
    }
}

impl Encoder<Row> for JsonEncoder {
    fn encode(&self, row: &Row, out: &mut Vec<u8>) {
        let start = out.len();
        for (slot, name) in self.names.iter().filter(|(slot, _)| row.has(*slot)) {
            out.extend_from_slice(name);
            write_value(row.get(*slot), self.timestamps, out);
        }
        if let Some(Value::Map(entries)) = self.rest.map(|slot| row.get(slot)) {
            for (key, value) in entries.iter() {
                out.push(b',');
                write_key(key, self.timestamps, out);
                out.push(b':');
                write_value(value, self.timestamps, out);
            }
        }
        // Every field starts with a comma.
        if out.len() == start {
            out.push(b'{')
        } else {
            out[start] = b'{'
        }
        out.extend_from_slice(b"}\n");
    }

    fn extension(&self) -> &'static str {
        "jsonl"
    }
}

/// Appends a value as JSON.
pub(in crate::format) fn write_value(value: &Value, timestamps: Timestamps, out: &mut Vec<u8>) {
    match value {
        Value::Null | Value::Absent => out.extend_from_slice(b"null"),
        Value::Double(v) if !v.is_finite() => out.extend_from_slice(b"null"),
        Value::String(v) => text(v, out),
        Value::Timestamp(v) if timestamps == Timestamps::Millis => print::timestamp(*v, timestamps, out),
        Value::Bytes(_) | Value::Timestamp(_) | Value::Duration(_) => {
            out.push(b'"');
            bare(value, timestamps, out);
            out.push(b'"');
        }
        Value::List(values) => {
            out.push(b'[');
            for (i, value) in values.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                write_value(value, timestamps, out);
            }
            out.push(b']');
        }
        Value::Map(entries) => {
            out.push(b'{');
            for (i, (key, value)) in entries.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                write_key(key, timestamps, out);
                out.push(b':');
                write_value(value, timestamps, out);
            }
            out.push(b'}');
        }
        Value::Bool(_) | Value::Int(_) | Value::Uint(_) | Value::Double(_) | Value::Decimal(_) => {
            print::plain(value, timestamps, out);
        }
    }
}

/// Appends a value that needs no escapes.
fn bare(value: &Value, timestamps: Timestamps, out: &mut Vec<u8>) {
    match value {
        Value::Bytes(v) => base64::encode(v, out),
        Value::Duration(v) => duration::print(*v, out),
        other => print::plain(other, timestamps, out),
    }
}

fn write_key(key: &Value, timestamps: Timestamps, out: &mut Vec<u8>) {
    match key {
        Value::String(v) => text(v, out),
        Value::List(_) | Value::Map(_) => {
            // A list or map as a key is written as JSON in a string. Neither JSON input nor CEL produces such keys.
            let mut inner = Vec::new();
            write_value(key, timestamps, &mut inner);
            text(&String::from_utf8_lossy(&inner), out);
        }
        Value::Null | Value::Absent => text("null", out),
        _ => {
            out.push(b'"');
            bare(key, timestamps, out);
            out.push(b'"');
        }
    }
}

/// Appends text in quotes, with escapes where necessary.
fn text(s: &str, out: &mut Vec<u8>) {
    let bytes = s.as_bytes();
    out.push(b'"');
    let mut written = 0;
    for (i, &b) in bytes.iter().enumerate() {
        if b >= b' ' && b != b'"' && b != b'\\' {
            continue;
        }
        out.extend_from_slice(&bytes[written..i]);
        written = i + 1;
        match b {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            _ => {
                let hex = |n: u8| if n < 10 { b'0' + n } else { b'a' + n - 10 };
                out.extend_from_slice(&[b'\\', b'u', b'0', b'0', hex(b >> 4), hex(b & 15)]);
            }
        }
    }
    out.extend_from_slice(&bytes[written..]);
    out.push(b'"');
}
