//! Decodes bytes into values.

use std::collections::HashSet;
use std::sync::Arc;

use compact_str::CompactString;
use jiff::{SignedDuration, Timestamp};

use super::cursor::Cursor;
use super::decimal;
use super::shape::{At, Avro, Field, Shape, Uuid};
use crate::decimal::nearest_f64;
use crate::format::conversion::{quoted, too_large};
use crate::format::{Conversion, TimeUnit};
use crate::{Decimal, Map, Value};

const DAY: i64 = 86_400;

/// Reads a value with the conversion of its field. As in the other formats, a value that can't be converted is an
/// error.
#[inline]
pub(super) fn value(shape: &Shape, at: At, conversion: &mut Conversion, from: &mut Cursor<'_>) -> Result<Value, String> {
    match shape.at(at) {
        Avro::Null => Ok(Value::Null),
        Avro::Boolean => {
            let v = from.array::<1>()?[0] != 0;
            let fits = matches!(conversion, Conversion::Bool | Conversion::Any);
            or_wrong(fits.then_some(Value::Bool(v)), conversion, || v.to_string())
        }
        Avro::Int => number(from.int()?.into(), conversion),
        Avro::Long => number(from.long()?, conversion),
        Avro::Float => double(f32::from_le_bytes(from.array()?).into(), conversion),
        Avro::Double => double(f64::from_le_bytes(from.array()?), conversion),
        Avro::String => text(from.text()?, conversion),
        Avro::Bytes => octets(from.bytes()?, conversion),
        Avro::Fixed(size) => octets(from.take(*size)?, conversion),
        Avro::Enum(symbols) => {
            let number = from.int()?;
            let symbol = usize::try_from(number).ok().and_then(|number| symbols.get(number));
            text(symbol.ok_or_else(|| format!("the enum has no symbol {number}"))?, conversion)
        }
        Avro::Union(branches) => {
            let branch = branch(branches, from)?;
            // A union can't contain another union.
            value(shape, branch, conversion, from)
        }
        Avro::Timestamp(unit) => time(from.long()?, conversion, |v| unit.instant(v)),
        Avro::Date => time(from.int()?.into(), conversion, |days| Timestamp::from_second(days * DAY).ok()),
        Avro::Time(unit) => span(from.long()?, conversion, |v| match unit {
            TimeUnit::Micros => SignedDuration::from_micros(v),
            _ => SignedDuration::from_millis(v),
        }),
        Avro::Decimal { scale, size, .. } => {
            let octets = match size {
                Some(size) => from.take(*size)?,
                None => from.bytes()?,
            };
            let unscaled = decimal::of_octets(octets).ok_or("a decimal is longer than 128 bits")?;
            decimal_value(unscaled, *scale, conversion)
        }
        Avro::Uuid(Uuid::Text) => text(from.text()?, conversion),
        Avro::Uuid(Uuid::Fixed) => text(&decimal::uuid_text(from.array()?), conversion),
        Avro::Uuid(Uuid::Bytes) => {
            let octets = from.bytes()?.try_into().map_err(|_| "a uuid is not 16 octets")?;
            text(&decimal::uuid_text(octets), conversion)
        }
        Avro::Duration => parts(duration(from)?, conversion),
        Avro::Array(items) if matches!(conversion, Conversion::List | Conversion::Any) => array(shape, *items, from),
        Avro::Map(values) if matches!(conversion, Conversion::Map | Conversion::Any) => map(shape, *values, from),
        Avro::Record(fields) if matches!(conversion, Conversion::Map | Conversion::Any) => record(shape, fields, from),
        other @ (Avro::Array(_) | Avro::Map(_) | Avro::Record(_)) => wrong(&other.words(), conversion),
    }
}

fn array(shape: &Shape, items: At, from: &mut Cursor<'_>) -> Result<Value, String> {
    from.enter()?;
    let mut values = Vec::new();
    while let Some(count) = from.block()? {
        values.reserve(count.min(from.left()));
        for _ in 0..count {
            values.push(value(shape, items, &mut Conversion::Any, from)?);
        }
    }
    from.leave();
    Ok(Value::List(Arc::new(values)))
}

