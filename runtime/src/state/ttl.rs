//! Time to live: values expire some time after their last use.
//!
//! Every value carries the time of its last use. An expired value is never returned. It leaves memory when it is accessed or swept (a few
//! entries are swept from time to time), leaves the disk when RocksDB next rewrites it, and is left out of snapshots.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Stored;
use crate::clock::Clock;

/// How long a value is kept, by the job's [`Clock`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ttl {
    /// Milliseconds.
    after: i64,
    reads: bool,
}

impl Ttl {
    /// A value expires when it has not been written for this long. In lists and maps, each element expires on its own.
    #[must_use]
    pub fn after(after: Duration) -> Self {
        Self { after: i64::try_from(after.as_millis()).unwrap_or(i64::MAX), reads: false }
    }

    /// Makes reads count as uses, too.
    #[must_use]
    pub fn on_read_and_write(self) -> Self {
        Self { reads: true, ..self }
    }
}

impl fmt::Display for Ttl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expires {} ms after it was {}written", self.after, if self.reads { "read or " } else { "" })
    }
}

/// A time to live, and the clock that measures it.
#[derive(Clone, Debug)]
pub(super) struct Life {
    pub(super) ttl: Ttl,
    pub(super) clock: Clock,
}

impl Life {
    /// Whatever was last used at or before this moment has expired now.
    pub(super) fn deadline(&self) -> Option<i64> {
        self.deadline_at(self.clock.now())
    }

    /// Whatever was last used at or before this moment has expired at `now`.
    pub(super) fn deadline_at(&self, now: i64) -> Option<i64> {
        now.checked_sub(self.ttl.after)
    }

    /// Whether reading counts as a use.
    pub(super) fn reads(&self) -> bool {
        self.ttl.reads
    }
}

/// Whether something last used at `stamp` has expired.
pub(super) fn over(stamp: Stamp, deadline: Option<i64>) -> bool {
    deadline.is_some_and(|deadline| stamp.at() <= deadline)
}

/// The time of the last use. Stored as eight bytes, so that compaction can read it from the front of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stamp([u8; 8]);

impl Stamp {
    pub(super) fn new(at: i64) -> Self {
        Self(at.to_le_bytes())
    }

    fn at(self) -> i64 {
        i64::from_le_bytes(self.0)
    }

    /// The stamp of a stored value.
    #[cfg_attr(not(feature = "rocksdb"), allow(dead_code, reason = "only RocksDB drops rows by itself"))]
    pub(super) fn of_stored(value: &[u8]) -> Option<Self> {
        value.first_chunk().map(|bytes| Self(*bytes))
    }
}

/// The bytes of a stored, expiring value without its stamp.
#[must_use]
pub fn without_stamp(value: &[u8]) -> &[u8] {
    value.split_first_chunk::<{ size_of::<Stamp>() }>().map_or(value, |(_, value)| value)
}

/// A value and the time of its last use. For lists and maps, that of their newest element.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Stamped<V> {
    pub(super) stamp: Stamp,
    pub(super) value: V,
}

impl<V: Stored> Stored for Stamped<V> {
    const SCHEMA: &'static str = "expiring/1";

    fn schema() -> String {
        Self::schema_of(&[V::schema()])
    }
}

/// The prefix of the schemas of expiring values.
const EXPIRING: &str = "expiring/1<";

/// Whether the values of a state with this schema expire.
#[must_use]
pub fn expires(schema: &str) -> bool {
    schema.starts_with(EXPIRING)
}

/// How a state with a time to live detects expired values.
pub(super) struct Expiry<V> {
    pub(super) life: Life,
    /// The last use of a value.
    pub(super) stamp: fn(&V) -> Stamp,
    /// Removes the expired parts of a value that has not expired as a whole.
    pub(super) strip: fn(&mut V, Option<i64>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_to_live_without_end_does_not_overflow() {
        let life = |now, after| Life { ttl: Ttl::after(after), clock: Clock::manual(now) };
        assert!(!over(Stamp::new(i64::MAX), life(0, Duration::MAX).deadline()));
        assert!(!over(Stamp::new(0), life(i64::MAX - 1, Duration::MAX).deadline()));
        assert!(!over(Stamp::new(-5), life(-10, Duration::MAX).deadline()));
        assert!(over(Stamp::new(5), life(15, Duration::from_millis(10)).deadline()));
        assert!(!over(Stamp::new(5), life(14, Duration::from_millis(10)).deadline()));
    }

    #[test]
    fn the_stamp_lies_in_front_of_a_stored_value() {
        for at in [0, 1, -1, i64::MIN, i64::MAX, 1_700_000_000_000] {
            let mut bytes = Vec::new();
            super::super::codec::encode(&Stamped { stamp: Stamp::new(at), value: "text" }, &mut bytes).unwrap();
            assert_eq!(Stamp::of_stored(&bytes), Some(Stamp::new(at)));
        }
        assert_eq!(Stamp::of_stored(b"short"), None);
    }
}
