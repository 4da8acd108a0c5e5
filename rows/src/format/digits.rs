//! The number of digits of a decimal field.

use std::fmt;

use crate::Decimal;

/// The digits of a decimal field: as they arrive, or `decimal(p, s)`: at most `p` digits, exactly `s` of them after
/// the decimal point.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Digits(Option<(u8, u8)>);

impl Digits {
    /// Numbers of at most `precision` digits, `scale` of them after the decimal point. `None` if decimals can't have
    /// these digits.
    #[must_use]
    pub fn new(precision: u8, scale: u8) -> Option<Self> {
        ((1..=Decimal::DIGITS).contains(&precision) && scale <= precision).then_some(Self(Some((precision, scale))))
    }

    /// Parses the type names `decimal` and `decimal(12, 2)` of a schema.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let rest = name.strip_prefix("decimal")?;
        if rest.is_empty() {
            return Some(Self::default());
        }
        let (precision, scale) = rest.trim().strip_prefix('(')?.strip_suffix(')')?.split_once(',')?;
        Self::new(precision.trim().parse().ok()?, scale.trim().parse().ok()?)
    }

    /// The number with the digits of this field. `None` if it has more: nothing is rounded.
    #[must_use]
    pub fn of(self, number: Decimal) -> Option<Decimal> {
        let Some((precision, scale)) = self.0 else { return Some(number) };
        let number = number.rescaled(scale)?;
        (number.units().unsigned_abs() < 10_u128.pow(precision.into())).then_some(number)
    }
}

impl fmt::Display for Digits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("decimal"),
            Some((precision, scale)) => write!(f, "decimal({precision}, {scale})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_named_as_in_sql() {
        for name in ["decimal", "decimal(12, 2)", "decimal(38, 38)", "decimal(1, 0)"] {
            assert_eq!(Digits::named(name).map(|digits| digits.to_string()).as_deref(), Some(name));
        }
        assert_eq!(Digits::named("decimal ( 12,2 )"), Digits::new(12, 2));
        for wrong in
            ["decimal(0, 0)", "decimal(39, 2)", "decimal(2, 3)", "decimal(2)", "decimal(a, b)", "decimal(1, -1)", "decimals", "dec"]
        {
            assert_eq!(Digits::named(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn numbers_get_their_digits_or_are_refused() {
        let of = |text: &str| Digits::new(4, 2).unwrap().of(text.parse().unwrap()).map(|number| number.to_string());
        assert_eq!(of("7"), Some("7.00".into()));
        assert_eq!(of("-99.9900"), Some("-99.99".into()));
        for wrong in ["0.001", "100", "1e30"] {
            assert_eq!(of(wrong), None, "{wrong}");
        }
    }
}
