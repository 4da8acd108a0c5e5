//! Encodes values into bytes.

use jiff::SignedDuration;

use super::decimal;
use super::shape::{At, Avro, Field, Shape, Uuid};
use crate::Value;
use crate::format::conversion::quoted;
use crate::format::{TimeUnit, Timestamps, duration, print};

/// Appends a value encoded as this type.
///
/// # Errors
/// Describes why the value does not fit the type. `out` may then contain part of the value.
pub(super) fn value(shape: &Shape, at: At, value: &Value, out: &mut Vec<u8>) -> Result<(), String> {
    let ty = shape.at(at);
    match (ty, value) {
        (_, Value::Uint(v)) if i64::try_from(*v).is_ok() => self::value(shape, at, &Value::Int(v.cast_signed()), out),
        (Avro::Union(branches), _) => union(shape, branches, value, out),
        (Avro::Array(items), Value::List(values)) => array(shape, *items, values, out),
        (Avro::Map(values), Value::Map(entries)) => map(shape, *values, entries, out),
        (Avro::Record(fields), Value::Map(entries)) => record(shape, fields, entries, out),
        _ => plain(ty, value, out).ok_or_else(|| wrong(ty, value)),
    }
}

/// Appends a value of a type without parts, or returns `None` if the value does not fit the type.
fn plain(ty: &Avro, value: &Value, out: &mut Vec<u8>) -> Option<()> {
    match (ty, value) {
        (Avro::Null, Value::Null) => {}
        (Avro::Boolean, Value::Bool(v)) => out.push((*v).into()),
        (Avro::Int | Avro::Long | Avro::Float | Avro::Double | Avro::Decimal { .. }, _) => return number(ty, value, out),
        (Avro::Timestamp(_) | Avro::Date | Avro::Time(_) | Avro::Duration, _) => return time(ty, value, out),
        (Avro::String, _) => return text(value, out),
        (Avro::Bytes, Value::Bytes(v)) => bytes(v, out),
        (Avro::Bytes, Value::String(v)) => bytes(v.as_bytes(), out),
        (Avro::Fixed(size), Value::Bytes(v)) if v.len() == *size => out.extend_from_slice(v),
        (Avro::Enum(symbols), Value::String(v)) => length(symbols.iter().position(|symbol| symbol == v)?, out),
        (Avro::Uuid(form), Value::String(v)) => {
            let octets = decimal::uuid_octets(v)?;
            match form {
                Uuid::Text => bytes(v.as_bytes(), out),
                Uuid::Bytes => bytes(&octets, out),
                Uuid::Fixed => out.extend_from_slice(&octets),
            }
        }
        _ => return None,
    }
    Some(())
}

fn number(ty: &Avro, value: &Value, out: &mut Vec<u8>) -> Option<()> {
    match (ty, value) {
        (Avro::Int, Value::Int(v)) if i32::try_from(*v).is_ok() => long(*v, out),
        (Avro::Long, Value::Int(v)) => long(*v, out),
        (Avro::Float, Value::Double(v)) => out.extend_from_slice(&(*v as f32).to_le_bytes()),
        (Avro::Double, Value::Double(v)) => out.extend_from_slice(&v.to_le_bytes()),
        (Avro::Float, Value::Int(v)) => out.extend_from_slice(&(*v as f32).to_le_bytes()),
        (Avro::Double, Value::Int(v)) => out.extend_from_slice(&(*v as f64).to_le_bytes()),
        (Avro::Float, Value::Decimal(v)) => out.extend_from_slice(&(v.to_f64() as f32).to_le_bytes()),
        (Avro::Double, Value::Decimal(v)) => out.extend_from_slice(&v.to_f64().to_le_bytes()),
        (Avro::Decimal { scale, precision, size }, _) => {
            let number = match value {
                Value::Int(v) => decimal::of_int(*v, *scale),
                Value::Double(v) => decimal::of_double(*v, *scale),
                Value::Decimal(v) => decimal::of_decimal(*v, *scale),
                Value::String(v) => decimal::of_text(v, *scale),
                _ => None,
            };
            decimal_octets(number.filter(|number| decimal::fits(*number, *precision))?, *size, out)?;
        }
        _ => return None,
    }
    Some(())
}

