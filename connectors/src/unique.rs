//! Names that no other run of a job has.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::{SystemTime, UNIX_EPOCH};

/// The time, and 64 random bits: neither a copy of this machine nor one whose clock was set back makes the same.
pub(crate) fn unique() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    format!("{now:x}-{:016x}", RandomState::new().build_hasher().finish())
}
