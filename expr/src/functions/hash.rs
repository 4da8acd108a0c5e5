//! Hashes.

use md5::Md5;
use sha2::{Digest, Sha256};
use tidegate_rows::Value;
use tidegate_stable::stable_hash;

use super::{Function, Outcome, Style, T, no_match};
use crate::display;
use crate::val::Val;

const HEX: &[(&[T], T)] = &[(&[T::String], T::String), (&[T::Bytes], T::String)];

pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        name: "hash",
        style: Style::Global,
        overloads: &[(&[T::Any], T::Int)],
        call: hash,
        doc: "A 64-bit hash that is the same on every machine and in every version. It depends on the type: `1` and `1.0` have different hashes.",
        examples: &[("hash('ann') == hash('a' + 'nn')", "true"), ("hash('ann') % 10 == hash('bob') % 10", "false")],
    },
    Function {
        name: "md5",
        style: Style::Global,
        overloads: HEX,
        call: digest::<Md5>,
        doc: "The MD5 digest of text (as UTF-8) or bytes, in hexadecimal, for comparison with digests from other systems. It is not secure.",
        examples: &[("md5('abc')", "'900150983cd24fb0d6963f7d28e17f72'")],
    },
    Function {
        name: "sha256",
        style: Style::Global,
        overloads: HEX,
        call: digest::<Sha256>,
        doc: "The SHA-256 digest of text (as UTF-8) or bytes, in hexadecimal.",
        examples: &[("sha256('abc')", "'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'")],
    },
];

fn hash(args: &[Val<'_>]) -> Outcome {
    match args.first().and_then(Val::data) {
        Some(value) => Ok(Val::int(stable_hash(value).cast_signed())),
        None => no_match(),
    }
}

fn digest<D: Digest>(args: &[Val<'_>]) -> Outcome {
    let bytes: &[u8] = match args.first().and_then(Val::data) {
        Some(Value::String(text)) => text.as_bytes(),
        Some(Value::Bytes(bytes)) => bytes,
        _ => return no_match(),
    };
    Ok(Val::text(display::hex(&D::digest(bytes))))
}