/// Appends an instant, a time of day or a duration. Numbers are taken in the unit of the type.
fn time(ty: &Avro, value: &Value, out: &mut Vec<u8>) -> Option<()> {
    match (ty, value) {
        (Avro::Timestamp(_) | Avro::Time(TimeUnit::Micros), Value::Int(v)) => long(*v, out),
        (Avro::Date | Avro::Time(_), Value::Int(v)) if i32::try_from(*v).is_ok() => long(*v, out),
        (Avro::Timestamp(unit), Value::Timestamp(t)) => long(instant(*t, *unit)?, out),
        (Avro::Date, Value::Timestamp(t)) => long(t.as_second().div_euclid(86_400), out),
        (Avro::Time(unit), Value::Duration(v)) if *v >= SignedDuration::ZERO && *v < SignedDuration::from_hours(24) => {
            let micros = v.as_micros() as i64;
            long(if *unit == TimeUnit::Micros { micros } else { micros / 1000 }, out);
        }
        (Avro::Duration, Value::Duration(v)) => {
            let millis = u32::try_from(v.as_millis() % 86_400_000).ok()?;
            let days = u32::try_from(v.as_millis() / 86_400_000).ok()?;
            for part in [0, days, millis] {
                out.extend_from_slice(&part.to_le_bytes());
            }
        }
        _ => return None,
    }
    Some(())
}

/// Appends text; what has no type of its own in Avro is printed as in JSON.
fn text(value: &Value, out: &mut Vec<u8>) -> Option<()> {
    let mut printed = Vec::new();
    match value {
        Value::String(v) => {
            bytes(v.as_bytes(), out);
            return Some(());
        }
        Value::Duration(v) => duration::print(*v, &mut printed),
        Value::Timestamp(_) | Value::Decimal(_) => print::plain(value, Timestamps::Iso, &mut printed),
        _ => return None,
    }
    bytes(&printed, out);
    Some(())
}

fn array(shape: &Shape, items: At, values: &[Value], out: &mut Vec<u8>) -> Result<(), String> {
    if !values.is_empty() {
        length(values.len(), out);
    }
    for value in values {
        self::value(shape, items, value, out)?;
    }
    length(0, out);
    Ok(())
}

fn map(shape: &Shape, values: At, entries: &[(Value, Value)], out: &mut Vec<u8>) -> Result<(), String> {
    if !entries.is_empty() {
        length(entries.len(), out);
    }
    for (key, value) in entries {
        let key = key.as_str().ok_or_else(|| format!("a key of type {} is not a string", key.type_of()))?;
        bytes(key.as_bytes(), out);
        self::value(shape, values, value, out)?;
    }
    length(0, out);
    Ok(())
}

fn record(shape: &Shape, fields: &[Field], entries: &[(Value, Value)], out: &mut Vec<u8>) -> Result<(), String> {
    let mut found = 0;
    for field in fields {
        let entry = entries.iter().find(|(key, _)| key.as_str() == Some(&field.name));
        found += usize::from(entry.is_some());
        let entry = entry.map_or(&Value::Null, |(_, value)| value);
        value(shape, field.ty, entry, out).map_err(|e| format!("field `{}`: {e}", field.name))?;
    }
    let known = |key: &Value| fields.iter().any(|field| key.as_str() == Some(&field.name));
    match entries.iter().find(|(key, _)| found < entries.len() && !known(key)) {
        Some((key, _)) => Err(format!("the record of the schema has no field {}", key.as_str().map_or_else(String::new, quoted))),
        None => Ok(()),
    }
}

