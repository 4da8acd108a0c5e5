//! Formats and encoders of rows behind one type each, for those who learn the format only when they run: job files.
//!
//! A virtual call per line is all it costs.

use std::sync::Arc;

use super::{Decoded, Decoder, Encoder, Format};
use crate::Row;

/// Some format of rows.
#[derive(Clone)]
pub struct AnyFormat(Arc<dyn Rows>);

/// Some decoder of rows.
pub struct AnyDecoder(Box<dyn Decoder<Item = Row>>);

/// Some encoder of rows.
#[derive(Clone)]
pub struct AnyEncoder(Arc<dyn Lines>);

/// A format, as an object.
trait Rows: Send + Sync {
    fn any_decoder(&self) -> AnyDecoder;
    fn any_timed(&self) -> bool;
}

/// An encoder, as an object.
trait Lines: Send + Sync {
    fn any_header(&self, out: &mut Vec<u8>);
    fn any_encode(&self, row: &Row, out: &mut Vec<u8>);
    fn any_extension(&self) -> &'static str;
}

impl<F: Format<Item = Row>> Rows for F {
    fn any_decoder(&self) -> AnyDecoder {
        AnyDecoder(Box::new(self.decoder()))
    }

    fn any_timed(&self) -> bool {
        self.timed()
    }
}

impl<E: Encoder<Row>> Lines for E {
    fn any_header(&self, out: &mut Vec<u8>) {
        self.header(out);
    }

    fn any_encode(&self, row: &Row, out: &mut Vec<u8>) {
        self.encode(row, out);
    }

    fn any_extension(&self) -> &'static str {
        self.extension()
    }
}

impl AnyFormat {
    /// This format.
    pub fn new(format: impl Format<Item = Row>) -> Self {
        Self(Arc::new(format))
    }
}

impl AnyEncoder {
    /// This encoder.
    pub fn new(encoder: impl Encoder<Row>) -> Self {
        Self(Arc::new(encoder))
    }
}

impl Format for AnyFormat {
    type Item = Row;
    type Decoder = AnyDecoder;

    fn decoder(&self) -> AnyDecoder {
        self.0.any_decoder()
    }

    fn timed(&self) -> bool {
        self.0.any_timed()
    }
}

impl Decoder for AnyDecoder {
    type Item = Row;

    fn header(&mut self, line: &[u8]) -> Result<bool, String> {
        self.0.header(line)
    }

    fn decode(&mut self, line: &[u8]) -> Result<Decoded<Row>, String> {
        self.0.decode(line)
    }
}

impl Encoder<Row> for AnyEncoder {
    fn header(&self, out: &mut Vec<u8>) {
        self.0.any_header(out);
    }

    fn encode(&self, row: &Row, out: &mut Vec<u8>) {
        self.0.any_encode(row, out);
    }

    fn extension(&self) -> &'static str {
        self.0.any_extension()
    }
}
