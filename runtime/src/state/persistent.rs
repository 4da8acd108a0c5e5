//! What the registry of an operator instance requires of each state.

use std::any::Any;
use std::rc::Rc;

use serde_json::Value as Json;
use tidegate_checkpoints::Field;

use super::cache::Victims;
use super::instance::Instance;
use super::registry::{DUE, REACHED, TIMERS};
use crate::error::Error;

/// The name of a state, and what its stored bytes mean. State with another schema is never read. Both are stored, and neither depends on
/// the names of Rust types.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schema {
    /// Its name, unique in the operator.
    pub name: String,
    /// What the values are and what they are keyed by, such as `order/1 by u64`. See [`Stored`](super::Stored).
    pub schema: String,
    /// The named parts of a value.
    pub fields: Vec<Field>,
}

impl Schema {
    /// The named parts of a value as text. `None` if it has none.
    #[must_use]
    pub fn parts(&self) -> Option<String> {
        parts(&self.fields)
    }

    /// Whether it only reminds the operator of a time.
    #[must_use]
    pub fn reminds(&self) -> bool {
        reminds(&self.schema)
    }
}

/// The named parts of a value as text. `None` if there are none.
pub(super) fn parts(fields: &[Field]) -> Option<String> {
    let part = |field: &Field| format!("{} = {}", field.name, field.is);
    (!fields.is_empty()).then(|| fields.iter().map(part).collect::<Vec<_>>().join(", "))
}

/// Whether a state with this schema only reminds an operator of a time: timers, due moments, or the event time reached.
#[must_use]
pub fn reminds(schema: &str) -> bool {
    schema == DUE || schema == REACHED || schema.strip_prefix(TIMERS).is_some_and(|rest| rest.starts_with(' '))
}

/// Receives the key, without its prefix, and the value of a stored row.
pub(crate) type Put<'a> = dyn FnMut(&[u8], &[u8]) -> Result<(), Error> + 'a;

/// Supplies the rows that a state had in all former instances.
pub(crate) type AllRows<'a> = dyn FnMut(&mut Put<'_>) -> Result<(), Error> + 'a;

/// The event times and keys of records that are about to be processed.
pub(crate) struct Upcoming<K>(pub(crate) Vec<(i64, K)>);

/// A state of any type. The provided methods are those of a state that is small and in memory: in the metadata of every snapshot, without
/// rows of its own.
pub(super) trait Persistent {
    /// Its name and its schema.
    fn schema(&self) -> &Schema;

    /// Binds the state as state `id` of `instance`, empty in memory. `stored`: the disk holds rows of it.
    ///
    /// # Errors
    /// Another instance has registered a different type under this number.
    fn bind(&mut self, id: u8, instance: &Rc<Instance>, stored: bool) -> Result<(), Error>;

    /// Whether it is part of every snapshot in full, whatever the backend. Such a state is restored row by row.
    fn full(&self) -> bool {
        false
    }

    /// Whether every instance holds all of it, whatever its key groups. Such a state is restored from the rows of all former instances, by
    /// [`Persistent::restore_whole`].
    fn whole(&self) -> bool {
        false
    }

    /// Restores the rows of all former instances, unless another instance in this process has already done so.
    fn restore_whole(&mut self, _rows: &mut AllRows<'_>) -> Result<(), Error> {
        Err(Error::internal(format!("state `{}` is not held by every instance", self.schema().name)))
    }

    /// Restores a row of a snapshot. `key` is without its prefix.
    fn restore_row(&mut self, _key: &[u8], _value: &[u8]) -> Result<(), Error> {
        Err(Error::internal(format!("state `{}` has no rows", self.schema().name)))
    }

    /// Re-encodes a stored value with its parts rearranged by `places`. See [`Meaning`](super::Meaning).
    fn arranged(&self, _value: &[u8], _places: &[Option<usize>]) -> Result<Vec<u8>, Error> {
        Err(Error::internal(format!("the values of state `{}` have no parts", self.schema().name)))
    }

    /// Restores what [`Persistent::freeze`] of one former instance returned.
    fn restore_meta(&mut self, _meta: &Json) -> Result<(), Error> {
        Ok(())
    }

    /// Begins a snapshot of everything as it is now. Takes constant time. Returns the metadata of the state.
    fn freeze(&mut self) -> Result<Json, Error>;

    /// The lowest namespace that is not over, if the state has namespaces.
    fn floor(&self) -> Option<i64> {
        None
    }

    /// Captures up to about `most` entries of the snapshot in progress. Returns how many of `most` are left, or `None` if there is more to
    /// capture.
    fn sweep(&mut self, most: usize) -> Result<Option<usize>, Error> {
        Ok(Some(most))
    }

    /// Ends the snapshot in progress: its rows have arrived on disk.
    fn release(&mut self) {}

    /// Whether so much is in memory that lookups are worth preparing by [`Persistent::prefetch`].
    fn scattered(&self) -> bool {
        false
    }

    /// Loads from disk, in one read, what `records` will ask for: an [`Upcoming`] of keys of any type. What is in memory is brought into the
    /// processor's cache. A state whose keys have another type loads nothing.
    fn prefetch(&mut self, _records: &dyn Any) -> Result<(), Error> {
        Ok(())
    }

    /// Estimated bytes in memory, as last settled.
    fn bytes(&self) -> usize;

    /// Brings the reported sizes up to date.
    fn settle(&mut self) {}

    /// Samples an entry to improve the size estimate.
    fn weigh(&mut self) {}

    /// Drops some expired entries from memory.
    fn expire(&mut self) {}

    /// The bytes that the next batch may add at once because tables grow, as last settled.
    fn growth(&self) -> usize {
        0
    }

    /// Evicts up to `most` entries from memory, of the given victims. Returns how many were evicted.
    fn evict(&mut self, _: Victims, _most: usize) -> Result<usize, Error> {
        Ok(0)
    }

    /// The number of entries in memory, as last settled.
    fn len(&self) -> usize;
}
