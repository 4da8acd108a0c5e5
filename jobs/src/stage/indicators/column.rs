//! What rows leave in the histories of indicators.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use tidegate_operators::indicator::{Column, Distinct, Distinguishes, Seen};
use tidegate_rows::{Type, Value};
use tidegate_runtime::state::Stored;

use crate::aggregate::{Acc, Function};

/// The items of a history. Stored by position: a new kind comes last, and none is ever removed or changed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum RowColumn {
    /// Nothing: only the times count.
    Times,
    /// Whether a condition held.
    Flags(Vec<bool>),
    /// Ints. The least of all stands for null.
    Ints(Vec<i64>),
    /// Doubles. One of those that are no number stands for null.
    Doubles(Vec<f64>),
    /// Values of other types.
    Values(Vec<Value>, Kind),
    /// Values that are told apart.
    Distinct(Distinct<Value>),
}

impl Stored for RowColumn {
    const SCHEMA: &'static str = "row.column/1";
}

impl Stored for RowPart {
    const SCHEMA: &'static str = "row.part/1";
}

/// What is known of the values of a column. Stored by position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Kind {
    /// Nothing.
    Any,
    /// They are numbers.
    Numbers,
    /// They are decimals.
    Decimals,
}

/// The summary of items.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum RowPart {
    Times,
    Flags(Flags),
    Values(Box<Values>),
    Distinct(u64),
}

impl RowPart {
    /// The summary of conditions.
    pub(super) fn flags(&self) -> Option<&Flags> {
        if let Self::Flags(flags) = self { Some(flags) } else { None }
    }

    /// The summary of values.
    pub(super) fn values(&self) -> Option<&Values> {
        if let Self::Values(values) = self { Some(values) } else { None }
    }
}

/// The summary of conditions.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Flags {
    /// How many items there are.
    pub(super) count: u64,
    /// For how many it held.
    pub(super) held: u64,
    /// For how many of the newest in a row it held.
    pub(super) streak: u64,
}

impl Flags {
    #[inline]
    pub(super) fn add(&mut self, held: bool) {
        self.count += 1;
        self.held += u64::from(held);
        self.streak = if held { self.streak + 1 } else { 0 };
    }

    pub(super) fn merge(&mut self, later: &Self) {
        self.streak = if later.held == later.count { self.streak + later.count } else { later.streak };
        self.count += later.count;
        self.held += later.held;
    }
}

/// A value with its time.
pub(super) type Placed = Option<(i64, Value)>;

/// The first and the last value of a stretch.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Ends {
    pub(super) first: Placed,
    pub(super) last: Placed,
}

impl Ends {
    /// Adds values that come after those before.
    pub(super) fn append(&mut self, times: &[i64], values: Slice<'_>) {
        let mut filled = values.with(times).filter(|(_, value)| !value.is_null());
        if self.first.is_none() {
            self.first = filled.next();
            self.last.clone_from(&self.first);
        }
        if let Some(last) = filled.next_back() {
            self.last = Some(last);
        }
    }

    /// Adds the ends of a stretch. Of equal times, the first stays, and the last is replaced.
    pub(super) fn merge(&mut self, later: &Self) {
        let time = |placed: &Placed| placed.as_ref().map(|(time, _)| *time);
        if later.first.is_some() && (self.first.is_none() || time(&later.first) < time(&self.first)) {
            self.first.clone_from(&later.first);
        }
        if later.last.is_some() && time(&later.last) >= time(&self.last) {
            self.last.clone_from(&later.last);
        }
    }
}

/// The summary of values other than null.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Values {
    /// How many there are.
    pub(super) filled: u64,
    pub(super) ends: Ends,
    /// One for each of [`FOLDS`] that goes with them.
    accs: Vec<Acc>,
}

/// The functions whose accumulators stay small, so that summaries hold one of each. The last two go with any values, the others with numbers.
const FOLDS: [&str; 5] = ["sum", "avg", "variance", "min", "max"];

/// Where a function's accumulator is in a summary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Fold(usize);

impl Fold {
    /// The accumulator that has what this function needs.
    pub(super) fn of(function: &str) -> Option<Self> {
        let function = if function == "stddev" { "variance" } else { function };
        FOLDS.iter().position(|fold| *fold == function).map(Self)
    }

