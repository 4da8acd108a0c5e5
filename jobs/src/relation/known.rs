//! What is known of a stream that others can read: its fields and where they come from, whether its records have an event time, in which order they
//! come, and whether results of windows come again in it.

use std::collections::BTreeSet;

use tidegate_rows::Schema;

use super::open::Origin;
use super::pipeline::Pipeline;
use super::updates::Updates;

/// A stream, as its readers see it.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) schema: Schema,
    pub(crate) timing: Timing,
    pub(crate) order: Order,
    /// If results come again, with other values, in it.
    pub(crate) updates: Option<Updates>,
    /// Where its fields come from, if its schema is open.
    pub(crate) origin: Origin,
}

impl Known {
    /// A stream whose results come once, and whose fields are all known.
    pub(crate) fn new(schema: Schema, timing: Timing, order: Order) -> Self {
        Self { schema, timing, order, updates: None, origin: Origin::default() }
    }

    /// Its fields come from there, unless they are all known.
    pub(crate) fn of(self, origin: &Origin) -> Self {
        if self.schema.rest().is_some() { Self { origin: origin.clone(), ..self } } else { self }
    }
}

/// Have all records an event time?
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Timing {
    /// All have.
    Timed,
    /// Some have none; what is to be done about it.
    Untimed(String),
}

impl Timing {
    /// What a source without `event_time` gives.
    pub(crate) fn of_source(timed: bool) -> Self {
        if timed { Self::Timed } else { Self::Untimed("give the source `event_time`".to_owned()) }
    }

    pub(crate) fn is_timed(&self) -> bool {
        *self == Self::Timed
    }

    /// Of the records of both.
    pub(crate) fn and(self, other: &Self) -> Self {
        if self.is_timed() { other.clone() } else { self }
    }
}

/// The order in which the records of a key come to its worker.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Order {
    /// That of the data, for every key.
    Total,
    /// That of the data, for keys that are fields of the record: messages are dealt to partitions by key.
    Partitioned,
    /// That of the data, for keys that hold the values in all these slots.
    Keyed(BTreeSet<usize>),
    /// Another in every run, as they come from several files, streams, or workers.
    Arrival,
}

impl Order {
    /// Do the records of a key that is these values come in an order that is the same in every run, on any number of workers?
    pub(crate) fn is_settled(&self, key: &[usize]) -> bool {
        match self {
            Self::Total => true,
            Self::Partitioned => !key.is_empty(),
            Self::Keyed(slots) => slots.iter().all(|slot| key.contains(slot)),
            Self::Arrival => false,
        }
    }

    /// Behind an operator by this key, which hands the records of each key on in an order that is the same in every run. `slots`: where the key's values
    /// stand in them, if all are there.
    pub(crate) fn behind(slots: Option<BTreeSet<usize>>) -> Self {
        slots.map_or(Self::Arrival, Self::Keyed)
    }

    /// Behind a pipeline.
    pub(crate) fn through(self, pipeline: &Pipeline) -> Self {
        let Self::Keyed(slots) = self else { return self };
        Self::behind(slots.into_iter().map(|slot| pipeline.place_of(slot)).collect())
    }
}
