//! Converts the text or number of a field into a value of the field's type.

use compact_str::CompactString;
use jiff::{SignedDuration, Timestamp};

use super::cut;
use super::number::Number;
use super::rfc3339::{instant, or_never};
use super::{Digits, TextTime, duration};
use crate::{Decimal, Type, Value};

/// The conversion of one field. In text formats (csv, regex, text) an empty cell is null, except that it is the empty
/// text for `String` and an empty byte string for `Bytes`.
#[derive(Clone, Debug)]
pub enum Conversion {
    /// `true` or `false`. In text formats, any case is accepted, as are `1` and `0`.
    Bool,
    /// A signed 64-bit integer. Whole numbers such as `3.0` are accepted.
    Int,
    /// A float.
    Double,
    /// A decimal with these digits, never rounded. JSON may give it as a number or as text.
    Decimal(Digits),
    /// UTF-8 text.
    String,
    /// A byte string: base64 in JSON, the raw bytes of the cell in text formats.
    Bytes,
    /// RFC 3339 text (UTC if it has no offset), or milliseconds since 1970. A number that is more likely seconds is
    /// refused. All times in the last 26 hours of the year 9999 mean "never".
    Timestamp,
    /// A number since 1970, in this unit.
    TimestampIn(TimeUnit),
    /// Text in a custom time format.
    TextTime(Box<TextTime>),
    /// Text such as `1h30m`, or a number of milliseconds.
    Duration,
    /// A list; in text formats, as JSON.
    List,
    /// A map; in text formats, as JSON.
    Map,
    /// A value of any type; in text formats always text.
    Any,
}

/// The unit of times given as numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TimeUnit {
    /// Seconds.
    Seconds,
    /// Milliseconds.
    #[default]
    Millis,
    /// Microseconds.
    Micros,
    /// Nanoseconds.
    Nanos,
}

impl TimeUnit {
    /// All of them, by their names.
    pub const ALL: [(&'static str, Self); 4] = [("ms", Self::Millis), ("s", Self::Seconds), ("us", Self::Micros), ("ns", Self::Nanos)];

    /// The unit called `s`, `ms`, `us` or `ns`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(known, _)| *known == name).map(|(_, unit)| unit)
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Seconds => "s",
            Self::Millis => "ms",
            Self::Micros => "us",
            Self::Nanos => "ns",
        }
    }

    /// `v` in this unit as milliseconds, rounded down. `None` on overflow.
    #[must_use]
    #[inline]
    pub fn to_ms(self, v: i64) -> Option<i64> {
        match self {
            Self::Seconds => v.checked_mul(1000),
            Self::Millis => Some(v),
            Self::Micros => Some(v.div_euclid(1000)),
            Self::Nanos => Some(v.div_euclid(1_000_000)),
        }
    }

    /// `v` in this unit as milliseconds, rounded down. `None` on overflow or for NaN.
    pub(super) fn fractional_to_ms(self, v: f64) -> Option<i64> {
        whole((v * (self.nanos() / 1e6)).floor())
    }

    /// The instant `v` units after 1970.
    pub(super) fn instant(self, v: i64) -> Option<Timestamp> {
        let (exact, per_second) = match self {
            Self::Seconds => (Timestamp::from_second(v), 1),
            Self::Millis => (Timestamp::from_millisecond(v), 1_000),
            Self::Micros => (Timestamp::from_microsecond(v), 1_000_000),
            Self::Nanos => (Timestamp::from_nanosecond(v.into()), 1_000_000_000),
        };
        or_never(exact.ok(), v.div_euclid(per_second))
    }

    /// The instant `v` units after 1970, to the nanosecond as far as a float is that precise.
    pub(super) fn fractional_instant(self, v: f64) -> Option<Timestamp> {
        if let Some(whole) = whole(v) {
            return self.instant(whole);
        }
        // Split whole and fraction: seconds since 1970 with nanoseconds do not fit the 53 bits of a float.
        let whole_part = whole(v.floor()).and_then(|v| self.instant(v))?;
        let fraction = ((v - v.floor()) * self.nanos()).round();
        whole_part.checked_add(SignedDuration::from_nanos(whole(fraction)?)).ok()
    }

    fn nanos(self) -> f64 {
        match self {
            Self::Seconds => 1e9,
            Self::Millis => 1e6,
            Self::Micros => 1e3,
            Self::Nanos => 1.0,
        }
    }
}

/// `v` as an integer, if it is one.
#[inline]
pub(super) fn whole(v: f64) -> Option<i64> {
    // 2^63 is the first float beyond the range of i64, while -2^63 is in it.
    (v.fract() == 0.0 && (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&v)).then_some(v as i64)
}

/// A value's text, quoted for an error message.
pub(super) fn quoted(text: &str) -> String {
    format!("\"{}\"", cut(text, 60))
}

