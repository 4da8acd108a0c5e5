//! Reads the numbers that machines write, eight digits at a time where it can.

/// A number that is exact without rounding, except for the one that a division by a power of ten takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Number {
    Int(i64),
    Double(f64),
}

/// Powers of ten that a double holds exactly, as far as they are needed here.
const POWERS: [f64; 19] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18];

/// A byte in each of eight.
pub(super) const ONES: u64 = 0x0101_0101_0101_0101;

impl Number {
    /// The number at a position, which moves behind it. `None`, with the position anywhere, if there is none in the grammar of JSON, or it
    /// is written with an exponent, has more than 18 digits, takes more than one rounding, or is minus zero.
    #[inline(always)]
    pub(super) fn at(bytes: &[u8], at: &mut usize) -> Option<Self> {
        let negative = *bytes.get(*at)? == b'-';
        *at += usize::from(negative);
        let start = *at;
        let mut units = 0;
        digits(bytes, at, &mut units);
        let whole = *at - start;
        if whole == 0 || whole > 18 || whole > 1 && bytes[start] == b'0' {
            return None;
        }
        match bytes.get(*at) {
            Some(b'.') => {
                *at += 1;
                digits(bytes, at, &mut units);
                let places = *at - start - whole - 1;
                if places == 0 || whole + places > 18 || units >= 1 << 53 || matches!(bytes.get(*at), Some(b'e' | b'E')) {
                    return None;
                }
                // Exact operands and one rounding: Clinger, "How to read floating point numbers accurately", PLDI 1990.
                let value = units as f64 / POWERS[places];
                Some(Self::Double(if negative { -value } else { value }))
            }
            Some(b'e' | b'E') => None,
            _ if negative && units == 0 => None,
            _ => Some(Self::Int(if negative { -(units as i64) } else { units as i64 })),
        }
    }

    /// The number that a text is, as for [`Number::at`].
    #[inline(always)]
    pub(super) fn of(text: &str) -> Option<Self> {
        let mut at = 0;
        Self::at(text.as_bytes(), &mut at).filter(|_| at == text.len())
    }
}

/// Passes over digits, which become the last ones of `number`. Beyond 18 digits it is wrong.
#[inline(always)]
pub(super) fn digits(bytes: &[u8], at: &mut usize, number: &mut u64) {
    while let Some(word) = eight(bytes, *at)
        && word & (ONES * 0xf0) == ONES * 0x30
        && word.wrapping_add(ONES * 6) & (ONES * 0xf0) == ONES * 0x30
    {
        *number = number.wrapping_mul(100_000_000).wrapping_add(eight_digits(word));
        *at += 8;
    }
    while let Some(digit) = bytes.get(*at).map(|byte| byte.wrapping_sub(b'0')).filter(|digit| *digit < 10) {
        *number = number.wrapping_mul(10).wrapping_add(digit.into());
        *at += 1;
    }
}

/// Eight bytes from a position, the first of them lowest.
#[inline(always)]
pub(super) fn eight(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

/// The number that eight ASCII digits spell, the first of them in the lowest byte (Lemire: "Quickly parsing eight digits", 2018).
#[inline(always)]
fn eight_digits(word: u64) -> u64 {
    let pairs = (word & (ONES * 0x0f)).wrapping_mul((10 << 8) | 1) >> 8;
    let fours = (pairs & 0x00ff_00ff_00ff_00ff).wrapping_mul((100 << 16) | 1) >> 16;
    (fours & 0x0000_ffff_0000_ffff).wrapping_mul((10_000 << 32) | 1) >> 32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_are_read_if_they_are_exact() {
        assert_eq!(Number::of("0"), Some(Number::Int(0)));
        assert_eq!(Number::of("-7"), Some(Number::Int(-7)));
        assert_eq!(Number::of("1700000000000"), Some(Number::Int(1_700_000_000_000)));
        assert_eq!(Number::of("999999999999999999"), Some(Number::Int(999_999_999_999_999_999)));
        assert_eq!(Number::of("12.50"), Some(Number::Double(12.5)));
        assert_eq!(Number::of("-0.1"), Some(Number::Double(-0.1)));
        for left in
            ["", "-", "-0", "01", "1.", ".5", "1e3", "1.5e3", "1000000000000000000", "12345678901.12345678", "9007199254740993.5", "x"]
        {
            assert_eq!(Number::of(left), None, "{left}");
        }
    }

    proptest! {
        #[test]
        fn they_are_those_of_the_standard_library(whole in "-?(0|[1-9][0-9]{0,17})", places in "\\.[0-9]{1,8}") {
            if let Some(found) = Number::of(&whole) {
                prop_assert_eq!(found, Number::Int(whole.parse().unwrap()));
            }
            let text = whole + &places;
            if let Some(found) = Number::of(&text) {
                prop_assert_eq!(found, Number::Double(text.parse().unwrap()));
            }
        }
    }
}
