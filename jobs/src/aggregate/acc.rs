//! Accumulators: the state that an aggregate keeps about the records it has seen.

use std::cmp::Ordering;

use hashbrown::hash_map::EntryRef;
use serde::{Deserialize, Serialize};
use tidegate_rows::{Decimal, DecimalSum, Value};
use tidegate_runtime::state::Table;

use super::exact::Exact;
use super::{Function, Numbers};

/// The position of a record: its event time and its arrival number. If arrival order is meaningless, the number is
/// the rank of the time, and values break ties.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct At {
    pub(super) time: i64,
    pub(super) arrival: u64,
}

impl At {
    /// The position of a record whose arrival order is meaningless.
    pub(super) fn unordered(time: i64) -> Self {
        Self { time, arrival: time.cast_unsigned() ^ (1 << 63) }
    }
}

/// Orders two collected values.
fn in_order(a: &(u64, Value), b: &(u64, Value)) -> Ordering {
    a.0.cmp(&b.0).then_with(|| a.1.strict_cmp(&b.1))
}

/// A sum of ints that can't overflow: 128 bits, stored as halves so that its alignment matches its neighbours'.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Wide {
    high: i64,
    low: u64,
}

impl Wide {
    fn get(self) -> i128 {
        (i128::from(self.high) << 64) | i128::from(self.low)
    }

    fn add(&mut self, n: i128) {
        let sum = self.get() + n;
        *self = Self { high: (sum >> 64) as i64, low: sum as u64 };
    }

    fn add_value(&mut self, value: &Value) {
        match value {
            Value::Int(v) => self.add(i128::from(*v)),
            Value::Uint(v) => self.add(i128::from(*v)),
            _ => {}
        }
    }
}

/// The state of one aggregate for one key and window.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Acc {
    /// For `count`.
    Count(i64),
    /// For `sum`: ints are summed exactly, separately from other numbers.
    Sum {
        /// The sum of the ints.
        ints: Wide,
        /// The sum of the doubles, if there were any among values of mixed types.
        doubles: Option<Box<f64>>,
    },
    /// For `sum` over doubles.
    SumOfDoubles(f64),
    /// For `avg`.
    Avg {
        /// The sum.
        sum: f64,
        /// The number of values.
        count: u64,
    },
    /// For `avg` over ints.
    AvgOfInts {
        /// The sum.
        sum: Wide,
        /// The number of values.
        count: u64,
    },
    /// For `min`; null before the first value.
    Min(Value),
    /// For `max`; null before the first value.
    Max(Value),
    /// For `first`.
    First(Option<Box<(At, Value)>>),
    /// For `last`.
    Last(Option<Box<(At, Value)>>),
    /// For `count_distinct`: each value, with the number of merged parts that contain it.
    Distinct(Box<Table<Value, u32>>),
    /// For `collect`: values with their arrival numbers.
    Collect(Vec<(u64, Value)>),
    /// For `stddev` and `variance`: the count, the mean and the sum of squared differences from it (Welford 1962;
    /// merged as in Chan, Golub, LeVeque 1979).
    Moments {
        /// The number of values.
        count: f64,
        /// Their mean.
        mean: f64,
        /// The sum of squared differences from the mean.
        squares: f64,
    },
    /// For `quantile`.
    Quantile(Vec<f64>),
    /// For `top`.
    Frequencies(Box<Table<Value, i64>>),
    /// For `sum`, `avg`, `stddev` and `variance` over doubles without a reproducible order.
    Exact(Box<Sums>),
    /// For `sum` and `avg` over decimals, and over values of any type once a decimal is among them. It must stay
    /// last: variants are stored by index, so their order is fixed for good.
    Decimals(Box<Decimals>),
}

/// Exact sums.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Sums {
    /// The number of values.
    count: u64,
    /// The sum of the ints, where they are summed separately.
    ints: Wide,
    /// Whether there was a double.
    double: bool,
    sum: Exact,
    /// The sum of the squares, where it is needed.
    squares: Option<Exact>,
}

impl Sums {
    fn add(&mut self, value: &Value) {
        self.count += 1;
        match (value, value.as_f64()) {
            (Value::Int(_) | Value::Uint(_), _) if self.squares.is_none() => self.ints.add_value(value),
            (_, Some(term)) => {
                self.double = true;
                self.sum.add(term);
                if let Some(squares) = &mut self.squares {
                    squares.add_square(term);
                }
            }
            (_, None) => {}
        }
    }

    fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.ints.add(other.ints.get());
        self.double |= other.double;
        self.sum.merge(&other.sum);
        if let (Some(squares), Some(more)) = (&mut self.squares, &other.squares) {
            squares.merge(more);
        }
    }

    /// The total, rounded at most twice: an extra time for the ints.
    fn total(&self) -> f64 {
        let mut all = self.sum.clone();
        all.add(self.ints.get() as f64);
        all.rounded()
    }

    fn finish(&self, function: &Function) -> Value {
        match function {
            Function::Sum(numbers) if *numbers != Numbers::Doubles && !self.double => whole(self.ints),
            Function::Sum(_) => Value::Double(self.total()),
            Function::Avg(_) if self.count > 0 => Value::Double(self.total() / self.count as f64),
            Function::Variance | Function::Stddev if self.count > 1 => {
                let variance = self.squares.as_ref().map_or(f64::NAN, |squares| self.sum.variance(squares, self.count));
                Value::Double(if *function == Function::Stddev { variance.sqrt() } else { variance })
            }
            _ => Value::Null,
        }
    }
}

/// Sums with decimals. Ints are added to the decimals; doubles are summed separately.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Decimals {
    /// The number of values.
    count: u64,
    sum: DecimalSum,
    /// The sum of the doubles, if there were any.
    doubles: Option<Exact>,
}

impl Decimals {
    fn add(&mut self, value: &Value) {
        self.count += 1;
        match (value.as_decimal(), value.as_f64()) {
            (Some(term), _) => self.sum.add(term),
            (None, Some(term)) => self.doubles.get_or_insert_default().add(term),
            (None, None) => {}
        }
    }

    fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.sum.merge(&other.sum);
        if let Some(more) = &other.doubles {
            self.doubles.get_or_insert_default().merge(more);
        }
    }

    /// Removes what was merged before. Never called for sums with doubles.
    fn retract(&mut self, other: &Self) {
        self.count -= other.count;
        self.sum.retract(&other.sum);
    }

    fn total(&self) -> f64 {
        let mut all = self.doubles.clone().unwrap_or_default();
        all.add(self.sum.to_f64());
        all.rounded()
    }

    fn finish(&self, function: &Function) -> Value {
        let exact = |sum: Option<Decimal>| sum.filter(|_| self.doubles.is_none()).map(Value::Decimal);
        match function {
            Function::Sum(_) => exact(self.sum.total()).unwrap_or_else(|| Value::Double(self.total())),
            Function::Avg(_) if self.count == 0 => Value::Null,
            Function::Avg(Numbers::Decimals) if self.doubles.is_none() => exact(self.sum.divided_by(self.count)).unwrap_or_default(),
            Function::Avg(_) => Value::Double(self.total() / self.count as f64),
            _ => Value::Null,
        }
    }
}

/// A sum of ints, as a double if it does not fit an int.
fn whole(sum: Wide) -> Value {
    i64::try_from(sum.get()).map_or(Value::Double(sum.get() as f64), Value::Int)
}

impl Acc {
    /// An empty accumulator.
    #[must_use]
    pub fn new(function: &Function) -> Self {
        match function {
            Function::Count => Self::Count(0),
            Function::Sum(Numbers::Doubles) => Self::SumOfDoubles(0.0),
            Function::Sum(Numbers::Ints | Numbers::Any) => Self::Sum { ints: Wide::default(), doubles: None },
            Function::Avg(Numbers::Doubles | Numbers::Any) => Self::Avg { sum: 0.0, count: 0 },
            Function::Avg(Numbers::Ints) => Self::AvgOfInts { sum: Wide::default(), count: 0 },
            Function::Sum(Numbers::Decimals) | Function::Avg(Numbers::Decimals) => Self::Decimals(Box::default()),
            Function::Min => Self::Min(Value::Null),
            Function::Max => Self::Max(Value::Null),
            Function::First => Self::First(None),
            Function::Last => Self::Last(None),
            Function::CountDistinct => Self::Distinct(Box::default()),
            Function::Collect => Self::Collect(Vec::new()),
            Function::Stddev | Function::Variance => Self::Moments { count: 0.0, mean: 0.0, squares: 0.0 },
            Function::Quantile(_) => Self::Quantile(Vec::new()),
            Function::Top(_) => Self::Frequencies(Box::default()),
        }
    }

    /// An empty accumulator for records that may come in any order.
    pub(super) fn unordered(function: &Function) -> Self {
        match function {
            Function::Sum(_) | Function::Avg(Numbers::Doubles | Numbers::Any) => Self::Exact(Box::default()),
            Function::Stddev | Function::Variance => Self::Exact(Box::new(Sums { squares: Some(Exact::default()), ..Sums::default() })),
            _ => Self::new(function),
        }
    }

