//! JSON Lines of your own types, through serde.

use std::marker::PhantomData;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::json::complaint;
use super::{Decoded, Decoder, Encoder, Format, is_blank};

/// JSON Lines that serde decodes into `T`. A function extracts each value's event time in milliseconds since 1970.
pub struct JsonLines<T, F = fn(&T) -> i64> {
    time: Option<Arc<F>>,
    item: PhantomData<fn() -> T>,
}

impl<T, F: Fn(&T) -> i64> JsonLines<T, F> {
    /// Lines of values whose event time `time` extracts.
    pub fn new(time: F) -> Self {
        Self { time: Some(Arc::new(time)), item: PhantomData }
    }
}

impl<T> JsonLines<T> {
    /// Lines of values without an event time.
    #[must_use]
    pub fn untimed() -> Self {
        Self { time: None, item: PhantomData }
    }
}

impl<T, F> Format for JsonLines<T, F>
where
    T: DeserializeOwned + Send + 'static,
    F: Fn(&T) -> i64 + Send + Sync + 'static,
{
    type Item = T;
    type Decoder = JsonLinesDecoder<T, F>;

    fn decoder(&self) -> JsonLinesDecoder<T, F> {
        JsonLinesDecoder { time: self.time.clone(), item: PhantomData }
    }

    fn timed(&self) -> bool {
        self.time.is_some()
    }
}

/// Decodes JSON Lines through serde.
pub struct JsonLinesDecoder<T, F> {
    time: Option<Arc<F>>,
    item: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned, F: Fn(&T) -> i64 + Send + Sync> Decoder for JsonLinesDecoder<T, F> {
    type Item = T;

    fn decode(&mut self, line: &[u8]) -> Result<Decoded<T>, String> {
        match serde_json::from_slice::<T>(line) {
            Ok(value) => Ok(Decoded::Record { time: self.time.as_ref().map(|time| time(&value)), value }),
            Err(_) if is_blank(line) => Ok(Decoded::Nothing),
            Err(e) => Err(complaint(&e)),
        }
    }
}

/// Writes values as JSON Lines through serde.
#[derive(Clone, Copy, Debug, Default)]
pub struct JsonLinesEncoder;

impl<T: Serialize> Encoder<T> for JsonLinesEncoder {
    fn encode(&self, value: &T, out: &mut Vec<u8>) {
        let start = out.len();
        if let Err(e) = serde_json::to_writer(&mut *out, value) {
            // Only a failing `Serialize` implementation or maps with non-text keys get here. Leave no partial line
            // behind.
            out.truncate(start);
            tracing::warn!("a value that has no JSON form is left out: {e}");
            return;
        }
        out.push(b'\n');
    }

    fn extension(&self) -> &'static str {
        "jsonl"
    }
}
