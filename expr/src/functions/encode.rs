//! Base64 with the standard alphabet.

use tidegate_rows::Value;

use super::{Function, Outcome, Style, T, no_match};
use crate::error::EvalError;
use crate::val::Val;

pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        name: "base64.encode",
        style: Style::Global,
        overloads: &[(&[T::Bytes], T::String)],
        call: encode_call,
        doc: "The base64 encoding of bytes.",
        examples: &[("base64.encode(b'hello')", "'aGVsbG8='")],
    },
    Function {
        name: "base64.decode",
        style: Style::Global,
        overloads: &[(&[T::String], T::Bytes)],
        call: decode_call,
        doc: "The bytes that base64 text encodes, with or without padding.",
        examples: &[("base64.decode('aGVsbG8=')", "b'hello'")],
    },
];

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Encodes bytes as padded base64.
pub(crate) fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let group = chunk.iter().fold(0u32, |g, b| g << 8 | u32::from(*b)) << (8 * (3 - chunk.len()));
        for digit in 0..4 {
            let value = (group >> (18 - 6 * digit)) & 63;
            text.push(if digit <= chunk.len() { char::from(ALPHABET[value as usize]) } else { '=' });
        }
    }
    text
}

/// Decodes base64, padded or not.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=').as_bytes();
    if digits.len() % 4 == 1 || text.len() - digits.len() > 2 {
        return None;
    }
    let mut bytes = Vec::with_capacity(digits.len() * 3 / 4);
    for chunk in digits.chunks(4) {
        let mut group = 0u32;
        for digit in chunk {
            let value = ALPHABET.iter().position(|a| a == digit)?;
            group = group << 6 | u32::try_from(value).ok()?;
        }
        group <<= 6 * (4 - chunk.len());
        bytes.extend_from_slice(&group.to_be_bytes()[1..chunk.len()]);
    }
    Some(bytes)
}

fn encode_call(args: &[Val<'_>]) -> Outcome {
    match args.first().and_then(Val::data) {
        Some(Value::Bytes(bytes)) => Ok(Val::text(encode(bytes))),
        _ => no_match(),
    }
}

fn decode_call(args: &[Val<'_>]) -> Outcome {
    match args.first().and_then(Val::data) {
        Some(Value::String(text)) => match decode(text) {
            Some(bytes) => Ok(Val::Own(Value::Bytes(bytes.into()))),
            None => Err(EvalError::message("the text is not base64")),
        },
        _ => no_match(),
    }
}
