//! `avg`: the mean.

use tidegate_operators::{Mean, Sliding};
use tidegate_rows::{Type, Value};

use crate::aggregate::sums::{Decimals, Exact, Numbers, Sums, Wide};
use crate::aggregate::{About, Acc, Accumulator, At, Definition, Finish, Takes};

/// `avg(x)` over these numbers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Avg(Numbers);

impl Definition for Avg {
    const ABOUT: About = About {
        name: "avg",
        kept: "avg",
        calls: &["avg(x)"],
        takes: Takes::Numbers,
        returns: "the mean: of decimals a decimal, exact to 38 digits, else a double",
    };

    fn new(argument: &Type, _: &str) -> Result<Self, &'static str> {
        Ok(Self(argument.into()))
    }

    fn result(&self, _: &Type) -> Type {
        if self.0 == Numbers::Decimals { Type::Decimal } else { Type::Double }
    }

    fn sliding(&self) -> Sliding {
        self.0.sliding()
    }

    fn empty(&self) -> Acc {
        match self.0 {
            Numbers::Ints => Acc::AvgOfInts(Mean::default()),
            Numbers::Doubles | Numbers::Any => Acc::Avg(Mean::default()),
            Numbers::Decimals => Acc::Decimals(Box::default()),
        }
    }

    fn unordered(&self) -> Acc {
        match self.0 {
            Numbers::Ints | Numbers::Decimals => self.empty(),
            Numbers::Doubles | Numbers::Any => Acc::Exact(Box::default()),
        }
    }
}

impl Accumulator for Mean<f64> {
    const RETRACT: Option<fn(&mut Self, &Self)> = None;

    #[inline]
    fn add(&mut self, value: &Value, _: At) {
        Self::add(self, value.as_f64().unwrap_or(0.0));
    }

    fn merge(&mut self, other: &Self) {
        Self::merge(self, other);
    }

    fn to_sums(&self) -> Option<Sums> {
        Some(Sums::of_doubles(self.sum(), self.count()))
    }

    fn to_decimals(&self) -> Option<Decimals> {
        Some(Decimals::of(Wide::default(), Some(Exact::of(self.sum())), self.count()))
    }
}

impl Accumulator for Mean<Wide> {
    const RETRACT: Option<fn(&mut Self, &Self)> = Some(Self::retract);

    #[inline]
    fn add(&mut self, value: &Value, _: At) {
        Self::add(self, Wide::of(value).unwrap_or_default());
    }

    fn merge(&mut self, other: &Self) {
        Self::merge(self, other);
    }
}

impl Finish<Mean<f64>> for Avg {
    fn finish(&self, acc: &Mean<f64>) -> Value {
        acc.value().map_or(Value::Null, Value::Double)
    }
}

impl Finish<Mean<Wide>> for Avg {
    fn finish(&self, acc: &Mean<Wide>) -> Value {
        acc.value().map_or(Value::Null, Value::Double)
    }
}

impl Finish<Sums> for Avg {
    fn finish(&self, acc: &Sums) -> Value {
        acc.mean().map_or(Value::Null, Value::Double)
    }
}

impl Finish<Decimals> for Avg {
    fn finish(&self, acc: &Decimals) -> Value {
        if self.0 == Numbers::Decimals { acc.mean() } else { acc.mean_of_doubles().map_or(Value::Null, Value::Double) }
    }

    fn show(&self, acc: &Decimals) -> Value {
        acc.mean()
    }
}
