//! Formats of messages: octets of any kind, each message by itself. Every format of lines is one, and [`avro`] is none of lines.

mod any;
pub mod avro;

use tidegate_rows::format::{Decoded, Decoder, Encoder, Format};
use tidegate_runtime::Error;

pub use any::{AnyMessageDecoder, AnyMessageEncoder, AnyMessageFormat};
pub use avro::{AvroDecoder, AvroEncoder, AvroFormat, Registry, Subject};

/// The description of a format of messages; makes a decoder for every input.
pub trait MessageFormat: Send + Sync + 'static {
    /// What a message becomes.
    type Item: Send + 'static;
    /// The decoder of one input.
    type Decoder: MessageDecoder<Item = Self::Item> + 'static;

    /// A decoder for a new input.
    fn message_decoder(&self) -> Self::Decoder;
}

/// Decodes the messages of one input, in order.
pub trait MessageDecoder: Send {
    /// What a message becomes.
    type Item;

    /// Decodes a message. May wait for what it takes to understand it.
    ///
    /// # Errors
    /// The message is a bad record, or it can't be known whether it is.
    fn decode_message(&mut self, message: &[u8]) -> Result<Decoded<Self::Item>, DecodeError>;
}

/// Why a message is no record.
#[derive(Debug)]
pub enum DecodeError {
    /// What is wrong with it, in a sentence.
    Bad(String),
    /// What it takes to understand it can't be had, and the job can't go on.
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
            // A blank line stands between records; a message is to be one.
            Decoded::Nothing if message.is_empty() => Err(DecodeError::Bad("the message is empty".into())),
            Decoded::Nothing => Err(DecodeError::Bad("the message is blank".into())),
            decoded => Ok(decoded),
        }
    }
}

/// Encodes values of `T` as messages. Appends to a buffer that is reused, so that no value costs an allocation.
pub trait MessageEncoder<T>: Clone + Send + Sync + 'static {
    /// Is called before anything is encoded, and may wait for what that takes.
    ///
    /// # Errors
    /// It can't be had.
    fn open(&self) -> Result<(), Error>;

    /// Appends the message of `value`.
    ///
    /// # Errors
    /// The value has no form in this format: a sentence with the field, its value and the type expected.
    fn encode_message(&self, value: &T, out: &mut Vec<u8>) -> Result<(), String>;
}

/// A line without its end.
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
