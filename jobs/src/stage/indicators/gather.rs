//! Several keys in one step: each row goes to the owners of all its keys at once, and what they know of it is put together again.
//!
//! All parts of a row leave in one batch, and both ways are aligned with barriers, so nothing is half gathered at a checkpoint, unless rows wait for
//! the watermark: then the parts are state.

use std::hash::{BuildHasher, RandomState};

use tidegate_operators::Stream;
use tidegate_operators::kinds::GATHER;
use tidegate_rows::{Row, Value};
use tidegate_runtime::operator::{self, Context, Logic, Outbox};
use tidegate_runtime::state::{Handle, Keyed, Meaning};
use tidegate_runtime::{Error, Kind, OperatorSpec, Record, Watermark};

use crate::stage::build::Rows;

const SCATTER: Kind = Kind::new("scatter");

/// Appends a number to each row by which its parts find each other.
pub(super) fn scattered<'s>(rows: Rows<'s>, name: &str) -> Rows<'s> {
    // Numbers of several workers, and those of rows that waited when the job stopped, must not be the same.
    let mut next = RandomState::new().hash_one(name);
    Stream::from_edge(operator::stateless(rows.into_edge(), name, OperatorSpec::new(SCATTER), |_| {
        move |records: &mut Vec<Record<Row>>, out: &mut Vec<Record<Row>>| {
            out.extend(records.drain(..).map(|record| {
                next = next.wrapping_add(1);
                let number = [Value::Int(next.cast_signed())];
                Record::new(record.time, record.value.0.into_vec().into_iter().chain(number).collect())
            }));
            Ok(())
        }
    }))
}

/// Where the values of a part go in the whole.
#[derive(Clone, Debug)]
pub(super) struct Places {
    /// The number of fields of the row.
    pub(super) width: usize,
    /// For each part, the places of its values after those.
    pub(super) of_parts: Vec<Vec<usize>>,
}

/// A part of a row: its number, which part it is, for the first part the fields of the row, and the values.
pub(super) fn part(number: Value, group: usize, fields: Vec<Value>, values: Vec<Value>) -> Row {
    [number, Value::Int(i64::try_from(group).unwrap_or(0))].into_iter().chain(fields).chain(values).collect()
}

fn number(part: &Row) -> i64 {
    if let Value::Int(number) = part.get(0) { *number } else { 0 }
}

/// Puts the parts of rows together.
pub(super) fn gathered<'s>(parts: Rows<'s>, name: &str, places: Places) -> Rows<'s> {
    let make = |context: &mut Context| Gather::new(places, context);
    let (rows, _) = operator::keyed(parts.into_edge(), name, OperatorSpec::new(GATHER), None, number, make);
    Stream::from_edge(rows)
}

struct Gather {
    places: Places,
    /// The parts of each row that have come.
    parts: Handle<Keyed<i64, Vec<Row>>>,
}

impl Gather {
    fn new(places: Places, context: &mut Context) -> Result<Self, Error> {
        Ok(Self { places, parts: context.states.keyed("parts", Meaning::of_type())? })
    }

    fn whole(&self, parts: Vec<Row>) -> Row {
        let width = self.places.width;
        let mut whole = vec![Value::Null; width + self.places.of_parts.iter().map(Vec::len).sum::<usize>()];
        for part in parts {
            let mut values = part.0.into_vec().into_iter().skip(1);
            let Some(group) = values.next().and_then(|group| if let Value::Int(group) = group { usize::try_from(group).ok() } else { None }) else {
                continue;
            };
            if group == 0 {
                whole.iter_mut().zip(values.by_ref().take(width)).for_each(|(slot, value)| *slot = value);
            }
            for (place, value) in self.places.of_parts.get(group).into_iter().flatten().zip(values) {
                if let Some(slot) = whole.get_mut(width + place) {
                    *slot = value;
                }
            }
        }
        Row(whole.into_boxed_slice())
    }
}

impl Logic for Gather {
    type In = Row;
    type Out = Row;
    type Side = ();

    fn record(&mut self, record: Record<Row>, out: &mut Outbox<Row, ()>) -> Result<(), Error> {
        let key = number(&record.value);
        let mut all = self.parts.borrow_mut();
        let parts = all.get_or_insert_with(&key, Vec::new)?;
        parts.push(record.value);
        if parts.len() == self.places.of_parts.len() {
            let parts = all.remove(&key)?.unwrap_or_default();
            out.emit(record.time, self.whole(parts));
        }
        Ok(())
    }

    fn watermark(&mut self, _: Watermark, _: &mut Outbox<Row, ()>) -> Result<(), Error> {
        Ok(())
    }
}
