//! Generated records: rows from distributions, and values from a function.
//!
//! Record `i` is a function of the seed and `i`, so the records are the same at any parallelism. All rows come from
//! one worker, in a single order, like the lines of a file. Values from a function are spread: each of `n` workers
//! produces every `n`-th, as a split of its own. Records are generated on demand by the operator, without a thread,
//! and carry their own event time.

mod distribution;
mod draw;
mod pace;
mod zipf;

use std::sync::Arc;

use tidegate_runtime::Error;
use tidegate_runtime::Kind;
use tidegate_runtime::Record;
use tidegate_runtime::source::{Reader, Source, SourceContext};

use crate::entry::Entry;
use crate::handover::Nothing;
use crate::kinds;
pub use distribution::Distribution;
use distribution::Sampler;
use draw::Draw;
pub use draw::mix;
use pace::{Generate, Plan};
use tidegate_rows::format::{EventTime, TimeUnit};
use tidegate_rows::{Row, Schema, Type};

/// Rows whose fields have the given distributions.
#[derive(Clone, Debug)]
pub struct GeneratorSource {
    schema: Schema,
    samplers: Arc<[Sampler]>,
    event_time: Option<EventTime>,
    seed: u64,
    plan: Plan,
}

impl GeneratorSource {
    /// Makes a source of rows with these fields. The first [`Distribution::Time`], if there is one, provides the
    /// event time.
    ///
    /// # Errors
    /// Names the field with an invalid distribution, and the reason.
    pub fn new(fields: impl IntoIterator<Item = (impl Into<String>, Distribution)>, seed: u64) -> Result<Self, String> {
        let mut schema = Schema::default();
        let mut samplers = Vec::new();
        for (name, distribution) in fields {
            let name = name.into();
            let sampler = distribution.sampler().map_err(|e| format!("field `{name}`: {e}"))?;
            if schema.add(name, distribution.ty()) == samplers.len() {
                samplers.push(sampler);
            }
        }
        let slot = samplers.iter().position(|s| matches!(s, Sampler::Time { .. }));
        let event_time = slot.map(|slot| EventTime { slot, unit: TimeUnit::Millis });
        Ok(Self { schema, samplers: samplers.into(), event_time, seed, plan: Plan::default() })
    }

    /// Takes the event time from `field`. The unit applies if the field holds numbers.
    ///
    /// # Errors
    /// There is no such field, or its type can't hold a time.
    pub fn with_event_time(mut self, field: &str, unit: TimeUnit) -> Result<Self, String> {
        let missing = || format!("there is no field `{field}` to take event time from");
        let slot = self.schema.slot(field).ok_or_else(missing)?;
        let ty = &self.schema.field(slot).ok_or_else(missing)?.ty;
        if !matches!(ty, Type::Timestamp | Type::Int | Type::Double) {
            return Err(format!("field `{field}` is of type {ty}: event time is taken from a timestamp or a number"));
        }
        self.event_time = Some(EventTime { slot, unit });
        Ok(self)
    }

    /// Ends after `count` rows in total over all workers.
    #[must_use]
    pub fn with_count(mut self, count: u64) -> Self {
        self.plan.count = Some(count);
        self
    }

    /// Generates `rate` rows per second in total over all workers. Without a rate, rows are generated as fast as they
    /// are consumed.
    #[must_use]
    pub fn with_rate(mut self, rate: f64) -> Self {
        self.plan.rate = Some(rate);
        self
    }

    /// The schema of the rows.
    #[must_use]
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// Row `i`.
    ///
    /// # Errors
    /// The event time of the row is null, because it is out of range.
    pub fn row(&self, i: u64) -> Result<Record<Row>, Error> {
        let field = |(slot, sampler): (usize, &Sampler)| sampler.value(i, &mut Draw::new(self.seed, i, slot as u64));
        let row: Row = self.samplers.iter().enumerate().map(field).collect();
        let time = match self.event_time {
            Some(event_time) => {
                let name = self.schema.field(event_time.slot).map_or("", |f| &f.name);
                event_time.of(&row, name).map_err(|e| Error::user(format!("generated row {i}: {e}")))?
            }
            None => Record::UNTIMED,
        };
        Ok(Record::new(time, row))
    }
}

impl Source<Entry<Row>> for GeneratorSource {
    fn kind(&self) -> Kind {
        kinds::GENERATOR
    }

    fn open(&self, context: SourceContext) -> Result<Box<dyn Reader<Entry<Row>>>, Error> {
        if context.worker != 0 {
            return Ok(Box::new(Nothing));
        }
        let context = SourceContext { workers: 1, ..context };
        let source = self.clone();
        let row = move |i| source.row(i).map(|record| Record::new(record.time, Entry::Good(record.value)));
        Ok(Box::new(Generate::new(self.plan, context, row)?))
    }
}

/// Records that a function computes from their index, as fast as they are consumed, on all workers. For tests,
/// examples and benchmarks.
#[derive(Clone, Debug)]
pub struct FnSource<F> {
    record: F,
    plan: Plan,
}

impl<F> FnSource<F> {
    /// Record `i` is `record(i)`.
    pub fn new<T>(record: F) -> Self
    where
        F: Fn(u64) -> Record<T>,
    {
        Self { record, plan: Plan::default() }
    }

    /// Ends after `count` records in total over all workers.
    #[must_use]
    pub fn with_count(mut self, count: u64) -> Self {
        self.plan.count = Some(count);
        self
    }

    /// Generates `rate` records per second in total over all workers.
    #[must_use]
    pub fn with_rate(mut self, rate: f64) -> Self {
        self.plan.rate = Some(rate);
        self
    }
}

impl<T: 'static, F: Fn(u64) -> Record<T> + Clone + Send + Sync + 'static> Source<T> for FnSource<F> {
    fn kind(&self) -> Kind {
        kinds::FUNCTION
    }

    fn open(&self, context: SourceContext) -> Result<Box<dyn Reader<T>>, Error> {
        let record = self.record.clone();
        Ok(Box::new(Generate::new(self.plan, context, move |i| Ok(record(i)))?))
    }
}