    /// Adds a value, which the function must accept.
    #[inline]
    pub(super) fn add(&mut self, value: &Value, at: At) {
        match self {
            Self::Count(n) => *n += 1,
            Self::Sum { ints, doubles } => match value {
                Value::Int(v) => ints.add(i128::from(*v)),
                Value::Uint(v) => ints.add(i128::from(*v)),
                Value::Decimal(_) => self.add_decimal(value),
                other => **doubles.get_or_insert_default() += other.as_f64().unwrap_or(0.0),
            },
            Self::SumOfDoubles(sum) => *sum += value.as_f64().unwrap_or(0.0),
            Self::Avg { sum, count } => {
                *sum += value.as_f64().unwrap_or(0.0);
                *count += 1;
            }
            Self::AvgOfInts { sum, count } => {
                sum.add_value(value);
                *count += 1;
            }
            Self::Min(least) => {
                if least.is_null() || value.strict_cmp(least).is_lt() {
                    *least = value.clone();
                }
            }
            Self::Max(greatest) => {
                if greatest.is_null() || value.strict_cmp(greatest).is_gt() {
                    *greatest = value.clone();
                }
            }
            Self::First(first) => {
                if first.as_ref().is_none_or(|first| at.cmp(&first.0).then_with(|| value.strict_cmp(&first.1)).is_lt()) {
                    *first = Some(Box::new((at, value.clone())));
                }
            }
            Self::Last(last) => {
                if last.as_ref().is_none_or(|last| at.cmp(&last.0).then_with(|| value.strict_cmp(&last.1)).is_ge()) {
                    *last = Some(Box::new((at, value.clone())));
                }
            }
            Self::Distinct(seen) => {
                seen.entry_ref(value).or_insert(1);
            }
            Self::Collect(values) => values.push((at.arrival, value.clone())),
            Self::Moments { count, mean, squares } => {
                let v = value.as_f64().unwrap_or(0.0);
                *count += 1.0;
                let delta = v - *mean;
                *mean += delta / *count;
                *squares += delta * (v - *mean);
            }
            Self::Quantile(values) => values.extend(value.as_f64()),
            Self::Frequencies(counts) => *counts.entry_ref(value).or_insert(0) += 1,
            Self::Exact(sums) if matches!(value, Value::Decimal(_)) && sums.squares.is_none() => self.add_decimal(value),
            Self::Exact(sums) => sums.add(value),
            Self::Decimals(sums) => sums.add(value),
        }
    }

    /// Converts to a sum of decimals and adds this value, the first decimal.
    #[cold]
    fn add_decimal(&mut self, value: &Value) {
        let mut sums = self.decimals().unwrap_or_default();
        sums.add(value);
        *self = Self::Decimals(Box::new(sums));
    }

    /// Adds everything that another accumulator of the same function has seen.
    pub(super) fn merge(&mut self, other: &Self) {
        match (self, other) {
            (Self::Count(n), Self::Count(m)) => *n += m,
            (Self::Sum { ints, doubles }, Self::Sum { ints: more, doubles: others }) => {
                ints.add(more.get());
                if let Some(sum) = others {
                    **doubles.get_or_insert_default() += **sum;
                }
            }
            (Self::SumOfDoubles(sum), Self::SumOfDoubles(other)) => *sum += other,
            (Self::Avg { sum, count }, Self::Avg { sum: s, count: n }) => {
                *sum += s;
                *count += n;
            }
            (Self::AvgOfInts { sum, count }, Self::AvgOfInts { sum: s, count: n }) => {
                sum.add(s.get());
                *count += n;
            }
            (acc @ (Self::Min(_) | Self::Max(_)), Self::Min(v) | Self::Max(v)) if !v.is_null() => {
                acc.add(v, At { time: 0, arrival: 0 });
            }
            (acc @ (Self::First(_) | Self::Last(_)), Self::First(v) | Self::Last(v)) => {
                if let Some(value) = v {
                    acc.add(&value.1, value.0);
                }
            }
            (Self::Distinct(seen), Self::Distinct(others)) => {
                for (value, parts) in others.iter() {
                    *seen.entry_ref(value).or_insert(0) += parts;
                }
            }
            (Self::Collect(values), Self::Collect(others)) => {
                values.extend(others.iter().cloned());
                values.sort_by(in_order);
            }
            (Self::Moments { count, mean, squares }, Self::Moments { count: n, mean: m, squares: s }) => {
                let total = *count + n;
                if total > 0.0 {
                    let delta = m - *mean;
                    *squares += s + delta * delta * *count * n / total;
                    *mean += delta * n / total;
                    *count = total;
                }
            }
            (Self::Quantile(values), Self::Quantile(others)) => values.extend(others),
            (Self::Frequencies(counts), Self::Frequencies(others)) => {
                for (value, n) in others.iter() {
                    *counts.entry_ref(value).or_insert(0) += n;
                }
            }
            (Self::Decimals(sums), other) => other.decimals().iter().for_each(|others| sums.merge(others)),
            (acc, Self::Decimals(others)) => {
                if let Some(mut sums) = acc.decimals() {
                    sums.merge(others);
                    *acc = Self::Decimals(Box::new(sums));
                }
            }
            (Self::Exact(sums), Self::Exact(others)) => sums.merge(others),
            // One of them was stored when the job had another order of records.
            (Self::Exact(sums), other) => other.sums().iter().for_each(|others| sums.merge(others)),
            (acc, Self::Exact(_)) => {
                if let Some(sums) = acc.sums() {
                    *acc = Self::Exact(Box::new(sums));
                    acc.merge(other);
                }
            }
            // A function has only one kind of accumulator.
            _ => {}
        }
    }

