//! Formats of messages behind one type each way, for those who learn the format only when they run: job files.

use std::sync::Arc;

use tidegate_rows::Row;
use tidegate_rows::format::Decoded;
use tidegate_runtime::Error;

use super::{DecodeError, MessageDecoder, MessageEncoder, MessageFormat};

/// Some format of messages that are rows.
#[derive(Clone)]
pub struct AnyMessageFormat(Arc<dyn Rows>);

/// Some decoder of messages.
pub struct AnyMessageDecoder(Box<dyn MessageDecoder<Item = Row>>);

/// Some encoder of messages.
#[derive(Clone)]
pub struct AnyMessageEncoder(Arc<dyn Messages>);

/// A format, as an object.
trait Rows: Send + Sync {
    fn any_decoder(&self) -> AnyMessageDecoder;
}

/// An encoder, as an object.
trait Messages: Send + Sync {
    fn any_open(&self) -> Result<(), Error>;
    fn any_encode(&self, row: &Row, out: &mut Vec<u8>) -> Result<(), String>;
}

impl<F: MessageFormat<Item = Row>> Rows for F {
    fn any_decoder(&self) -> AnyMessageDecoder {
        AnyMessageDecoder(Box::new(self.message_decoder()))
    }
}

impl<E: MessageEncoder<Row>> Messages for E {
    fn any_open(&self) -> Result<(), Error> {
        self.open()
    }

    fn any_encode(&self, row: &Row, out: &mut Vec<u8>) -> Result<(), String> {
        self.encode_message(row, out)
    }
}

impl AnyMessageFormat {
    /// This format.
    pub fn new(format: impl MessageFormat<Item = Row>) -> Self {
        Self(Arc::new(format))
    }
}

impl AnyMessageEncoder {
    /// This encoder.
    pub fn new(encoder: impl MessageEncoder<Row>) -> Self {
        Self(Arc::new(encoder))
    }
}

impl MessageFormat for AnyMessageFormat {
    type Item = Row;
    type Decoder = AnyMessageDecoder;

    fn message_decoder(&self) -> AnyMessageDecoder {
        self.0.any_decoder()
    }
}

impl MessageDecoder for AnyMessageDecoder {
    type Item = Row;

    fn decode_message(&mut self, message: &[u8]) -> Result<Decoded<Row>, DecodeError> {
        self.0.decode_message(message)
    }
}

impl MessageEncoder<Row> for AnyMessageEncoder {
    fn open(&self) -> Result<(), Error> {
        self.0.any_open()
    }

    fn encode_message(&self, row: &Row, out: &mut Vec<u8>) -> Result<(), String> {
        self.0.any_encode(row, out)
    }
}
