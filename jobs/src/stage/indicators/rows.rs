//! Computes the indicators of one key over rows.

use std::sync::Arc;

use tidegate_expr::{Expr, canonical};
use tidegate_operators::indicator::{Feed, Indicators, Kept, Piece, Span, Stretch, View};
use tidegate_rows::{Row, Value};
use tidegate_runtime::metrics::OperatorMetrics;
use tidegate_runtime::state::Key;
use tidegate_runtime::Error;

use super::column::{Ends, Flags, Fold, Placed, RowColumn, RowItem, Slice, Values};
use super::functions::{Leaves, What};
use super::gather;
use crate::aggregate::{Acc, At, Function, Takes};
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

/// Indicators that are over the same history, seen from the same moment. What a short span holds is part of what a longer one does, so one sweep from the
/// newest items to older ones serves all.
#[derive(Clone, Debug)]
pub(super) struct Sweep {
    pub(super) history: usize,
    /// Milliseconds.
    pub(super) delay: i64,
    /// Whether the row counts itself, if it feeds the history.
    pub(super) own: bool,
    pub(super) queries: Vec<Query>,
    /// The accumulators that they need.
    pub(super) folds: Vec<Fold>,
    /// Whether they need the first or the last value.
    pub(super) ends: bool,
    /// The summary of no values, for a history of values.
    pub(super) nothing: Option<Values>,
}

/// Indicators over the same span.
#[derive(Clone, Debug)]
pub(super) struct Query {
    pub(super) span: Span,
    pub(super) answers: Vec<Answer>,
}

/// One indicator.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    /// Its place among the values.
    pub(super) place: usize,
    pub(super) what: What,
    pub(super) default: Value,
}

/// The indicators of one key.
#[derive(Clone)]
pub(super) struct RowIndicators {
    pub(super) kept: Arc<[Kept<RowColumn>]>,
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

    fn fail(&mut self, source: usize, expr: &Expr, error: &str, row: &Row) -> Result<(), Error> {
        self.metrics.failed.add(1);
        self.failures.get_mut(source).map_or(Ok(()), |failures| failures.report(expr, error, row))
    }
}

impl Indicators for RowIndicators {
    type In = Fed;
    type Values = Vec<Value>;
    type Out = Row;
    type Column = RowColumn;

    fn histories(&self) -> &[Kept<RowColumn>] {
        &self.kept
    }

    fn open(&mut self, metrics: &Arc<OperatorMetrics>) {
        self.metrics = Arc::clone(metrics);
    }

    fn asks(&self, (source, _): &Fed) -> bool {
        *source == 0
    }

    fn has_key(&self, (source, row): &Fed) -> bool {
        self.keys.get(usize::from(*source)).is_some_and(|slots| slots.iter().all(|slot| !row.get(*slot).is_null()))
    }

    fn unknown(&self) -> Vec<Value> {
        let mut values = vec![Value::Null; self.values];
        for answer in self.sweeps.iter().flat_map(|sweep| &sweep.queries).flat_map(|query| &query.answers) {
            values[answer.place] = answer.default.clone();
        }
        values
    }

    fn read(&mut self, (source, row): &Fed) -> Result<(), Error> {
        let source = usize::from(*source);
        self.scratch.conditions.clear();
        self.scratch.values.clear();
        let reads = Arc::clone(&self.reads);
        let Some(reads) = reads.get(source) else { return Ok(()) };
        for condition in &reads.conditions {
            let holds = match condition.test(row) {
                Ok(holds) => holds,
                Err(error) => {
                    self.fail(source, condition, &error.to_string(), row)?;
                    false
                }
            };
            self.scratch.conditions.push(holds);
        }
        for leaves in &reads.leaves {
            let value = match leaves.value(row) {
                Ok(value) => Some(value),
                Err((expr, error)) => {
                    self.fail(source, expr, &error, row)?;
                    None
                }
            };
            self.scratch.values.push(value);
        }
        Ok(())
    }

    fn values<K: Key>(&mut self, (source, _): &Fed, view: &mut View<'_, '_, K, RowColumn>) -> Result<Vec<Value>, Error> {
        let mut values = vec![Value::Null; self.values];
        let mut scratch = (std::mem::take(&mut self.scratch.stretches), self.scratch.sums.take());
        for sweep in &self.sweeps {
            let own = sweep.own && self.fills(sweep.history, *source);
            let mine = self.own_value(sweep.history, *source);
            sweep.answer(view, own, mine, (&mut scratch.0, &mut scratch.1), &mut values)?;
        }
        (self.scratch.stretches, self.scratch.sums) = scratch;
        Ok(values)
    }

