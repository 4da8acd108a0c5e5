//! `count_distinct`.

use serde::{Deserialize, Serialize};
use tidegate_operators::Sliding;
use tidegate_rows::{Type, Value};

use super::tally::Tally;
use crate::aggregate::{About, Acc, Accumulator, At, Definition, Finish, Takes};

/// `count_distinct(x)`.
#[derive(Clone, Debug, Default)]
pub(crate) struct CountDistinct;

impl Definition for CountDistinct {
    const ABOUT: About = About {
        name: "count_distinct",
        kept: "count_distinct",
        calls: &["count_distinct(x)"],
        takes: Takes::Distinct,
        returns: "the number of distinct values, exact",
    };

    fn result(&self, _: &Type) -> Type {
        Type::Int
    }

    fn sliding(&self) -> Sliding {
        Sliding::Retract
    }

    fn empty(&self) -> Acc {
        Acc::Distinct(Distinct::default())
    }
}

/// Each value, with the number of merged parts that contain it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Distinct(Tally<u32>);

impl Accumulator for Distinct {
    const RETRACT: Option<fn(&mut Self, &Self)> = Some(|acc, other| acc.0.retract(&other.0));

    #[inline]
    fn add(&mut self, value: &Value, _: At) {
        let parts = self.0.number(value);
        *parts = (*parts).max(1);
    }

    fn merge(&mut self, other: &Self) {
        self.0.merge(&other.0);
    }
}

impl Finish<Distinct> for CountDistinct {
    fn finish(&self, acc: &Distinct) -> Value {
        Value::Int(acc.0.len() as i64)
    }
}
