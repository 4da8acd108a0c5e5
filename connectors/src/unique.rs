//! Names that are unique to a run of a job.

use std::hash::{BuildHasher, Hasher, RandomState};

use tidegate_runtime::Clock;

/// The time and 64 random bits, so that neither a copy of this machine nor one whose clock was set back produces the
/// same name.
pub(crate) fn unique() -> String {
    format!("{:x}-{:016x}", Clock::default().now(), RandomState::new().build_hasher().finish())
}