impl Conversion {
    /// The names that [`Conversion::named`] accepts, besides `decimal(p, s)`.
    pub const NAMES: [&str; 14] = [
        "bool",
        "int",
        "double",
        "decimal",
        "string",
        "bytes",
        "timestamp",
        "timestamp_s",
        "timestamp_ms",
        "timestamp_us",
        "duration",
        "list",
        "map",
        "any",
    ];

    /// The conversion that a schema calls by this name. [`TextTime`] has no name here.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "bool" => Self::Bool,
            "int" => Self::Int,
            "double" => Self::Double,
            "string" => Self::String,
            "bytes" => Self::Bytes,
            "timestamp" => Self::Timestamp,
            "timestamp_s" => Self::TimestampIn(TimeUnit::Seconds),
            "timestamp_ms" => Self::TimestampIn(TimeUnit::Millis),
            "timestamp_us" => Self::TimestampIn(TimeUnit::Micros),
            "duration" => Self::Duration,
            "list" => Self::List,
            "map" => Self::Map,
            "any" => Self::Any,
            name => Self::Decimal(Digits::named(name)?),
        })
    }

    /// The type of the converted values.
    #[must_use]
    pub fn ty(&self) -> Type {
        match self {
            Self::Bool => Type::Bool,
            Self::Int => Type::Int,
            Self::Double => Type::Double,
            Self::Decimal(_) => Type::Decimal,
            Self::String => Type::String,
            Self::Bytes => Type::Bytes,
            Self::Timestamp | Self::TimestampIn(_) | Self::TextTime(_) => Type::Timestamp,
            Self::Duration => Type::Duration,
            Self::List => Type::list(),
            Self::Map => Type::map(),
            Self::Any => Type::Any,
        }
    }

    /// What was expected, for error messages.
    pub(super) fn expected(&self) -> String {
        match self {
            Self::Bool => "a bool".into(),
            Self::Int => "an int".into(),
            Self::Double => "a double".into(),
            Self::Decimal(digits) => format!("a {digits}"),
            Self::String => "a string".into(),
            Self::Bytes => "bytes (base64)".into(),
            Self::Timestamp => "a timestamp (RFC 3339, or milliseconds; what may be seconds needs timestamp_s or timestamp_ms)".into(),
            Self::TimestampIn(TimeUnit::Seconds) => "a timestamp in seconds".into(),
            Self::TimestampIn(TimeUnit::Millis) => "a timestamp in milliseconds".into(),
            Self::TimestampIn(TimeUnit::Micros) => "a timestamp in microseconds".into(),
            Self::TimestampIn(TimeUnit::Nanos) => "a timestamp in nanoseconds".into(),
            Self::TextTime(time) => format!("a timestamp like `{}`", time.format()),
            Self::Duration => "a duration (such as 1h30m, or milliseconds)".into(),
            Self::List => "a list".into(),
            Self::Map => "a map".into(),
            Self::Any => "a value".into(),
        }
    }

    /// Converts the text of a cell.
    ///
    /// # Errors
    /// Describes why the text can't be converted.
    pub fn of_text(&mut self, text: &[u8]) -> Result<Value, String> {
        if let Self::Bytes = self {
            return Ok(Value::Bytes(text.into()));
        }
        let Ok(text) = std::str::from_utf8(text) else {
            return Err(format!("{} is not UTF-8 text", quoted(&String::from_utf8_lossy(text))));
        };
        if let Self::String = self {
            return Ok(Value::String(CompactString::new(text)));
        }
        let trimmed = text.trim_ascii();
        if trimmed.is_empty() {
            return Ok(Value::Null);
        }
        self.of_trimmed(trimmed).ok_or_else(|| match self {
            Self::Int if whole_number_too_large(trimmed) => too_large(trimmed),
            Self::Double if trimmed.parse().is_ok_and(f64::is_infinite) => format!("{} does not fit a double", cut(trimmed, 60)),
            _ => format!("{} is not {}", quoted(text), self.expected()),
        })
    }

    /// Converts the text of a cell into its slot. `None` if it can't be converted: [`Conversion::of_text`] says why.
    #[inline(always)]
    pub(super) fn read(&mut self, text: &str, slot: &mut Value) -> Option<()> {
        *slot = match self {
            Self::String => Value::String(CompactString::new(text)),
            Self::Int | Self::Double => match (Number::of(text), &*self) {
                (Some(Number::Int(v)), Self::Int) => Value::Int(v),
                (Some(Number::Int(v)), _) => Value::Double(v as f64),
                (Some(Number::Double(v)), Self::Double) => Value::Double(v),
                _ => self.of_text(text.as_bytes()).ok()?,
            },
            _ => self.of_text(text.as_bytes()).ok()?,
        };
        Some(())
    }

    fn of_trimmed(&mut self, text: &str) -> Option<Value> {
        Some(match self {
            Self::Bool => Value::Bool(match text {
                "true" | "1" => true,
                "false" | "0" => false,
                _ if text.eq_ignore_ascii_case("true") => true,
                _ if text.eq_ignore_ascii_case("false") => false,
                _ => return None,
            }),
            Self::Int => match text.parse() {
                Ok(v) => Value::Int(v),
                Err(_) if text.bytes().any(|b| matches!(b, b'.' | b'e' | b'E')) => Value::Int(whole(text.parse().ok()?)?),
                Err(_) => return None,
            },
            Self::Double => Value::Double(double(text)?),
            Self::Decimal(digits) => Value::Decimal(digits.of(text.parse().ok()?)?),
            Self::Timestamp => match text.parse::<f64>() {
                Ok(v) if is_ambiguous(v) => return None,
                _ => Value::Timestamp(numeric(text, TimeUnit::Millis).or_else(|| instant(text))?),
            },
            Self::TimestampIn(unit) => Value::Timestamp(numeric(text, *unit)?),
            Self::TextTime(time) => Value::Timestamp(time.parse(text)?),
            Self::Duration => Value::Duration(match text.parse() {
                Ok(ms) => SignedDuration::from_millis(ms),
                Err(_) => duration::parse(text)?,
            }),
            Self::List | Self::Map => {
                let value = super::json::value(text)?;
                return (value.type_of() == self.ty()).then_some(value);
            }
            Self::Any | Self::String | Self::Bytes => Value::String(CompactString::new(text)),
        })
    }

    /// Converts JSON text, which never counts as a number except for decimals.
    pub(super) fn of_json_text(&mut self, text: &str) -> Option<Value> {
        match self {
            Self::String | Self::Any => Some(Value::String(CompactString::new(text))),
            Self::Bytes => super::base64::decode(text).map(|octets| Value::Bytes(octets.into())),
            Self::Timestamp => instant(text).map(Value::Timestamp),
            Self::Duration => duration::parse(text).map(Value::Duration),
            Self::TextTime(_) | Self::TimestampIn(_) | Self::Decimal(_) => self.of_trimmed(text.trim_ascii()),
            Self::Bool | Self::Int | Self::Double | Self::List | Self::Map => None,
        }
    }

    /// Converts a JSON integer.
    #[inline]
    pub(super) fn of_int(&self, v: i64) -> Option<Value> {
        match self {
            Self::Int | Self::Any => Some(Value::Int(v)),
            Self::Double => Some(Value::Double(v as f64)),
            Self::Decimal(digits) => digits.of(v.into()).map(Value::Decimal),
            Self::Timestamp if is_ambiguous(v as f64) => None,
            Self::Timestamp => TimeUnit::Millis.instant(v).map(Value::Timestamp),
            Self::TimestampIn(unit) => unit.instant(v).map(Value::Timestamp),
            Self::Duration => Some(Value::Duration(SignedDuration::from_millis(v))),
            _ => None,
        }
    }

    /// Converts a JSON number with a fraction or an exponent.
    #[inline]
    pub(super) fn of_double(&self, v: f64) -> Option<Value> {
        match self {
            Self::Double | Self::Any => Some(Value::Double(v)),
            Self::Int => whole(v).map(Value::Int),
            Self::Decimal(digits) => Decimal::from_f64(v).and_then(|v| digits.of(v)).map(Value::Decimal),
            Self::Timestamp if is_ambiguous(v) => None,
            Self::Timestamp => TimeUnit::Millis.fractional_instant(v).map(Value::Timestamp),
            Self::TimestampIn(unit) => unit.fractional_instant(v).map(Value::Timestamp),
            Self::Duration => whole((v * 1e6).round()).map(|ns| Value::Duration(SignedDuration::from_nanos(ns))),
            _ => None,
        }
    }
}

