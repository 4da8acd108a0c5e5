//! The aggregates of a stream, computed over its rows.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use tidegate_expr::{Expr, form_of};
use tidegate_operators::{Aggregate, Sliding};
use tidegate_rows::{Row, Type, Value};
use tidegate_runtime::metrics::OperatorMetrics;
use tidegate_runtime::state::{Meaning, Stored};
use tidegate_runtime::{Clock, Error, Field};

use super::{Acc, At, Compiled, Takes};
use crate::relation::failures::Failures;

/// The accumulators of one key and window. Up to two are stored inline next to the key: behind a box, the state would
/// cost two cache misses per record.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Accs(SmallVec<[Acc; 2]>);

/// The parts of the meaning say what each accumulator is for.
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
pub(crate) struct RowAggregate {
    aggregates: Arc<[Compiled]>,
    /// Where each aggregate finds its input.
    reads: Box<[Reads]>,
    /// The inputs from the current record that had to be evaluated, in order.
    given: Vec<Given>,
    /// The number of nulls before the values of a result, to be replaced by the key and the bounds of the window.
    lead: usize,
    words: String,
    /// What each aggregate keeps, by name.
    kept: Vec<Field>,
    sliding: Sliding,
    /// The number of the last record to arrive. `None` if arrival order is meaningless.
    arrived: Option<u64>,
    failures: Failures,
    metrics: Arc<OperatorMetrics>,
}

/// Where an aggregate finds its input.
#[derive(Clone, Copy)]
enum Reads {
    /// The record counts by itself.
    Record,
    /// The value in this slot.
    Slot(usize),
    /// The value in this slot, unless it is null.
    Filled(usize),
    /// It has to be evaluated, which may fail.
    Evaluated,
}

/// The input of an aggregate that evaluates it. All are evaluated before any is added, so that a failure leaves the
/// accumulators unchanged.
enum Given {
    Nothing,
    Record,
    Slot(usize),
    Value(Value),
}

impl RowAggregate {
    /// Makes the aggregates of a stream. `words` describes them in the graph, `kept` names what each keeps, and
    /// `failures` says what to do when an expression fails.
    pub(crate) fn new(aggregates: Arc<[Compiled]>, kept: Vec<Field>, words: &str, failures: Failures) -> Self {
        Self {
            reads: aggregates.iter().map(Compiled::reads).collect(),
            given: Vec::with_capacity(aggregates.len()),
            lead: 0,
            sliding: aggregates.iter().map(|aggregate| aggregate.function.sliding()).reduce(Sliding::and).unwrap_or(Sliding::Retract),
            aggregates,
            words: words.to_owned(),
            kept,
            arrived: Some(0),
            failures,
            metrics: Arc::default(),
        }
    }

    /// For records whose order differs from run to run. Where order matters, they are ordered by event time, and
    /// records of equal time by their values.
    pub(crate) fn in_any_order(self) -> Self {
        Self { arrived: None, ..self }
    }

    /// Results begin with so many nulls, as room for what comes before the values.
    pub(crate) fn after(self, lead: usize) -> Self {
        Self { lead, ..self }
    }

    /// The position of the next record.
    #[inline]
    fn at(&mut self, time: i64) -> At {
        match &mut self.arrived {
            Some(arrived) => {
                *arrived += 1;
                At { time, arrival: *arrived }
            }
            None => At::unordered(time),
        }
    }

    /// Makes empty accumulators.
    fn empty(&self) -> impl Fn(&Compiled) -> Acc + use<> {
        let in_any_order = self.arrived.is_none();
        move |aggregate| if in_any_order { aggregate.function.unordered() } else { aggregate.function.empty() }
    }

    fn evaluate(&mut self, row: &Row) -> Result<bool, Error> {
        self.given.clear();
        for (aggregate, _) in self.aggregates.iter().zip(&self.reads).filter(|(_, reads)| matches!(reads, Reads::Evaluated)) {
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
    /// Where its input is.
    fn reads(&self) -> Reads {
        if self.condition.is_some() {
            return Reads::Evaluated;
        }
        let Some(argument) = &self.argument else { return Reads::Record };
        let Some(slot) = argument.as_slot() else { return Reads::Evaluated };
        match self.function.about().takes {
            Takes::Nulls => Reads::Slot(slot),
            Takes::Distinct if form_of(argument.ty()).is_some() => Reads::Evaluated,
            Takes::Numbers if *argument.ty() == Type::Any => Reads::Evaluated,
            Takes::Values | Takes::Distinct | Takes::Numbers => Reads::Filled(slot),
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
        let takes = self.function.about().takes;
        if value.is_null() && takes != Takes::Nulls {
            return Ok(Given::Nothing);
        }
        takes.check(value).map_err(|e| (argument, e))?;
        if takes == Takes::Distinct
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
        // Arrival numbers are compared across restarts, so they start from the time of day: no job counts more than a
        // record per nanosecond. This is always the machine's clock, because a manual clock may stand still from one
        // run to the next.
        let now = || u64::try_from(Clock::default().now()).unwrap_or(0).saturating_mul(1_000_000);
        self.arrived = self.arrived.map(|_| now());
    }

    fn describe(&self) -> String {
        self.words.clone()
    }

    /// Accumulators belong to the names of their aggregates. The final function does not matter: a restored
    /// accumulator may serve another quantile.
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

    #[inline]
    fn add(&mut self, acc: &mut Accs, row: &Row, time: i64) -> Result<bool, Error> {
        if !self.evaluate(row)? {
            return Ok(false);
        }
        let at = self.at(time);
        let mut given = self.given.drain(..);
        for (acc, reads) in acc.iter_mut().zip(&self.reads) {
            match *reads {
                Reads::Record => acc.add(&Value::Null, at),
                Reads::Slot(slot) => acc.add(row.get(slot), at),
                Reads::Filled(slot) => match row.get(slot) {
                    Value::Null => {}
                    value => acc.add(value, at),
                },
                Reads::Evaluated => match given.next() {
                    None | Some(Given::Nothing) => {}
                    Some(Given::Record) => acc.add(&Value::Null, at),
                    Some(Given::Slot(slot)) => acc.add(row.get(slot), at),
                    Some(Given::Value(value)) => acc.add(&value, at),
                },
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
        let of = |(a, part): (&Compiled, &Acc)| if a.function.sliding() == Sliding::Retract { empty(a) } else { part.clone() };
        self.aggregates.iter().zip(part.iter()).map(of).collect()
    }

    fn complete(&self, acc: &mut Accs, rest: &Accs) {
        for ((acc, rest), aggregate) in acc.iter_mut().zip(rest.iter()).zip(&*self.aggregates) {
            if aggregate.function.sliding() != Sliding::Retract {
                acc.clone_from(rest);
            }
        }
    }

    fn finish(&self, acc: &Accs) -> Vec<Value> {
        let mut values = Vec::with_capacity(self.lead + acc.len());
        (0..self.lead).for_each(|_| values.push(Value::Null));
        values.extend(self.aggregates.iter().zip(acc.iter()).map(|(a, acc)| a.function.finish(acc).unwrap_or_default()));
        values
    }
}
