//! A canonical form for values that `==` calls equal, used wherever values are compared by hash: keys, distinct
//! values.

use tidegate_rows::{Decimal, Type, Value};

/// Whether two values of this type can be equal without being identical.
#[must_use]
pub fn has_forms(ty: &Type) -> bool {
    match ty {
        Type::Any | Type::Map(..) | Type::Decimal => true,
        Type::List(element) => has_forms(element),
        _ => false,
    }
}

/// Whether this value matches nothing, not even itself. By `==`, NaN equals nothing, and null means that there is no
/// value to join on.
#[must_use]
pub fn is_matchless(value: &Value) -> bool {
    value.is_null() || matches!(value, Value::Double(v) if v.is_nan())
}

/// The function that gives equal values of this type one form, or `None` if they already have one. Decimals stay
/// decimals, without trailing zeros.
#[must_use]
pub fn form_of(ty: &Type) -> Option<fn(&Value) -> Value> {
    match ty {
        Type::Decimal => Some(without_zeros),
        ty if has_forms(ty) => Some(canonical),
        _ => None,
    }
}

/// The canonical form of a value. Whole numbers become ints, or uints if they don't fit an int. Decimals become
/// doubles if a double holds them exactly, and otherwise lose their trailing zeros. Map entries are sorted by key.
#[must_use]
pub fn canonical(value: &Value) -> Value {
    match value {
        Value::Uint(v) => i64::try_from(*v).map_or(Value::Uint(*v), Value::Int),
        Value::Double(v) if v.fract() == 0.0 && (-TWO_TO_63..TWO_TO_63).contains(v) => Value::Int(*v as i64),
        Value::Double(v) if v.fract() == 0.0 && (TWO_TO_63..2.0 * TWO_TO_63).contains(v) => Value::Uint(*v as u64),
        Value::Decimal(v) => decimal(*v),
        Value::List(items) => Value::list(items.iter().map(canonical)),
        Value::Map(entries) => {
            let mut entries: Vec<_> = entries.iter().map(|(key, value)| (canonical(key), canonical(value))).collect();
            entries.sort_by(|a, b| a.0.total_cmp(&b.0));
            Value::map(entries)
        }
        other => other.clone(),
    }
}

fn without_zeros(value: &Value) -> Value {
    if let Value::Decimal(v) = value { Value::Decimal(v.normalized()) } else { canonical(value) }
}

fn decimal(v: Decimal) -> Value {
    let whole = v.whole();
    let int = || whole.and_then(|v| i64::try_from(v).ok()).map(Value::Int);
    let uint = || whole.and_then(|v| u64::try_from(v).ok()).map(Value::Uint);
    let double = || v.exact_f64().map(Value::Double);
    int().or_else(uint).or_else(double).unwrap_or_else(|| Value::Decimal(v.normalized()))
}

const TWO_TO_63: f64 = 9_223_372_036_854_775_808.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_have_one_form() {
        let decimal = |text: &str| Value::Decimal(text.parse().unwrap());
        let map = |entries: [(&str, Value); 2]| Value::map(entries.map(|(key, value)| (Value::string(key), value)));
        let one = map([("a", Value::Int(1)), ("b", Value::list([Value::Double(2.0)]))]);
        let other = map([("b", Value::list([Value::Uint(2)])), ("a", Value::Double(1.0))]);
        assert_eq!(canonical(&one), canonical(&other));
        for (value, form) in [
            (Value::Double(-0.0), Value::Int(0)),
            (Value::Double(1.5), Value::Double(1.5)),
            (Value::Double(1e300), Value::Double(1e300)),
            (Value::Double(-TWO_TO_63), Value::Int(i64::MIN)),
            (Value::Double(TWO_TO_63), Value::Uint(1 << 63)),
            (Value::Double(2.0 * TWO_TO_63), Value::Double(2.0 * TWO_TO_63)),
            (Value::Double(9_007_199_254_740_994.0), Value::Int(9_007_199_254_740_994)),
            (Value::Uint(u64::MAX), Value::Uint(u64::MAX)),
            (decimal("1.00"), Value::Int(1)),
            (decimal("18446744073709551615.0"), Value::Uint(u64::MAX)),
            (decimal("1.50"), Value::Double(1.5)),
            (decimal("1e30"), decimal("1e30")),
            (decimal("1267650600228229401496703205376.0"), Value::Double(2_f64.powi(100))),
            (decimal("0.10"), decimal("0.1")),
        ] {
            assert_eq!(canonical(&value), form);
        }
        // A decimal column stays a decimal column.
        let form = form_of(&Type::Decimal).unwrap();
        assert_eq!((form(&decimal("1.50")), form(&decimal("2.00"))), (decimal("1.5"), decimal("2")));
    }
}
