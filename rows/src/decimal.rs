//! Exact decimal numbers of up to 38 digits.
//!
//! Values that fit in 128 bits, as money does, use machine arithmetic. Intermediate results that exceed 128 bits go
//! through the `bigdecimal` crate. Both paths give the same results.

use std::cmp::Ordering;
use std::fmt::{self, Write};
use std::ops::Neg;
use std::str::FromStr;

use bigdecimal::num_bigint::{BigInt, Sign};
use bigdecimal::{BigDecimal, RoundingMode};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

/// An exact decimal number with at most 38 digits, up to 38 of them after the decimal point.
///
/// It keeps the digits it was written with: `12.30` prints as `12.30`. `Eq` and `Hash` distinguish it from `12.3`;
/// [`Decimal::amount_cmp`] compares amounts. Results of arithmetic are exact as long as they fit in 38 digits. Longer
/// fractions are rounded, halves away from zero. If the whole part alone is longer, there is no result.
///
/// ```
/// use tidegate_rows::Decimal;
///
/// let price: Decimal = "12.30".parse()?;
/// let total = price.checked_mul(3_i64.into()).and_then(|sum| sum.checked_add("0.1".parse().ok()?));
/// assert_eq!(total.map(|total| total.to_string()).as_deref(), Some("37.00"));
/// # Ok::<(), tidegate_rows::NotDecimal>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Decimal {
    /// An `i128` as bytes: its alignment of 16 would make every value of a row larger.
    units: [u8; 16],
    scale: u8,
}

/// Why a text is not a [`Decimal`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotDecimal {
    /// The text is not a number.
    NoNumber,
    /// The number has more than 38 digits, or more than 38 after the decimal point.
    TooLong,
}

impl fmt::Display for NotDecimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoNumber => "not a decimal number such as 12.30",
            Self::TooLong => "a decimal has at most 38 digits",
        })
    }
}

impl std::error::Error for NotDecimal {}

/// How to round a number that lies between two representable ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounding {
    /// To the nearest; halves away from zero.
    Nearest,
    /// Toward zero.
    Down,
    /// Toward negative infinity.
    Floor,
    /// Toward positive infinity.
    Ceiling,
}

/// The smallest whole number with too many digits.
const LIMIT: i128 = 10_i128.pow(Decimal::DIGITS as u32);

/// The double nearest to `units` divided by ten to the power of `scale`.
pub(crate) fn nearest_f64(units: i128, scale: usize) -> f64 {
    // Both operands are exact as doubles here, so the quotient is rounded only once.
    if units.unsigned_abs() <= 1 << 53 && scale <= 22 {
        return units as f64 / 10_f64.powi(scale as i32);
    }
    format!("{units}e-{scale}").parse().unwrap_or(f64::NAN)
}

impl Decimal {
    /// The maximum number of digits, in total and after the decimal point.
    pub const DIGITS: u8 = 38;

    /// Zero.
    pub const ZERO: Self = Self { units: [0; 16], scale: 0 };

    /// `units` divided by ten to the power of `scale`: `new(1230, 2)` is 12.30. `None` if that has too many digits.
    #[must_use]
    pub fn new(units: i128, scale: u8) -> Option<Self> {
        (scale <= Self::DIGITS && units.unsigned_abs() < LIMIT.unsigned_abs()).then_some(Self { units: units.to_le_bytes(), scale })
    }

    /// The number without its decimal point: 1230 for 12.30.
    #[must_use]
    #[inline]
    pub fn units(self) -> i128 {
        i128::from_le_bytes(self.units)
    }

    /// The number of digits after the decimal point.
    #[must_use]
    #[inline]
    pub fn scale(self) -> u8 {
        self.scale
    }

    /// `self + other`, or `None` if the whole part has more than 38 digits.
    #[must_use]
    pub fn checked_add(self, other: Self) -> Option<Self> {
        let (scale, fast) = self.aligned(other);
        let sum = fast.and_then(|(a, b)| Self::new(a.checked_add(b)?, scale));
        sum.or_else(|| rounded(self.big() + other.big()))
    }

