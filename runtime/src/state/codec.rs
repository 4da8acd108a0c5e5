//! The encoding of state: bincode 2 in its standard configuration (little-endian, variable-length integers) over serde, for keys and
//! values.
//!
//! A stored key is `group (u16, big-endian), state (u8), [namespace (i64, big-endian, sign flipped)], key`. So the rows of a key group are
//! adjacent, within it those of a state, and within that those of a namespace, in namespace order. The schema says what a state's bytes
//! mean. It is part of every checkpoint and is compared before anything is read.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::Error;

/// The length of the group and the state number before a key.
const PREFIX: usize = 3;

/// Appends the encoding of `value`.
pub(super) fn encode<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) -> Result<(), Error> {
    bincode::serde::encode_into_std_write(value, out, bincode::config::standard())
        .map(|_| ())
        .map_err(|e| Error::user(format!("a value of type `{}` can't be kept in state: {e}", std::any::type_name::<T>())))
}

/// Decodes a value. It must use all bytes.
///
/// # Errors
/// The bytes are not the encoding of a `T`.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    let failed = |why: String| Error::internal(format!("stored state does not read as `{}`: {why}", std::any::type_name::<T>()));
    match bincode::serde::decode_from_slice(bytes, bincode::config::standard()) {
        Ok((value, used)) if used == bytes.len() => Ok(value),
        Ok((_, used)) => Err(failed(format!("{} bytes are left over", bytes.len() - used))),
        Err(e) => Err(failed(e.to_string())),
    }
}

/// Rearranges the parts of a value: for each new place, the old place of the part, if there is one.
pub(super) type Arranging<V> = dyn Fn(&mut V, &[Option<usize>]);

/// Re-encodes a stored value after `arrange` has rearranged its parts by `places`.
pub(super) fn arranged<V: Serialize + DeserializeOwned>(
    value: &[u8],
    arrange: Option<&Arranging<V>>,
    places: &[Option<usize>],
) -> Result<Vec<u8>, Error> {
    let mut decoded: V = decode(value)?;
    if let Some(arrange) = arrange {
        arrange(&mut decoded, places);
    }
    let mut out = Vec::with_capacity(value.len());
    encode(&decoded, &mut out).map(|()| out)
}

/// Appends the prefix of every key of a state.
pub(super) fn encode_prefix(group: u16, state: u8, out: &mut Vec<u8>) {
    out.extend_from_slice(&group.to_be_bytes());
    out.push(state);
}

/// Appends a number such that byte order equals numeric order.
pub(super) fn encode_ordered(n: i64, out: &mut Vec<u8>) {
    out.extend_from_slice(&((n as u64) ^ (1 << 63)).to_be_bytes());
}

/// Splits the namespace, or another ordered number, off the front of a stored key without its prefix.
///
/// # Errors
/// The bytes are too short.
pub fn decode_ordered(bytes: &[u8]) -> Result<(i64, &[u8]), Error> {
    let (n, rest) = bytes.split_first_chunk::<8>().ok_or_else(|| Error::internal("a stored key is cut short"))?;
    Ok(((u64::from_be_bytes(*n) ^ (1 << 63)) as i64, rest))
}

/// Splits the key group and the state number off the front of a stored key.
pub(super) fn decode_prefix(bytes: &[u8]) -> Result<(u16, u8, &[u8]), Error> {
    let ([g0, g1, state], rest) = bytes.split_first_chunk::<PREFIX>().ok_or_else(|| Error::internal("a stored key is cut short"))?;
    Ok((u16::from_be_bytes([*g0, *g1]), *state, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_encoded_is_read_back(value: (u64, Option<String>, Vec<i32>), group: u16, state: u8, ns: i64) {
            let mut bytes = Vec::new();
            encode_prefix(group, state, &mut bytes);
            encode_ordered(ns, &mut bytes);
            encode(&value, &mut bytes).unwrap();
            let (g, s, rest) = decode_prefix(&bytes).unwrap();
            let (n, rest) = decode_ordered(rest).unwrap();
            prop_assert_eq!((g, s, n), (group, state, ns));
            prop_assert_eq!(decode::<(u64, Option<String>, Vec<i32>)>(rest).unwrap(), value);
        }

        #[test]
        fn ordered_numbers_keep_their_order(a: i64, b: i64) {
            let bytes = |n| { let mut out = Vec::new(); encode_ordered(n, &mut out); out };
            prop_assert_eq!(a.cmp(&b), bytes(a).cmp(&bytes(b)));
        }

        #[test]
        fn other_bytes_are_an_error_and_not_a_panic(bytes: Vec<u8>) {
            let _ = decode::<(u64, Option<String>)>(&bytes);
            let _ = decode_prefix(&bytes).and_then(|(_, _, rest)| decode_ordered(rest));
        }
    }

    #[test]
    fn bytes_that_are_left_over_are_an_error() {
        let mut bytes = Vec::new();
        encode(&7u32, &mut bytes).unwrap();
        bytes.push(0);
        assert!(decode::<u32>(&bytes).unwrap_err().to_string().contains("left over"));
    }
}
