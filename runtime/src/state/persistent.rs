//! What the registry of an operator instance asks of each state.

use std::rc::Rc;

use serde_json::Value as Json;
use tidegate_checkpoints::Field;

use super::cache::Victims;
use super::instance::Instance;
use super::registry::{DUE, REACHED, TIMERS};
use crate::error::Error;

/// The name of a state, and what its stored bytes mean: state of another schema is not read. Both are stored, and neither depends on how types are called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schema {
    /// Unique in the operator.
    pub name: String,
    /// What the values are and what they are kept by, such as `order/1 by u64`: see [`Stored`](super::Stored).
    pub schema: String,
    /// The parts of a value that are known by name.
    pub fields: Vec<Field>,
}

impl Schema {
    /// The parts of a value, in words; none if they have no names.
    #[must_use]
    pub fn parts(&self) -> Option<String> {
        let part = |field: &Field| format!("{} = {}", field.name, field.is);
        (!self.fields.is_empty()).then(|| self.fields.iter().map(part).collect::<Vec<_>>().join(", "))
    }

    /// Does it only remind the operator of a time?
    #[must_use]
    pub fn reminds(&self) -> bool {
        reminds(&self.schema)
    }
}

/// Does a state of this schema only remind an operator of a time?
#[must_use]
pub fn reminds(schema: &str) -> bool {
    schema == DUE || schema == REACHED || schema.strip_prefix(TIMERS).is_some_and(|rest| rest.starts_with(' '))
}

/// Takes the key, without its prefix, and the value of a stored row.
pub(crate) type Put<'a> = dyn FnMut(&[u8], &[u8]) -> Result<(), Error> + 'a;

/// Brings the rows that a state had at all former instances.
pub(crate) type AllRows<'a> = dyn FnMut(&mut Put<'_>) -> Result<(), Error> + 'a;

/// A state, whatever its types.
pub(super) trait Persistent {
    /// Its name and its schema.
    fn schema(&self) -> &Schema;

    /// From now on it is state `id` of `instance`, empty in memory; `stored`: the disk has rows of it.
    ///
    /// # Errors
    /// Another instance shares something else with this one.
    fn bind(&mut self, id: u8, instance: &Rc<Instance>, stored: bool) -> Result<(), Error>;

    /// Is it part of every snapshot in full, whatever the backend? Then it is restored row by row.
    fn full(&self) -> bool {
        false
    }

    /// Does every instance hold all of it, whatever its key groups? Then it takes over what all former instances had, by [`Persistent::restore_whole`].
    fn whole(&self) -> bool {
        false
    }

    /// Takes over the rows of all former instances, if another instance in this process has not done so already.
    fn restore_whole(&mut self, _rows: &mut AllRows<'_>) -> Result<(), Error> {
        Err(Error::internal(format!("state `{}` is not held by every instance", self.schema().name)))
    }

    /// Takes over a row of a snapshot. `key` is without its prefix.
    fn restore_row(&mut self, key: &[u8], value: &[u8]) -> Result<(), Error>;

    /// The bytes of a stored value with its parts in other places: see [`Meaning`](super::Meaning).
    fn arranged(&self, _value: &[u8], _places: &[Option<usize>]) -> Result<Vec<u8>, Error> {
        Err(Error::internal(format!("the values of state `{}` have no parts", self.schema().name)))
    }

    /// Takes over what [`Persistent::freeze`] of one former instance returned.
    fn restore_meta(&mut self, meta: &Json) -> Result<(), Error>;

    /// A snapshot begins, of everything as it is now. Constant time. Returns what is known of the state as a whole.
    fn freeze(&mut self) -> Result<Json, Error>;

    /// The least namespace that is not over, if the state has namespaces.
    fn floor(&self) -> Option<i64> {
        None
    }

    /// Captures up to about `most` entries of the snapshot in progress. Returns how many of `most` are left, `None` if there is more to capture.
    fn sweep(&mut self, most: usize) -> Result<Option<usize>, Error>;

    /// The rows of the snapshot have arrived on disk.
    fn release(&mut self);

    /// Bytes in memory, estimated, when last settled.
    fn bytes(&self) -> usize;

    /// Brings what it says of its size up to date.
    fn settle(&mut self) {}

    /// Looks at an entry, to estimate better.
    fn weigh(&mut self) {}

    /// Takes some of what has expired out of memory.
    fn expire(&mut self) {}

    /// The bytes that the next batch may add at once, as tables grow, when last settled.
    fn growth(&self) -> usize {
        0
    }

    /// Evicts up to `most` entries from memory, or of what is full some; returns how many it were.
    fn evict(&mut self, _: Victims, _most: usize) -> Result<usize, Error> {
        Ok(0)
    }

    /// The number of entries in memory, when last settled.
    fn len(&self) -> usize;
}
