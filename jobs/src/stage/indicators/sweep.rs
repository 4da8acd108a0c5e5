//! Answers indicators from the histories of a key.

use std::cmp::Reverse;

use jiff::SignedDuration;
use tidegate_expr::Expr;
use tidegate_operators::indicator::{Piece, Span, Stretch, View};
use tidegate_rows::{Row, Value};
use tidegate_runtime::Error;
use tidegate_runtime::state::Key;

use super::column::{Ends, Flags, Fold, Placed, RowColumn, Slice, Values};
use super::functions::What;
use crate::aggregate::{Acc, At, Function};

/// Indicators that are over the same history, seen from the same moment. What a short span holds is part of what a longer one does, so one sweep from the
/// newest items to older ones serves all.
#[derive(Clone, Debug)]
pub(crate) struct Sweep {
    pub(crate) history: usize,
    /// Milliseconds.
    pub(crate) delay: i64,
    /// Whether the row counts itself, if it feeds the history.
    pub(super) own: bool,
    pub(crate) queries: Vec<Query>,
    /// The accumulators that they need.
    pub(super) folds: Vec<Fold>,
    /// Whether they need the first or the last value.
    pub(super) ends: bool,
    /// The summary of no values, for a history of values.
    pub(super) nothing: Option<Values>,
}

/// Indicators over the same span.
#[derive(Clone, Debug)]
pub(crate) struct Query {
    pub(crate) span: Span,
    pub(crate) answers: Vec<Answer>,
}

/// One indicator.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    /// Its place among the values.
    pub(crate) place: usize,
    pub(super) what: What,
    pub(super) default: Value,
}

impl What {
    /// The accumulators that it needs.
    pub(super) fn folds(&self) -> Vec<Fold> {
        match self {
            Self::Fold(_, fold) => vec![*fold],
            Self::Zscore { mean, deviation } => vec![mean.1, deviation.1],
            _ => Vec::new(),
        }
    }
}

impl Answer {
    /// Whether it needs all items of its span, whatever their number.
    pub(crate) fn needs_items(&self) -> bool {
        self.what.needs_items()
    }

    fn put(&self, value: Value, values: &mut [Value]) {
        values[self.place] = if value.is_null() { self.default.clone() } else { value };
    }
}

/// What a sweep works with, kept from row to row.
type Work<'a> = (&'a mut Vec<(usize, Stretch)>, &'a mut Option<Values>);

impl Sweep {
    /// Computes the answers. `own`: the row counts itself, with the value `mine`.
    pub(super) fn answer<K: Key>(
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
            // One that reaches back further than all items comes after those that end with them.
            stretches.sort_by_key(|(_, stretch)| (Reverse(stretch.start()), stretch.has_past()));
            let sums = sums.get_or_insert_with(|| nothing.clone());
            sums.clear(nothing);
            return self.sweep(view, own.then_some(mine), mine, stretches, sums, values);
        }
        for ((_, stretch), query) in stretches.iter().zip(&self.queries) {
            query.answer(view, stretch, own, mine, values)?;
        }
        Ok(())
    }

    /// Computes the answers over a history of values, from sums of nothing.
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
        if let Some(own) = own {
            let own = Slice::Values(std::slice::from_ref(own));
            sums.add(own, &self.folds);
            sums.ends.append(&[at], own);
        }
        let mut later: Option<&Stretch> = None;
        for (query, stretch) in stretches.iter().filter_map(|(query, stretch)| Some((self.queries.get(*query)?, stretch))) {
            self.pass(view, stretch, later, sums)?;
            later = Some(stretch);
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

    /// Adds what a stretch holds that comes before the one passed last.
    fn pass<K: Key>(
        &self,
        view: &mut View<'_, '_, K, RowColumn>,
        stretch: &Stretch,
        later: Option<&Stretch>,
        sums: &mut Values,
    ) -> Result<(), Error> {
        let mut older = Ends::default();
        // Only one span has no beginning, and it is the last to be passed.
        if let Some(before) = view.past(stretch).and_then(|past| past.part.values()) {
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
                        if self.ends {
                            older.merge(&part.ends);
                        }
                    }
                }
            }
            true
        };
        match later {
            None => view.visit(stretch, see)?,
            Some(later) => view.visit_before(stretch, later, see)?,
        }
        older.merge(&sums.ends);
        sums.ends = older;
        Ok(())
    }
}

impl Query {
    /// Computes its answers over a history that is none of values. `own`: the row counts itself, with the value `mine`.
    fn answer<K: Key>(
        &self,
        view: &mut View<'_, '_, K, RowColumn>,
        stretch: &Stretch,
        own: bool,
        mine: &Value,
        values: &mut [Value],
    ) -> Result<(), Error> {
        match view.column(stretch) {
            Some(RowColumn::Times) => self.of_times(view, stretch, own, values),
            Some(RowColumn::Flags(_)) => self.of_flags(view, stretch, own.then_some(*mine == Value::Bool(true)), values),
            Some(RowColumn::Distinct(_)) => self.of_distinct(view, stretch, own, mine, values),
            // Those of values are swept.
            Some(RowColumn::Ints(_) | RowColumn::Doubles(_) | RowColumn::Values(..)) | None => Ok(()),
        }
    }

    fn of_times<K: Key>(&self, view: &mut View<'_, '_, K, RowColumn>, stretch: &Stretch, own: bool, values: &mut [Value]) -> Result<(), Error> {
        let needs_ends = self.answers.iter().any(|answer| !matches!(answer.what, What::Count));
        let ends = if needs_ends { view.ends(stretch)? } else { None };
        let time = view.moment();
        let since = |from: i64| Value::Duration(SignedDuration::from_millis(time.saturating_sub(from)));
        for answer in &self.answers {
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
        Ok(())
    }

    /// `mine`: whether the condition holds for the row, if it counts itself.
    fn of_flags<K: Key>(
        &self,
        view: &mut View<'_, '_, K, RowColumn>,
        stretch: &Stretch,
        mine: Option<bool>,
        values: &mut [Value],
    ) -> Result<(), Error> {
        let mut flags = view.past(stretch).and_then(|past| past.part.flags()).copied().unwrap_or_default();
        // The row comes in at its own time, which may lie among others if it is late.
        let mut mine = mine.map(|held| (view.time(), held));
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
        Ok(())
    }

    fn of_distinct<K: Key>(
        &self,
        view: &mut View<'_, '_, K, RowColumn>,
        stretch: &Stretch,
        own: bool,
        mine: &Value,
        values: &mut [Value],
    ) -> Result<(), Error> {
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
        What::Zscore { mean, deviation } => {
            let number = |(function, fold): &(Function, Fold)| finish(before, function, *fold).as_f64();
            match (mine.as_f64(), number(mean), number(deviation)) {
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
