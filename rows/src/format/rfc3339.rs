//! Instants as RFC 3339 text.
//!
//! jiff parses the text, except for forms that it rejects or maps to a different instant:
//!
//! - A leap second becomes the last nanosecond of the second before it, so that times stay in order. It is only valid
//!   as the last second of a month in UTC.
//! - Offsets must be less than a day.
//! - Only the first nine digits of a fraction count.
//! - The last 26 hours of the year 9999 lie beyond [`Timestamp::MAX`]. They all mean "never", wherever they occur,
//!   and are read as that instant.

use std::borrow::Cow;

use jiff::civil::DateTime;
use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};

/// The last second of the year 9999, in seconds since 1970.
const LAST_SECOND: i64 = 253_402_300_799;

/// How [`NEVER`] is written.
pub(super) const NEVER_TEXT: &str = "9999-12-31T23:59:59Z";

/// The same in milliseconds since 1970.
pub(super) const NEVER_MS: i64 = LAST_SECOND * 1000;

/// Stands for all times of the year 9999 that are later still.
pub(super) const NEVER: Timestamp = Timestamp::MAX;

/// Parses RFC 3339 text. Without an offset it is in UTC.
#[must_use]
pub fn instant(text: &str) -> Option<Timestamp> {
    read(text, |text| text.parse().ok().or_else(|| Offset::UTC.to_timestamp(text.parse::<DateTime>().ok()?).ok()))
}

/// Parses RFC 3339 text, which must have an offset.
#[must_use]
pub fn instant_with_offset(text: &str) -> Option<Timestamp> {
    read(text, |text| text.parse().ok())
}

/// Returns `exact`, or [`NEVER`] if there is none and `seconds` since 1970 lie in the last hours of the year 9999.
pub(super) fn or_never(exact: Option<Timestamp>, seconds: i64) -> Option<Timestamp> {
    exact.or_else(|| (NEVER.as_second()..=LAST_SECOND).contains(&seconds).then_some(NEVER))
}

fn read(text: &str, parse: impl Fn(&str) -> Option<Timestamp>) -> Option<Timestamp> {
    let parse = |text: &str| parse(text).or_else(|| late(text, &parse));
    if !offset_is_good(text) {
        return None;
    }
    let Some(parts) = Parts::of(text) else { return parse(text) };
    if parts.fraction.len() == 1 {
        return None;
    }
    let text = parts.with_nine_digits();
    if !parts.is_leap() {
        return parse(&text);
    }
    // The start of the preceding second.
    let before = parse(&format!("{}59{}", parts.before_seconds, parts.offset))?;
    let next = before.checked_add(SignedDuration::from_secs(1)).ok()?;
    let ends_month = next.strftime("%d %H:%M:%S").to_string() == "01 00:00:00";
    ends_month.then(|| before.checked_add(SignedDuration::from_nanos(999_999_999)).ok()).flatten()
}

/// Parses a time beyond jiff's range by reading it four years earlier. Weekdays and leap years don't matter there.
fn late(text: &str, parse: &impl Fn(&str) -> Option<Timestamp>) -> Option<Timestamp> {
    let rest = text.strip_prefix("9999-12-3")?;
    let there = parse(&format!("9995-12-3{rest}"))?;
    (there.strftime("%Y").to_string() == "9995").then_some(NEVER)
}

/// Whether the offset, if there is one, is less than a day.
fn offset_is_good(text: &str) -> bool {
    const DATE: usize = "2024-01-01T".len();
    let offset = text.get(DATE..).and_then(|time| Some(&time[time.find(['+', '-'])? + 1..]));
    offset.and_then(|offset| offset.get(..2)?.parse::<u8>().ok()).is_none_or(|hours| hours < 24)
}

/// Text with a time of day to the second: `<before_seconds>SS<fraction><offset>`.
struct Parts<'a> {
    text: &'a str,
    before_seconds: &'a str,
    seconds: &'a str,
    /// Including the decimal point.
    fraction: &'a str,
    /// May be empty, or followed by a zone in brackets.
    offset: &'a str,
}