    fn place(self, accs: &[Acc]) -> usize {
        self.0 - (FOLDS.len() - accs.len())
    }
}

impl Values {
    fn nothing(ty: &Type, numbers: bool) -> Self {
        let folds = if numbers { &FOLDS[..] } else { &FOLDS[3..] };
        let acc = |name: &&str| Function::new(name, ty, "").and_then(Result::ok).map(|function| function.empty());
        Self { filled: 0, ends: Ends::default(), accs: folds.iter().filter_map(acc).collect() }
    }

    /// The accumulator for a function.
    pub(super) fn acc(&self, fold: Fold) -> Option<&Acc> {
        self.accs.get(fold.place(&self.accs))
    }

    /// Makes it the summary of no values again.
    pub(super) fn clear(&mut self, nothing: &Self) {
        self.filled = 0;
        self.ends = Ends::default();
        self.accs.clone_from(&nothing.accs);
    }

    /// Adds values to the accumulators that are wanted, and to their number.
    #[inline]
    pub(super) fn add(&mut self, values: Slice<'_>, wanted: &[Fold]) {
        self.filled += values.filled();
        for fold in wanted {
            let place = fold.place(&self.accs);
            let Some(acc) = self.accs.get_mut(place) else { continue };
            if let Some(extreme) = values.extreme(*fold) {
                acc.add_each(std::iter::once(extreme));
                continue;
            }
            match values {
                Slice::Ints(ints) => acc.add_each(ints.iter().filter(|v| **v != i64::MIN).map(|v| Value::Int(*v))),
                Slice::Doubles(doubles) => acc.add_each(doubles.iter().filter(|v| v.to_bits() != NULL).map(|v| Value::Double(*v))),
                Slice::Values(values) => acc.add_each(values.iter().filter(|v| !v.is_null()).cloned()),
            }
        }
    }

    /// Adds another summary to the number of values and to the accumulators that are wanted.
    pub(super) fn merge(&mut self, other: &Self, wanted: &[Fold]) {
        self.filled += other.filled;
        for fold in wanted {
            let place = fold.place(&self.accs);
            if let Some((acc, other)) = self.accs.get_mut(place).zip(other.accs.get(fold.place(&other.accs))) {
                acc.merge(other);
            }
        }
    }
}

const LEAST: Fold = Fold(3);

const GREATEST: Fold = Fold(4);

/// All accumulators.
const ALL: [Fold; 5] = [Fold(0), Fold(1), Fold(2), Fold(3), Fold(4)];

/// The bits that stand for null. Arithmetic makes no such double.
const NULL: u64 = 0x7ff8_7469_6465_6761;

fn int(value: i64) -> Value {
    if value == i64::MIN { Value::Null } else { Value::Int(value) }
}

fn double(value: f64) -> Value {
    if value.to_bits() == NULL { Value::Null } else { Value::Double(value) }
}