    /// `self - other`, or `None` if the whole part has more than 38 digits.
    #[must_use]
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.checked_add(-other)
    }

    /// `self * other`, or `None` if the whole part has more than 38 digits.
    #[must_use]
    pub fn checked_mul(self, other: Self) -> Option<Self> {
        let product = self.units().checked_mul(other.units()).and_then(|units| Self::new(units, self.scale + other.scale));
        product.or_else(|| rounded(self.big() * other.big()))
    }

    /// `self / other`, to 38 digits. A quotient that ends sooner keeps as many digits after the decimal point as it
    /// needs, but at least as many as `self` has more than `other`. `None` if `other` is zero, or the whole part has
    /// more than 38 digits.
    #[must_use]
    pub fn checked_div(self, other: Self) -> Option<Self> {
        if other.units() == 0 {
            return None;
        }
        let numerator = BigInt::from(self.units()) * BigInt::from(10).pow(other.scale.into());
        quotient(numerator, self.scale, other.units().into(), self.scale.saturating_sub(other.scale))
    }

    /// The remainder of `self` divided by `other`, with the sign of `self`. `None` if `other` is zero.
    #[must_use]
    pub fn checked_rem(self, other: Self) -> Option<Self> {
        let (scale, fast) = self.aligned(other);
        if other.units() == 0 {
            return None;
        }
        match fast {
            Some((a, b)) => Self::new(a.checked_rem(b)?, scale),
            None => {
                let (a, b) = (self.big_units(scale), other.big_units(scale));
                Self::new((a % b).try_into().ok()?, scale)
            }
        }
    }

    /// The absolute value.
    #[must_use]
    pub fn abs(self) -> Self {
        if self.units() < 0 { -self } else { self }
    }

    /// The number rounded to `places` digits after the decimal point. If `places` is negative, rounds the last digits
    /// of the whole part to zeros. `None` if the result has too many digits.
    #[must_use]
    pub fn round(self, places: i64, rounding: Rounding) -> Option<Self> {
        let scale = u8::try_from(places.clamp(0, Self::DIGITS.into())).unwrap_or_default();
        let cut = i64::from(self.scale).saturating_sub(places);
        if cut <= 0 {
            // Append zeros as far as there is room.
            return Some((self.scale..=scale).rev().find_map(|scale| self.rescaled(scale)).unwrap_or(self));
        }
        let units = self.units();
        let unit = u32::try_from(cut).ok().and_then(|cut| 10_i128.checked_pow(cut));
        let (whole, rest) = unit.map_or((0, units), |unit| (units / unit, units % unit));
        // Compare with the rest of the unit: twice the remainder may exceed 128 bits.
        let up = match rounding {
            Rounding::Nearest => unit.is_some_and(|unit| rest.abs() >= unit - rest.abs()),
            Rounding::Down => false,
            Rounding::Floor => rest < 0,
            Rounding::Ceiling => rest > 0,
        };
        let whole = whole + if up { units.signum() } else { 0 };
        let zeros = u32::try_from(places.saturating_neg().max(0)).ok();
        match zeros.and_then(|zeros| 10_i128.checked_pow(zeros)) {
            Some(unit) => Self::new(whole.checked_mul(unit)?, scale),
            None => (whole == 0).then_some(Self::ZERO),
        }
    }

    /// The same amount with this many digits after the decimal point. `None` if the amount needs more digits, or has
    /// no room for this many.
    #[must_use]
    pub fn rescaled(self, scale: u8) -> Option<Self> {
        if scale >= self.scale {
            return Self::new(self.units().checked_mul(power(scale - self.scale)?)?, scale);
        }
        let unit = power(self.scale - scale)?;
        (self.units() % unit == 0).then(|| Self::new(self.units() / unit, scale))?
    }

    /// The same amount without trailing zeros after the decimal point: the one form that all equal amounts share.
    #[must_use]
    pub fn normalized(self) -> Self {
        self.without_zeros(0)
    }

    /// Drops trailing zeros, but keeps at least `least` digits after the decimal point.
    fn without_zeros(self, least: u8) -> Self {
        let (mut units, mut scale) = (self.units(), self.scale);
        while scale > least && units % 10 == 0 {
            (units, scale) = (units / 10, scale - 1);
        }
        Self { units: units.to_le_bytes(), scale }
    }

    /// The whole part.
    #[must_use]
    pub fn trunc(self) -> i128 {
        power(self.scale).map_or(0, |unit| self.units() / unit)
    }

    /// The amount, if it is a whole number.
    #[must_use]
    pub fn whole(self) -> Option<i128> {
        self.rescaled(0).map(Self::units)
    }

    /// The double nearest to the number.
    #[must_use]
    pub fn to_f64(self) -> f64 {
        nearest_f64(self.units(), self.scale.into())
    }

    /// The double that equals this number exactly, if there is one.
    #[must_use]
    pub fn exact_f64(self) -> Option<f64> {
        let normalized = self.normalized();
        let (units, scale) = (normalized.units().unsigned_abs(), normalized.scale);
        // A fraction of a power of ten is a fraction of a power of two if the fives cancel out.
        let fives = 5_u128.pow(scale.into());
        let odd = |v: u128| v.checked_shr(v.trailing_zeros()).unwrap_or(0);
        (units.is_multiple_of(fives) && odd(units / fives) < 1 << 53).then(|| self.to_f64())
    }

    /// The decimal with the fewest digits that reads back as this double: 0.1 for `0.1_f64`, although that double is
    /// slightly larger. Digits past the 38th after the decimal point are rounded away. `None` if `v` is not finite or
    /// has more than 38 digits before the point.
    #[must_use]
    pub fn from_f64(v: f64) -> Option<Self> {
        if !v.is_finite() || v.abs() >= LIMIT as f64 {
            return None;
        }
        let mut buffer = ryu::Buffer::new();
        let text = buffer.format_finite(v);
        let parsed = text.parse().or_else(|_| BigDecimal::from_str(text).ok().and_then(rounded).ok_or(NotDecimal::TooLong));
        // Whole numbers print as `7.0`.
        parsed.ok().map(Self::normalized)
    }

    /// Compares the amounts: 1.0 equals 1.00.
    #[must_use]
    pub fn amount_cmp(self, other: Self) -> Ordering {
        match self.aligned(other) {
            (_, Some((a, b))) => a.cmp(&b),
            (scale, None) => self.big_units(scale).cmp(&other.big_units(scale)),
        }
    }

    /// Compares the amount with a double, exactly. `None` for NaN.
    #[must_use]
    pub fn cmp_f64(self, other: f64) -> Option<Ordering> {
        // Rounding preserves order, so only a number that rounds to `other` needs a closer look.
        let order = self.to_f64().partial_cmp(&other)?;
        if order.is_ne() || self.exact_f64().is_some() {
            return Some(order);
        }
        Some(self.big().cmp(&exact(other)))
    }

    /// The units of both at the larger scale, if they fit in 128 bits.
    #[inline]
    fn aligned(self, other: Self) -> (u8, Option<(i128, i128)>) {
        let scale = self.scale.max(other.scale);
        let at = |of: Self| match scale - of.scale {
            0 => Some(of.units()),
            more => of.units().checked_mul(power(more)?),
        };
        (scale, at(self).zip(at(other)))
    }

    fn big(self) -> BigDecimal {
        BigDecimal::new(self.units().into(), self.scale.into())
    }

    /// The units at `scale`, which must not be smaller than the number's own.
    fn big_units(self, scale: u8) -> BigInt {
        BigInt::from(self.units()) * BigInt::from(10).pow(u32::from(scale - self.scale))
    }
}