/// Parses a float. A finite number too large for a float is refused rather than read as infinity, which has a name of
/// its own.
fn double(text: &str) -> Option<f64> {
    let v: f64 = text.parse().ok()?;
    (v.is_finite() || !text.bytes().any(|b| b.is_ascii_digit())).then_some(v)
}

/// Whether this may be a number of seconds. The seconds of 1980 to 2100, taken as milliseconds, fall into early 1970.
/// Only a schema can say which unit is meant.
fn is_ambiguous(v: f64) -> bool {
    (315_532_800.0..4_102_444_800.0).contains(&v)
}

/// The instant that a number in text form denotes.
fn numeric(text: &str, unit: TimeUnit) -> Option<Timestamp> {
    match text.parse::<i64>() {
        Ok(v) => unit.instant(v),
        Err(_) => unit.fractional_instant(text.parse().ok()?),
    }
}

fn whole_number_too_large(text: &str) -> bool {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
}

/// The error for an integer that exceeds 64 bits.
pub(super) fn too_large(number: &str) -> String {
    format!("{} does not fit an int (64 bits, signed)", cut(number, 60))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(name: &str, text: &str) -> Result<Value, String> {
        Conversion::named(name).unwrap().of_text(text.as_bytes())
    }

    fn at(text: &str) -> Value {
        Value::Timestamp(text.parse().unwrap())
    }

    #[test]
    fn every_conversion_from_text() {
        for (name, cell, value) in [
            ("bool", "true", Value::Bool(true)),
            ("bool", "False", Value::Bool(false)),
            ("bool", "1", Value::Bool(true)),
            ("int", " -12 ", Value::Int(-12)),
            ("int", "3.0", Value::Int(3)),
            ("int", "1e3", Value::Int(1000)),
            ("int", "-9223372036854775808", Value::Int(i64::MIN)),
            ("double", "57.16", Value::Double(57.16)),
            ("double", "7", Value::Double(7.0)),
            ("double", "-inf", Value::Double(f64::NEG_INFINITY)),
            ("double", "1e-400", Value::Double(0.0)),
            ("string", " a b ", Value::string(" a b ")),
            ("string", "", Value::string("")),
            ("bytes", "a", Value::Bytes(b"a".as_slice().into())),
            ("timestamp", "2024-02-29T12:00:00+02:00", at("2024-02-29T10:00:00Z")),
            ("timestamp", "2024-02-29 12:00:00", at("2024-02-29T12:00:00Z")),
            ("timestamp", "1500", at("1970-01-01T00:00:01.5Z")),
            ("timestamp", "1767225600000", at("2026-01-01T00:00:00Z")),
            ("timestamp_ms", "1767225600", at("1970-01-21T10:53:45.6Z")),
            ("timestamp_s", "1522540831", at("2018-04-01T00:00:31Z")),
            ("timestamp_s", "1522540831.000000001", at("2018-04-01T00:00:31Z")),
            ("timestamp_s", "-0.25", at("1969-12-31T23:59:59.75Z")),
            ("timestamp_ms", "1", at("1970-01-01T00:00:00.001Z")),
            ("timestamp_us", "1", at("1970-01-01T00:00:00.000001Z")),
            ("duration", "1h30m", Value::Duration(SignedDuration::from_mins(90))),
            ("duration", "250", Value::Duration(SignedDuration::from_millis(250))),
            ("list", "[1, \"a\"]", Value::list([Value::Int(1), Value::string("a")])),
            ("map", "{\"a\": null}", Value::map([(Value::string("a"), Value::Null)])),
            ("any", "12", Value::string("12")),
            ("int", "", Value::Null),
            ("timestamp", " ", Value::Null),
            ("any", "", Value::Null),
        ] {
            assert_eq!(text(name, cell), Ok(value), "{name} from {cell}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_the_value_and_the_type() {
        for (name, cell, error) in [
            ("bool", "yes", "\"yes\" is not a bool"),
            ("int", "abc", "\"abc\" is not an int"),
            ("int", "3.5", "\"3.5\" is not an int"),
            ("int", "9223372036854775808", "9223372036854775808 does not fit an int (64 bits, signed)"),
            ("double", "1,5", "\"1,5\" is not a double"),
            ("double", "-1e400", "-1e400 does not fit a double"),
            (
                "timestamp",
                "noon",
                "\"noon\" is not a timestamp (RFC 3339, or milliseconds; what may be seconds needs timestamp_s or timestamp_ms)",
            ),
            (
                "timestamp",
                "1767225600",
                "\"1767225600\" is not a timestamp (RFC 3339, or milliseconds; what may be seconds needs timestamp_s or timestamp_ms)",
            ),
            ("timestamp_s", "2024-01-01", "\"2024-01-01\" is not a timestamp in seconds"),
            ("timestamp_ms", "99999999999999999", "\"99999999999999999\" is not a timestamp in milliseconds"),
            ("timestamp_us", "x", "\"x\" is not a timestamp in microseconds"),
            ("duration", "5 minutes", "\"5 minutes\" is not a duration (such as 1h30m, or milliseconds)"),
            ("list", "{}", "\"{}\" is not a list"),
            ("map", "[", "\"[\" is not a map"),
        ] {
            assert_eq!(text(name, cell).unwrap_err(), error);
        }
        assert_eq!(Conversion::String.of_text(b"a\xff").unwrap_err(), "\"a\u{fffd}\" is not UTF-8 text");
        let long = "x".repeat(1000);
        assert_eq!(text("int", &long).unwrap_err(), format!("\"{}...\" is not an int", "x".repeat(60)));
    }

    #[test]
    fn every_name_is_known() {
        assert!(Conversion::NAMES.iter().all(|name| Conversion::named(name).is_some()));
        assert!(Conversion::named("integer").is_none());
    }
}