    fn feeds(&mut self, (source, _): &Fed, history: usize) -> Option<Feed<RowColumn>> {
        if !self.fills(history, *source) {
            return None;
        }
        let fills = &self.fills[history];
        let value = || self.scratch.values.get(fills.leaves).cloned().flatten().unwrap_or_default();
        Some(match self.kept[history].column {
            RowColumn::Times(_) => Feed::Item(RowItem::Time),
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

impl What {
    /// The accumulators that it needs.
    pub(super) fn folds(&self) -> Vec<Fold> {
        match self {
            Self::Fold(_, fold) => vec![*fold],
            Self::Zscore(..) => ["avg", "variance"].into_iter().filter_map(Fold::of).collect(),
            _ => Vec::new(),
        }
    }
}

impl Answer {
    fn put(&self, value: Value, values: &mut [Value]) {
        values[self.place] = if value.is_null() { self.default.clone() } else { value };
    }
}

/// What a sweep works with, kept from row to row.
type Work<'a> = (&'a mut Vec<(usize, Stretch)>, &'a mut Option<Values>);

impl Sweep {
    /// Computes the answers. `own`: the row counts itself, with the value `mine`.
    fn answer<K: Key>(
        &self,
        view: &mut View<'_, '_, K, RowColumn>,
        own: bool,
        mine: &Value,
        (stretches, sums): Work<'_>,
        values: &mut [Value],
    ) -> Result<(), Error> {
        stretches.clear();
        for (at, query) in self.queries.iter().enumerate() {
            stretches.push((at, view.stretch(self.history, &query.span, self.delay, own)?));
        }
        if let Some(nothing) = &self.nothing {
            stretches.sort_by_key(|(_, stretch)| std::cmp::Reverse(stretch.start()));
            let sums = sums.get_or_insert_with(|| nothing.clone());
            return self.sweep(view, own.then_some(mine), mine, stretches, sums, values);
        }
        for ((_, stretch), query) in stretches.iter().zip(&self.queries) {
            query.answer(view, stretch, own, mine, values)?;
        }
        Ok(())
    }

    /// Computes the answers over a history of values.
    fn sweep<K: Key>(
        &self,
        view: &mut View<'_, '_, K, RowColumn>,
        own: Option<&Value>,
        mine: &Value,
        stretches: &[(usize, Stretch)],
        sums: &mut Values,
        values: &mut [Value],
    ) -> Result<(), Error> {
        let (time, at) = (view.moment(), view.time());
        let Some(nothing) = &self.nothing else { return Ok(()) };
        sums.clear(nothing);
        if let Some(own) = own {
            let own = Slice::Values(std::slice::from_ref(own));
            sums.add(own, &self.folds);
            sums.ends.append(&[at], own);
        }
        let mut later: Option<&Stretch> = None;
        let mut past = true;
        for (query, stretch) in stretches.iter().filter_map(|(query, stretch)| Some((self.queries.get(*query)?, stretch))) {
            // What is older than all that has been passed.
            let mut older = Ends::default();
            if let Some(before) = view.past(stretch).filter(|_| std::mem::take(&mut past)).and_then(|past| past.part.values()) {
                sums.merge(before, &self.folds);
                older.merge(&before.ends);
            }
            let see = &mut |piece: Piece<'_, RowColumn>| {
                match piece {
                    Piece::Items(times, column, range) => {
                        let values = column.slice(range.clone());
                        sums.add(values, &self.folds);
                        if self.ends {
                            older.append(times.get(range).unwrap_or_default(), values);
                        }
                    }
                    Piece::Whole(entry) => {
                        if let Some(part) = entry.part.values() {
                            sums.merge(part, &self.folds);
                            older.merge(&part.ends);
                        }
                    }
                }
                true
            };
            match later {
                None => view.visit(stretch, see)?,
                Some(later) => view.visit_before(stretch, later, see)?,
            }
            later = Some(stretch);
            older.merge(&sums.ends);
            sums.ends = older;
            for answer in &query.answers {
                let value = match &answer.what {
                    What::CountOf => count(sums.filled),
                    What::Fold(function, fold) => finish(sums, function, *fold),
                    What::First => sums.ends.first.as_ref().map_or(Value::Null, |(_, value)| value.clone()),
                    What::Last => sums.ends.last.as_ref().map_or(Value::Null, |(_, value)| value.clone()),
                    What::Collect => {
                        let mut all = Vec::new();
                        each(view, stretch, own, |_, value| all.push(value))?;
                        Value::list(all)
                    }
                    What::Gather(function) => gather(function, view, stretch, own)?,
                    What::Mode(function) => most_frequent(&gather(function, view, stretch, own)?),
                    What::Previous | What::Delta(_) => look_back(&answer.what, sums, newest(view, stretch)?.as_ref(), mine, time),
                    looks_back => look_back(looks_back, sums, sums.ends.last.as_ref(), mine, time),
                };
                answer.put(value, values);
            }
        }
        Ok(())
    }
}

impl Query {
    /// Computes its answers over a history that is none of values. `own`: the row counts itself, with the value `mine`.
    fn answer<K: Key>(&self, view: &mut View<'_, '_, K, RowColumn>, stretch: &Stretch, own: bool, mine: &Value, values: &mut [Value]) -> Result<(), Error> {
        let time = view.moment();
        match view.column(stretch) {
            Some(RowColumn::Times(_)) => {
                let needs_ends = self.answers.iter().any(|answer| !matches!(answer.what, What::Count));
                let ends = if needs_ends { view.ends(stretch)? } else { None };
                for answer in &self.answers {
                    let since = |from: i64| Value::Duration(jiff::SignedDuration::from_millis(time.saturating_sub(from)));
                    let value = match answer.what {
                        What::Count => count(view.count(stretch) + u64::from(own)),
                        What::SinceLast => ends.map_or(Value::Null, |(_, last)| since(last)),
                        What::SinceFirst => {
                            let first = ends.map(|(first, _)| first).into_iter().chain(own.then(|| view.time())).min();
                            first.map_or(Value::Null, since)
                        }
                        _ => Value::Null,
                    };
                    answer.put(value, values);
                }
            }
            Some(RowColumn::Flags(_)) => {
                let mut flags = view.past(stretch).and_then(|past| past.part.flags()).copied().unwrap_or_default();
                // The row comes in at its own time, which may lie among others if it is late.
                let mut mine = own.then_some((view.time(), *mine == Value::Bool(true)));
                view.visit(stretch, &mut |piece| {
                    match piece {
                        Piece::Items(times, column, range) => {
                            for (time, held) in times.get(range.clone()).unwrap_or_default().iter().zip(column.flags(range)) {
                                if let Some((_, mine)) = mine.take_if(|(mine, _)| *mine < *time) {
                                    flags.add(mine);
                                }
                                flags.add(*held);
                            }
                        }
                        Piece::Whole(entry) if mine.is_some_and(|(mine, _)| mine < entry.last) => return false,
                        Piece::Whole(entry) => flags.merge(entry.part.flags().unwrap_or(&Flags::default())),
                    }
                    true
                })?;
                if let Some((_, mine)) = mine {
                    flags.add(mine);
                }
                for answer in &self.answers {
                    let value = match answer.what {
                        What::Streak => count(flags.streak),
                        #[expect(clippy::cast_precision_loss, reason = "a share of fewer than 2^53 records")]
                        What::Ratio if flags.count > 0 => Value::Double(flags.held as f64 / flags.count as f64),
                        _ => Value::Null,
                    };
                    answer.put(value, values);
                }
            }
            Some(RowColumn::Distinct(_)) => {
                let counts = self.answers.iter().any(|answer| matches!(answer.what, What::Distinct));
                let distinct = if counts { view.count_distinct(stretch)? } else { 0 };
                let is_new = if (own || !counts) && !mine.is_null() { !view.contains(stretch, mine)? } else { false };
                for answer in &self.answers {
                    let value = match answer.what {
                        What::Distinct => count(distinct + u64::from(own && is_new)),
                        What::IsNew if !mine.is_null() => Value::Bool(is_new),
                        _ => Value::Null,
                    };
                    answer.put(value, values);
                }
            }
            // Those of values are swept.
            Some(RowColumn::Ints(_) | RowColumn::Doubles(_) | RowColumn::Values(..)) | None => {}
        }
        Ok(())
    }
}

#[expect(clippy::cast_possible_wrap, reason = "fewer than 2^63 records")]
fn count(n: u64) -> Value {
    Value::Int(n as i64)
}

fn finish(sums: &Values, function: &Function, fold: Fold) -> Value {
    sums.acc(fold).and_then(|acc| function.finish(acc)).unwrap_or_default()
}

/// The value of the newest item of a stretch, with its time. It may be null.
fn newest<K: Key>(view: &mut View<'_, '_, K, RowColumn>, stretch: &Stretch) -> Result<Placed, Error> {
    let mut found = None;
    view.visit_newest(stretch, &mut |piece| match piece {
        Piece::Items(times, column, range) => {
            found = column.slice(range.clone()).with(times.get(range).unwrap_or_default()).next_back();
            true
        }
        Piece::Whole(_) => false,
    })?;
    let past = || {
        let past = view.past(stretch)?;
        // If the last value is older than the last item, that one had none.
        past.part.values().and_then(|values| values.ends.last.clone()).filter(|(time, _)| *time == past.last)
    };
    Ok(found.or_else(past))
}

/// Shows all values of a stretch, with the row's own at its time.
fn each<K: Key>(
    view: &mut View<'_, '_, K, RowColumn>,
    stretch: &Stretch,
    own: Option<&Value>,
    mut show: impl FnMut(i64, Value),
) -> Result<(), Error> {
    let mut own = own.map(|own| (view.time(), own));
    view.visit(stretch, &mut |piece| match piece {
        Piece::Items(times, column, range) => {
            let values = column.slice(range.clone()).with(times.get(range).unwrap_or_default());
            values.for_each(|(time, value)| {
                if let Some((mine, own)) = own.take_if(|(mine, _)| *mine < time) {
                    show(mine, own.clone());
                }
                show(time, value);
            });
            true
        }
        Piece::Whole(_) => false,
    })?;
    if let Some((time, own)) = own {
        show(time, own.clone());
    }
    Ok(())
}

/// The result of a function over all values of a stretch.
fn gather<K: Key>(function: &Function, view: &mut View<'_, '_, K, RowColumn>, stretch: &Stretch, own: Option<&Value>) -> Result<Value, Error> {
    let mut acc: Acc = function.empty();
    each(view, stretch, own, |time, value| {
        if !value.is_null() {
            acc.add(&value, At::unordered(time));
        }
    })?;
    Ok(function.finish(&acc).unwrap_or_default())
}

/// The value that `top(x, 1)` lists.
fn most_frequent(top: &Value) -> Value {
    let Value::List(list) = top else { return Value::Null };
    let Some(Value::Map(entries)) = list.first() else { return Value::Null };
    entries.first().map_or(Value::Null, |(_, value)| value.clone())
}

/// What a row is compared with what came before it.
fn look_back(what: &What, before: &Values, last: Option<&(i64, Value)>, mine: &Value, time: i64) -> Value {
    match what {
        What::Previous => last.map_or(Value::Null, |(_, value)| value.clone()),
        What::Delta(difference) => {
            let Some((_, value)) = last.filter(|_| !mine.is_null()) else { return Value::Null };
            difference.eval(&Row::from_iter([value.clone(), mine.clone()])).unwrap_or_default()
        }
        What::Zscore(mean, deviation) => {
            let number = |function: &Function, fold: &str| Fold::of(fold).and_then(|fold| finish(before, function, fold).as_f64());
            match (mine.as_f64(), number(mean, "avg"), number(deviation, "variance")) {
                (Some(mine), Some(mean), Some(deviation)) if deviation > 0.0 => Value::Double((mine - mean) / deviation),
                _ => Value::Null,
            }
        }
        What::TravelDistance(distance) => last.map_or(Value::Null, |(_, from)| travelled(distance, from, mine)),
        What::TravelSpeed(distance) => {
            let Some((since, from)) = last else { return Value::Null };
            #[expect(clippy::cast_precision_loss, reason = "times lie fewer than 2^53 ms apart")]
            let hours = time.saturating_sub(*since).max(1) as f64 / 3_600_000.0;
            match travelled(distance, from, mine) {
                Value::Double(metres) => Value::Double(metres / 1_000.0 / hours),
                other => other,
            }
        }
        _ => Value::Null,
    }
}

/// The distance between two places, if both are known.
fn travelled(distance: &Expr, from: &Value, to: &Value) -> Value {
    let (Value::List(from), Value::List(to)) = (from, to) else { return Value::Null };
    distance.eval(&from.iter().chain(to.iter()).cloned().collect()).unwrap_or_default()
}
