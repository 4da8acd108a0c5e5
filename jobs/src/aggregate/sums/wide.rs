//! Sums of ints that can't overflow.

use std::ops::{AddAssign, SubAssign};

use serde::{Deserialize, Serialize};
use tidegate_operators::{Number, Whole};
use tidegate_rows::Value;

/// An int of 128 bits, stored as halves so that its alignment matches its neighbours'.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Wide {
    high: i64,
    low: u64,
}

impl Wide {
    /// An int or uint; `None` of other values.
    #[inline]
    pub(crate) fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Int(v) => Some(i128::from(*v).into()),
            Value::Uint(v) => Some(i128::from(*v).into()),
            _ => None,
        }
    }

    #[inline]
    pub(crate) fn get(self) -> i128 {
        (i128::from(self.high) << 64) | i128::from(self.low)
    }

    /// The sum as an int, or as a double if it does not fit one.
    pub(crate) fn value(self) -> Value {
        i64::try_from(self.get()).map_or(Value::Double(self.to_f64()), Value::Int)
    }
}

impl From<i128> for Wide {
    #[inline]
    fn from(n: i128) -> Self {
        Self { high: (n >> 64) as i64, low: n as u64 }
    }
}

impl AddAssign for Wide {
    #[inline]
    fn add_assign(&mut self, other: Self) {
        *self = (self.get() + other.get()).into();
    }
}

impl SubAssign for Wide {
    fn sub_assign(&mut self, other: Self) {
        *self = (self.get() - other.get()).into();
    }
}

impl Number for Wide {
    fn to_f64(self) -> f64 {
        self.get() as f64
    }
}

impl Whole for Wide {}