/// Ten to the power of `exponent`.
fn power(exponent: u8) -> Option<i128> {
    10_i128.checked_pow(exponent.into())
}

/// The nearest decimal, or `None` if the whole part has too many digits.
pub(crate) fn rounded(mut number: BigDecimal) -> Option<Decimal> {
    let most = i64::from(Decimal::DIGITS);
    // Rounding may carry into an additional digit.
    for _ in 0..2 {
        let scale = number.fractional_digit_count();
        let digits = i64::try_from(number.digits()).ok()?;
        let cut = (digits - most).max(scale - most).max(0);
        if cut == 0 && scale >= 0 {
            break;
        }
        if cut > scale.max(0) {
            return None;
        }
        number = number.with_scale_round((scale - cut).max(0), RoundingMode::HalfUp);
    }
    let (units, scale) = number.into_bigint_and_scale();
    Decimal::new(units.try_into().ok()?, u8::try_from(scale).ok()?)
}

/// `units` at `scale`, divided by `divisor`. A quotient that ends keeps at least `least` digits after the decimal
/// point.
pub(crate) fn quotient(units: BigInt, scale: u8, divisor: BigInt, least: u8) -> Option<Decimal> {
    // Two digits more than a result can have, plus a third that is nonzero if there is a remainder. The result is
    // then rounded only once, and correctly.
    let places = u32::from(Decimal::DIGITS) + 2;
    let numerator = units * BigInt::from(10).pow(places - u32::from(scale));
    let mut quotient = &numerator / &divisor;
    let rest = numerator - &quotient * &divisor;
    quotient *= 10;
    if rest.sign() != Sign::NoSign {
        quotient += if rest.sign() == divisor.sign() { 1 } else { -1 };
    }
    Some(rounded(BigDecimal::new(quotient, i64::from(places) + 1))?.without_zeros(least))
}