impl<'a> Parts<'a> {
    /// `None` if the text has another form; jiff then decides whether it is a time.
    fn of(text: &'a str) -> Option<Self> {
        let bytes = text.as_bytes();
        // The first colon that is followed by a second one separates hours and minutes from seconds.
        let colon = bytes.iter().position(|b| *b == b':')?;
        if bytes.get(colon + 3) != Some(&b':') {
            return None;
        }
        let at = colon + 4;
        let (before_seconds, seconds, rest) = (text.get(..at)?, text.get(at..at + 2)?, text.get(at + 2..)?);
        let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
        let length = rest.strip_prefix(['.', ',']).map_or(0, |fraction| 1 + digits(fraction));
        let (fraction, offset) = rest.split_at(length);
        Some(Self { text, before_seconds, seconds, fraction, offset })
    }

    fn is_leap(&self) -> bool {
        self.seconds == "60"
    }

    fn with_nine_digits(&self) -> Cow<'a, str> {
        const LENGTH: usize = 10;
        match self.fraction.get(..LENGTH) {
            Some(fraction) if self.fraction.len() > LENGTH => {
                format!("{}{}{fraction}{}", self.before_seconds, self.seconds, self.offset).into()
            }
            _ => self.text.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<String> {
        instant(text).map(|t| t.to_string())
    }

    #[test]
    fn a_leap_second_lies_between_the_seconds_around_it() {
        let row = ["2016-12-31T23:59:59.9Z", "2016-12-31T23:59:60Z", "2016-12-31T23:59:60.5Z", "2017-01-01T00:00:00Z"]
            .map(|t| instant(t).unwrap());
        assert!(row.is_sorted(), "{row:?}");
        assert_eq!(read("2016-12-31T15:59:60-08:00").as_deref(), Some("2016-12-31T23:59:59.999999999Z"));
        assert_eq!(read("2016-12-31 23:59:60").as_deref(), Some("2016-12-31T23:59:59.999999999Z"));
        for never in
            ["2018-06-15T12:30:60Z", "2018-06-15T23:59:60Z", "2016-12-31T23:59:60+01:00", "2016-12-31T23:59:61Z", "2016-12-31T23:58:60Z"]
        {
            assert_eq!(read(never), None, "{never}");
        }
    }

    #[test]
    fn offsets_and_fractions() {
        for (text, found) in [
            ("2024-01-01T00:00:00+05:30", Some("2023-12-31T18:30:00Z")),
            ("2024-12-30T00:00:00+23:59", Some("2024-12-29T00:01:00Z")),
            ("2024-01-01t00:00:00z", Some("2024-01-01T00:00:00Z")),
            ("2024-01-01T00:00:00-00:00", Some("2024-01-01T00:00:00Z")),
            ("2024-01-01T00:00:00.1234567891234Z", Some("2024-01-01T00:00:00.123456789Z")),
            ("2024-01-01 00:00:00.9999999999", Some("2024-01-01T00:00:00.999999999Z")),
            ("2024-01-01", Some("2024-01-01T00:00:00Z")),
            ("2024-01-01T00:00:00+25:00", None),
            ("2024-01-01T00:00:00-24:00", None),
            ("2024-01-01T00:00+25:00", None),
            ("2024-01-01T00:00Z", Some("2024-01-01T00:00:00Z")),
            ("2018-02-14T00:28:07.Z", None),
            ("2024-02-30T00:00:00Z", None),
            ("2024-1-1T0:0:0Z", None),
            ("1704067200", None),
            ("", None),
        ] {
            assert_eq!(read(text).as_deref(), found, "{text}");
        }
        assert_eq!(instant_with_offset("2024-01-01T00:00:00"), None);
        assert_eq!(instant_with_offset("2024-01-01T00:00:00.1234567891Z"), instant("2024-01-01T00:00:00.123456789Z"));
    }

    #[test]
    fn what_stands_for_never_is_a_time() {
        for text in [NEVER_TEXT, "9999-12-31T00:00:00Z", "9999-12-31T23:59:59.999999999Z", "9999-12-31", "9999-12-31 23:59:59"] {
            assert_eq!(instant(text), Some(NEVER), "{text}");
        }
        assert_eq!(read("9999-12-30T00:00:00Z").as_deref(), Some("9999-12-30T00:00:00Z"));
        for none in ["9999-12-32", "9999-12-31T24:30:00Z", "10000-01-01T00:00:00Z"] {
            assert_eq!(instant(none), None, "{none}");
        }
        assert_eq!(or_never(None, LAST_SECOND), Some(NEVER));
        assert_eq!(or_never(None, LAST_SECOND + 1), None);
    }
}
