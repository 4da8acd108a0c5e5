//! Constant lists on the right side of `in`, as hash sets.

use foldhash::fast::FixedState;
use hashbrown::HashSet;
use tidegate_rows::Value;

use super::display::Plain;
use super::error::EvalError;
use super::ops;
use crate::canonical::canonical;

/// Below this many elements, a scan is at least as fast.
const SMALL: usize = 6;

/// The strings of a constant list.
#[derive(Clone, Debug)]
pub(super) struct TextSet {
    texts: Texts,
    pub has_null: bool,
}

#[derive(Clone, Debug)]
enum Texts {
    Few(Vec<Box<str>>),
    Many(HashSet<Box<str>, FixedState>),
}

impl TextSet {
    /// The set, if the list has only strings (and nulls).
    pub fn new(items: &[Value]) -> Option<Self> {
        if !items.iter().all(|v| matches!(v, Value::String(_) | Value::Null)) {
            return None;
        }
        let texts = items.iter().filter_map(Value::as_str).map(Box::from);
        let texts = if items.len() <= SMALL { Texts::Few(texts.collect()) } else { Texts::Many(texts.collect()) };
        Some(Self { texts, has_null: items.iter().any(Value::is_null) })
    }

    #[inline]
    pub fn contains(&self, text: &str) -> bool {
        match &self.texts {
            Texts::Few(texts) => texts.iter().any(|t| **t == *text),
            Texts::Many(texts) => texts.contains(text),
        }
    }
}

/// The elements of a constant list of scalars.
#[derive(Clone, Debug)]
pub(super) struct ConstSet {
    all: Vec<Value>,
    hashed: Option<HashSet<Value, FixedState>>,
}

impl ConstSet {
    /// The set, if the list has only scalars.
    pub fn new(items: &[Value]) -> Option<Self> {
        if items.iter().any(|v| matches!(v, Value::List(_) | Value::Map(_))) {
            return None;
        }
        let hashed = (items.len() > SMALL && items.iter().all(exact)).then(|| items.iter().map(canonical).collect());
        Some(Self { all: items.to_vec(), hashed })
    }

    pub fn contains(&self, value: &Value) -> bool {
        match (&self.hashed, value) {
            (Some(set), Value::Uint(_) | Value::Double(_) | Value::Decimal(_)) if exact(value) => set.contains(&canonical(value)),
            (Some(set), value) if exact(value) => set.contains(value),
            _ => self.all.iter().any(|v| ops::same(v, value)),
        }
    }
}

/// The keys of a map under construction.
#[derive(Default)]
pub(super) struct Keys(HashSet<Value, FixedState>);

impl Keys {
    /// Adds a key. Fails if it is already there.
    pub fn add(&mut self, key: &Value) -> Result<(), EvalError> {
        if self.0.insert(canonical(key)) { Ok(()) } else { Err(EvalError::message(format!("the key {} occurs twice", Plain(key)))) }
    }
}

/// Whether `==` on this value is equality of canonical forms. It is not for NaN; lists and maps don't go into sets.
fn exact(value: &Value) -> bool {
    match value {
        Value::Double(v) => !v.is_nan(),
        Value::List(_) | Value::Map(_) => false,
        _ => true,
    }
}
