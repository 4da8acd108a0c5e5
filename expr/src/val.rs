//! The values of a running expression: values of rows, borrowed where possible, and values that rows can't hold, such
//! as types and optionals.
//!
//! A list or map is a [`Value`] unless it contains something that is not; only then it takes one of the rich forms
//! here. So reading the lists of a record never copies them.

use std::sync::Arc;

use tidegate_rows::Value;

use super::error::{EvalError, Kind, Tag};
use super::net::Net;

/// A value during evaluation. `'a` is the lifetime of the row and the expression.
#[derive(Clone, Debug)]
pub(super) enum Val<'a> {
    Ref(&'a Value),
    Own(Value),
    /// The name of a type.
    Type(&'static str),
    Net(Net),
    Optional(Option<Arc<Val<'static>>>),
    /// A list in which at least one element is not a `Value`.
    List(Arc<Vec<Val<'static>>>),
    /// A map in which at least one value is not a `Value`.
    Map(Arc<Vec<(Value, Val<'static>)>>),
}

impl<'a> Val<'a> {
    pub const NULL: Self = Self::Own(Value::Null);

    pub fn bool(v: bool) -> Self {
        Self::Own(Value::Bool(v))
    }

    pub fn int(v: i64) -> Self {
        Self::Own(Value::Int(v))
    }

    pub fn text(v: impl AsRef<str>) -> Self {
        Self::Own(Value::string(v))
    }

    pub fn some(v: Val<'_>) -> Self {
        Self::Optional(Some(Arc::new(v.into_static())))
    }

    /// Makes a list, of plain values if all elements are plain.
    pub fn list(items: Vec<Val<'_>>) -> Self {
        if items.iter().all(|v| v.data().is_some()) {
            Self::Own(Value::list(items.into_iter().filter_map(Val::into_data)))
        } else {
            Self::List(Arc::new(items.into_iter().map(Val::into_static).collect()))
        }
    }

    /// Makes a map, of plain values if all values are plain.
    pub fn map(entries: Vec<(Value, Val<'_>)>) -> Self {
        if entries.iter().all(|(_, v)| v.data().is_some()) {
            Self::Own(Value::map(entries.into_iter().filter_map(|(k, v)| v.into_data().map(|v| (k, v)))))
        } else {
            Self::Map(Arc::new(entries.into_iter().map(|(k, v)| (k, v.into_static())).collect()))
        }
    }

    /// The plain value, if this is one.
    #[inline]
    pub fn data(&self) -> Option<&Value> {
        match self {
            Self::Ref(v) => Some(v),
            Self::Own(v) => Some(v),
            _ => None,
        }
    }

    pub fn into_data(self) -> Option<Value> {
        match self {
            Self::Ref(v) => Some(v.clone()),
            Self::Own(v) => Some(v),
            _ => None,
        }
    }

    pub fn into_static(self) -> Val<'static> {
        match self {
            Self::Ref(v) => Val::Own(v.clone()),
            Self::Own(v) => Val::Own(v),
            Self::Type(v) => Val::Type(v),
            Self::Net(v) => Val::Net(v),
            Self::Optional(v) => Val::Optional(v),
            Self::List(v) => Val::List(v),
            Self::Map(v) => Val::Map(v),
        }
    }

    /// The value that a row can hold: a type becomes its name, an address its text, an optional its content or null.
    pub fn into_value(self) -> Value {
        match self {
            Self::Ref(v) => v.clone(),
            Self::Own(v) => v,
            Self::Type(name) => Value::string(name),
            Self::Net(net) => Value::string(net.to_string()),
            Self::Optional(None) => Value::Null,
            Self::Optional(Some(inner)) => (*inner).clone().into_value(),
            Self::List(items) => Value::list(items.iter().cloned().map(Val::into_value)),
            Self::Map(entries) => Value::map(entries.iter().cloned().map(|(k, v)| (k, v.into_value()))),
        }
    }

    /// The same value, borrowed from `self` where possible.
    pub fn reborrow<'b>(&'b self) -> Val<'b> {
        match self {
            Self::Ref(v) => Val::Ref(v),
            Self::Own(v) => Val::Ref(v),
            other => other.clone(),
        }
    }

    pub fn tag(&self) -> Tag {
        match self {
            Self::Ref(v) => Tag::of(v),
            Self::Own(v) => Tag::of(v),
            Self::Type(_) => Tag::Type,
            Self::Net(Net::Ip(_)) => Tag::Ip,
            Self::Net(Net::Cidr(_)) => Tag::Cidr,
            Self::Optional(_) => Tag::Optional,
            Self::List(_) => Tag::List,
            Self::Map(_) => Tag::Map,
        }
    }

    /// The bool. No other type is converted.
    #[inline]
    pub fn truth(&self) -> Result<bool, EvalError> {
        match self.data() {
            Some(Value::Bool(v)) => Ok(*v),
            _ => Err(Kind::Expected(&Tag::Bool, self.tag()).into()),
        }
    }

    /// The elements, if this is a list.
    pub fn items(&self) -> Option<Items<'_>> {
        match self {
            Self::List(items) => Some(Items::Rich(items)),
            other => match other.data() {
                Some(Value::List(items)) => Some(Items::Plain(items)),
                _ => None,
            },
        }
    }

    /// The entries, if this is a map.
    pub fn entries(&self) -> Option<Entries<'_>> {
        match self {
            Self::Map(entries) => Some(Entries::Rich(entries)),
            other => match other.data() {
                Some(Value::Map(entries)) => Some(Entries::Plain(entries)),
                _ => None,
            },
        }
    }
}

impl From<Value> for Val<'_> {
    fn from(value: Value) -> Self {
        Self::Own(value)
    }
}

/// A view of a list.
#[derive(Clone, Copy)]
pub(super) enum Items<'a> {
    Plain(&'a [Value]),
    Rich(&'a [Val<'static>]),
}

impl<'a> Items<'a> {
    pub fn len(self) -> usize {
        match self {
            Self::Plain(items) => items.len(),
            Self::Rich(items) => items.len(),
        }
    }

    pub fn get(self, index: usize) -> Option<Val<'a>> {
        match self {
            Self::Plain(items) => items.get(index).map(Val::Ref),
            Self::Rich(items) => items.get(index).map(Val::reborrow),
        }
    }

    pub fn iter(self) -> impl DoubleEndedIterator<Item = Val<'a>> + ExactSizeIterator {
        (0..self.len()).map(move |i| self.get(i).unwrap_or(Val::NULL))
    }
}

/// A view of a map.
#[derive(Clone, Copy)]
pub(super) enum Entries<'a> {
    Plain(&'a [(Value, Value)]),
    Rich(&'a [(Value, Val<'static>)]),
}

impl<'a> Entries<'a> {
    pub fn len(self) -> usize {
        match self {
            Self::Plain(entries) => entries.len(),
            Self::Rich(entries) => entries.len(),
        }
    }

    pub fn get(self, index: usize) -> Option<(&'a Value, Val<'a>)> {
        match self {
            Self::Plain(entries) => entries.get(index).map(|(k, v)| (k, Val::Ref(v))),
            Self::Rich(entries) => entries.get(index).map(|(k, v)| (k, v.reborrow())),
        }
    }

    pub fn iter(self) -> impl Iterator<Item = (&'a Value, Val<'a>)> {
        (0..self.len()).filter_map(move |i| self.get(i))
    }

    /// The value of a key. Equal numbers of different types are the same key.
    pub fn find(self, key: &Value) -> Option<Val<'a>> {
        self.iter().find(|(k, _)| super::ops::same(k, key)).map(|(_, v)| v)
    }
}
