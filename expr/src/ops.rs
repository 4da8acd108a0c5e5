//! Operators on values whose types are known only at run time: equality, order, membership, selection.
//!
//! Numbers compare by amount, whatever their types. They are equal only if they are exactly the same number. As in
//! CEL, an int or uint is ordered with a double after conversion to a double; a decimal is ordered with any number
//! exactly.

use std::cmp::Ordering;

use tidegate_rows::Value;

use super::error::{EvalError, Kind, Op, Tag};
use super::val::Val;

/// CEL's equality of two plain values: values of different types are unequal, except for numbers.
#[inline]
pub(super) fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::String(a), Value::String(b)) => a == b,
        (Value::Int(a), Value::Int(b)) => a == b,
        (Value::Double(a), Value::Double(b)) => a == b,
        (Value::List(a), Value::List(b)) => a.len() == b.len() && a.iter().zip(b.iter()).all(|(x, y)| same(x, y)),
        (Value::Map(a), Value::Map(b)) => a.len() == b.len() && a.iter().all(|(k, v)| b.iter().any(|(l, w)| same(k, l) && same(v, w))),
        (
            Value::Int(_) | Value::Uint(_) | Value::Double(_) | Value::Decimal(_),
            Value::Int(_) | Value::Uint(_) | Value::Double(_) | Value::Decimal(_),
        ) => same_number(a, b),
        _ => a == b,
    }
}

/// Whether these are the same number. They are not compared as doubles: several ints round to the same double, and
/// equality would no longer be transitive, as keys require.
fn same_number(a: &Value, b: &Value) -> bool {
    let whole = |v: &Value| match v {
        Value::Int(v) => Some(i128::from(*v)),
        Value::Uint(v) => Some(i128::from(*v)),
        Value::Double(v) => (v.fract() == 0.0 && v.abs() < 1e30).then_some(*v as i128),
        _ => None,
    };
    if matches!(a, Value::Decimal(_)) || matches!(b, Value::Decimal(_)) {
        return a.decimal_cmp(b) == Some(Ordering::Equal);
    }
    whole(a).is_some_and(|a| whole(b) == Some(a))
}

/// CEL's equality.
pub(super) fn equal(a: &Val<'_>, b: &Val<'_>) -> bool {
    if let (Some(a), Some(b)) = (a.data(), b.data()) {
        return same(a, b);
    }
    match (a, b) {
        (Val::Type(a), Val::Type(b)) => a == b,
        (Val::Net(a), Val::Net(b)) => a == b,
        (Val::Optional(a), Val::Optional(b)) => match (a, b) {
            (Some(a), Some(b)) => equal(a, b),
            (a, b) => a.is_none() && b.is_none(),
        },
        (a, b) => {
            if let (Some(x), Some(y)) = (a.items(), b.items()) {
                return x.len() == y.len() && x.iter().zip(y.iter()).all(|(x, y)| equal(&x, &y));
            }
            match (a.entries(), b.entries()) {
                (Some(x), Some(y)) => x.len() == y.len() && x.iter().all(|(k, v)| y.find(k).is_some_and(|w| equal(&v, &w))),
                _ => false,
            }
        }
    }
}

/// The order of two numbers, or `None` if one is NaN.
fn number_order(a: &Value, b: &Value) -> Option<Ordering> {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => Some(a.cmp(b)),
        (Value::Uint(a), Value::Uint(b)) => Some(a.cmp(b)),
        (Value::Int(a), Value::Uint(b)) => Some(i128::from(*a).cmp(&i128::from(*b))),
        (Value::Uint(a), Value::Int(b)) => Some(i128::from(*a).cmp(&i128::from(*b))),
        (Value::Decimal(_), _) | (_, Value::Decimal(_)) => a.decimal_cmp(b),
        (a, b) => a.as_f64()?.partial_cmp(&b.as_f64()?),
    }
}

/// `a op b` for a comparison.
pub(super) fn compare(op: Op, a: &Val<'_>, b: &Val<'_>) -> Result<bool, EvalError> {
    if let (Some(a), Some(b)) = (a.data(), b.data()) {
        return compare_plain(op, a, b);
    }
    match op {
        Op::Eq => Ok(equal(a, b)),
        Op::Ne => Ok(!equal(a, b)),
        _ => Err(Kind::Binary(op, a.tag(), b.tag()).into()),
    }
}

/// `a op b` for a comparison of plain values.
#[inline]
pub(super) fn compare_plain(op: Op, a: &Value, b: &Value) -> Result<bool, EvalError> {
    match (a, b) {
        (Value::Double(x), Value::Double(y)) => return Ok(op.holds(x, y)),
        (Value::Int(x), Value::Int(y)) => return Ok(op.holds(x, y)),
        (Value::Int(x), Value::Double(y)) if !op.is_equality() => return Ok(op.holds(&(*x as f64), y)),
        (Value::Double(x), Value::Int(y)) if !op.is_equality() => return Ok(op.holds(x, &(*y as f64))),
        (Value::String(x), Value::String(y)) => return Ok(op.holds(x.as_str(), y.as_str())),
        _ => {}
    }
    match op {
        Op::Eq => return Ok(same(a, b)),
        Op::Ne => return Ok(!same(a, b)),
        _ => {}
    }
    match (a, b) {
        (
            Value::Int(_) | Value::Uint(_) | Value::Double(_) | Value::Decimal(_),
            Value::Int(_) | Value::Uint(_) | Value::Double(_) | Value::Decimal(_),
        ) => Ok(number_order(a, b).is_some_and(|order| op.holds(&order, &Ordering::Equal))),
        (Value::Timestamp(x), Value::Timestamp(y)) => Ok(op.holds(x, y)),
        (Value::Duration(x), Value::Duration(y)) => Ok(op.holds(x, y)),
        (Value::Bool(x), Value::Bool(y)) => Ok(op.holds(x, y)),
        (Value::Bytes(x), Value::Bytes(y)) => Ok(op.holds(x, y)),
        _ => Err(Kind::Binary(op, Tag::of(a), Tag::of(b)).into()),
    }
}

