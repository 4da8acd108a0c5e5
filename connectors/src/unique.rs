//! Names that no other run of a job has.

use std::hash::{BuildHasher, Hasher, RandomState};

use tidegate_runtime::Clock;

/// The time, and 64 random bits: neither a copy of this machine nor one whose clock was set back makes the same.
pub(crate) fn unique() -> String {
    format!("{:x}-{:016x}", Clock::default().now(), RandomState::new().build_hasher().finish())
}
