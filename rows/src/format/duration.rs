//! Durations as text: `500ms`, `5s`, `1h30m`, `7d`, `-1.5s`.

use jiff::SignedDuration;

const UNITS: [(&str, i128); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
];

/// Parses a duration: numbers, whole or with a fraction, each followed by one of the units `ns us ms s m h d`, with
/// one optional sign before them all. A bare `0` needs no unit. Apart from days, which are our extension, this is the
/// syntax of Go and CEL. Fractions of a nanosecond are dropped.
#[must_use]
pub fn parse(text: &str) -> Option<SignedDuration> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(SignedDuration::ZERO);
    }
    let in_number = |c: char| c.is_ascii_digit() || c == '.';
    let mut nanos: i128 = 0;
    loop {
        let (number, after) = rest.split_at(rest.find(|c| !in_number(c))?);
        let (unit, after) = after.split_at(after.find(in_number).unwrap_or(after.len()));
        let unit = UNITS.iter().find(|(name, _)| *name == unit)?.1;
        nanos = nanos.checked_add(amount(number, unit)?)?;
        rest = after;
        if rest.is_empty() {
            break;
        }
    }
    let nanos = if negative { -nanos } else { nanos };
    let seconds = i64::try_from(nanos / 1_000_000_000).ok()?;
    Some(SignedDuration::new(seconds, i32::try_from(nanos % 1_000_000_000).ok()?))
}

/// `number` units, in nanoseconds.
fn amount(number: &str, unit: i128) -> Option<i128> {
    let (whole, decimals) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && decimals.is_empty() || decimals.contains('.') {
        return None;
    }
    // Digits past the 18th don't affect the nanoseconds, whatever the unit.
    let decimals = decimals.get(..18).unwrap_or(decimals);
    let digits = |digits: &str| if digits.is_empty() { Some(0) } else { digits.parse::<u64>().ok() };
    let part = i128::from(digits(decimals)?) * unit / 10_i128.pow(decimals.len() as u32);
    i128::from(digits(whole)?).checked_mul(unit)?.checked_add(part)
}

/// Appends the duration in seconds, such as `1.5s`. It is exact and can be read by [`parse`].
pub fn print(span: SignedDuration, out: &mut Vec<u8>) {
    if span.is_negative() {
        out.push(b'-');
    }
    out.extend_from_slice(itoa::Buffer::new().format(span.as_secs().unsigned_abs()).as_bytes());
    let mut nanos = span.subsec_nanos().unsigned_abs();
    if nanos > 0 {
        out.push(b'.');
        let mut unit = 100_000_000;
        while nanos > 0 {
            out.push(b'0' + (nanos / unit) as u8);
            nanos %= unit;
            unit /= 10;
        }
    }
    out.push(b's');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_of_every_unit() {
        let ms = |text| parse(text).map(|d| d.as_millis());
        assert_eq!(ms("500ms"), Some(500));
        assert_eq!(ms("1h30m"), Some(5_400_000));
        assert_eq!(ms("7d"), Some(604_800_000));
        assert_eq!(ms("1.5s"), Some(1500));
        assert_eq!(ms("-2s"), Some(-2000));
        assert_eq!(ms("+.5s"), Some(500));
        assert_eq!(ms("1.s"), Some(1000));
        assert_eq!(ms("-0"), Some(0));
        assert_eq!(parse("3us").map(|d| d.as_nanos()), Some(3000));
        assert_eq!(parse("0.0000000019999999999999999s").map(|d| d.as_nanos()), Some(1));
        for wrong in ["", "-", "5", "s", ".s", "5x", "1h30", "1..5s", "1.s2", "--1s", "+-1s", "5 s", "99999999999999999999s"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_back(seconds in any::<i64>(), nanos in 0..1_000_000_000i32) {
            let span = SignedDuration::new(seconds, if seconds < 0 { -nanos } else { nanos });
            let mut out = Vec::new();
            print(span, &mut out);
            prop_assert_eq!(parse(std::str::from_utf8(&out).unwrap()), Some(span));
        }
    }
}
