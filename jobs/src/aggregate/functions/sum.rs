//! `sum`.

use serde::{Deserialize, Serialize};
use tidegate_operators::Sliding;
use tidegate_rows::{Type, Value};

use crate::aggregate::sums::{Decimals, Exact, Numbers, Pair, Sums, Wide};
use crate::aggregate::{About, Acc, Accumulator, At, Definition, Finish, Takes};

/// `sum(x)` over these numbers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sum(Numbers);

impl Definition for Sum {
    const ABOUT: About = About {
        name: "sum",
        kept: "sum",
        calls: &["sum(x)"],
        takes: Takes::Numbers,
        returns: "of ints an int, of decimals a decimal, both exact (a double if that overflows), of doubles a double; 0 of nothing",
    };

    fn new(argument: &Type, _: &str) -> Result<Self, &'static str> {
        Ok(Self(argument.into()))
    }

    fn result(&self, argument: &Type) -> Type {
        if *argument == Type::Uint { Type::Int } else { argument.clone() }
    }

    fn sliding(&self) -> Sliding {
        self.0.sliding()
    }

    fn empty(&self) -> Acc {
        match self.0 {
            Numbers::Ints | Numbers::Any => Acc::Sum(Mixed::default()),
            Numbers::Doubles => Acc::SumOfDoubles(Doubles(0.0)),
            Numbers::Decimals => Acc::Decimals(Box::default()),
        }
    }

    fn unordered(&self) -> Acc {
        match self.0 {
            Numbers::Ints | Numbers::Decimals => self.empty(),
            Numbers::Doubles => Acc::Pair(Pair::default()),
            Numbers::Any => Acc::Exact(Box::default()),
        }
    }
}

/// A sum in which ints are summed exactly, separately from doubles.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Mixed {
    ints: Wide,
    /// The sum of the doubles, if there were any among values of mixed types.
    doubles: Option<Box<f64>>,
}

impl Accumulator for Mixed {
    /// Only sums that have no doubles are retracted.
    const RETRACT: Option<fn(&mut Self, &Self)> = Some(|acc, other| acc.ints -= other.ints);

    #[inline]
    fn add(&mut self, value: &Value, _: At) {
        match Wide::of(value) {
            Some(int) => self.ints += int,
            None => **self.doubles.get_or_insert_default() += value.as_f64().unwrap_or(0.0),
        }
    }

    fn merge(&mut self, other: &Self) {
        self.ints += other.ints;
        if let Some(sum) = &other.doubles {
            **self.doubles.get_or_insert_default() += **sum;
        }
    }

    #[inline]
    fn takes(&self, value: &Value) -> bool {
        !matches!(value, Value::Decimal(_))
    }

    fn to_sums(&self) -> Option<Sums> {
        Some(Sums::of_mixed(self.ints, self.doubles.as_deref().copied()))
    }

    fn to_decimals(&self) -> Option<Decimals> {
        // A sum's count is never used.
        Some(Decimals::of(self.ints, self.doubles.as_deref().map(|sum| Exact::of(*sum)), 0))
    }
}

impl Finish<Mixed> for Sum {
    fn finish(&self, acc: &Mixed) -> Value {
        match &acc.doubles {
            None => acc.ints.value(),
            Some(doubles) => Value::Double(acc.ints.get() as f64 + **doubles),
        }
    }
}

/// A sum of doubles.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Doubles(f64);

impl Accumulator for Doubles {
    const RETRACT: Option<fn(&mut Self, &Self)> = None;

    #[inline]
    fn add(&mut self, value: &Value, _: At) {
        self.0 += value.as_f64().unwrap_or(0.0);
    }

    fn merge(&mut self, other: &Self) {
        self.0 += other.0;
    }

    fn to_sums(&self) -> Option<Sums> {
        Some(Sums::of_doubles(self.0, 0))
    }
}

impl Finish<Doubles> for Sum {
    fn finish(&self, acc: &Doubles) -> Value {
        Value::Double(acc.0)
    }
}

impl Finish<Sums> for Sum {
    fn finish(&self, acc: &Sums) -> Value {
        if self.0 == Numbers::Doubles { Value::Double(acc.total()) } else { acc.sum() }
    }
}

impl Finish<Pair> for Sum {
    fn finish(&self, acc: &Pair) -> Value {
        Value::Double(acc.rounded())
    }
}

impl Finish<Decimals> for Sum {
    fn finish(&self, acc: &Decimals) -> Value {
        acc.sum()
    }
}
