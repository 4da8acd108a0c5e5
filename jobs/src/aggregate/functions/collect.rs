//! `collect`: all values.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};
use tidegate_operators::Sliding;
use tidegate_rows::{Type, Value};

use super::multiset::take_out;
use crate::aggregate::{About, Acc, Accumulator, At, Definition, Finish, Takes};

/// `collect(x)`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Collect;

impl Definition for Collect {
    const ABOUT: About = About {
        name: "collect",
        kept: "collect",
        calls: &["collect(x)"],
        takes: Takes::Nulls,
        returns: "all values in [order](#order), nulls too",
    };

    fn result(&self, argument: &Type) -> Type {
        Type::List(Box::new(argument.clone()))
    }

    fn sliding(&self) -> Sliding {
        Sliding::Retract
    }

    fn empty(&self) -> Acc {
        Acc::Collect(Collected(Vec::new()))
    }
}

/// The values with their arrival numbers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Collected(Vec<(u64, Value)>);

fn in_order(a: &(u64, Value), b: &(u64, Value)) -> Ordering {
    a.0.cmp(&b.0).then_with(|| a.1.strict_cmp(&b.1))
}

impl Accumulator for Collected {
    const RETRACT: Option<fn(&mut Self, &Self)> = Some(|acc, other| take_out(&mut acc.0, &other.0, in_order));

    #[inline]
    fn add(&mut self, value: &Value, at: At) {
        self.0.push((at.arrival, value.clone()));
    }

    fn merge(&mut self, other: &Self) {
        self.0.extend(other.0.iter().cloned());
        self.0.sort_by(in_order);
    }
}

impl Finish<Collected> for Collect {
    fn finish(&self, acc: &Collected) -> Value {
        let mut values: Vec<_> = acc.0.iter().collect();
        values.sort_by(|a, b| in_order(a, b));
        Value::list(values.into_iter().map(|(_, value)| value.clone()))
    }
}
