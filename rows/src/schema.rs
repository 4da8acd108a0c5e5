//! The names and types of a row's fields.

use serde::{Deserialize, Serialize};

use super::{Row, Value};

/// The type of a field or an expression. The type of `Any` is decided per value, at run time.
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
    /// A byte string.
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
    /// An exact decimal number. It must stay last: variants are stored by index, so their order is fixed for good.
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
    /// The type of the slot's values. Any slot may also hold null.
    pub ty: Type,
    /// Whether a row may lack the field. The slot then holds [`Value::Absent`].
    pub optional: bool,
}

/// The fields of the rows of one stream, in slot order.
///
/// An open schema does not know all fields of its rows. Its first slot holds the rest: the fields without a slot of
/// their own, as a map from names to values. The rest never contains a field that the schema names, so a name always
/// refers to one value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schema {
    fields: Vec<Field>,
    open: bool,
}

impl Schema {
    /// An open schema that names no fields yet.
    #[must_use]
    pub fn open() -> Self {
        Self { fields: Vec::new(), open: true }
    }

    /// An empty schema, which is open if this one is.
    #[must_use]
    pub fn without_fields(&self) -> Self {
        Self { fields: Vec::new(), open: self.open }
    }

    /// A schema of these fields. If a name repeats, only the first field with it is kept.
    pub fn new(fields: impl IntoIterator<Item = (impl Into<String>, Type)>) -> Self {
        let mut schema = Self::default();
        for (name, ty) in fields {
            schema.add(name, ty);
        }
        schema
    }

    /// Adds a field that every row has and returns its slot. If the name is taken, returns the existing slot.
    pub fn add(&mut self, name: impl Into<String>, ty: Type) -> usize {
        self.add_field(Field { name: name.into(), ty, optional: false })
    }

    /// Adds a field and returns its slot. If the name is taken, returns the existing slot.
    pub fn add_field(&mut self, field: Field) -> usize {
        self.slot(&field.name).unwrap_or_else(|| {
            self.fields.push(field);
            self.width() - 1
        })
    }

    /// Declares that every row has the field of this name, with this type.
    pub fn require(&mut self, name: &str, ty: Type) {
        if let Some(field) = self.fields.iter_mut().find(|f| f.name == name) {
            *field = Field { name: field.name.clone(), ty, optional: false };
        }
    }

    /// Removes the name of a field, which keeps its slot. Expressions no longer find it.
    pub fn hide(&mut self, name: &str) {
        if let Some(field) = self.fields.iter_mut().find(|f| f.name == name) {
            field.name.clear();
        }
    }

    /// The slot of the field with this name.
    #[must_use]
    pub fn slot(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|f| f.name == name).map(|at| at + usize::from(self.open))
    }

    /// The slot that holds all unnamed fields, if the schema is open.
    #[must_use]
    pub fn rest(&self) -> Option<usize> {
        self.open.then_some(0)
    }

    /// The field in this slot.
    #[must_use]
    pub fn field(&self, slot: usize) -> Option<&Field> {
        self.fields.get(slot.checked_sub(usize::from(self.open))?)
    }

    /// The field with this name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|f| f.name == name)
    }

    /// Whether the schema promises a field of this name. An optional field of an open schema only says that something asks for
    /// the name: perhaps no row has it.
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

    /// A row with null in every required field and no optional fields.
    #[must_use]
    pub fn blank(&self) -> Row {
        let rest = self.open.then_some(Value::Absent);
        rest.into_iter().chain(self.fields.iter().map(|f| if f.optional { Value::Absent } else { Value::Null })).collect()
    }
}
