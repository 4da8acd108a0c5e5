//! Sums of doubles, for records without a reproducible order.

use serde::{Deserialize, Serialize};
use tidegate_operators::Number;
use tidegate_rows::Value;

use super::{Decimals, Exact, Wide};
use crate::aggregate::{Accumulator, At};

/// Exact sums, which `sum`, `avg`, `stddev` and `variance` keep.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Sums {
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
    /// Empty sums for a variance.
    pub(crate) fn with_squares() -> Self {
        Self { squares: Some(Exact::default()), ..Self::default() }
    }

    /// A sum of ints, and perhaps of doubles.
    pub(crate) fn of_mixed(ints: Wide, doubles: Option<f64>) -> Self {
        Self { ints, double: doubles.is_some(), sum: Exact::of(doubles.unwrap_or_default()), ..Self::default() }
    }

    /// The sum of so many doubles.
    pub(crate) fn of_doubles(sum: f64, count: u64) -> Self {
        Self { count, double: true, sum: Exact::of(sum), ..Self::default() }
    }

    /// This sum of doubles.
    pub(crate) fn of_exact(sum: Exact) -> Self {
        Self { double: true, sum, ..Self::default() }
    }

    /// The sum of so many doubles, and the sum of their squares.
    pub(crate) fn of_squares(count: u64, sum: f64, squares: f64) -> Self {
        Self { squares: Some(Exact::of(squares)), ..Self::of_doubles(sum, count) }
    }

    /// The total, rounded at most twice: an extra time for the ints.
    pub(crate) fn total(&self) -> f64 {
        let mut all = self.sum.clone();
        all.add(self.ints.to_f64());
        all.rounded()
    }

    /// The sum: an int if all values were ints.
    pub(crate) fn sum(&self) -> Value {
        if self.double { Value::Double(self.total()) } else { self.ints.value() }
    }

    /// The mean; `None` of nothing.
    pub(crate) fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| self.total() / self.count as f64)
    }

    /// The variance; `None` for fewer than two values.
    pub(crate) fn variance(&self) -> Option<f64> {
        let variance = |squares| self.sum.variance(squares, self.count);
        (self.count > 1).then(|| self.squares.as_ref().map_or(f64::NAN, variance))
    }
}

impl Accumulator for Sums {
    const RETRACT: Option<fn(&mut Self, &Self)> = None;

    fn add(&mut self, value: &Value, _: At) {
        self.count += 1;
        match (Wide::of(value), value.as_f64()) {
            (Some(int), _) if self.squares.is_none() => self.ints += int,
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
        self.ints += other.ints;
        self.double |= other.double;
        self.sum.merge(&other.sum);
        if let (Some(squares), Some(more)) = (&mut self.squares, &other.squares) {
            squares.merge(more);
        }
    }

    /// A variance is one of doubles.
    fn takes(&self, value: &Value) -> bool {
        self.squares.is_some() || !matches!(value, Value::Decimal(_))
    }

    fn to_sums(&self) -> Option<Sums> {
        Some(self.clone())
    }

    fn to_decimals(&self) -> Option<Decimals> {
        self.squares.is_none().then(|| Decimals::of(self.ints, self.double.then(|| self.sum.clone()), self.count))
    }
}
