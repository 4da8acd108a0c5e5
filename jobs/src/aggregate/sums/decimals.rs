//! Sums of decimals.

use serde::{Deserialize, Serialize};
use tidegate_rows::{Decimal, DecimalSum, Value};

use super::{Exact, Wide};
use crate::aggregate::{Accumulator, At};

/// Sums with decimals, which `sum` and `avg` keep. Ints are added to the decimals; doubles are summed separately.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Decimals {
    /// The number of values.
    count: u64,
    sum: DecimalSum,
    /// The sum of the doubles, if there were any.
    doubles: Option<Exact>,
}

impl Decimals {
    /// The sums of `count` values that were summed without decimals.
    pub(crate) fn of(ints: Wide, doubles: Option<Exact>, count: u64) -> Self {
        let mut sum = DecimalSum::default();
        if ints.get() != 0 {
            sum.add_whole(ints.get());
        }
        Self { count, sum, doubles }
    }

    /// The sum: a decimal, unless it overflows or there were doubles.
    pub(crate) fn sum(&self) -> Value {
        self.exact(self.sum.total()).unwrap_or_else(|| Value::Double(self.total()))
    }

    /// The mean: a decimal, unless there were doubles. Null of nothing.
    pub(crate) fn mean(&self) -> Value {
        match (self.count, &self.doubles) {
            (0, _) => Value::Null,
            (_, None) => self.exact(self.sum.divided_by(self.count)).unwrap_or_default(),
            (_, Some(_)) => self.mean_of_doubles().map_or(Value::Null, Value::Double),
        }
    }

    /// The mean as a double; `None` of nothing.
    pub(crate) fn mean_of_doubles(&self) -> Option<f64> {
        (self.count > 0).then(|| self.total() / self.count as f64)
    }

    fn exact(&self, sum: Option<Decimal>) -> Option<Value> {
        sum.filter(|_| self.doubles.is_none()).map(Value::Decimal)
    }

    fn total(&self) -> f64 {
        let mut all = self.doubles.clone().unwrap_or_default();
        all.add(self.sum.to_f64());
        all.rounded()
    }
}

impl Accumulator for Decimals {
    /// Only sums that have no doubles are retracted.
    const RETRACT: Option<fn(&mut Self, &Self)> = Some(|acc, other| {
        acc.count -= other.count;
        acc.sum.retract(&other.sum);
    });

    fn add(&mut self, value: &Value, _: At) {
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

    fn to_decimals(&self) -> Option<Decimals> {
        Some(self.clone())
    }
}
