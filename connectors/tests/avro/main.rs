//! The avro format, against `apache-avro` and a schema registry for tests.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[allow(dead_code, reason = "each test binary uses its part")]
#[path = "../../../tests/harness/http.rs"]
mod http;
#[allow(dead_code, reason = "each test binary uses its part")]
#[path = "../../../tests/harness/registry.rs"]
mod registry;

mod framing;
mod oracle;
mod rows;

use tidegate_connectors::format::{AvroFormat, AvroSchema, DecodeError, Decoded, Layout, MessageDecoder, MessageFormat};
use tidegate_connectors::row::Row;
use tidegate_runtime::Record;

/// The record of a plain message.
fn decode(schema: &AvroSchema, layout: Layout, message: &[u8]) -> Result<Record<Row>, String> {
    record(AvroFormat::plain(layout, schema.clone()).message_decoder().decode_message(message))
}

fn record(decoded: Result<Decoded<Row>, DecodeError>) -> Result<Record<Row>, String> {
    match decoded {
        Ok(Decoded::Record(record)) => Ok(record),
        Ok(other) => panic!("no record: {other:?}"),
        Err(DecodeError::Bad(what)) => Err(what),
        Err(DecodeError::Failed(error)) => panic!("{error}"),
    }
}
