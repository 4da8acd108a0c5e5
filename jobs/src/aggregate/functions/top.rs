//! `top`: the most frequent values.

use serde::{Deserialize, Serialize};
use tidegate_operators::Sliding;
use tidegate_rows::{Type, Value};

use super::tally::Tally;
use crate::aggregate::{About, Acc, Accumulator, At, Definition, Finish, Takes};

/// `top(x, n)`: at most so many.
#[derive(Clone, Debug)]
pub(crate) struct Top(usize);

impl Default for Top {
    fn default() -> Self {
        Self(usize::MAX)
    }
}

impl Definition for Top {
    const ABOUT: About = About {
        name: "top",
        kept: "top",
        calls: &["top(x, 10)"],
        takes: Takes::Distinct,
        returns: "the 10 most frequent values, as `[{value, count}, ...]`",
    };

    fn new(_: &Type, constant: &str) -> Result<Self, &'static str> {
        match constant.parse() {
            Ok(n) if n > 0 => Ok(Self(n)),
            _ => Err("the second argument of `top` is a whole number above zero: how many values it returns"),
        }
    }

    fn result(&self, _: &Type) -> Type {
        Type::List(Box::new(Type::map()))
    }

    fn sliding(&self) -> Sliding {
        Sliding::Retract
    }

    fn empty(&self) -> Acc {
        Acc::Frequencies(Frequencies::default())
    }
}

/// How often each value has come.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Frequencies(Tally<i64>);

impl Accumulator for Frequencies {
    const RETRACT: Option<fn(&mut Self, &Self)> = Some(|acc, other| acc.0.retract(&other.0));

    #[inline]
    fn add(&mut self, value: &Value, _: At) {
        *self.0.number(value) += 1;
    }

    fn merge(&mut self, other: &Self) {
        self.0.merge(&other.0);
    }
}

impl Finish<Frequencies> for Top {
    fn finish(&self, acc: &Frequencies) -> Value {
        let mut ranked: Vec<_> = acc.0.iter().collect();
        ranked.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.total_cmp(b.0)));
        let entry =
            |(value, n): (&Value, i64)| Value::map([(Value::string("value"), value.clone()), (Value::string("count"), Value::Int(n))]);
        Value::list(ranked.into_iter().take(self.0).map(entry))
    }
}
