//! What the records of a Rust program leave in histories.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use tidegate_runtime::state::Stored;

use super::distinct::{Distinct, Distinguishes, Seen};
use super::history::Column;

/// The items of a history. Stored by position: a new kind comes last.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[doc(hidden)]
pub enum Items {
    Times,
    Numbers(Vec<f64>),
    Values(Distinct<Scalar>),
}

/// A value that can be told apart from others.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Scalar {
    /// A whole number.
    Int(i64),
    /// A whole number without a sign.
    Uint(u64),
    /// Text.
    Text(String),
}

impl Stored for Scalar {
    const SCHEMA: &'static str = "indicator.scalar/1";
}

impl Stored for Items {
    const SCHEMA: &'static str = "indicator.items/1";
}

impl Stored for Part {
    const SCHEMA: &'static str = "indicator.part/1";
}

macro_rules! scalars {
    ($($kind:ident($($ty:ty),+) $as:ty;)+) => {
        $($(impl From<$ty> for Scalar {
            fn from(value: $ty) -> Self {
                Self::$kind(<$as>::from(value))
            }
        })+)+
    };
}

scalars! {
    Int(i8, i16, i32, i64) i64;
    Uint(u8, u16, u32, u64) u64;
    Text(String, &str) String;
}

/// An item of a history.
#[doc(hidden)]
pub enum Item {
    Time,
    Number(f64),
    Value(Seen<Scalar>),
}

/// The summary of numbers: their number, sum, extremes, mean and squared differences from it (Welford 1962; merged as in Chan, Golub, LeVeque 1979).
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[doc(hidden)]
pub struct Sums {
    pub(super) count: u64,
    pub(super) sum: f64,
    /// What the sum lacks to be exact (Neumaier 1974).
    pub(super) rest: f64,
    pub(super) min: f64,
    pub(super) max: f64,
    mean: f64,
    pub(super) squares: f64,
    /// The first number with its time.
    pub(super) first: (i64, f64),
    /// The last number with its time.
    pub(super) last: (i64, f64),
}

impl Default for Sums {
    fn default() -> Self {
        let (min, max) = (f64::INFINITY, f64::NEG_INFINITY);
        Self { count: 0, sum: 0.0, rest: 0.0, min, max, mean: 0.0, squares: 0.0, first: (i64::MAX, 0.0), last: (i64::MIN, 0.0) }
    }
}

impl Sums {
    #[inline]
    pub(super) fn add(&mut self, time: i64, number: f64) {
        self.bound((time, number), (time, number));
        self.count += 1;
        self.plus(number);
        self.min = self.min.min(number);
        self.max = self.max.max(number);
        let delta = number - self.mean;
        #[expect(clippy::cast_precision_loss, reason = "fewer than 2^53 items")]
        let count = self.count as f64;
        self.mean += delta / count;
        self.squares += delta * (number - self.mean);
    }

    /// Takes in the first and the last number of what comes later, or of what is in between.
    fn bound(&mut self, first: (i64, f64), last: (i64, f64)) {
        if first.0 < self.first.0 || self.count == 0 {
            self.first = first;
        }
        if last.0 >= self.last.0 {
            self.last = last;
        }
    }

    fn plus(&mut self, number: f64) {
        let sum = self.sum + number;
        self.rest += if self.sum.abs() >= number.abs() { (self.sum - sum) + number } else { (number - sum) + self.sum };
        self.sum = sum;
    }

    fn merge(&mut self, later: &Self) {
        if self.count == 0 {
            *self = *later;
            return;
        }
        if later.count == 0 {
            return;
        }
        #[expect(clippy::cast_precision_loss, reason = "fewer than 2^53 items")]
        let (here, there) = (self.count as f64, later.count as f64);
        let (delta, total) = (later.mean - self.mean, here + there);
        self.squares += later.squares + delta * delta * here * there / total;
        self.mean += delta * there / total;
        self.count += later.count;
        self.plus(later.sum);
        self.rest += later.rest;
        self.min = self.min.min(later.min);
        self.max = self.max.max(later.max);
        self.bound(later.first, later.last);
    }

    pub(super) fn of_some(&self, value: f64) -> Option<f64> {
        (self.count > 0).then_some(value)
    }
}

/// The summary of items.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[doc(hidden)]
pub enum Part {
    Times,
    Numbers(Sums),
    Values(u64),
}

impl Column for Items {
    type Item = Item;
    type Part = Part;

    fn fresh(&self) -> Self {
        match self {
            Self::Times => Self::Times,
            Self::Numbers(_) => Self::Numbers(Vec::new()),
            Self::Values(_) => Self::Values(Distinct::default()),
        }
    }

    fn insert(&mut self, at: usize, item: Item) {
        match (self, item) {
            (Self::Times, _) => {}
            (Self::Numbers(numbers), Item::Number(number)) => numbers.insert(at, number),
            (Self::Values(values), Item::Value(value)) => values.insert(at, value),
            // An item is made for the column that it goes into.
            _ => {}
        }
    }

    fn split_off(&mut self, at: usize) -> Self {
        match self {
            Self::Times => Self::Times,
            Self::Numbers(numbers) => Self::Numbers(numbers.split_off(at)),
            Self::Values(values) => Self::Values(values.split_off(at)),
        }
    }

    fn nothing(&self) -> Part {
        match self {
            Self::Times => Part::Times,
            Self::Numbers(_) => Part::Numbers(Sums::default()),
            Self::Values(_) => Part::Values(0),
        }
    }

    fn sum_up(&self, times: &[i64], range: Range<usize>, into: &mut Part) {
        match (self, into) {
            (Self::Numbers(numbers), Part::Numbers(sums)) => {
                let times = times.get(range.clone()).unwrap_or_default();
                times.iter().zip(numbers.get(range).unwrap_or_default()).for_each(|(time, number)| sums.add(*time, *number));
            }
            (Self::Values(values), Part::Values(marked)) => *marked += values.marked(range),
            _ => {}
        }
    }

    fn merge(into: &mut Part, later: &Part) {
        match (into, later) {
            (Part::Numbers(sums), Part::Numbers(later)) => sums.merge(later),
            (Part::Values(marked), Part::Values(later)) => *marked += later,
            _ => {}
        }
    }
}

impl Distinguishes for Items {
    type Value = Scalar;

    fn is_null(_: &Scalar) -> bool {
        false
    }

    fn distinct(&self) -> Option<&Distinct<Scalar>> {
        if let Self::Values(values) = self { Some(values) } else { None }
    }

    fn distinct_mut(&mut self) -> Option<&mut Distinct<Scalar>> {
        if let Self::Values(values) = self { Some(values) } else { None }
    }

    fn seen(item: Seen<Scalar>) -> Item {
        Item::Value(item)
    }

    fn marked(part: &Part) -> u64 {
        if let Part::Values(marked) = part { *marked } else { 0 }
    }

    fn unmark(part: &mut Part) {
        if let Part::Values(marked) = part {
            *marked = marked.saturating_sub(1);
        }
    }
}
