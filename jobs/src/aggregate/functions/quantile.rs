//! `quantile`: exact quantiles.

use serde::{Deserialize, Serialize};
use tidegate_operators::Sliding;
use tidegate_rows::{Type, Value};

use super::multiset::take_out;
use crate::aggregate::{About, Acc, Accumulator, At, Definition, Finish, Takes};

/// `quantile(x, q)` at this fraction, from 0 to 1.
#[derive(Clone, Debug, Default)]
pub(crate) struct Quantile(f64);

impl Definition for Quantile {
    const ABOUT: About = About {
        name: "quantile",
        kept: "quantile",
        calls: &["quantile(x, 0.99)"],
        takes: Takes::Numbers,
        returns: "exact, interpolated between the nearest ranks",
    };

    fn new(_: &Type, constant: &str) -> Result<Self, &'static str> {
        match constant.parse() {
            Ok(q) if (0.0..=1.0).contains(&q) => Ok(Self(q)),
            _ => Err("a quantile is a number from 0 to 1, such as 0.99"),
        }
    }

    fn result(&self, _: &Type) -> Type {
        Type::Double
    }

    fn sliding(&self) -> Sliding {
        Sliding::Retract
    }

    fn empty(&self) -> Acc {
        Acc::Quantile(Numbers(Vec::new()))
    }
}

/// All values.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Numbers(Vec<f64>);

impl Accumulator for Numbers {
    // Doubles that are equal in the total order have the same bits.
    const RETRACT: Option<fn(&mut Self, &Self)> = Some(|acc, other| take_out(&mut acc.0, &other.0, f64::total_cmp));

    #[inline]
    fn add(&mut self, value: &Value, _: At) {
        self.0.extend(value.as_f64());
    }

    fn merge(&mut self, other: &Self) {
        self.0.extend(&other.0);
    }
}

impl Finish<Numbers> for Quantile {
    fn finish(&self, acc: &Numbers) -> Value {
        quantile(&acc.0, self.0).map_or(Value::Null, Value::Double)
    }

    fn show(&self, acc: &Numbers) -> Value {
        Value::list(acc.0.iter().copied().map(Value::Double))
    }
}

/// The value at fraction `q` of the sorted values, with linear interpolation between the nearest ranks (Hyndman and
/// Fan 1996, definition 7).
fn quantile(values: &[f64], q: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let rank = q * (sorted.len().checked_sub(1)? as f64);
    let below = sorted.get(rank.floor() as usize)?;
    let above = sorted.get(rank.ceil() as usize)?;
    let (part, distance) = (rank.fract(), above - below);
    // The distance between two finite doubles may overflow. Between infinite ones it is undefined.
    let between = if distance.is_infinite() && below.is_finite() && above.is_finite() {
        below * (1.0 - part) + above * part
    } else {
        below + distance * part
    };
    Some(between)
}
