//! Evaluation errors.
//!
//! An [`EvalError`] is cheap to create, because a stream may produce one per record: nothing is formatted until it is
//! printed.

use std::fmt;

use tidegate_rows::Value;

/// Why an expression has no value for a row. `Display` is one phrase, such as `division by zero` or `no such key: x`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvalError(pub(super) Kind);

/// The kinds of errors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    DivisionByZero,
    ModulusByZero,
    Overflow(Tag),
    /// A value that the type can't hold.
    Range(Tag),
    Binary(Op, Tag, Tag),
    Unary(Op, Tag),
    Call(Box<Call>),
    /// No overload of a function fits. [`super::node`] turns this into `Call`, which names the function.
    NoMatch,
    Key(Box<Value>),
    Index(i64),
    Expected(&'static Tag, Tag),
    NoFields(Tag),
    EmptyOptional,
    TooManySteps,
    TooLarge,
    Message(Box<Message>),
}

/// A call that no overload fits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Call {
    pub name: &'static str,
    pub args: Vec<Tag>,
}

/// A custom message behind a thin pointer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message(pub String);

impl EvalError {
    /// An error with a custom message.
    pub(super) fn message(text: impl Into<String>) -> Self {
        Self(Kind::Message(Box::new(Message(text.into()))))
    }

    pub(super) fn key(key: &Value) -> Self {
        Self(Kind::Key(Box::new(key.clone())))
    }
}

impl From<Kind> for EvalError {
    fn from(kind: Kind) -> Self {
        Self(kind)
    }
}

impl std::error::Error for EvalError {}

impl fmt::Display for EvalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::DivisionByZero => f.write_str("division by zero"),
            Kind::ModulusByZero => f.write_str("modulus by zero"),
            Kind::Overflow(tag) => write!(f, "{tag} overflow"),
            Kind::Range(tag) => write!(f, "value out of range of {tag}"),
            Kind::Binary(op, left, right) => write!(f, "no such overload: {left} {} {right}", op.symbol()),
            Kind::Unary(op, tag) => write!(f, "no such overload: {}{tag}", op.symbol()),
            Kind::NoMatch => f.write_str("no such overload"),
            Kind::Call(call) => {
                write!(f, "no such overload: {}(", call.name)?;
                for (i, tag) in call.args.iter().enumerate() {
                    write!(f, "{}{tag}", if i == 0 { "" } else { ", " })?;
                }
                f.write_str(")")
            }
            Kind::Key(key) => write!(f, "no such key: {}", super::display::Plain(key)),
            Kind::Index(index) => write!(f, "index out of range: {index}"),
            Kind::Expected(expected, found) => write!(f, "expected {expected}, found {found}"),
            Kind::NoFields(tag) => write!(f, "{tag} has no fields"),
            Kind::EmptyOptional => f.write_str("the optional has no value"),
            Kind::TooManySteps => f.write_str("the expression takes too many steps"),
            Kind::TooLarge => f.write_str("the result is too large"),
            Kind::Message(text) => f.write_str(&text.0),
        }
    }
}

/// The type of a value at run time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tag {
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
    List,
    Map,
    Type,
    Ip,
    Cidr,
    Optional,
    Number,
}

impl Tag {
    pub fn of(value: &Value) -> Self {
        match value {
            Value::Null | Value::Absent => Self::Null,
            Value::Bool(_) => Self::Bool,
            Value::Int(_) => Self::Int,
            Value::Uint(_) => Self::Uint,
            Value::Double(_) => Self::Double,
            Value::Decimal(_) => Self::Decimal,
            Value::String(_) => Self::String,
            Value::Bytes(_) => Self::Bytes,
            Value::Timestamp(_) => Self::Timestamp,
            Value::Duration(_) => Self::Duration,
            Value::List(_) => Self::List,
            Value::Map(_) => Self::Map,
        }
    }

    /// The name CEL gives the type, as `type(x)` returns it.
    pub fn cel_name(self) -> &'static str {
        match self {
            Self::Null => "null_type",
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Uint => "uint",
            Self::Double | Self::Number => "double",
            Self::Decimal => "decimal",
            Self::String => "string",
            Self::Bytes => "bytes",
            Self::Ip => "net.IP",
            Self::Cidr => "net.CIDR",
            Self::Timestamp => "google.protobuf.Timestamp",
            Self::Duration => "google.protobuf.Duration",
            Self::List => "list",
            Self::Map => "map",
            Self::Type => "type",
            Self::Optional => "optional_type",
        }
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Null => "null",
            Self::Ip => "ip",
            Self::Cidr => "cidr",
            Self::Timestamp => "timestamp",
            Self::Duration => "duration",
            Self::Optional => "optional",
            Self::Number => "number",
            other => other.cel_name(),
        })
    }
}

/// The operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    Add,
    Sub,
    Mul,
    Div,
    Rem,
    Neg,
    Lt,
    Le,
    Gt,
    Ge,
    Eq,
    Ne,
    In,
    Index,
}

impl Op {
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Sub | Self::Neg => "-",
            Self::Mul => "*",
            Self::Div => "/",
            Self::Rem => "%",
            Self::Lt => "<",
            Self::Le => "<=",
            Self::Gt => ">",
            Self::Ge => ">=",
            Self::Eq => "==",
            Self::Ne => "!=",
            Self::In => "in",
            Self::Index => "[]",
        }
    }

    /// Whether this is `==` or `!=`.
    pub fn is_equality(self) -> bool {
        matches!(self, Self::Eq | Self::Ne)
    }

    /// Whether the comparison holds for two values of one type.
    #[inline]
    pub fn holds<T: PartialOrd + ?Sized>(self, a: &T, b: &T) -> bool {
        match self {
            Self::Lt => a < b,
            Self::Le => a <= b,
            Self::Gt => a > b,
            Self::Ge => a >= b,
            Self::Ne => a != b,
            _ => a == b,
        }
    }
}
