//! State on disk: rows that do not fit into memory. RocksDB holds them; a build without the feature `rocksdb` has no disk.

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

/// The least namespace of a state that is not over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Floor {
    pub(crate) state: u8,
    pub(crate) least: i64,
}

/// Does the row of this stored key belong to a namespace that is not over?
pub(crate) fn wanted(floors: &[Floor], key: &[u8]) -> bool {
    let Ok((_, state, rest)) = codec::decode_prefix(key) else { return true };
    let floor = floors.iter().find(|floor| floor.state == state);
    floor.is_none_or(|floor| codec::decode_ordered(rest).map_or(true, |(namespace, _)| namespace >= floor.least))
}

/// Which rows nobody will ask for any more: they are dropped when RocksDB next rewrites them.
#[derive(Clone, Default)]
pub(crate) struct Garbage(Arc<Mutex<BTreeMap<u8, Over>>>);

/// Which rows of a state are over.
#[derive(Clone)]
#[cfg_attr(not(feature = "rocksdb"), allow(dead_code, reason = "only RocksDB drops rows by itself"))]
enum Over {
    /// Those of namespaces below this.
    Below(Arc<AtomicI64>),
    /// Those that have expired.
    Expired(Life),
}

impl Garbage {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u8, Over>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The least namespace of `state` that is still wanted, to be raised.
    pub(in crate::state) fn namespaces(&self, state: u8) -> Arc<AtomicI64> {
        let least = Arc::new(AtomicI64::new(i64::MIN));
        self.lock().insert(state, Over::Below(Arc::clone(&least)));
        least
    }

    /// The values of `state` carry a stamp, and expire.
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

/// Gives the key group, the state, the key and the value of every row of a linked set of files to `each`.
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
