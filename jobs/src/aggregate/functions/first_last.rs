//! `first` and `last`: the value of the record with the least and the greatest event time; among equal times, the first
//! and the last in order.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};
use tidegate_operators::Sliding;
use tidegate_rows::{Type, Value};

use crate::aggregate::{About, Acc, Accumulator, At, Definition, Finish, Takes};

/// `first(x)`.
#[derive(Clone, Debug, Default)]
pub(crate) struct First;

/// `last(x)`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Last;

impl Definition for First {
    const ABOUT: About = About {
        name: "first",
        kept: "first",
        calls: &["first(x)"],
        takes: Takes::Values,
        returns: "the value of the record with the least event time; of equal times the first in [order](#order)",
    };

    fn result(&self, argument: &Type) -> Type {
        argument.clone()
    }

    fn sliding(&self) -> Sliding {
        Sliding::Suffixes
    }

    fn empty(&self) -> Acc {
        Acc::First(Earliest(None))
    }
}

impl Definition for Last {
    const ABOUT: About = About {
        name: "last",
        kept: "last",
        calls: &["last(x)"],
        takes: Takes::Values,
        returns: "the value of the record with the greatest event time; of equal times the last in [order](#order)",
    };

    fn result(&self, argument: &Type) -> Type {
        argument.clone()
    }

    fn sliding(&self) -> Sliding {
        Sliding::Suffixes
    }

    fn empty(&self) -> Acc {
        Acc::Last(Latest(None))
    }
}

/// A value with its position.
type Placed = Option<Box<(At, Value)>>;

/// The earliest value.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Earliest(Placed);

/// The latest value.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Latest(Placed);

/// Replaces the kept value if the order of the new one to it is as wanted.
#[inline]
fn keep(kept: &mut Placed, at: At, value: &Value, wanted: fn(Ordering) -> bool) {
    match kept {
        None => *kept = Some(Box::new((at, value.clone()))),
        Some(kept) => {
            if wanted(at.cmp(&kept.0).then_with(|| value.strict_cmp(&kept.1))) {
                **kept = (at, value.clone());
            }
        }
    }
}

impl Accumulator for Earliest {
    const RETRACT: Option<fn(&mut Self, &Self)> = None;

    #[inline]
    fn add(&mut self, value: &Value, at: At) {
        keep(&mut self.0, at, value, Ordering::is_lt);
    }

    fn merge(&mut self, other: &Self) {
        if let Some(other) = &other.0 {
            self.add(&other.1, other.0);
        }
    }
}

impl Accumulator for Latest {
    const RETRACT: Option<fn(&mut Self, &Self)> = None;

    #[inline]
    fn add(&mut self, value: &Value, at: At) {
        keep(&mut self.0, at, value, Ordering::is_ge);
    }

    fn merge(&mut self, other: &Self) {
        if let Some(other) = &other.0 {
            self.add(&other.1, other.0);
        }
    }
}

impl Finish<Earliest> for First {
    fn finish(&self, acc: &Earliest) -> Value {
        acc.0.as_ref().map_or(Value::Null, |placed| placed.1.clone())
    }
}

impl Finish<Latest> for Last {
    fn finish(&self, acc: &Latest) -> Value {
        acc.0.as_ref().map_or(Value::Null, |placed| placed.1.clone())
    }
}
