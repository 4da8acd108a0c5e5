//! One form for values that `==` calls equal, where they are told apart by hash: keys, distinct values.

use tidegate_rows::{Decimal, Type, Value};

/// Can values of this type be equal and not the same?
#[must_use]
pub fn has_forms(ty: &Type) -> bool {
    match ty {
        Type::Any | Type::Map(..) | Type::Decimal => true,
        Type::List(element) => has_forms(element),
        _ => false,
    }
}

/// Is this equal to nothing, not even to what it is joined with? `==` says so of NaN, and null means that there is no value.
#[must_use]
pub fn is_matchless(value: &Value) -> bool {
    value.is_null() || matches!(value, Value::Double(v) if v.is_nan())
}

/// What gives equal values of this type one form, where that is needed. Decimals stay decimals, without zeros at their end.
#[must_use]
pub fn form_of(ty: &Type) -> Option<fn(&Value) -> Value> {
    match ty {
        Type::Decimal => Some(without_zeros),
        ty if has_forms(ty) => Some(canonical),
        _ => None,
    }
}

/// Whole numbers as ints, as far as they go, and then as uints; decimals that doubles can be as doubles, others without zeros at their
/// end; the entries of maps in the order of their keys.
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
        // A column of decimals stays one.
        let form = form_of(&Type::Decimal).unwrap();
        assert_eq!((form(&decimal("1.50")), form(&decimal("2.00"))), (decimal("1.5"), decimal("2")));
    }
}
