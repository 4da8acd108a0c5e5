//! Decisions, and how they are written into records.

use std::sync::Arc;

use tidegate_rows::{Type, Value};

/// The fields that a decision adds to a record, in order.
pub fn fields() -> [(&'static str, Type); 9] {
    [
        ("scenario", Type::String),
        ("action", Type::String),
        ("score", Type::Any),
        ("list", Type::map()),
        ("hits", Type::list()),
        ("shadow", Type::map()),
        ("errors", Type::list()),
        ("degraded", Type::Bool),
        ("version", Type::Int),
    ]
}

/// The number of those fields.
pub(crate) const WIDTH: usize = 9;

/// What is decided about a record in one scenario.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Decision {
    /// The scenario. Null for a record of none.
    pub scenario: Value,
    /// The action. Null for a record of no scenario.
    pub action: Value,
    /// The sum of the scores of the hits.
    pub score: Value,
    /// The list that decided, if one did.
    pub list: Value,
    /// The hits, in the order of evaluation.
    pub hits: Vec<Value>,
    /// What shadow rules say. Null if none is in effect.
    pub shadow: Value,
    /// The errors of rules and checks.
    pub errors: Vec<Value>,
    /// Whether there were errors.
    pub degraded: bool,
    /// The version of the rules.
    pub version: u64,
}

impl Decision {
    /// No decision: the record is of no scenario.
    pub fn none(version: u64) -> Self {
        Self {
            scenario: Value::Null,
            action: Value::Null,
            score: Value::Int(0),
            list: Value::Null,
            hits: Vec::new(),
            shadow: Value::Null,
            errors: Vec::new(),
            degraded: false,
            version,
        }
    }

    /// The values of the fields, in order. `nothing` is the list without items.
    pub fn into_values(self, nothing: &Arc<Vec<Value>>) -> [Value; WIDTH] {
        let Self { scenario, action, score, list, hits, shadow, errors, degraded, version } = self;
        let version = Value::Int(i64::try_from(version).unwrap_or(i64::MAX));
        let list_of = |items: Vec<Value>| Value::List(if items.is_empty() { Arc::clone(nothing) } else { Arc::new(items) });
        [scenario, action, score, list, list_of(hits), shadow, list_of(errors), Value::Bool(degraded), version]
    }
}

/// A map with these keys.
pub(crate) fn map<const N: usize>(entries: [(&str, Value); N]) -> Value {
    Value::Map(Arc::new(entries.map(|(key, value)| (Value::string(key), value)).into()))
}

/// The sum of two scores: of integers as long as it is one.
pub(crate) fn plus(a: &Value, b: &Value) -> Value {
    if let (Value::Int(a), Value::Int(b)) = (a, b)
        && let Some(sum) = a.checked_add(*b)
    {
        return Value::Int(sum);
    }
    Value::Double(a.as_f64().unwrap_or(0.0) + b.as_f64().unwrap_or(0.0))
}
