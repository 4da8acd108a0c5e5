//! Messages in Avro, with a schema registry for tests.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[allow(dead_code, reason = "each test binary uses its part")]
#[path = "../../../tests/harness/http.rs"]
mod http;
#[allow(dead_code, reason = "each test binary uses its part")]
#[path = "../../../tests/harness/registry.rs"]
mod registry;

mod framing;

use tidegate_connectors::message::DecodeError;
use tidegate_rows::Row;
use tidegate_rows::format::Decoded;

fn record(decoded: Result<Decoded<Row>, DecodeError>) -> Result<Row, String> {
    match decoded {
        Ok(Decoded::Record { value, .. }) => Ok(value),
        Ok(other) => panic!("no record: {other:?}"),
        Err(DecodeError::Bad(what)) => Err(what),
        Err(DecodeError::Failed(error)) => panic!("{error}"),
    }
}
