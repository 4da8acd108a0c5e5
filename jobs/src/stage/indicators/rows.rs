//! Computes the indicators of one key over rows.

use std::sync::Arc;

use tidegate_expr::{Expr, canonical};
use tidegate_operators::indicator::{Feed, Indicators, Plan, Stretch, View};
use tidegate_rows::{Row, Value};
use tidegate_runtime::metrics::OperatorMetrics;
use tidegate_runtime::operator::Context;
use tidegate_runtime::state::Key;
use tidegate_runtime::Error;

use super::column::{RowColumn, RowItem, Values};
use super::functions::Leaves;
use super::gather;
use super::sweep::Sweep;
use crate::aggregate::Takes;
use crate::relation::failures::Failures;

/// A row, and which stream it is from: 0 is the stream itself, whose rows go on.
pub(super) type Fed = (u8, Row);

/// What is evaluated over the rows of one stream.
#[derive(Clone, Debug, Default)]
pub(super) struct Reads {
    /// Conditions on the rows that feed a history.
    pub(super) conditions: Vec<Expr>,
    /// What rows leave in histories.
    pub(super) leaves: Vec<Leaves>,
}

/// A history of one key, as rows feed it.
#[derive(Clone, Debug)]
pub(super) struct Fills {
    /// The stream that feeds it.
    pub(super) source: u8,
    /// Which of its conditions must hold.
    pub(super) condition: Option<usize>,
    /// What a row leaves.
    pub(super) leaves: usize,
    /// Whether rows without a value take a place among those that are told apart.
    pub(super) keeps_nulls: bool,
}

/// The indicators of one key.
#[derive(Clone)]
pub(crate) struct RowIndicators {
    pub(super) plan: Arc<Plan<RowColumn>>,
    pub(super) fills: Arc<[Fills]>,
    pub(super) reads: Arc<[Reads]>,
    pub(super) sweeps: Vec<Sweep>,
    /// The slots of the key in the rows of each stream.
    pub(super) keys: Arc<[Vec<usize>]>,
    /// How many values there are.
    pub(super) values: usize,
    /// The number of fields in a row of the stream itself.
    pub(super) width: usize,
    pub(super) emits: Emits,
    pub(super) failures: Vec<Failures>,
    pub(super) scratch: Scratch,
    pub(super) metrics: Arc<OperatorMetrics>,
}

/// What goes out for a row.
#[derive(Clone, Copy, Debug)]
pub(super) enum Emits {
    /// The row, with the values appended.
    Row,
    /// A part of it: the values, and with the first group the fields of the row.
    Part {
        /// Which part.
        group: usize,
        /// The slot of the number that all its parts have.
        number: usize,
    },
}

/// What has been evaluated of the current row.
#[derive(Clone, Default)]
pub(super) struct Scratch {
    conditions: Vec<bool>,
    /// `None` where an expression failed.
    values: Vec<Option<Value>>,
    /// The parts of a history that the queries of a sweep cover, the latest to begin first.
    stretches: Vec<(usize, Stretch)>,
    /// The summary of what a sweep has passed.
    sums: Option<Values>,
}

impl Leaves {
    /// What a row leaves, as a value.
    fn value(&self, row: &Row) -> Result<Value, (&Expr, String)> {
        let eval = |expr: &'_ Expr| expr.eval(row).map_err(|e| e.to_string());
        let of = |expr| eval(expr).map_err(|e| (expr, e));
        match self {
            Self::Time => Ok(Value::Null),
            Self::Value { value, checked: false } => of(value),
            Self::Value { value, checked: true } => number(value, of(value)?),
            Self::Form(value) | Self::Distinct(value) => of(value).map(|value| canonical(&value)),
            Self::Flag(condition) => condition.test(row).map(Value::Bool).map_err(|e| (condition, e.to_string())),
            Self::Place(lat, lon) => match (number(lat, of(lat)?)?, number(lon, of(lon)?)?) {
                (Value::Null, _) | (_, Value::Null) => Ok(Value::Null),
                (lat, lon) => Ok(Value::list([lat, lon])),
            },
        }
    }
}

fn number(expr: &Expr, value: Value) -> Result<Value, (&Expr, String)> {
    if !value.is_null() {
        Takes::Numbers.check(&value).map_err(|e| (expr, e))?;
    }
    Ok(value)
}

impl RowIndicators {
    /// Whether the current row feeds a history.
    fn fills(&self, history: usize, source: u8) -> bool {
        let fills = &self.fills[history];
        let holds = |condition: usize| self.scratch.conditions.get(condition) == Some(&true);
        fills.source == source
            && fills.condition.is_none_or(holds)
            && self.scratch.values.get(fills.leaves).is_some_and(Option::is_some)
    }

    /// The value that the current row has for a history, whether it feeds it or not.
    fn own_value(&self, history: usize, source: u8) -> &Value {
        let fills = &self.fills[history];
        let value = self.scratch.values.get(fills.leaves).and_then(Option::as_ref);
        value.filter(|_| fills.source == source).unwrap_or(&Value::Null)
    }
}

impl RowIndicators {
    /// Whether the key in a row of the stream with this number is known.
    fn knows(&self, source: u8, row: &Row) -> bool {
        self.keys.get(usize::from(source)).is_some_and(|slots| slots.iter().all(|slot| !row.get(*slot).is_null()))
    }

