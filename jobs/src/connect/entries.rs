//! Splits a source into its good records and its bad ones, which become rows of a stream of their own.

use serde_json::Value as Json;
use tidegate_connectors::entry::{BadRecord, Entry};
use tidegate_rows::{Row, Schema, Type, Value};
use tidegate_runtime::source::{Batch, Poll, Reader, Resumed, Source, SourceContext};
use tidegate_runtime::{Error, Kind, Record};

use super::kind::RowSource;

/// A source that passes on only its good records, for when nothing reads the bad ones.
pub(crate) struct Good(pub(crate) RowSource);

struct GoodReader(Box<dyn Reader<Entry<Row>>>);

impl Source<Row> for Good {
    fn kind(&self) -> Kind {
        self.0.kind()
    }

    fn version(&self) -> u32 {
        self.0.version()
    }

    fn open(&self, context: SourceContext) -> Result<Box<dyn Reader<Row>>, Error> {
        Ok(Box::new(GoodReader(self.0.open(context)?)))
    }

    fn accepts(&self, positions: &[Json]) -> Result<(), Error> {
        Source::<Entry<Row>>::accepts(&*self.0, positions)
    }
}

impl Reader<Row> for GoodReader {
    fn poll(&mut self) -> Result<Poll<Row>, Error> {
        Ok(match self.0.poll()? {
            Poll::Batch(Batch { split, records, watermark, last, idle, position }) => {
                let good = |r: Record<Entry<Row>>| Some(Record::new(r.time, r.value.good()?));
                Poll::Batch(Batch { split, records: records.into_iter().filter_map(good).collect(), watermark, last, idle, position })
            }
            Poll::Pending => Poll::Pending,
            Poll::After(wait) => Poll::After(wait),
            Poll::Finished => Poll::Finished,
        })
    }

    fn is_vacant(&self) -> bool {
        self.0.is_vacant()
    }

    fn resumed(&mut self) -> Option<Vec<Resumed>> {
        self.0.resumed()
    }

    fn completed(&mut self, positions: &[Json]) {
        self.0.completed(positions);
    }
}

/// The schema of the stream of bad records.
pub(crate) fn dead_letter_schema() -> Schema {
    Schema::new([("source", Type::String), ("line", Type::Int), ("text", Type::String), ("error", Type::String)])
}

/// The bad record of an entry as a row of that schema, or `None` if the record is good.
pub(crate) fn dead_letter(entry: Entry<Row>) -> Option<Row> {
    let Entry::Bad(bad) = entry else { return None };
    let BadRecord { source, line, text, error } = *bad;
    let line = Value::Int(i64::try_from(line).unwrap_or(i64::MAX));
    Some([Value::string(source), line, Value::string(text), Value::string(error)].into_iter().collect())
}
