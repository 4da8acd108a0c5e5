//! Roll-out: for which values a rule exists. The same on every machine, in every language and version.

use std::borrow::Cow;

use sha2::{Digest, Sha256};
use tidegate_expr::plain;
use tidegate_rows::Value;

/// The number of buckets.
pub const BUCKETS: u32 = 10_000;

/// The bucket of a value: the first four octets of SHA-256 of `salt:value`, big-endian, modulo 10,000.
///
/// ```
/// assert_eq!(tidegate_rules::bucket("wave-1", "ann"), tidegate_rules::bucket("wave-1", "ann"));
/// assert!(tidegate_rules::bucket("wave-1", "bob") < 10_000);
/// ```
#[must_use]
pub fn bucket(salt: &str, value: &str) -> u32 {
    let mut hash = Sha256::new();
    hash.update(salt.as_bytes());
    hash.update(b":");
    hash.update(value.as_bytes());
    let digest = hash.finalize();
    let first = digest.iter().take(4).fold(0_u32, |number, octet| number << 8 | u32::from(*octet));
    first % BUCKETS
}

/// A value as the text that lists and roll-outs know it by: text as it is, numbers in decimal. `None` for null.
pub(crate) fn known_by(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::Null | Value::Absent => None,
        Value::String(text) => Some(Cow::Borrowed(text.as_str())),
        other => Some(Cow::Owned(plain(other))),
    }
}