/// Some of the values of a column.
#[derive(Clone, Copy)]
pub(super) enum Slice<'a> {
    Ints(&'a [i64]),
    Doubles(&'a [f64]),
    Values(&'a [Value]),
}

impl<'a> Slice<'a> {
    fn len(self) -> usize {
        match self {
            Self::Ints(ints) => ints.len(),
            Self::Doubles(doubles) => doubles.len(),
            Self::Values(values) => values.len(),
        }
    }

    fn value(self, at: usize) -> Value {
        match self {
            Self::Ints(ints) => ints.get(at).map_or(Value::Null, |v| int(*v)),
            Self::Doubles(doubles) => doubles.get(at).map_or(Value::Null, |v| double(*v)),
            Self::Values(values) => values.get(at).cloned().unwrap_or_default(),
        }
    }

    /// The least or the greatest number, if that is all the fold needs, and there is no doubt about it.
    #[inline]
    fn extreme(self, fold: Fold) -> Option<Value> {
        if fold != LEAST && fold != GREATEST {
            return None;
        }
        match self {
            Self::Ints(ints) => {
                let ints = ints.iter().copied().filter(|v| *v != i64::MIN);
                if fold == LEAST { ints.min() } else { ints.max() }.map(Value::Int)
            }
            Self::Doubles([first, rest @ ..]) if !first.is_nan() => {
                let better = |a: f64, b: &f64| if (fold == LEAST) == (*b < a) && *b != a { *b } else { a };
                // Nulls are no numbers, either.
                let found = rest.iter().try_fold(*first, |best, v| if v.is_nan() { None } else { Some(better(best, v)) })?;
                (found != 0.0).then_some(Value::Double(found))
            }
            Self::Doubles(_) | Self::Values(_) => None,
        }
    }

    /// How many are not null.
    fn filled(self) -> u64 {
        let filled = match self {
            Self::Ints(ints) => ints.iter().filter(|v| **v != i64::MIN).count(),
            Self::Doubles(doubles) => doubles.iter().filter(|v| v.to_bits() != NULL).count(),
            Self::Values(values) => values.iter().filter(|v| !v.is_null()).count(),
        };
        filled as u64
    }

    /// The values with their times.
    pub(super) fn with(self, times: &'a [i64]) -> impl DoubleEndedIterator<Item = (i64, Value)> + use<'a> {
        (0..self.len().min(times.len())).map(move |at| (times[at], self.value(at)))
    }
}

impl RowColumn {
    /// A column for values of this type.
    pub(super) fn values(ty: &Type, numbers: bool) -> Self {
        match ty {
            Type::Int => Self::Ints(Vec::new()),
            Type::Double => Self::Doubles(Vec::new()),
            Type::Decimal => Self::Values(Vec::new(), Kind::Decimals),
            _ => Self::Values(Vec::new(), if numbers { Kind::Numbers } else { Kind::Any }),
        }
    }

    /// The values of a stretch.
    #[inline]
    pub(super) fn slice(&self, range: Range<usize>) -> Slice<'_> {
        match self {
            Self::Ints(ints) => Slice::Ints(ints.get(range).unwrap_or_default()),
            Self::Doubles(doubles) => Slice::Doubles(doubles.get(range).unwrap_or_default()),
            Self::Values(values, _) => Slice::Values(values.get(range).unwrap_or_default()),
            Self::Times | Self::Flags(_) | Self::Distinct(_) => Slice::Values(&[]),
        }
    }

    /// The conditions of a stretch.
    pub(super) fn flags(&self, range: Range<usize>) -> &[bool] {
        if let Self::Flags(flags) = self { flags.get(range).unwrap_or_default() } else { &[] }
    }

    /// A summary of no values.
    pub(super) fn no_values(&self) -> Option<Values> {
        match self {
            Self::Ints(_) => Some(Values::nothing(&Type::Int, true)),
            Self::Doubles(_) => Some(Values::nothing(&Type::Double, true)),
            Self::Values(_, Kind::Decimals) => Some(Values::nothing(&Type::Decimal, true)),
            Self::Values(_, kind) => Some(Values::nothing(&Type::Any, *kind == Kind::Numbers)),
            Self::Times | Self::Flags(_) | Self::Distinct(_) => None,
        }
    }

    /// Makes room for a value of any type.
    #[cold]
    fn widen(&mut self) {
        *self = match std::mem::replace(self, Self::Times) {
            Self::Ints(ints) => Self::Values(ints.into_iter().map(int).collect(), Kind::Numbers),
            Self::Doubles(doubles) => Self::Values(doubles.into_iter().map(double).collect(), Kind::Numbers),
            other => other,
        };
    }
}

/// An item of a history.
pub(crate) enum RowItem {
    Time,
    Flag(bool),
    Value(Value),
    Seen(Seen<Value>),
}

impl Column for RowColumn {
    type Item = RowItem;
    type Part = RowPart;

    fn fresh(&self) -> Self {
        match self {
            Self::Times => Self::Times,
            Self::Flags(_) => Self::Flags(Vec::new()),
            Self::Ints(_) => Self::Ints(Vec::new()),
            Self::Doubles(_) => Self::Doubles(Vec::new()),
            Self::Values(_, kind) => Self::Values(Vec::new(), *kind),
            Self::Distinct(_) => Self::Distinct(Distinct::default()),
        }
    }

    fn insert(&mut self, at: usize, item: RowItem) {
        match (&mut *self, item) {
            (Self::Times, _) => {}
            (Self::Flags(flags), RowItem::Flag(flag)) => flags.insert(at, flag),
            (Self::Ints(ints), RowItem::Value(Value::Null | Value::Absent)) => ints.insert(at, i64::MIN),
            (Self::Ints(ints), RowItem::Value(Value::Int(value))) if value != i64::MIN => ints.insert(at, value),
            (Self::Doubles(doubles), RowItem::Value(Value::Null | Value::Absent)) => doubles.insert(at, f64::from_bits(NULL)),
            (Self::Doubles(doubles), RowItem::Value(Value::Double(value))) if value.to_bits() != NULL => doubles.insert(at, value),
            (Self::Values(values, _), RowItem::Value(value)) => values.insert(at, value),
            (Self::Ints(_) | Self::Doubles(_), item @ RowItem::Value(_)) => {
                self.widen();
                self.insert(at, item);
            }
            (Self::Distinct(distinct), RowItem::Seen(seen)) => distinct.insert(at, seen),
            // An item is made for the column that it goes into.
            _ => {}
        }
    }

    fn split_off(&mut self, at: usize) -> Self {
        match self {
            Self::Times => Self::Times,
            Self::Flags(flags) => Self::Flags(flags.split_off(at)),
            Self::Ints(ints) => Self::Ints(ints.split_off(at)),
            Self::Doubles(doubles) => Self::Doubles(doubles.split_off(at)),
            Self::Values(values, kind) => Self::Values(values.split_off(at), *kind),
            Self::Distinct(distinct) => Self::Distinct(distinct.split_off(at)),
        }
    }

    fn nothing(&self) -> RowPart {
        match self {
            Self::Times => RowPart::Times,
            Self::Flags(_) => RowPart::Flags(Flags::default()),
            Self::Distinct(_) => RowPart::Distinct(0),
            Self::Ints(_) | Self::Doubles(_) | Self::Values(..) => self.no_values().map_or(RowPart::Times, |values| RowPart::Values(Box::new(values))),
        }
    }

    fn sum_up(&self, times: &[i64], range: Range<usize>, into: &mut RowPart) {
        match into {
            RowPart::Times => {}
            RowPart::Flags(flags) => self.flags(range).iter().for_each(|held| flags.add(*held)),
            RowPart::Values(part) => {
                let values = self.slice(range.clone());
                part.add(values, &ALL[ALL.len() - part.accs.len()..]);
                part.ends.append(times.get(range).unwrap_or_default(), values);
            }
            RowPart::Distinct(marked) => {
                if let Self::Distinct(distinct) = self {
                    *marked += distinct.marked(range);
                }
            }
        }
    }

    fn merge(into: &mut RowPart, later: &RowPart) {
        match (into, later) {
            (RowPart::Flags(flags), RowPart::Flags(later)) => flags.merge(later),
            (RowPart::Values(part), RowPart::Values(later)) => {
                let wanted = &ALL[ALL.len() - part.accs.len()..];
                part.merge(later, wanted);
                part.ends.merge(&later.ends);
            }
            (RowPart::Distinct(marked), RowPart::Distinct(later)) => *marked += later,
            _ => {}
        }
    }
}

impl Distinguishes for RowColumn {
    type Value = Value;

    fn is_null(value: &Value) -> bool {
        value.is_null()
    }

    fn distinct(&self) -> Option<&Distinct<Value>> {
        if let Self::Distinct(distinct) = self { Some(distinct) } else { None }
    }

    fn distinct_mut(&mut self) -> Option<&mut Distinct<Value>> {
        if let Self::Distinct(distinct) = self { Some(distinct) } else { None }
    }

    fn seen(item: Seen<Value>) -> RowItem {
        RowItem::Seen(item)
    }

    fn marked(part: &RowPart) -> u64 {
        if let RowPart::Distinct(marked) = part { *marked } else { 0 }
    }

    fn unmark(part: &mut RowPart) {
        if let RowPart::Distinct(marked) = part {
            *marked = marked.saturating_sub(1);
        }
    }
}
