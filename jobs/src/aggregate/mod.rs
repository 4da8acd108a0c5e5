//! The aggregates of job files: `{ n: count(), ips: count_distinct(ip) }` compiled to one accumulator per name.
//!
//! Null doesn't count: an aggregate of a field is over the records in which the field isn't null, except `count()` and `collect(x)`.

mod acc;
mod exact;
mod function;

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use tidegate_operators::{Aggregate, Sliding};
use tidegate_rows::{Row, Type, Value};
use tidegate_runtime::metrics::OperatorMetrics;
use tidegate_runtime::state::{Meaning, Stored};
use tidegate_runtime::{Clock, Error, Field};

use crate::relation::failures::Failures;
use tidegate_expr::Expr;
use tidegate_expr::form_of;

pub use acc::Acc;
pub use function::{Function, Numbers, compile};

/// One aggregate of a stream, compiled.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// What it computes.
    pub function: Function,
    /// Of what; `None` for `count()`.
    pub argument: Option<Expr>,
    /// Over which records; all, if `None`.
    pub condition: Option<Expr>,
}

/// The accumulators of one key and window. Two lie beside the key: with a box the state would be two cache misses away for each record.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Accs(SmallVec<[Acc; 2]>);

/// What each accumulator is of is said by the parts of the meaning.
impl Stored for Accs {
    const SCHEMA: &'static str = "aggregates/1";
}

impl Deref for Accs {
    type Target = [Acc];

    fn deref(&self) -> &[Acc] {
        &self.0
    }
}

impl DerefMut for Accs {
    fn deref_mut(&mut self) -> &mut [Acc] {
        &mut self.0
    }
}

impl FromIterator<Acc> for Accs {
    fn from_iter<I: IntoIterator<Item = Acc>>(accs: I) -> Self {
        Self(accs.into_iter().collect())
    }
}

/// All aggregates of a stream.
pub struct RowAggregate {
    aggregates: Arc<[Compiled]>,
    /// What the aggregates are given of the current record.
    given: Vec<Given>,
    words: String,
    /// What each keeps, by name.
    kept: Vec<Field>,
    sliding: Sliding,
    /// How many records have come; `None`: the order in which they come means nothing.
    arrived: Option<u64>,
    failures: Failures,
    metrics: Arc<OperatorMetrics>,
}

/// What an aggregate is given of a record. All are evaluated before any is added, so that a failure leaves the accumulators as they were.
enum Given {
    Nothing,
    Record,
    Slot(usize),
    Value(Value),
}

impl RowAggregate {
    /// These aggregates, called `words` in the graph, which keep this by their names; `failures` says what to do when an expression fails.
    #[must_use]
    pub fn new(aggregates: Arc<[Compiled]>, kept: Vec<Field>, words: &str, failures: Failures) -> Self {
        Self {
            given: Vec::with_capacity(aggregates.len()),
            sliding: aggregates.iter().map(Compiled::sliding).reduce(Sliding::and).unwrap_or(Sliding::Retract),
            aggregates,
            words: words.to_owned(),
            kept,
            arrived: Some(0),
            failures,
            metrics: Arc::default(),
        }
    }

    /// Over records that come in another order in every run: where it would matter they are in order of event time, and of equal times in that of
    /// their values.
    #[must_use]
    pub fn in_any_order(self) -> Self {
        Self { arrived: None, ..self }
    }

    /// Makes accumulators of no records.
    fn empty(&self) -> impl Fn(&Compiled) -> Acc + use<> {
        let in_any_order = self.arrived.is_none();
        move |aggregate| {
            // Sums of ints and decimals are exact anyway, and can be taken back.
            let unordered = in_any_order && aggregate.sliding() != Sliding::Retract;
            if unordered { Acc::unordered(&aggregate.function) } else { Acc::new(&aggregate.function) }
        }
    }