/// The exact value of a finite double.
fn exact(v: f64) -> BigDecimal {
    let bits = v.to_bits();
    let exponent = i32::try_from(bits >> 52 & 0x7ff).unwrap_or_default();
    let fraction = bits & ((1 << 52) - 1);
    let (mantissa, exponent) = if exponent == 0 { (fraction, -1074) } else { (fraction | 1 << 52, exponent - 1075) };
    let mantissa = if v < 0.0 { -BigInt::from(mantissa) } else { BigInt::from(mantissa) };
    let shift = exponent.unsigned_abs();
    if exponent >= 0 {
        BigDecimal::new(mantissa << shift, 0)
    } else {
        // m / 2^n is m * 5^n / 10^n.
        BigDecimal::new(mantissa * BigInt::from(5).pow(shift), shift.into())
    }
}

impl Neg for Decimal {
    type Output = Self;
    fn neg(self) -> Self {
        Self { units: (-self.units()).to_le_bytes(), scale: self.scale }
    }
}

impl From<i64> for Decimal {
    fn from(v: i64) -> Self {
        Self { units: i128::from(v).to_le_bytes(), scale: 0 }
    }
}

impl From<u64> for Decimal {
    fn from(v: u64) -> Self {
        Self { units: i128::from(v).to_le_bytes(), scale: 0 }
    }
}

impl FromStr for Decimal {
    type Err = NotDecimal;

    /// Parses digits with an optional decimal point and exponent. Nothing is rounded.
    fn from_str(text: &str) -> Result<Self, NotDecimal> {
        let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
        let (digits, exponent) = match unsigned.find(['e', 'E']) {
            Some(at) => (&unsigned[..at], exponent(&unsigned[at + 1..]).ok_or(NotDecimal::NoNumber)?),
            None => (unsigned, 0),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        if whole.len() + fraction.len() == 0 {
            return Err(NotDecimal::NoNumber);
        }
        // Hold zeros back until a later digit needs them: trailing ones may exceed the room.
        let (mut units, mut zeros) = (0_i128, 0_usize);
        for byte in whole.bytes().chain(fraction.bytes()) {
            match byte {
                b'0' => zeros += usize::from(units != 0),
                b'1'..=b'9' => {
                    let unit = u8::try_from(zeros + 1).ok().and_then(power);
                    let moved = unit.and_then(|unit| units.checked_mul(unit)?.checked_add((byte - b'0').into()));
                    units = moved.filter(|units| *units < LIMIT).ok_or(NotDecimal::TooLong)?;
                    zeros = 0;
                }
                _ => return Err(NotDecimal::NoNumber),
            }
        }
        let length = |text: usize| i64::try_from(text).unwrap_or(i64::MAX);
        let written = length(fraction.len()).saturating_sub(exponent);
        let needed = if units == 0 { 0 } else { written.saturating_sub(length(zeros)) };
        let units = if text.starts_with('-') { -units } else { units };
        let most = i64::from(Self::DIGITS);
        // Keep as many digits after the point as were written, if there is room.
        let scales = (needed.max(0)..=written.clamp(needed.max(0), most.max(needed))).rev();
        let at = |scale: i64| {
            let unit = u8::try_from(scale.saturating_sub(needed)).ok().and_then(power);
            Self::new(if units == 0 { 0 } else { units.checked_mul(unit?)? }, u8::try_from(scale).ok()?)
        };
        scales.take(usize::from(Self::DIGITS) + 1).find_map(at).ok_or(NotDecimal::TooLong)
    }
}

/// The exponent. One too long to parse saturates.
fn exponent(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let amount = digits.parse().unwrap_or(i64::from(i32::MAX)).min(i32::MAX.into());
    Some(if text.starts_with('-') { -amount } else { amount })
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let amount = self.units().unsigned_abs();
        if self.units() < 0 {
            f.write_char('-')?;
        }
        if self.scale == 0 {
            return write!(f, "{amount}");
        }
        let unit = 10_u128.pow(self.scale.into());
        write!(f, "{}.{:0width$}", amount / unit, amount % unit, width = self.scale.into())
    }
}

impl fmt::Debug for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Decimal {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        (self.units(), self.scale).serialize(s)
    }
}

impl<'de> Deserialize<'de> for Decimal {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let (units, scale) = <(i128, u8)>::deserialize(d)?;
        Self::new(units, scale).ok_or_else(|| D::Error::custom("a decimal has more than 38 digits"))
    }
}