/// Picks the first branch whose kind matches the value, or else the first branch that can encode it.
fn union(shape: &Shape, branches: &[At], value: &Value, out: &mut Vec<u8>) -> Result<(), String> {
    let start = out.len();
    let mut what = None;
    for exactly in [true, false] {
        for (number, branch) in branches.iter().enumerate().filter(|(_, branch)| is_kind(shape.at(**branch), value) == exactly) {
            length(number, out);
            match self::value(shape, *branch, value, out) {
                Ok(()) => return Ok(()),
                Err(e) if exactly => what = what.or(Some(e)),
                Err(_) => {}
            }
            out.truncate(start);
        }
    }
    Err(what.unwrap_or_else(|| {
        let words: Vec<_> = branches.iter().map(|branch| shape.at(*branch).words()).collect();
        format!("{} is not {}", described(value), words.join(" or "))
    }))
}

/// Whether values of this type are of the value's kind.
fn is_kind(ty: &Avro, value: &Value) -> bool {
    match value {
        Value::Null | Value::Absent => matches!(ty, Avro::Null),
        Value::Bool(_) => matches!(ty, Avro::Boolean),
        Value::Int(_) | Value::Uint(_) => matches!(ty, Avro::Int | Avro::Long),
        Value::Double(_) => matches!(ty, Avro::Float | Avro::Double),
        Value::Decimal(_) => matches!(ty, Avro::Decimal { .. }),
        Value::String(_) => matches!(ty, Avro::String | Avro::Enum(_) | Avro::Uuid(_)),
        Value::Bytes(_) => matches!(ty, Avro::Bytes | Avro::Fixed(_)),
        Value::Timestamp(_) => matches!(ty, Avro::Timestamp(_)),
        Value::Duration(_) => matches!(ty, Avro::Time(_) | Avro::Duration),
        Value::List(_) => matches!(ty, Avro::Array(_)),
        Value::Map(_) => matches!(ty, Avro::Map(_) | Avro::Record(_)),
    }
}

#[cold]
fn wrong(ty: &Avro, value: &Value) -> String {
    format!("{} is not {}", described(value), ty.words())
}

/// A description of the value for error messages.
fn described(value: &Value) -> String {
    match value {
        Value::Null | Value::Absent => "null".into(),
        Value::Bytes(v) => format!("{} bytes", v.len()),
        Value::List(_) => "a list".into(),
        Value::Map(_) => "a map".into(),
        Value::String(v) => quoted(v),
        other => {
            let mut text = Vec::new();
            print::plain(other, Timestamps::Iso, &mut text);
            String::from_utf8_lossy(&text).into_owned()
        }
    }
}

/// Appends an int or a long.
#[inline]
pub(super) fn long(v: i64, out: &mut Vec<u8>) {
    let mut bits = ((v << 1) ^ (v >> 63)).cast_unsigned();
    while bits >= 0x80 {
        out.push(bits as u8 | 0x80);
        bits >>= 7;
    }
    out.push(bits as u8);
}

fn length(size: usize, out: &mut Vec<u8>) {
    long(size as i64, out);
}

#[inline]
fn bytes(v: &[u8], out: &mut Vec<u8>) {
    length(v.len(), out);
    out.extend_from_slice(v);
}

/// An instant in a unit since 1970, rounded down.
fn instant(t: jiff::Timestamp, unit: TimeUnit) -> Option<i64> {
    let nanos = t.as_nanosecond();
    i64::try_from(match unit {
        TimeUnit::Seconds => nanos.div_euclid(1_000_000_000),
        TimeUnit::Millis => nanos.div_euclid(1_000_000),
        TimeUnit::Micros => nanos.div_euclid(1_000),
        TimeUnit::Nanos => nanos,
    })
    .ok()
}

/// Appends a number in as few bytes as it needs, or in `size` bytes.
fn decimal_octets(number: i128, size: Option<usize>, out: &mut Vec<u8>) -> Option<()> {
    let octets = number.to_be_bytes();
    let short = decimal::shortest(&octets);
    match size {
        None => bytes(short, out),
        Some(size) => {
            let fill = size.checked_sub(short.len())?;
            out.resize(out.len() + fill, if number < 0 { 0xff } else { 0 });
            out.extend_from_slice(short);
        }
    }
    Some(())
}