    fn evaluate(&mut self, row: &Row) -> Result<bool, Error> {
        self.given.clear();
        for aggregate in &*self.aggregates {
            let given = aggregate.given(row);
            match given {
                Ok(given) => self.given.push(given),
                Err((expr, error)) => {
                    self.metrics.failed.add(1);
                    self.failures.report(expr, &error, row)?;
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }
}

impl Compiled {
    /// What its accumulator holds, in words: of what, of which type, of which records. Not what is made of that in the end.
    #[must_use]
    pub fn kept(&self) -> String {
        let argument = self.argument.as_ref().map_or_else(String::new, |of| format!("{}: {}", of.source().trim(), of.ty()));
        let call = format!("{}({argument})", self.function.kept());
        match &self.condition {
            Some(condition) => format!("{call} where {}", condition.source().trim()),
            None => call,
        }
    }

    fn sliding(&self) -> Sliding {
        // Sums of these are exact, so that what has left a window can be taken back.
        let exact = self.argument.as_ref().is_some_and(|argument| matches!(argument.ty(), Type::Int | Type::Uint | Type::Decimal));
        match self.function {
            Function::Count | Function::CountDistinct | Function::Collect | Function::Quantile(_) | Function::Top(_) => Sliding::Retract,
            Function::Sum(_) | Function::Avg(_) if exact => Sliding::Retract,
            _ => Sliding::Suffixes,
        }
    }

    fn given(&self, row: &Row) -> Result<Given, (&Expr, String)> {
        if let Some(condition) = &self.condition
            && !condition.test(row).map_err(|e| (condition, e.to_string()))?
        {
            return Ok(Given::Nothing);
        }
        let Some(argument) = &self.argument else { return Ok(Given::Record) };
        let given = match argument.as_slot() {
            Some(slot) => Given::Slot(slot),
            None => Given::Value(argument.eval(row).map_err(|e| (argument, e.to_string()))?),
        };
        let value = match &given {
            Given::Value(value) => value,
            _ => row.get(argument.as_slot().unwrap_or_default()),
        };
        if value.is_null() && !self.function.takes_null() {
            return Ok(Given::Nothing);
        }
        self.function.check(value).map_err(|e| (argument, e))?;
        if matches!(self.function, Function::CountDistinct | Function::Top(_))
            && let Some(form) = form_of(argument.ty())
        {
            return Ok(Given::Value(form(value)));
        }
        Ok(given)
    }
}

impl Aggregate<Row> for RowAggregate {
    type Acc = Accs;
    type Out = Vec<Value>;

    fn open(&mut self, metrics: &Arc<OperatorMetrics>) {
        self.metrics = Arc::clone(metrics);
        // Arrivals are compared across restarts, so they go on from the time of day: nobody counts faster than a record a nanosecond. It is always that of
        // the machine, as a manual clock may stand still from one run to the next.
        let now = || u64::try_from(Clock::default().now()).unwrap_or(0).saturating_mul(1_000_000);
        self.arrived = self.arrived.map(|_| now());
    }

    fn describe(&self) -> String {
        self.words.clone()
    }

    /// Accumulators go with the names of their aggregates. What an aggregate makes of its accumulator is not asked: it may be another quantile now.
    fn meaning(&self) -> Meaning<Accs> {
        let (aggregates, empty) = (Arc::clone(&self.aggregates), self.empty());
        let arrange = move |accs: &mut Accs, places: &[Option<usize>]| {
            let kept = |place: &Option<usize>| place.and_then(|place| accs.get(place).cloned());
            *accs = aggregates.iter().zip(places).map(|(a, place)| kept(place).unwrap_or_else(|| empty(a))).collect();
        };
        Meaning::of_type().with_parts(self.kept.clone(), arrange)
    }

    fn create(&self) -> Accs {
        self.aggregates.iter().map(self.empty()).collect()
    }

    fn add(&mut self, acc: &mut Accs, row: &Row, time: i64) -> Result<bool, Error> {
        if !self.evaluate(row)? {
            return Ok(false);
        }
        let at = match &mut self.arrived {
            Some(arrived) => {
                *arrived += 1;
                acc::At { time, arrival: *arrived }
            }
            None => acc::At::unordered(time),
        };
        for (acc, given) in acc.iter_mut().zip(self.given.drain(..)) {
            match given {
                Given::Nothing => {}
                Given::Record => acc.add(&Value::Null, at),
                Given::Slot(slot) => acc.add(row.get(slot), at),
                Given::Value(value) => acc.add(&value, at),
            }
        }
        Ok(true)
    }

    fn merge(&self, acc: &mut Accs, other: &Accs) {
        acc.iter_mut().zip(other.iter()).for_each(|(acc, other)| acc.merge(other));
    }

    fn sliding(&self) -> Sliding {
        self.sliding
    }

    fn retract(&self, acc: &mut Accs, other: &Accs) {
        acc.iter_mut().zip(other.iter()).for_each(|(acc, other)| acc.retract(other));
    }

    fn rest(&self, part: &Accs) -> Accs {
        let empty = self.empty();
        let of = |(a, part): (&Compiled, &Acc)| if a.sliding() == Sliding::Retract { empty(a) } else { part.clone() };
        self.aggregates.iter().zip(part.iter()).map(of).collect()
    }

    fn complete(&self, acc: &mut Accs, rest: &Accs) {
        for ((acc, rest), aggregate) in acc.iter_mut().zip(rest.iter()).zip(&*self.aggregates) {
            if aggregate.sliding() != Sliding::Retract {
                acc.clone_from(rest);
            }
        }
    }

    fn finish(&self, acc: &Accs) -> Vec<Value> {
        self.aggregates.iter().zip(acc.iter()).map(|(a, acc)| acc.finish(&a.function)).collect()
    }
}

#[cfg(test)]
mod tests;
