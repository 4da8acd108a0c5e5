//! `count`: how many records, or values.

use serde::{Deserialize, Serialize};
use tidegate_operators::Sliding;
use tidegate_rows::{Type, Value};

use crate::aggregate::{About, Acc, Accumulator, At, Definition, Finish, Takes};

/// `count()` or `count(x)`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Count;

impl Definition for Count {
    const ABOUT: About = About {
        name: "count",
        kept: "count",
        calls: &["count()", "count(x)"],
        takes: Takes::Values,
        returns: "the number of records; of those in which x is not null",
    };

    fn result(&self, _: &Type) -> Type {
        Type::Int
    }

    fn sliding(&self) -> Sliding {
        Sliding::Retract
    }

    fn empty(&self) -> Acc {
        Acc::Count(Counted(0))
    }
}

/// The number of values.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Counted(i64);

impl Accumulator for Counted {
    const RETRACT: Option<fn(&mut Self, &Self)> = Some(|acc, other| acc.0 -= other.0);

    #[inline]
    fn add(&mut self, _: &Value, _: At) {
        self.0 += 1;
    }

    fn merge(&mut self, other: &Self) {
        self.0 += other.0;
    }
}

impl Finish<Counted> for Count {
    fn finish(&self, acc: &Counted) -> Value {
        Value::Int(acc.0)
    }
}