    /// The values where the key is not known.
    pub(crate) fn unknown_values(&self) -> Vec<Value> {
        let mut values = vec![Value::Null; self.values];
        for answer in self.sweeps.iter().flat_map(|sweep| &sweep.queries).flat_map(|query| &query.answers) {
            values[answer.place] = answer.default.clone();
        }
        values
    }

    /// The histories of a key.
    pub(crate) fn plan_of(&self) -> &Arc<Plan<RowColumn>> {
        &self.plan
    }

    /// Which histories the values in these places need.
    pub(crate) fn needed_for(&self, places: &[usize]) -> Vec<bool> {
        let needs = |sweep: &&Sweep| sweep.queries.iter().flat_map(|query| &query.answers).any(|answer| places.contains(&answer.place));
        let mut needed = vec![false; self.plan.kept().len()];
        self.sweeps.iter().filter(needs).for_each(|sweep| needed[sweep.history] = true);
        needed
    }

    /// Evaluates what is asked of a row.
    pub(crate) fn read_row(&mut self, source: u8, row: &Row) -> Result<(), Error> {
        let source = usize::from(source);
        self.scratch.conditions.clear();
        self.scratch.values.clear();
        let (Some(reads), Some(failures)) = (self.reads.get(source), self.failures.get_mut(source)) else { return Ok(()) };
        let mut failed = |expr: &Expr, error: &str| {
            self.metrics.uncounted.add(1);
            failures.report(expr, error, row)
        };
        for condition in &reads.conditions {
            let holds = condition.test(row).or_else(|error| failed(condition, &error.to_string()).map(|()| false))?;
            self.scratch.conditions.push(holds);
        }
        for leaves in &reads.leaves {
            let value = leaves.value(row).map(Some).or_else(|(expr, error)| failed(expr, &error).map(|()| None))?;
            self.scratch.values.push(value);
        }
        Ok(())
    }

    /// The values for the row that was read.
    pub(crate) fn values_of<K: Key>(&mut self, source: u8, view: &mut View<'_, '_, K, RowColumn>) -> Result<Vec<Value>, Error> {
        let mut values = vec![Value::Null; self.values];
        let mut scratch = (std::mem::take(&mut self.scratch.stretches), self.scratch.sums.take());
        for sweep in &self.sweeps {
            let own = sweep.own && self.fills(sweep.history, source);
            let mine = self.own_value(sweep.history, source);
            sweep.answer(view, own, mine, (&mut scratch.0, &mut scratch.1), &mut values)?;
        }
        (self.scratch.stretches, self.scratch.sums) = scratch;
        Ok(values)
    }

    /// What the row that was read leaves in a history.
    pub(crate) fn leaves(&self, source: u8, history: usize) -> Option<Feed<RowColumn>> {
        if !self.fills(history, source) {
            return None;
        }
        let fills = &self.fills[history];
        let value = || self.scratch.values.get(fills.leaves).cloned().flatten().unwrap_or_default();
        Some(match self.plan.kept()[history].column {
            RowColumn::Times => Feed::Item(RowItem::Time),
            RowColumn::Flags(_) => Feed::Item(RowItem::Flag(value() == Value::Bool(true))),
            RowColumn::Distinct(_) => {
                let value = value();
                if value.is_null() && !fills.keeps_nulls {
                    return None;
                }
                Feed::Value(value)
            }
            RowColumn::Ints(_) | RowColumn::Doubles(_) | RowColumn::Values(..) => Feed::Item(RowItem::Value(value())),
        })
    }
}

impl Indicators for RowIndicators {
    type In = Fed;
    type Values = Vec<Value>;
    type Out = Row;
    type Column = RowColumn;

    fn plan(&self, _: u64) -> &Arc<Plan<RowColumn>> {
        &self.plan
    }

    fn open(&mut self, context: &mut Context) -> Result<(), Error> {
        self.metrics = Arc::clone(&context.metrics);
        Ok(())
    }

    fn asks(&self, (source, _): &Fed) -> bool {
        *source == 0
    }

    fn owns_late(&self) -> bool {
        !matches!(self.emits, Emits::Part { group: 1.., .. })
    }

    fn has_key(&self, (source, row): &Fed) -> bool {
        self.knows(*source, row)
    }

    fn unknown(&self, _: &Fed) -> Vec<Value> {
        self.unknown_values()
    }

    fn read(&mut self, (source, row): &Fed) -> Result<(), Error> {
        self.read_row(*source, row)
    }

    fn values<K: Key>(&mut self, (source, _): &Fed, view: &mut View<'_, '_, K, RowColumn>) -> Result<Vec<Value>, Error> {
        self.values_of(*source, view)
    }

    fn feeds(&mut self, (source, _): &Fed, history: usize) -> Option<Feed<RowColumn>> {
        self.leaves(*source, history)
    }

    fn out(&self, (_, row): Fed, values: Vec<Value>) -> Row {
        match self.emits {
            Emits::Row => {
                let mut all = row.0.into_vec();
                all.truncate(self.width);
                all.reserve_exact(values.len());
                all.extend(values);
                Row(all.into_boxed_slice())
            }
            Emits::Part { group, number } => {
                let number = row.get(number).clone();
                let mut fields = if group == 0 { row.0.into_vec() } else { Vec::new() };
                fields.truncate(self.width);
                gather::part(number, group, fields, values)
            }
        }
    }
}
