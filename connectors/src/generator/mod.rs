//! Generated records: rows by distribution, and values by a function.
//!
//! Record `i` is a function of the seed and `i`: so the records are the same at any parallelism. Rows are all made by one worker, and so in one order,
//! as lines of a file are; of values that a function makes, each of `n` workers makes every `n`-th, and is a split of its own. They are made when the
//! operator asks, without a thread, and bring event time of their own.

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

/// Rows with fields of given distributions.
#[derive(Clone, Debug)]
pub struct GeneratorSource {
    schema: Schema,
    samplers: Arc<[Sampler]>,
    event_time: Option<EventTime>,
    seed: u64,
    plan: Plan,
}

impl GeneratorSource {
    /// Rows of these fields. The first [`Distribution::Time`], if there is one, is the event time.
    ///
    /// # Errors
    /// A distribution that can't be: the field, and why.
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

    /// Takes event time from `field`; the unit matters if it holds numbers.
    ///
    /// # Errors
    /// There is no such field, or it can't hold a time.
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

    /// Ends after `count` rows, over all workers.
    #[must_use]
    pub fn with_count(mut self, count: u64) -> Self {
        self.plan.count = Some(count);
        self
    }

    /// Makes `rate` rows per second, over all workers; without a rate, as many as are taken.
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
    /// Its event time is null: the years are over.
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

/// Records that a function makes of their number, as fast as they are taken, on all workers: for tests, examples and benchmarks.
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

    /// Ends after `count` records, over all workers.
    #[must_use]
    pub fn with_count(mut self, count: u64) -> Self {
        self.plan.count = Some(count);
        self
    }

    /// Makes `rate` records per second, over all workers.
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
