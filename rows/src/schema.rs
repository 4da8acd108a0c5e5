//! What the fields of a row are called and hold.

use serde::{Deserialize, Serialize};

use super::{Row, Value};

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
    /// An exact decimal number. (Stored by its number, a variant has its place for ever: this one is the last.)
    Decimal,
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
            Self::Decimal => "decimal",
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
    /// May a row lack the field? Then [`Value::Absent`] stands in the slot.
    pub optional: bool,
}

/// The fields of the rows of one stream, in slot order.
///
/// An open schema does not know all fields of its rows. Its first slot holds the rest: the fields without a slot of their own, as a map from
/// names to values. The rest never has a field that the schema names, so a name means one value, whoever looks it up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schema {
    fields: Vec<Field>,
    open: bool,
}

impl Schema {
    /// An open schema that names no field yet.
    #[must_use]
    pub fn open() -> Self {
        Self { fields: Vec::new(), open: true }
    }

    /// A schema without fields, open if this one is.
    #[must_use]
    pub fn without_fields(&self) -> Self {
        Self { fields: Vec::new(), open: self.open }
    }

    /// A schema of these fields. A later field of a name already taken is dropped.
    pub fn new(fields: impl IntoIterator<Item = (impl Into<String>, Type)>) -> Self {
        let mut schema = Self::default();
        for (name, ty) in fields {
            schema.add(name, ty);
        }
        schema
    }

    /// Adds a field that every row has in the next slot and returns the slot; of a name already taken, the slot it has.
    pub fn add(&mut self, name: impl Into<String>, ty: Type) -> usize {
        self.add_field(Field { name: name.into(), ty, optional: false })
    }

    /// Adds a field in the next slot and returns the slot; of a name already taken, the slot it has.
    pub fn add_field(&mut self, field: Field) -> usize {
        self.slot(&field.name).unwrap_or_else(|| {
            self.fields.push(field);
            self.width() - 1
        })
    }

    /// Every row has the field of this name, and it is of this type.
    pub fn require(&mut self, name: &str, ty: Type) {
        if let Some(field) = self.fields.iter_mut().find(|f| f.name == name) {
            *field = Field { name: field.name.clone(), ty, optional: false };
        }
    }

    /// Takes the name from a field, which keeps its slot: no expression finds it.
    pub fn hide(&mut self, name: &str) {
        if let Some(field) = self.fields.iter_mut().find(|f| f.name == name) {
            field.name.clear();
        }
    }

    /// The slot of the field of this name.
    #[must_use]
    pub fn slot(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|f| f.name == name).map(|at| at + usize::from(self.open))
    }

    /// The slot of the fields that have none of their own, if the schema is open.
    #[must_use]
    pub fn rest(&self) -> Option<usize> {
        self.open.then_some(0)
    }

    /// The field in this slot.
    #[must_use]
    pub fn field(&self, slot: usize) -> Option<&Field> {
        self.fields.get(slot.checked_sub(usize::from(self.open))?)
    }

    /// The field of this name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|f| f.name == name)
    }

    /// Is it known before a row comes that the field is one of these rows? Not so in an open schema of one that a row may lack: nobody may have it.
    #[must_use]
    pub fn declares(&self, name: &str) -> bool {
        self.named(name).is_some_and(|field| !(field.optional && self.open))
    }

    /// The fields with their slots, in slot order.
    pub fn fields(&self) -> impl Iterator<Item = (usize, &Field)> {
        self.fields.iter().enumerate().map(|(at, field)| (at + usize::from(self.open), field))
    }

    /// The names in slot order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().map(|f| f.name.as_str())
    }

    /// The number of slots.
    #[must_use]
    pub fn width(&self) -> usize {
        self.fields.len() + usize::from(self.open)
    }

    /// A row that says nothing: null in every field that it must have, and no other field.
    #[must_use]
    pub fn blank(&self) -> Row {
        let rest = self.open.then_some(Value::Absent);
        rest.into_iter().chain(self.fields.iter().map(|f| if f.optional { Value::Absent } else { Value::Null })).collect()
    }
}