fn map(shape: &Shape, values: At, from: &mut Cursor<'_>) -> Result<Value, String> {
    from.enter()?;
    let mut entries = Map::new();
    while let Some(count) = from.block()? {
        for _ in 0..count {
            let key = Value::String(CompactString::new(from.text()?));
            entries.push((key, value(shape, values, &mut Conversion::Any, from)?));
        }
    }
    from.leave();
    Ok(Value::Map(Arc::new(unique(entries))))
}

fn record(shape: &Shape, fields: &[Field], from: &mut Cursor<'_>) -> Result<Value, String> {
    from.enter()?;
    let mut entries = Map::with_capacity(fields.len());
    for field in fields {
        entries.push((Value::String(field.name.clone()), value(shape, field.ty, &mut Conversion::Any, from)?));
    }
    from.leave();
    Ok(Value::Map(Arc::new(entries)))
}

/// Skips a value. Returns whether it was null.
pub(super) fn skip(shape: &Shape, at: At, from: &mut Cursor<'_>) -> Result<bool, String> {
    match shape.at(at) {
        Avro::Null => return Ok(true),
        Avro::Boolean => drop(from.take(1)?),
        Avro::Int | Avro::Long | Avro::Enum(_) | Avro::Timestamp(_) | Avro::Date | Avro::Time(_) => drop(from.long()?),
        Avro::Float => drop(from.take(4)?),
        Avro::Double => drop(from.take(8)?),
        Avro::String | Avro::Bytes | Avro::Uuid(Uuid::Text | Uuid::Bytes) | Avro::Decimal { size: None, .. } => drop(from.bytes()?),
        Avro::Fixed(size) | Avro::Decimal { size: Some(size), .. } => drop(from.take(*size)?),
        Avro::Uuid(Uuid::Fixed) => drop(from.take(16)?),
        Avro::Duration => drop(from.take(12)?),
        Avro::Union(branches) => return skip(shape, branch(branches, from)?, from),
        Avro::Array(items) => {
            from.enter()?;
            while let Some(count) = from.block()? {
                for _ in 0..count {
                    skip(shape, *items, from)?;
                }
            }
            from.leave();
        }
        Avro::Map(values) => {
            from.enter()?;
            while let Some(count) = from.block()? {
                for _ in 0..count {
                    from.bytes()?;
                    skip(shape, *values, from)?;
                }
            }
            from.leave();
        }
        Avro::Record(fields) => {
            from.enter()?;
            for field in fields {
                skip(shape, field.ty, from)?;
            }
            from.leave();
        }
    }
    Ok(false)
}

/// The branch that the next bytes select.
#[inline]
fn branch(branches: &[At], from: &mut Cursor<'_>) -> Result<At, String> {
    let number = from.long()?;
    let found = usize::try_from(number).ok().and_then(|number| branches.get(number));
    found.copied().ok_or_else(|| format!("the union has no branch {number}"))
}

/// A duration in months, days and milliseconds. Months have no fixed length, so a duration with any is refused.
fn parts([months, days, millis]: [u32; 3], conversion: &Conversion) -> Result<Value, String> {
    let span = SignedDuration::from_secs(i64::from(days) * DAY) + SignedDuration::from_millis(millis.into());
    let fits = matches!(conversion, Conversion::Duration | Conversion::Any) && months == 0;
    or_wrong(fits.then_some(Value::Duration(span)), conversion, || format!("{months} months, {days} days and {millis} ms"))
}

/// Months, days and milliseconds.
fn duration(from: &mut Cursor<'_>) -> Result<[u32; 3], String> {
    Ok([u32::from_le_bytes(from.array()?), u32::from_le_bytes(from.array()?), u32::from_le_bytes(from.array()?)])
}

#[inline]
fn or_wrong(value: Option<Value>, conversion: &Conversion, what: impl FnOnce() -> String) -> Result<Value, String> {
    match value {
        Some(value) => Ok(value),
        None => wrong(&what(), conversion),
    }
}

