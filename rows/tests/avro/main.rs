//! The avro format, against `apache-avro`.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod decimals;
mod oracle;
mod rows;

use tidegate_rows::Row;
use tidegate_rows::format::{AvroSchema, Decoded, Layout, RecordReader};

/// The record of these octets.
fn decode(schema: &AvroSchema, layout: Layout, octets: &[u8]) -> Result<Row, String> {
    match RecordReader::new(layout, schema).read(octets)? {
        Decoded::Record { value, .. } => Ok(value),
        other => panic!("no record: {other:?}"),
    }
}