    /// Converts to exact sums, if possible.
    fn sums(&self) -> Option<Sums> {
        let mut sums = Sums { double: true, ..Sums::default() };
        match self {
            Self::Sum { ints, doubles } => {
                (sums.ints, sums.double) = (*ints, doubles.is_some());
                sums.sum.add(doubles.as_deref().copied().unwrap_or_default());
            }
            Self::SumOfDoubles(sum) => sums.sum.add(*sum),
            Self::Avg { sum, count } => {
                sums.count = *count;
                sums.sum.add(*sum);
            }
            Self::Moments { count, mean, squares } => {
                sums.count = *count as u64;
                sums.sum.add(mean * count);
                sums.squares.insert(Exact::default()).add(squares + mean * mean * count);
            }
            _ => return None,
        }
        Some(sums)
    }

    /// Converts to sums of decimals, if possible.
    fn decimals(&self) -> Option<Decimals> {
        let mut decimals = Decimals::default();
        let mut add = |ints: Wide, doubles: Option<Exact>, count: u64| {
            if ints.get() != 0 {
                decimals.sum.add_whole(ints.get());
            }
            (decimals.doubles, decimals.count) = (doubles, count);
        };
        match self {
            Self::Decimals(sums) => return Some((**sums).clone()),
            // A sum's count is never used.
            Self::Sum { ints, doubles } => add(*ints, doubles.as_deref().map(|sum| Exact::of(*sum)), 0),
            Self::Exact(sums) if sums.squares.is_none() => add(sums.ints, sums.double.then(|| sums.sum.clone()), sums.count),
            Self::Avg { sum, count } => add(Wide::default(), Some(Exact::of(*sum)), *count),
            _ => return None,
        }
        Some(decimals)
    }

    /// Removes everything that another accumulator of the same function has seen, which must have been merged into
    /// this one before.
    pub(super) fn retract(&mut self, other: &Self) {
        match (self, other) {
            (Self::Count(n), Self::Count(m)) => *n -= m,
            (Self::Sum { ints, .. }, Self::Sum { ints: less, .. }) => ints.add(-less.get()),
            (Self::AvgOfInts { sum, count }, Self::AvgOfInts { sum: s, count: n }) => {
                sum.add(-s.get());
                *count -= n;
            }
            (Self::Decimals(sums), Self::Decimals(others)) => sums.retract(others),
            (Self::Distinct(seen), Self::Distinct(others)) => {
                for (value, parts) in others.iter() {
                    if let EntryRef::Occupied(mut entry) = seen.entry_ref(value) {
                        *entry.get_mut() -= parts;
                        if *entry.get() == 0 {
                            entry.remove();
                        }
                    }
                }
            }
            (Self::Frequencies(counts), Self::Frequencies(others)) => {
                for (value, n) in others.iter() {
                    if let EntryRef::Occupied(mut entry) = counts.entry_ref(value) {
                        *entry.get_mut() -= n;
                        if *entry.get() == 0 {
                            entry.remove();
                        }
                    }
                }
            }
            (Self::Collect(values), Self::Collect(others)) => {
                let mut gone: Vec<_> = others.iter().collect();
                gone.sort_by(|a, b| in_order(a, b));
                values.sort_by(in_order);
                let mut gone = gone.into_iter().peekable();
                values.retain(|value| gone.next_if(|other| in_order(other, value).is_eq()).is_none());
            }
            (Self::Quantile(values), Self::Quantile(others)) => {
                let mut gone = others.clone();
                gone.sort_unstable_by(f64::total_cmp);
                values.sort_unstable_by(f64::total_cmp);
                let mut gone = gone.into_iter().peekable();
                values.retain(|value| gone.next_if(|other| other.to_bits() == value.to_bits()).is_none());
            }
            // Never called for the others.
            _ => {}
        }
    }