#[cold]
fn wrong(what: &str, conversion: &Conversion) -> Result<Value, String> {
    Err(format!("{what} is not {}", conversion.expected()))
}

#[inline]
fn number(v: i64, conversion: &Conversion) -> Result<Value, String> {
    or_wrong(conversion.of_int(v), conversion, || v.to_string())
}

#[inline]
fn double(v: f64, conversion: &Conversion) -> Result<Value, String> {
    or_wrong(conversion.of_double(v), conversion, || v.to_string())
}

#[inline]
fn text(v: &str, conversion: &mut Conversion) -> Result<Value, String> {
    let value = conversion.of_json_text(v);
    or_wrong(value, conversion, || quoted(v))
}

fn octets(v: &[u8], conversion: &Conversion) -> Result<Value, String> {
    match conversion {
        Conversion::Bytes | Conversion::Any => Ok(Value::Bytes(v.into())),
        Conversion::String => std::str::from_utf8(v).map(Value::string).map_err(|_| "the bytes are not UTF-8 text".into()),
        _ => wrong("bytes", conversion),
    }
}

/// A number that encodes an instant, converted to a timestamp, or kept as a number for numeric fields.
fn time(v: i64, conversion: &Conversion, instant: impl FnOnce(i64) -> Option<Timestamp>) -> Result<Value, String> {
    match conversion {
        Conversion::Timestamp | Conversion::TimestampIn(_) | Conversion::TextTime(_) | Conversion::Any => {
            instant(v).map(Value::Timestamp).ok_or_else(|| format!("{v} is out of the range of timestamps"))
        }
        Conversion::Int | Conversion::Double => number(v, conversion),
        _ => wrong("a timestamp", conversion),
    }
}

/// A number that encodes a time of day, converted to a duration, or kept as a number for numeric fields.
fn span(v: i64, conversion: &Conversion, span: impl FnOnce(i64) -> SignedDuration) -> Result<Value, String> {
    match conversion {
        Conversion::Duration | Conversion::Any => Ok(Value::Duration(span(v))),
        Conversion::Int | Conversion::Double => number(v, conversion),
        _ => wrong("a time of day", conversion),
    }
}

fn decimal_value(unscaled: i128, scale: usize, conversion: &Conversion) -> Result<Value, String> {
    match conversion {
        Conversion::Decimal(digits) => {
            let exact = u8::try_from(scale).ok().and_then(|scale| Decimal::new(unscaled, scale)).and_then(|v| digits.of(v));
            or_wrong(exact.map(Value::Decimal), conversion, || decimal::text(unscaled, scale).into())
        }
        Conversion::Double | Conversion::Any => Ok(Value::Double(nearest_f64(unscaled, scale))),
        Conversion::String => Ok(Value::String(decimal::text(unscaled, scale))),
        Conversion::Int => {
            let unit = u32::try_from(scale).ok().and_then(|scale| 10_i128.checked_pow(scale));
            let whole = unit.filter(|unit| unscaled % unit == 0).map(|unit| unscaled / unit);
            match whole.map(i64::try_from) {
                Some(Ok(v)) => Ok(Value::Int(v)),
                Some(Err(_)) => Err(too_large(&decimal::text(unscaled, scale))),
                None => wrong(&decimal::text(unscaled, scale), conversion),
            }
        }
        _ => wrong(&decimal::text(unscaled, scale), conversion),
    }
}

/// Removes duplicate keys: the last value of a key wins.
fn unique(mut entries: Map) -> Map {
    // Compare a few keys pairwise; for many keys that would be quadratic.
    let doubled = if entries.len() < 16 {
        (1..entries.len()).any(|i| entries[..i].iter().any(|(key, _)| *key == entries[i].0))
    } else {
        entries.iter().map(|(key, _)| key).collect::<HashSet<_>>().len() < entries.len()
    };
    if doubled {
        let mut seen = HashSet::new();
        entries.reverse();
        entries.retain(|(key, _)| seen.insert(key.clone()));
        entries.reverse();
    }
    entries
}
