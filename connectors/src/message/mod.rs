//! Message formats: arbitrary bytes, each message by itself. Every line format is also a message format; [`avro`] is
//! only a message format.

mod any;
pub mod avro;

use tidegate_rows::format::{Decoded, Decoder, Encoder, Format};
use tidegate_runtime::Error;

pub use any::{AnyMessageDecoder, AnyMessageEncoder, AnyMessageFormat};
pub use avro::{AvroDecoder, AvroEncoder, AvroFormat, Registry, Subject};

/// The description of a message format, which makes a decoder for every input.
pub trait MessageFormat: Send + Sync + 'static {
    /// The decoded value of a message.
    type Item: Send + 'static;
    /// The decoder of one input.
    type Decoder: MessageDecoder<Item = Self::Item> + 'static;

    /// Makes a decoder for a new input.
    fn message_decoder(&self) -> Self::Decoder;
}

/// Decodes the messages of one input, in order.
pub trait MessageDecoder: Send {
    /// The decoded value of a message.
    type Item;

    /// Decodes a message. May block while fetching what that takes.
    ///
    /// # Errors
    /// The message is a bad record, or it can't be determined whether it is.
    fn decode_message(&mut self, message: &[u8]) -> Result<Decoded<Self::Item>, DecodeError>;
}

/// Why a message could not be decoded.
#[derive(Debug)]
pub enum DecodeError {
    /// The message is bad. The text is a sentence.
    Bad(String),
    /// What is needed to decode it is not available, and the job can't go on.
    Failed(Error),
}

impl From<String> for DecodeError {
    fn from(what: String) -> Self {
        Self::Bad(what)
    }
}

impl From<Error> for DecodeError {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl<F: Format> MessageFormat for F {
    type Item = <F as Format>::Item;
    type Decoder = <F as Format>::Decoder;

    fn message_decoder(&self) -> Self::Decoder {
        self.decoder()
    }
}

impl<D: Decoder> MessageDecoder for D {
    type Item = <D as Decoder>::Item;

    #[inline]
    fn decode_message(&mut self, message: &[u8]) -> Result<Decoded<Self::Item>, DecodeError> {
        match self.decode(message)? {
            // A blank line may stand between records, but a message must be a record.
            Decoded::Nothing if message.is_empty() => Err(DecodeError::Bad("the message is empty".into())),
            Decoded::Nothing => Err(DecodeError::Bad("the message is blank".into())),
            decoded => Ok(decoded),
        }
    }
}

/// Encodes values of `T` as messages. It appends to a reused buffer, so that no value costs an allocation.
pub trait MessageEncoder<T>: Clone + Send + Sync + 'static {
    /// Prepares for encoding. Called before anything is encoded, and may block.
    ///
    /// # Errors
    /// What encoding needs is not available.
    fn open(&self) -> Result<(), Error>;

    /// Appends the message for `value`.
    ///
    /// # Errors
    /// Names the field, its value and the expected type, if the value can't be encoded in this format.
    fn encode_message(&self, value: &T, out: &mut Vec<u8>) -> Result<(), String>;
}

/// The message is a line without its line ending.
impl<T, E: Encoder<T>> MessageEncoder<T> for E {
    fn open(&self) -> Result<(), Error> {
        Ok(())
    }

    #[inline]
    fn encode_message(&self, value: &T, out: &mut Vec<u8>) -> Result<(), String> {
        let start = out.len();
        self.encode(value, out);
        if out.len() > start && out.last() == Some(&b'\n') {
            out.pop();
        }
        Ok(())
    }
}
