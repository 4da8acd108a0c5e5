//! Keyed state: what operators remember by key.
//!
//! An operator declares its states in [`States`] when it is built and keeps the handles. State is held in memory as deserialized values.
//! With the `rocksdb` backend, whatever does not fit is kept on disk behind the same handles (see `ARCHITECTURE.md`, "State").

mod alone;
mod broadcast;
mod cache;
mod codec;
mod disk;
mod due;
mod extendible;
mod handles;
mod instance;
mod keyed;
mod meaning;
mod persistent;
mod prefetch;
mod reached;
mod registry;
mod rows;
mod shard;
mod shards;
mod shared_map;
mod shares;
#[cfg(test)]
#[allow(clippy::unit_arg, reason = "closures of one call")]
mod tests;
mod timers;
mod ttl;
mod wakes;
mod weight;
mod windowed;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

pub use alone::Frozen;
pub use broadcast::Broadcast;
pub use codec::{decode, decode_ordered as decode_namespace};
pub use disk::read_rows;
pub(crate) use disk::{Disk, Floor, Resources, read_files, wanted};
pub use due::{Due, Scope};
pub use handles::{ExpiringStates, ListState, MapState, ReducingState, ValueState};
pub(crate) use instance::{Captured, Instance, Spill};
pub use keyed::Keyed;
pub use meaning::Meaning;
pub(crate) use persistent::{Put, Upcoming};
pub use persistent::{Schema, reminds};
pub use reached::Reached;
pub use registry::{Handle, States};
pub(crate) use rows::{Row, Rows};
pub use shared_map::SharedMap;
pub(crate) use shares::Shares;
pub use tidegate_stable::{Key, Part, Stored};
pub use timers::Timers;
pub use ttl::{Ttl, expires, without_stamp};
pub use wakes::{Wake, Wakes};
pub use weight::Weight;
pub use windowed::Windowed;

/// A hash map with a fixed seed, so that the iteration order is the same in every run.
pub type Table<K, V> = HashMap<K, V, FixedState>;
