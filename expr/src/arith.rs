//! Arithmetic with overflow checks, on machine numbers and on values.
//!
//! As an extension of CEL, an int or uint next to a double is converted to a double, so that `amount * 2` works for
//! every number. Next to a decimal it is converted to a decimal. A decimal next to a double is converted to a double.

use jiff::{SignedDuration, Timestamp};
use tidegate_rows::{Decimal, Value};

use super::error::{EvalError, Kind, Op, Tag};
use super::val::Val;

/// The longest text (in bytes) and the longest list that an expression may build, so that no rule can exhaust the
/// job's memory.
pub(super) const MAX_TEXT: usize = 1 << 24;
pub(super) const MAX_LIST: usize = 1 << 20;

/// Refuses texts that have grown too long.
pub(super) fn bounded_text(bytes: usize) -> Result<(), EvalError> {
    if bytes > MAX_TEXT { Err(Kind::TooLarge.into()) } else { Ok(()) }
}

/// Refuses lists that have grown too long.
pub(super) fn bounded_list(elements: usize) -> Result<(), EvalError> {
    if elements > MAX_LIST { Err(Kind::TooLarge.into()) } else { Ok(()) }
}

/// `a op b` on ints.
#[inline]
pub(super) fn int(op: Op, a: i64, b: i64) -> Result<i64, EvalError> {
    let result = match op {
        Op::Add => a.checked_add(b),
        Op::Sub => a.checked_sub(b),
        Op::Mul => a.checked_mul(b),
        Op::Div if b == 0 => return Err(Kind::DivisionByZero.into()),
        Op::Div => a.checked_div(b),
        _ if b == 0 => return Err(Kind::ModulusByZero.into()),
        _ => a.checked_rem(b),
    };
    result.ok_or(EvalError(Kind::Overflow(Tag::Int)))
}

fn uint(op: Op, a: u64, b: u64) -> Result<u64, EvalError> {
    let result = match op {
        Op::Add => a.checked_add(b),
        Op::Sub => a.checked_sub(b),
        Op::Mul => a.checked_mul(b),
        Op::Div if b == 0 => return Err(Kind::DivisionByZero.into()),
        Op::Div => a.checked_div(b),
        _ if b == 0 => return Err(Kind::ModulusByZero.into()),
        _ => a.checked_rem(b),
    };
    result.ok_or(EvalError(Kind::Overflow(Tag::Uint)))
}

/// `a op b` on decimals.
fn decimal(op: Op, a: Decimal, b: Decimal) -> Result<Decimal, EvalError> {
    let zero = b.units() == 0;
    let result = match op {
        Op::Add => a.checked_add(b),
        Op::Sub => a.checked_sub(b),
        Op::Mul => a.checked_mul(b),
        Op::Div if zero => return Err(Kind::DivisionByZero.into()),
        Op::Div => a.checked_div(b),
        _ if zero => return Err(Kind::ModulusByZero.into()),
        _ => a.checked_rem(b),
    };
    result.ok_or(EvalError(Kind::Overflow(Tag::Decimal)))
}

/// `a op b` on doubles, or `None` for `%`, which doubles lack.
#[inline]
pub(super) fn double(op: Op, a: f64, b: f64) -> Option<f64> {
    Some(match op {
        Op::Add => a + b,
        Op::Sub => a - b,
        Op::Mul => a * b,
        Op::Div => a / b,
        _ => return None,
    })
}

/// `a op b` for values of any type.
pub(super) fn values(op: Op, a: &Val<'_>, b: &Val<'_>) -> Result<Val<'static>, EvalError> {
    if let (Some(x), Some(y)) = (a.data(), b.data()) {
        return plain(op, x, y).map(Val::Own);
    }
    match (op, a.items(), b.items()) {
        (Op::Add, Some(x), Some(y)) => {
            bounded_list(x.len() + y.len())?;
            Ok(Val::list(x.iter().chain(y.iter()).collect()))
        }
        _ => Err(Kind::Binary(op, a.tag(), b.tag()).into()),
    }
}

