//! What the planner knows about a stream: its fields and their origin, whether its records have an event time, the
//! order of its records, and whether it updates results of windows.

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
    /// Set if the stream may update earlier results with new values.
    pub(crate) updates: Option<Updates>,
    /// Where its fields come from, if its schema is open.
    pub(crate) origin: Origin,
}

impl Known {
    /// A stream with final results and a fully known schema.
    pub(crate) fn new(schema: Schema, timing: Timing, order: Order) -> Self {
        Self { schema, timing, order, updates: None, origin: Origin::default() }
    }

    /// Sets the origin of the fields, unless they are all known.
    pub(crate) fn of(self, origin: &Origin) -> Self {
        if self.schema.rest().is_some() { Self { origin: origin.clone(), ..self } } else { self }
    }
}

/// Whether all records have an event time.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Timing {
    /// All records have one.
    Timed,
    /// Some records have none. The text says what to do about it.
    Untimed(String),
}

impl Timing {
    /// The timing of a source; `timed` says whether it has `event_time`.
    pub(crate) fn of_source(timed: bool) -> Self {
        if timed { Self::Timed } else { Self::Untimed("give the source `event_time`".to_owned()) }
    }

    pub(crate) fn is_timed(&self) -> bool {
        *self == Self::Timed
    }

    /// The timing of the records of both.
    pub(crate) fn and(self, other: &Self) -> Self {
        if self.is_timed() { other.clone() } else { self }
    }
}

/// The order in which the records of a key reach their worker.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Order {
    /// The order of the data, for every key.
    Total,
    /// The order of the data, for keys made of record fields: messages are distributed to partitions by key.
    #[cfg_attr(not(feature = "kafka"), expect(dead_code, reason = "only Kafka has partitions"))]
    Partitioned,
    /// The order of the data, for keys that contain the values of all these slots.
    Keyed(BTreeSet<usize>),
    /// A different order in every run, because records come from several files, streams or workers.
    Arrival,
}

impl Order {
    /// Whether the records of this key come in the same order in every run, on any number of workers.
    pub(crate) fn is_settled(&self, key: &[usize]) -> bool {
        match self {
            Self::Total => true,
            Self::Partitioned => !key.is_empty(),
            Self::Keyed(slots) => slots.iter().all(|slot| key.contains(slot)),
            Self::Arrival => false,
        }
    }

    /// The order after an operator that is keyed and emits the records of each key in a reproducible order. `slots`
    /// are where the key's values are in its output, if they are all there.
    pub(crate) fn behind(slots: Option<BTreeSet<usize>>) -> Self {
        slots.map_or(Self::Arrival, Self::Keyed)
    }

    /// The order after a pipeline.
    pub(crate) fn through(self, pipeline: &Pipeline) -> Self {
        let Self::Keyed(slots) = self else { return self };
        Self::behind(slots.into_iter().map(|slot| pipeline.place_of(slot)).collect())
    }
}