/// Whether `new` replaces the least or greatest value `held` so far. NaN always does, and is never replaced, wherever
/// it stands in a list.
pub(super) fn replaces(better: Op, new: &Val<'_>, held: &Val<'_>) -> Result<bool, EvalError> {
    let nan = matches!(new.data(), Some(Value::Double(v)) if v.is_nan());
    Ok(compare(better, new, held)? || nan)
}

/// `needle in haystack`: whether it is an element of the list, or a key of the map.
pub(super) fn contains(needle: &Val<'_>, haystack: &Val<'_>) -> Result<bool, EvalError> {
    if let Some(items) = haystack.items() {
        return Ok(items.iter().any(|item| equal(&item, needle)));
    }
    match haystack.entries() {
        Some(entries) => Ok(needle.data().is_some_and(|key| entries.find(key).is_some())),
        None => Err(Kind::Binary(Op::In, needle.tag(), haystack.tag()).into()),
    }
}

/// The position that an index denotes: an int, a uint, or a whole double or decimal.
fn place(index: &Value) -> Option<i64> {
    match index {
        Value::Int(v) => Some(*v),
        Value::Uint(v) => i64::try_from(*v).ok(),
        Value::Double(v) if v.fract() == 0.0 && v.abs() < 9e15 => Some(*v as i64),
        Value::Decimal(v) => i64::try_from(v.whole()?).ok(),
        _ => None,
    }
}

/// `container[key]`, or `None` if there is nothing.
pub(super) fn lookup<'a>(container: &Val<'a>, key: &Val<'_>) -> Result<Option<Val<'a>>, EvalError> {
    let none = || EvalError(Kind::Binary(Op::Index, container.tag(), key.tag()));
    let Some(key) = key.data() else { return Err(none()) };
    // A borrowed container lends its elements; those of others are cloned.
    match container {
        Val::Ref(Value::Map(entries)) => return Ok(entries.iter().find(|(k, _)| same(k, key)).map(|(_, v)| Val::Ref(v))),
        Val::Ref(Value::List(items)) => {
            let index = place(key).ok_or_else(none)?;
            return Ok(usize::try_from(index).ok().and_then(|i| items.get(i)).map(Val::Ref));
        }
        _ => {}
    }
    if let Some(entries) = container.entries() {
        return Ok(entries.find(key).map(Val::into_static));
    }
    let items = container.items().ok_or_else(none)?;
    let index = place(key).ok_or_else(none)?;
    Ok(usize::try_from(index).ok().and_then(|i| items.get(i)).map(Val::into_static))
}

/// `container[key]`, or an error if there is nothing. For an optional, the result is an optional too.
pub(super) fn index<'a>(container: &Val<'a>, key: &Val<'_>) -> Result<Val<'a>, EvalError> {
    if let Val::Optional(_) = container {
        return optional_index(container, key);
    }
    lookup(container, key)?.ok_or_else(|| missing(container, key))
}

fn missing(container: &Val<'_>, key: &Val<'_>) -> EvalError {
    match (container.items(), key.data()) {
        (Some(_), Some(key)) => Kind::Index(place(key).unwrap_or(-1)).into(),
        (_, Some(key)) => EvalError::key(key),
        _ => EvalError::message("no such key"),
    }
}

/// `container[?key]` and `container.?key`.
pub(super) fn optional_index<'a>(container: &Val<'a>, key: &Val<'_>) -> Result<Val<'a>, EvalError> {
    let found = match container {
        Val::Optional(None) => None,
        Val::Optional(Some(inner)) => lookup(&(**inner).clone(), key)?,
        other => lookup(other, key)?,
    };
    Ok(found.map_or(Val::Optional(None), Val::some))
}

/// `operand.field`.
pub(super) fn select<'a>(operand: &Val<'a>, field: &Val<'_>) -> Result<Val<'a>, EvalError> {
    match operand {
        Val::Optional(None) => Ok(Val::Optional(None)),
        Val::Optional(Some(inner)) if inner.entries().is_some() => optional_index(operand, field),
        Val::Optional(Some(inner)) => Err(Kind::NoFields(inner.tag()).into()),
        other if other.entries().is_some() => index(other, field),
        other => Err(Kind::NoFields(other.tag()).into()),
    }
}

/// `has(operand.field)`.
pub(super) fn has(operand: &Val<'_>, field: &Val<'_>) -> Result<bool, EvalError> {
    match operand {
        Val::Optional(None) => Ok(false),
        Val::Optional(Some(inner)) => has(inner, field),
        other if other.entries().is_some() => Ok(lookup(other, field)?.is_some()),
        other => Err(Kind::NoFields(other.tag()).into()),
    }
}

/// Converts a value to a map key. Fails if maps can't have such keys.
pub(super) fn map_key(key: &Val<'_>) -> Result<Value, EvalError> {
    match key.data() {
        Some(key @ (Value::Bool(_) | Value::Int(_) | Value::Uint(_) | Value::String(_))) => Ok(key.clone()),
        _ => Err(EvalError::message(format!("{} cannot be the key of a map", key.tag()))),
    }
}

/// The tag of an operand, or the tag of null if it has no value.
pub(super) fn tag_or_null<T>(value: Option<T>, tag: Tag) -> Tag {
    if value.is_some() { tag } else { Tag::Null }
}
