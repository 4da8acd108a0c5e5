//! Sums of decimals.

use bigdecimal::BigDecimal;
use bigdecimal::num_bigint::BigInt;
use serde::{Deserialize, Serialize};

use crate::Decimal;
use crate::decimal::{quotient, rounded};

/// An exact sum of decimals, independent of their order and number. Terms can be subtracted again.
///
/// ```
/// use tidegate_rows::{Decimal, DecimalSum};
///
/// let mut sum = DecimalSum::default();
/// for price in ["12.30", "0.7"] {
///     sum.add(price.parse()?);
/// }
/// assert_eq!(sum.total().map(|total| total.to_string()).as_deref(), Some("13.00"));
/// assert_eq!(sum.divided_by(2).map(|mean| mean.to_string()).as_deref(), Some("6.50"));
/// # Ok::<(), tidegate_rows::NotDecimal>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecimalSum {
    /// The terms grouped by scale, usually a single one. A scale with no terms left has no part.
    parts: Vec<Part>,
}

/// The sum of the terms of one scale in 192 bits, which 2^64 terms can't overflow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Part {
    scale: u8,
    count: u64,
    high: i64,
    low: u128,
}

impl Part {
    fn add_units(&mut self, high: i64, low: u128) {
        let (sum, carry) = self.low.overflowing_add(low);
        self.low = sum;
        self.high = self.high.wrapping_add(high).wrapping_add(carry.into());
    }

    fn units(&self) -> BigInt {
        (BigInt::from(self.high) << 128_u32) + BigInt::from(self.low)
    }
}

impl DecimalSum {
    /// Adds a term.
    pub fn add(&mut self, term: Decimal) {
        self.add_units(term.units(), term.scale());
    }

    /// Adds a whole number.
    pub fn add_whole(&mut self, term: i128) {
        self.add_units(term, 0);
    }

    fn add_units(&mut self, units: i128, scale: u8) {
        self.join(&Part { scale, count: 1, high: if units < 0 { -1 } else { 0 }, low: units.cast_unsigned() });
    }

    /// Adds all terms of another sum.
    pub fn merge(&mut self, other: &Self) {
        other.parts.iter().for_each(|part| self.join(part));
    }

    /// Removes the terms of another sum, which must have been added before.
    pub fn retract(&mut self, other: &Self) {
        for part in &other.parts {
            // A number is negated by inverting its bits and adding one.
            let (low, carry) = (!part.low).overflowing_add(1);
            let high = (!part.high).wrapping_add(carry.into());
            self.join(&Part { scale: part.scale, count: part.count.wrapping_neg(), high, low });
        }
        self.parts.retain(|part| part.count != 0);
    }

    fn join(&mut self, more: &Part) {
        match self.parts.iter_mut().find(|part| part.scale == more.scale) {
            Some(part) => {
                part.count = part.count.wrapping_add(more.count);
                part.add_units(more.high, more.low);
            }
            None => self.parts.push(more.clone()),
        }
    }

    /// The sum, with as many digits after the decimal point as the term with the most. An empty sum is 0. `None` if
    /// the whole part has more than 38 digits.
    #[must_use]
    pub fn total(&self) -> Option<Decimal> {
        let (units, scale) = self.units();
        rounded(BigDecimal::new(units, scale.into()))
    }

    /// The sum divided by `count`, to 38 digits. `None` if `count` is zero.
    #[must_use]
    pub fn divided_by(&self, count: u64) -> Option<Decimal> {
        let (units, scale) = self.units();
        if count == 0 { None } else { quotient(units, scale, count.into(), scale) }
    }

    /// The double nearest to the sum.
    #[must_use]
    pub fn to_f64(&self) -> f64 {
        let (units, scale) = self.units();
        BigDecimal::new(units, scale.into()).to_plain_string().parse().unwrap_or(f64::NAN)
    }

    /// The sum at the largest scale.
    fn units(&self) -> (BigInt, u8) {
        let scale = self.parts.iter().map(|part| part.scale).max().unwrap_or_default();
        let units = self.parts.iter().map(|part| part.units() * BigInt::from(10).pow(u32::from(scale - part.scale))).sum();
        (units, scale)
    }
}
