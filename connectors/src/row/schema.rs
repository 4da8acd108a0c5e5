//! What the fields of a row are called and hold.

use serde::{Deserialize, Serialize};

/// The type of a field or an expression. `Any` is decided per value, at run time.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Type {
    /// Only null.
    Null,
    /// `true` or `false`.
    Bool,
    /// A 64-bit signed integer.
    Int,
    /// A 64-bit unsigned integer (CEL's `1u`).
    Uint,
    /// A 64-bit float.
    Double,
    /// UTF-8 text.
    String,
    /// Octets.
    Bytes,
    /// An instant, to the nanosecond.
    Timestamp,
    /// A span of time, to the nanosecond, possibly negative.
    Duration,
    /// A list whose elements have the given type.
    List(Box<Type>),
    /// A map from keys of the first type to values of the second.
    Map(Box<Type>, Box<Type>),
    /// A value of any type.
    Any,
}

impl Type {
    /// A list of anything.
    #[must_use]
    pub fn list() -> Self {
        Self::List(Box::new(Self::Any))
    }

    /// A map from text to anything.
    #[must_use]
    pub fn map() -> Self {
        Self::Map(Box::new(Self::String), Box::new(Self::Any))
    }
}

impl std::fmt::Display for Type {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = match self {
            Self::Null => "null",
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Uint => "uint",
            Self::Double => "double",
            Self::String => "string",
            Self::Bytes => "bytes",
            Self::Timestamp => "timestamp",
            Self::Duration => "duration",
            Self::Any => "any",
            Self::List(element) if **element == Self::Any => "list",
            Self::List(element) => return write!(f, "list({element})"),
            Self::Map(_, value) if **value == Self::Any => "map",
            Self::Map(key, value) => return write!(f, "map({key}, {value})"),
        };
        f.write_str(name)
    }
}

/// A named slot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    /// The name, unique in its schema.
    pub name: String,
    /// What the slot holds; null may stand in any slot.
    pub ty: Type,
}

/// The fields of the rows of one stream, in slot order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schema {
    fields: Vec<Field>,
}

impl Schema {
    /// The name of the slot that holds, as a map, what has no slot of its own. No expression can spell it; JSON writes its entries as fields.
    pub const REST: &'static str = "*";

    /// A schema of these fields. A later field of a name already taken is dropped.
    pub fn new(fields: impl IntoIterator<Item = (impl Into<String>, Type)>) -> Self {
        let mut schema = Self::default();
        for (name, ty) in fields {
            schema.add(name, ty);
        }
        schema
    }

    /// Adds a field in the next slot and returns the slot; of a name already taken, the slot it has.
    pub fn add(&mut self, name: impl Into<String>, ty: Type) -> usize {
        let name = name.into();
        self.slot(&name).unwrap_or_else(|| {
            self.fields.push(Field { name, ty });
            self.fields.len() - 1
        })
    }

    /// The slot of the field of this name.
    #[must_use]
    pub fn slot(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|f| f.name == name)
    }

    /// The fields in slot order.
    #[must_use]
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// The names in slot order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().map(|f| f.name.as_str())
    }

    /// The number of slots.
    #[must_use]
    pub fn width(&self) -> usize {
        self.fields.len()
    }
}
