//! `min` and `max`: the least and the greatest value, of any type.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};
use tidegate_operators::Sliding;
use tidegate_rows::{Type, Value};

use crate::aggregate::{About, Acc, Accumulator, At, Definition, Finish, Takes};

/// `min(x)`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Min;

/// `max(x)`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Max;

impl Definition for Min {
    const ABOUT: About =
        About { name: "min", kept: "min", calls: &["min(x)"], takes: Takes::Values, returns: "the least value, of any type" };

    fn result(&self, argument: &Type) -> Type {
        argument.clone()
    }

    fn sliding(&self) -> Sliding {
        Sliding::Suffixes
    }

    fn empty(&self) -> Acc {
        Acc::Min(Least(Value::Null))
    }
}

impl Definition for Max {
    const ABOUT: About =
        About { name: "max", kept: "max", calls: &["max(x)"], takes: Takes::Values, returns: "the greatest value, of any type" };

    fn result(&self, argument: &Type) -> Type {
        argument.clone()
    }

    fn sliding(&self) -> Sliding {
        Sliding::Suffixes
    }

    fn empty(&self) -> Acc {
        Acc::Max(Greatest(Value::Null))
    }
}

/// The least value; null before the first.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Least(Value);

/// The greatest value; null before the first.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Greatest(Value);

/// Replaces a value by one that is `better` than it.
#[inline]
fn keep(kept: &mut Value, value: &Value, better: Ordering) {
    if kept.is_null() || value.strict_cmp(kept) == better {
        *kept = value.clone();
    }
}

impl Accumulator for Least {
    const RETRACT: Option<fn(&mut Self, &Self)> = None;

    #[inline]
    fn add(&mut self, value: &Value, _: At) {
        keep(&mut self.0, value, Ordering::Less);
    }

    fn merge(&mut self, other: &Self) {
        if !other.0.is_null() {
            keep(&mut self.0, &other.0, Ordering::Less);
        }
    }
}

impl Accumulator for Greatest {
    const RETRACT: Option<fn(&mut Self, &Self)> = None;

    #[inline]
    fn add(&mut self, value: &Value, _: At) {
        keep(&mut self.0, value, Ordering::Greater);
    }

    fn merge(&mut self, other: &Self) {
        if !other.0.is_null() {
            keep(&mut self.0, &other.0, Ordering::Greater);
        }
    }
}

impl Finish<Least> for Min {
    fn finish(&self, acc: &Least) -> Value {
        acc.0.clone()
    }
}

impl Finish<Greatest> for Max {
    fn finish(&self, acc: &Greatest) -> Value {
        acc.0.clone()
    }
}
