//! One form for values that `==` calls equal, where they are told apart by hash: keys, distinct values.

use tidegate_rows::{Type, Value};

/// Can values of this type be equal and not the same?
#[must_use]
pub fn has_forms(ty: &Type) -> bool {
    match ty {
        Type::Any | Type::Map(..) => true,
        Type::List(element) => has_forms(element),
        _ => false,
    }
}

/// Is this equal to nothing, not even to what it is joined with? `==` says so of NaN, and null means that there is no value.
#[must_use]
pub fn is_matchless(value: &Value) -> bool {
    value.is_null() || matches!(value, Value::Double(v) if v.is_nan())
}

/// Whole numbers as ints, as far as they go, and then as uints; the entries of maps in the order of their keys.
#[must_use]
pub fn canonical(value: &Value) -> Value {
    match value {
        Value::Uint(v) => i64::try_from(*v).map_or(Value::Uint(*v), Value::Int),
        Value::Double(v) if v.fract() == 0.0 && (-TWO_TO_63..TWO_TO_63).contains(v) => Value::Int(*v as i64),
        Value::Double(v) if v.fract() == 0.0 && (TWO_TO_63..2.0 * TWO_TO_63).contains(v) => Value::Uint(*v as u64),
        Value::List(items) => Value::list(items.iter().map(canonical)),
        Value::Map(entries) => {
            let mut entries: Vec<_> = entries.iter().map(|(key, value)| (canonical(key), canonical(value))).collect();
            entries.sort_by(|a, b| a.0.total_cmp(&b.0));
            Value::map(entries)
        }
        other => other.clone(),
    }
}

const TWO_TO_63: f64 = 9_223_372_036_854_775_808.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_have_one_form() {
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
        ] {
            assert_eq!(canonical(&value), form);
        }
    }
}
