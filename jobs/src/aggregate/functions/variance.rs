//! `stddev` and `variance`, of the sample.

use serde::{Deserialize, Serialize};
use tidegate_operators::Sliding;
use tidegate_rows::{Type, Value};

use crate::aggregate::sums::Sums;
use crate::aggregate::{About, Acc, Accumulator, At, Definition, Finish, Takes};

/// `stddev(x)`, the root of the variance.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stddev;

/// `variance(x)`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Variance;

impl Definition for Stddev {
    const ABOUT: About = About {
        name: "stddev",
        kept: Variance::ABOUT.kept,
        calls: &["stddev(x)"],
        takes: Takes::Numbers,
        returns: "the standard deviation of the sample; null for fewer than two values",
    };

    fn result(&self, argument: &Type) -> Type {
        Variance.result(argument)
    }

    fn sliding(&self) -> Sliding {
        Variance.sliding()
    }

    fn empty(&self) -> Acc {
        Variance.empty()
    }

    fn unordered(&self) -> Acc {
        Variance.unordered()
    }
}

impl Definition for Variance {
    const ABOUT: About = About {
        name: "variance",
        kept: "variance",
        calls: &["variance(x)"],
        takes: Takes::Numbers,
        returns: "the variance of the sample (divided by n - 1); null for fewer than two values",
    };

    fn result(&self, _: &Type) -> Type {
        Type::Double
    }

    fn sliding(&self) -> Sliding {
        Sliding::Suffixes
    }

    fn empty(&self) -> Acc {
        Acc::Moments(Moments { count: 0.0, mean: 0.0, squares: 0.0 })
    }

    fn unordered(&self) -> Acc {
        Acc::Exact(Box::new(Sums::with_squares()))
    }
}

/// The count, the mean and the sum of squared differences from it (Welford 1962; merged as in Chan, Golub, LeVeque
/// 1979).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Moments {
    /// The number of values.
    count: f64,
    /// Their mean.
    mean: f64,
    /// The sum of squared differences from the mean.
    squares: f64,
}

impl Moments {
    /// The variance; `None` for fewer than two values.
    fn variance(&self) -> Option<f64> {
        (self.count >= 2.0).then(|| self.squares / (self.count - 1.0))
    }
}

impl Accumulator for Moments {
    const RETRACT: Option<fn(&mut Self, &Self)> = None;

    #[inline]
    fn add(&mut self, value: &Value, _: At) {
        let v = value.as_f64().unwrap_or(0.0);
        self.count += 1.0;
        let delta = v - self.mean;
        self.mean += delta / self.count;
        self.squares += delta * (v - self.mean);
    }

    fn merge(&mut self, other: &Self) {
        let total = self.count + other.count;
        if total > 0.0 {
            let delta = other.mean - self.mean;
            self.squares += other.squares + delta * delta * self.count * other.count / total;
            self.mean += delta * other.count / total;
            self.count = total;
        }
    }

    fn to_sums(&self) -> Option<Sums> {
        let squares = self.squares + self.mean * self.mean * self.count;
        Some(Sums::of_squares(self.count as u64, self.mean * self.count, squares))
    }
}

impl Finish<Moments> for Variance {
    fn finish(&self, acc: &Moments) -> Value {
        acc.variance().map_or(Value::Null, Value::Double)
    }
}

impl Finish<Sums> for Variance {
    fn finish(&self, acc: &Sums) -> Value {
        acc.variance().map_or(Value::Null, Value::Double)
    }
}

impl Finish<Moments> for Stddev {
    fn finish(&self, acc: &Moments) -> Value {
        acc.variance().map_or(Value::Null, |variance| Value::Double(variance.sqrt()))
    }
}

impl Finish<Sums> for Stddev {
    fn finish(&self, acc: &Sums) -> Value {
        acc.variance().map_or(Value::Null, |variance| Value::Double(variance.sqrt()))
    }
}
