//! The types the checker works with: those of schemas, and CEL's type values and optionals.

use std::fmt;

use tidegate_rows::Type;

/// A type of an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ty {
    Null,
    Bool,
    Int,
    Uint,
    Double,
    Decimal,
    String,
    Bytes,
    Timestamp,
    Duration,
    List(Box<Ty>),
    Map(Box<Ty>, Box<Ty>),
    /// The type of type values.
    Type,
    /// A network address.
    Ip,
    /// An address range.
    Cidr,
    Optional(Box<Ty>),
    /// Decided at run time.
    Any,
}

impl Ty {
    pub fn list(element: Self) -> Self {
        Self::List(Box::new(element))
    }

    pub fn map(key: Self, value: Self) -> Self {
        Self::Map(Box::new(key), Box::new(value))
    }

    pub fn is_number(&self) -> bool {
        matches!(self, Self::Int | Self::Uint | Self::Double | Self::Decimal)
    }

    /// Whether a value of this type may be used where a bool is needed.
    pub fn may_be_bool(&self) -> bool {
        matches!(self, Self::Bool | Self::Any)
    }

    /// Whether `==` may compare the two. Numbers of different types are comparable, and null is comparable with
    /// everything.
    pub fn comparable(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Any | Self::Null, _) | (_, Self::Any | Self::Null) => true,
            (Self::List(a), Self::List(b)) | (Self::Optional(a), Self::Optional(b)) => a.comparable(b),
            (Self::Map(k, v), Self::Map(l, w)) => k.comparable(l) && v.comparable(w),
            (a, b) => a == b || a.is_number() && b.is_number(),
        }
    }

    /// The narrowest type that holds values of both. Null fits every type.
    pub fn join(self, other: Self) -> Self {
        match (self, other) {
            (a, b) if a == b => a,
            (Self::Null, a) | (a, Self::Null) => a,
            (Self::List(a), Self::List(b)) => Self::list(a.join(*b)),
            (Self::Optional(a), Self::Optional(b)) => Self::Optional(Box::new(a.join(*b))),
            (Self::Map(k, v), Self::Map(l, w)) => Self::map(k.join(*l), v.join(*w)),
            _ => Self::Any,
        }
    }

    /// The closest type that a row can hold: types and addresses become text, and an empty optional becomes null.
    pub fn to_row(&self) -> Type {
        match self {
            Self::Null => Type::Null,
            Self::Bool => Type::Bool,
            Self::Int => Type::Int,
            Self::Uint => Type::Uint,
            Self::Double => Type::Double,
            Self::Decimal => Type::Decimal,
            Self::String | Self::Type | Self::Ip | Self::Cidr => Type::String,
            Self::Bytes => Type::Bytes,
            Self::Timestamp => Type::Timestamp,
            Self::Duration => Type::Duration,
            Self::Any => Type::Any,
            Self::List(element) => Type::List(Box::new(element.to_row())),
            Self::Map(key, value) => Type::Map(Box::new(key.to_row()), Box::new(value.to_row())),
            Self::Optional(inner) => inner.to_row(),
        }
    }
}

impl From<&Type> for Ty {
    fn from(ty: &Type) -> Self {
        match ty {
            Type::Null => Self::Null,
            Type::Bool => Self::Bool,
            Type::Int => Self::Int,
            Type::Uint => Self::Uint,
            Type::Double => Self::Double,
            Type::Decimal => Self::Decimal,
            Type::String => Self::String,
            Type::Bytes => Self::Bytes,
            Type::Timestamp => Self::Timestamp,
            Type::Duration => Self::Duration,
            Type::Any => Self::Any,
            Type::List(element) => Self::list((&**element).into()),
            Type::Map(key, value) => Self::map((&**key).into(), (&**value).into()),
        }
    }
}

impl fmt::Display for Ty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Type => f.write_str("type"),
            Self::Ip => f.write_str("ip"),
            Self::Cidr => f.write_str("cidr"),
            Self::Optional(inner) if **inner == Self::Any => f.write_str("optional"),
            Self::Optional(inner) => write!(f, "optional({inner})"),
            other => other.to_row().fmt(f),
        }
    }
}