    /// The content for display, as far as it can be told without the function. `kept` describes the accumulator. For
    /// `quantile`, the content is the values.
    pub(crate) fn shown(&self, kept: &str) -> Value {
        match self {
            Self::Exact(_) | Self::Decimals(_) if kept.starts_with("sum(") => self.finish(&Function::Sum(Numbers::Any)),
            Self::Exact(_) if kept.starts_with("avg(") => self.finish(&Function::Avg(Numbers::Any)),
            Self::Decimals(_) if kept.starts_with("avg(") => self.finish(&Function::Avg(Numbers::Decimals)),
            Self::Quantile(values) => Value::list(values.iter().copied().map(Value::Double)),
            Self::Frequencies(_) => self.finish(&Function::Top(usize::MAX)),
            other => other.finish(&Function::Variance),
        }
    }

    /// The result of `function`.
    pub(super) fn finish(&self, function: &Function) -> Value {
        match self {
            Self::Count(n) => Value::Int(*n),
            Self::Sum { ints, doubles: None } => whole(*ints),
            Self::Sum { ints, doubles: Some(sum) } => Value::Double(ints.get() as f64 + **sum),
            Self::SumOfDoubles(sum) => Value::Double(*sum),
            Self::Avg { count: 0, .. } => Value::Null,
            Self::Avg { sum, count } => Value::Double(sum / *count as f64),
            Self::AvgOfInts { count: 0, .. } => Value::Null,
            Self::AvgOfInts { sum, count } => Value::Double(sum.get() as f64 / *count as f64),
            Self::Min(v) | Self::Max(v) => v.clone(),
            Self::First(v) | Self::Last(v) => v.as_ref().map_or(Value::Null, |v| v.1.clone()),
            Self::Distinct(seen) => Value::Int(seen.len() as i64),
            Self::Collect(values) => {
                let mut values: Vec<_> = values.iter().collect();
                values.sort_by(|a, b| in_order(a, b));
                Value::list(values.into_iter().map(|(_, value)| value.clone()))
            }
            Self::Moments { count, .. } if *count < 2.0 => Value::Null,
            Self::Moments { count, squares, .. } => {
                let variance = squares / (count - 1.0);
                Value::Double(if *function == Function::Stddev { variance.sqrt() } else { variance })
            }
            Self::Quantile(values) => match function {
                Function::Quantile(q) => quantile(values, *q).map_or(Value::Null, Value::Double),
                _ => Value::Null,
            },
            Self::Frequencies(counts) => {
                let most = if let Function::Top(n) = function { *n } else { usize::MAX };
                let mut ranked: Vec<_> = counts.iter().collect();
                ranked.sort_by(|a, b| b.1.cmp(a.1).then_with(|| a.0.total_cmp(b.0)));
                let entry = |(value, n): (&Value, &i64)| {
                    Value::map([(Value::string("value"), value.clone()), (Value::string("count"), Value::Int(*n))])
                };
                Value::list(ranked.into_iter().take(most).map(entry))
            }
            Self::Exact(sums) => sums.finish(function),
            Self::Decimals(sums) => sums.finish(function),
        }
    }
}

/// The value at fraction `q` of the sorted values, with linear interpolation between the nearest ranks (Hyndman and
/// Fan 1996, definition 7).
fn quantile(values: &[f64], q: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let rank = q * (sorted.len().checked_sub(1)? as f64);
    let below = sorted.get(rank.floor() as usize)?;
    let above = sorted.get(rank.ceil() as usize)?;
    let (part, distance) = (rank.fract(), above - below);
    // The distance between two finite doubles may overflow. Between infinite ones it is undefined.
    let between = if distance.is_infinite() && below.is_finite() && above.is_finite() {
        below * (1.0 - part) + above * part
    } else {
        below + distance * part
    };
    Some(between)
}
