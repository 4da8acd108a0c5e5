//! Decimals, unscaled integers of up to 128 bits with a scale. Also UUIDs, which are 128-bit numbers too.

use compact_str::CompactString;

use crate::Decimal;

/// The number that big-endian bytes encode. `None` if it exceeds 128 bits.
pub(super) fn of_octets(octets: &[u8]) -> Option<i128> {
    let negative = octets.first().is_some_and(|first| *first >= 0x80);
    let fill = if negative { 0xff } else { 0 };
    let (high, low) = octets.split_at(octets.len().saturating_sub(16));
    let mut number = [fill; 16];
    number[16 - low.len()..].copy_from_slice(low);
    let number = i128::from_be_bytes(number);
    (high.iter().all(|octet| *octet == fill) && (number < 0) == negative).then_some(number)
}

/// The shortest big-endian two's complement form of a number: a suffix of `octets`.
pub(super) fn shortest(octets: &[u8; 16]) -> &[u8] {
    let mut start = 0;
    while let [first, second, ..] = octets[start..]
        && ((first == 0 && second < 0x80) || (first == 0xff && second >= 0x80))
    {
        start += 1;
    }
    &octets[start..]
}

/// The number written with a decimal point.
pub(super) fn text(unscaled: i128, scale: usize) -> CompactString {
    let mut digits = CompactString::default();
    let amount = unscaled.unsigned_abs().to_string();
    if unscaled < 0 {
        digits.push('-');
    }
    if scale == 0 {
        digits.push_str(&amount);
        return digits;
    }
    let amount = format!("{amount:0>width$}", width = scale + 1);
    let (whole, fraction) = amount.split_at(amount.len() - scale);
    digits.push_str(whole);
    digits.push('.');
    digits.push_str(fraction);
    digits
}

/// The number that a text with a decimal point denotes, in units of the scale. `None` if it has more digits after the
/// point than that.
pub(super) fn of_text(text: &str, scale: usize) -> Option<i128> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = whole.strip_prefix(['-', '+']).unwrap_or(whole);
    let all_digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if digits.len() + fraction.len() == 0 || !all_digits(digits) || !all_digits(fraction) || fraction.len() > scale {
        return None;
    }
    format!("{whole}{fraction:0<scale$}").parse().ok()
}

/// The units of a decimal at `scale`. `None` if it has more digits after the decimal point.
pub(super) fn of_decimal(v: Decimal, scale: usize) -> Option<i128> {
    match scale.checked_sub(v.scale().into()) {
        Some(more) => v.units().checked_mul(10_i128.checked_pow(u32::try_from(more).ok()?)?),
        None => v.rescaled(u8::try_from(scale).ok()?).map(Decimal::units),
    }
}

/// The unscaled number nearest to a double.
pub(super) fn of_double(v: f64, scale: usize) -> Option<i128> {
    let scaled = (v * 10_f64.powi(i32::try_from(scale).ok()?)).round();
    // 2^127 is the first double out of range.
    (scaled.abs() < 2_f64.powi(127)).then_some(scaled as i128)
}

/// A whole number at a scale.
pub(super) fn of_int(v: i64, scale: usize) -> Option<i128> {
    10_i128.checked_pow(u32::try_from(scale).ok()?)?.checked_mul(v.into())
}

/// Whether the number has at most `precision` digits.
pub(super) fn fits(unscaled: i128, precision: usize) -> bool {
    let limit = u32::try_from(precision).ok().and_then(|digits| 10_u128.checked_pow(digits));
    limit.is_none_or(|limit| unscaled.unsigned_abs() < limit)
}

/// The text of a UUID.
pub(super) fn uuid_text(octets: [u8; 16]) -> CompactString {
    let mut text = CompactString::with_capacity(36);
    for (i, octet) in octets.iter().enumerate() {
        if matches!(i, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        for digit in [octet >> 4, octet & 15] {
            text.push(char::from_digit(digit.into(), 16).unwrap_or_default());
        }
    }
    text
}

/// The bytes of a UUID in text form.
pub(super) fn uuid_octets(text: &str) -> Option<[u8; 16]> {
    let text = text.as_bytes();
    if text.len() != 36 || [8, 13, 18, 23].iter().any(|at| text[*at] != b'-') {
        return None;
    }
    let mut digits = text.iter().enumerate().filter(|(i, _)| !matches!(i, 8 | 13 | 18 | 23)).map(|(_, b)| char::from(*b).to_digit(16));
    let mut octets = [0; 16];
    for octet in &mut octets {
        *octet = u8::try_from(digits.next()?? << 4 | digits.next()??).ok()?;
    }
    Some(octets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decimal::nearest_f64;
    use proptest::prelude::*;

    #[test]
    fn doubles_and_texts() {
        for (unscaled, scale, words, number) in
            [(0, 2, "0.00", 0.0), (-5, 2, "-0.05", -0.05), (123_456, 3, "123.456", 123.456), (7, 0, "7", 7.0), (-100, 1, "-10.0", -10.0)]
        {
            assert_eq!(text(unscaled, scale), words);
            assert_eq!(nearest_f64(unscaled, scale), number);
            assert_eq!(of_text(words, scale), Some(unscaled));
            assert_eq!(of_double(number, scale), Some(unscaled));
        }
        assert_eq!(of_text(".5", 1), Some(5));
        for wrong in ["", ".", "1.234", "1e3", "a", "--1"] {
            assert_eq!(of_text(wrong, 2), None, "{wrong}");
        }
        assert_eq!(of_double(f64::NAN, 2), None);
        assert_eq!(of_octets(&[]), Some(0));
        assert_eq!(of_octets(&[0x7f; 17]), None);
        assert_eq!(of_octets(&[0xff; 20]), Some(-1));
        assert_eq!(uuid_octets("550e8400-e29b-41d4-a716-44665544000g"), None);
    }

    proptest! {
        #[test]
        fn numbers_come_back(number: i128, scale in 0..40_usize) {
            let octets = number.to_be_bytes();
            let short = shortest(&octets);
            prop_assert_eq!(of_octets(short), Some(number));
            prop_assert!(short.len() == 1 || of_octets(&short[1..]) != Some(number), "there are fewer octets");
            prop_assert_eq!(of_text(&text(number, scale), scale), Some(number));
            prop_assert_eq!(nearest_f64(number, scale), text(number, scale).parse::<f64>().unwrap());
        }

        #[test]
        fn small_numbers_are_rounded_once(number in -(1_i128 << 53)..1 << 53, scale in 0..23_usize) {
            prop_assert_eq!(nearest_f64(number, scale), text(number, scale).parse::<f64>().unwrap());
        }

        #[test]
        fn uuids_come_back(octets: [u8; 16]) {
            prop_assert_eq!(uuid_octets(&uuid_text(octets)), Some(octets));
        }
    }
}
