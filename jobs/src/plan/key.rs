//! The keys of rows.

use serde::{Deserialize, Serialize};
use tidegate_connectors::row::{Row, Value};

/// The key of a row: one value, a few, or none where the whole stream is one key.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum RowKey {
    /// The whole stream.
    Whole,
    /// By one field.
    One(Value),
    /// By two.
    Two([Value; 2]),
    /// By more.
    Many(Box<[Value]>),
}

impl RowKey {
    /// The values, in the order of the key's fields.
    #[must_use]
    pub fn values(&self) -> &[Value] {
        match self {
            Self::Whole => &[],
            Self::One(value) => std::slice::from_ref(value),
            Self::Two(values) => values,
            Self::Many(values) => values,
        }
    }
}

/// Where the key of a row lies.
#[derive(Clone, Debug)]
pub(super) enum KeySlots {
    Whole,
    One(usize),
    Two(usize, usize),
    Many(Box<[usize]>),
}

impl KeySlots {
    pub(super) fn new(slots: &[usize]) -> Self {
        match *slots {
            [] => Self::Whole,
            [a] => Self::One(a),
            [a, b] => Self::Two(a, b),
            _ => Self::Many(slots.into()),
        }
    }

    #[inline]
    pub(super) fn of(&self, row: &Row) -> RowKey {
        match self {
            Self::Whole => RowKey::Whole,
            Self::One(a) => RowKey::One(row.get(*a).clone()),
            Self::Two(a, b) => RowKey::Two([row.get(*a).clone(), row.get(*b).clone()]),
            Self::Many(slots) => RowKey::Many(slots.iter().map(|slot| row.get(*slot).clone()).collect()),
        }
    }
}
