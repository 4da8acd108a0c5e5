//! State on disk: rows that do not fit in memory. RocksDB holds them; a build without the feature `rocksdb` has no disk.

#[cfg(feature = "rocksdb")]
mod rocks;
#[cfg(not(feature = "rocksdb"))]
#[path = "without.rs"]
mod rocks;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::codec;
use super::ttl::{Life, Stamp, over};
use crate::error::Error;

pub(crate) use rocks::{Disk, Resources, read_files};

/// The lowest namespace of a state that is not over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Floor {
    pub(crate) state: u8,
    pub(crate) least: i64,
}

/// Whether the row with this stored key belongs to a namespace that is not over.
pub(crate) fn wanted(floors: &[Floor], key: &[u8]) -> bool {
    let Ok((_, state, rest)) = codec::decode_prefix(key) else { return true };
    let floor = floors.iter().find(|floor| floor.state == state);
    floor.is_none_or(|floor| codec::decode_ordered(rest).map_or(true, |(namespace, _)| namespace >= floor.least))
}

/// Rows that are no longer needed. RocksDB drops them when it next rewrites them.
#[derive(Clone, Default)]
pub(crate) struct Garbage(Arc<Mutex<BTreeMap<u8, Over>>>);

/// Which rows of a state are no longer needed.
#[derive(Clone)]
#[cfg_attr(not(feature = "rocksdb"), allow(dead_code, reason = "only RocksDB drops rows by itself"))]
enum Over {
    /// Rows of namespaces below this one.
    Below(Arc<AtomicI64>),
    /// Rows that have expired.
    Expired(Life),
}

impl Garbage {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u8, Over>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Registers `state` as having namespaces. Returns the lowest namespace that must be kept, for the state to raise.
    pub(in crate::state) fn namespaces(&self, state: u8) -> Arc<AtomicI64> {
        let least = Arc::new(AtomicI64::new(i64::MIN));
        self.lock().insert(state, Over::Below(Arc::clone(&least)));
        least
    }

    /// Registers `state` as expiring: its values carry a stamp.
    pub(in crate::state) fn expiring(&self, state: u8, life: Life) {
        self.lock().insert(state, Over::Expired(life));
    }
}

impl Over {
    #[cfg_attr(not(feature = "rocksdb"), allow(dead_code, reason = "only RocksDB drops rows by itself"))]
    fn holds(&self, rest: &[u8], value: &[u8]) -> bool {
        match self {
            Self::Below(least) => codec::decode_ordered(rest).is_ok_and(|(namespace, _)| namespace < least.load(Relaxed)),
            Self::Expired(life) => Stamp::of_stored(value).is_some_and(|stamp| over(stamp, life.deadline())),
        }
    }
}

/// Calls `each` with the key group, state number, key and value of every row in a linked set of files.
///
/// # Errors
/// The files can't be read.
pub fn read_rows(dir: &Path, each: &mut impl FnMut(u16, u8, &[u8], &[u8])) -> Result<(), Error> {
    read_files(dir, 0..u16::MAX, |key, value| {
        let (group, state, rest) = codec::decode_prefix(key)?;
        each(group, state, rest, value);
        Ok(())
    })
}