/// `a op b` for two plain values.
pub(super) fn plain(op: Op, x: &Value, y: &Value) -> Result<Value, EvalError> {
    let none = || EvalError(Kind::Binary(op, Tag::of(x), Tag::of(y)));
    let result = match (x, y) {
        (Value::Int(x), Value::Int(y)) => Value::Int(int(op, *x, *y)?),
        (Value::Uint(x), Value::Uint(y)) => Value::Uint(uint(op, *x, *y)?),
        (Value::Decimal(_), Value::Decimal(_) | Value::Int(_) | Value::Uint(_)) | (Value::Int(_) | Value::Uint(_), Value::Decimal(_)) => {
            let (x, y) = x.as_decimal().zip(y.as_decimal()).ok_or_else(none)?;
            Value::Decimal(decimal(op, x, y)?)
        }
        (Value::Double(_), Value::Double(_) | Value::Int(_) | Value::Uint(_) | Value::Decimal(_))
        | (Value::Int(_) | Value::Uint(_) | Value::Decimal(_), Value::Double(_)) => {
            let pair = x.as_f64().zip(y.as_f64());
            Value::Double(pair.and_then(|(x, y)| double(op, x, y)).ok_or_else(none)?)
        }
        (Value::String(x), Value::String(y)) if op == Op::Add => {
            bounded_text(x.len() + y.len())?;
            let mut text = x.clone();
            text.push_str(y);
            Value::String(text)
        }
        (Value::Bytes(x), Value::Bytes(y)) if op == Op::Add => {
            bounded_text(x.len() + y.len())?;
            Value::Bytes(x.iter().chain(y.iter()).copied().collect())
        }
        (Value::List(x), Value::List(y)) if op == Op::Add => {
            bounded_list(x.len() + y.len())?;
            Value::list(x.iter().chain(y.iter()).cloned())
        }
        (Value::Timestamp(t), Value::Duration(d)) if op == Op::Add => instant(t.checked_add(*d))?,
        (Value::Duration(d), Value::Timestamp(t)) if op == Op::Add => instant(t.checked_add(*d))?,
        (Value::Timestamp(t), Value::Duration(d)) if op == Op::Sub => instant(t.checked_sub(*d))?,
        (Value::Timestamp(t), Value::Timestamp(u)) if op == Op::Sub => span(Some(t.duration_since(*u)))?,
        (Value::Duration(d), Value::Duration(e)) if op == Op::Add => span(d.checked_add(*e))?,
        (Value::Duration(d), Value::Duration(e)) if op == Op::Sub => span(d.checked_sub(*e))?,
        _ => return Err(none()),
    };
    Ok(result)
}

/// `-a`.
pub(super) fn negate(a: &Val<'_>) -> Result<Val<'static>, EvalError> {
    match a.data() {
        Some(Value::Int(v)) => Ok(Val::int(v.checked_neg().ok_or(EvalError(Kind::Overflow(Tag::Int)))?)),
        Some(Value::Double(v)) => Ok(Val::Own(Value::Double(-v))),
        Some(Value::Decimal(v)) => Ok(Val::Own(Value::Decimal(-*v))),
        Some(Value::Duration(v)) => Ok(Val::Own(span(v.checked_neg())?)),
        _ => Err(Kind::Unary(Op::Neg, a.tag()).into()),
    }
}

/// The longest duration, in seconds: slightly less than from the year 1 to the end of the year 9999.
const MAX_SPAN: u64 = 315_537_897_598;
/// The range from 0001-01-01T00:00:00Z to 9999-12-31T23:59:59Z, in seconds since 1970.
const INSTANTS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;

/// Checks that an instant lies within the years 1 to 9999, CEL's range.
pub(super) fn instant<E>(t: Result<Timestamp, E>) -> Result<Value, EvalError> {
    match t {
        // `as_second` rounds toward 1970, which would admit the second before the year 1.
        Ok(t) if INSTANTS.contains(&t.as_nanosecond().div_euclid(1_000_000_000).try_into().unwrap_or(i64::MAX)) => Ok(Value::Timestamp(t)),
        _ => Err(Kind::Range(Tag::Timestamp).into()),
    }
}

/// Checks that a duration lies within CEL's range.
pub(super) fn span(d: Option<SignedDuration>) -> Result<Value, EvalError> {
    match d {
        Some(d) if d.as_secs().unsigned_abs() <= MAX_SPAN => Ok(Value::Duration(d)),
        _ => Err(Kind::Range(Tag::Duration).into()),
    }
}
