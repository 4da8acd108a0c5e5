//! `Average`, and the mean that it shares with `avg` of job files.

use serde::{Deserialize, Serialize};
use tidegate_runtime::Error;
use tidegate_runtime::state::{Meaning, Stored};

use super::{Aggregate, Number, Whole};

/// A sum and the number of its terms. Stored like the tuple of both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Mean<N> {
    sum: N,
    count: u64,
}

impl<N: Number> Mean<N> {
    /// Adds a term.
    pub fn add(&mut self, term: N) {
        self.sum += term;
        self.count += 1;
    }

    /// Adds the terms of another mean.
    pub fn merge(&mut self, other: &Self) {
        self.sum += other.sum;
        self.count += other.count;
    }

    /// Takes out the terms of another mean, which must have been merged into this one.
    pub fn retract(&mut self, other: &Self)
    where
        N: Whole,
    {
        self.sum -= other.sum;
        self.count -= other.count;
    }

    /// The sum of the terms.
    #[must_use]
    pub fn sum(&self) -> N {
        self.sum
    }

    /// The number of terms.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The mean; `None` of nothing.
    #[must_use]
    pub fn value(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum.to_f64() / self.count as f64)
    }
}

impl<N: Number + Stored> Stored for Mean<N> {
    const SCHEMA: &'static str = <(N, u64)>::SCHEMA;

    fn schema() -> String {
        <(N, u64)>::schema()
    }
}

/// The mean of a field; `None` if there are no records.
#[derive(Clone, Copy, Debug)]
pub struct Average<F>(pub F);

impl<T, F: Fn(&T) -> f64 + 'static> Aggregate<T> for Average<F> {
    type Acc = Mean<f64>;
    type Out = Option<f64>;

    fn meaning(&self) -> Meaning<Mean<f64>> {
        Meaning::of_type().named("average/1")
    }
    fn create(&self) -> Mean<f64> {
        Mean::default()
    }
    fn add(&mut self, acc: &mut Mean<f64>, value: &T, _: i64) -> Result<bool, Error> {
        acc.add((self.0)(value));
        Ok(true)
    }
    fn merge(&self, acc: &mut Mean<f64>, other: &Mean<f64>) {
        acc.merge(other);
    }
    fn finish(&self, acc: &Mean<f64>) -> Option<f64> {
        acc.value()
    }
}
