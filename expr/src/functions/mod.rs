//! The functions of expressions: their names, their signatures for the checker, and their implementations.
//!
//! An implementation takes values of any type and returns [`Kind::NoMatch`] if no overload fits, so checked and
//! unchecked calls run the same code. Every function has examples, which the reference shows and the tests evaluate.

mod convert;
mod encode;
mod format;
mod geo;
mod hash;
mod json;
mod list;
mod macros;
mod math;
mod net;
mod optional;
mod regexes;
mod string;
mod time;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::error::{EvalError, Kind};
use super::ty::Ty;
use super::val::Val;

pub(super) use encode::{decode as base64_decode, encode as base64_encode};
pub(super) use format::check as check_template;
pub(super) use json::from_json;
pub(super) use macros::MACROS;
pub(super) use net::{no_cidr, no_ip};
pub(super) use regexes::{SIZE as MAX_REGEX, check_replacement, compile as compile_regex};
pub(super) use time::time_zone;

/// The result of running a function.
pub(super) type Outcome = Result<Val<'static>, EvalError>;

/// A function.
pub(super) struct Function {
    /// The name, including its namespace (`math.abs`) if it has one.
    pub name: &'static str,
    pub style: Style,
    /// The parameters, the receiver first, and the result type.
    pub overloads: &'static [(&'static [T], T)],
    pub call: fn(&[Val<'_>]) -> Outcome,
    /// What it does, in a sentence or two.
    pub doc: &'static str,
    /// Pairs of an expression and another that it equals.
    pub examples: &'static [(&'static str, &'static str)],
}

impl std::fmt::Debug for Function {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} {}", self.style, self.name)
    }
}

/// How a function is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// `f(x)`
    Global,
    /// `x.f()`
    Member,
    /// `f(x)` and `x.f()`
    Either,
}

/// A type in a signature.
#[derive(Clone, Copy, Debug)]
pub(super) enum T {
    Bool,
    Int,
    Uint,
    Double,
    Decimal,
    String,
    Bytes,
    Timestamp,
    Duration,
    Type,
    Ip,
    Cidr,
    /// A number of any type.
    Number,
    Any,
    /// A type variable, bound by the arguments.
    A,
    List(&'static T),
    Map,
    Optional(&'static T),
}

impl T {
    /// Whether the parameter accepts an argument of this type. Binds `A`.
    pub fn accepts(self, ty: &Ty, a: &mut Option<Ty>) -> bool {
        match (self, ty) {
            (Self::A, ty) => {
                let bound = a.take().map_or_else(|| ty.clone(), |b| b.join(ty.clone()));
                *a = Some(bound);
                true
            }
            (Self::Any, _)
            | (_, Ty::Any)
            | (Self::Bool, Ty::Bool)
            | (Self::Int, Ty::Int)
            | (Self::Uint, Ty::Uint)
            | (Self::Double, Ty::Double)
            | (Self::Decimal, Ty::Decimal)
            | (Self::String, Ty::String)
            | (Self::Bytes, Ty::Bytes)
            | (Self::Timestamp, Ty::Timestamp)
            | (Self::Duration, Ty::Duration)
            | (Self::Type, Ty::Type)
            | (Self::Ip, Ty::Ip)
            | (Self::Cidr, Ty::Cidr)
            | (Self::Number, Ty::Int | Ty::Uint | Ty::Double | Ty::Decimal)
            | (Self::Map, Ty::Map(..)) => true,
            (Self::List(inner), Ty::List(element)) => inner.accepts(element, a),
            (Self::Optional(inner), Ty::Optional(element)) => inner.accepts(element, a),
            _ => false,
        }
    }

    /// The type's name in the reference.
    pub fn named(self) -> String {
        match self {
            Self::A => "T".into(),
            Self::Number => "number".into(),
            Self::Map => "map".into(),
            Self::List(inner) => format!("list({})", inner.named()),
            Self::Optional(inner) => format!("optional({})", inner.named()),
            other => other.resolve(None).to_string(),
        }
    }

    /// The type itself, with `A` replaced by what it is bound to.
    pub fn resolve(self, a: Option<&Ty>) -> Ty {
        match self {
            Self::Bool => Ty::Bool,
            Self::Int => Ty::Int,
            Self::Uint => Ty::Uint,
            Self::Double => Ty::Double,
            Self::Decimal => Ty::Decimal,
            Self::String => Ty::String,
            Self::Bytes => Ty::Bytes,
            Self::Timestamp => Ty::Timestamp,
            Self::Duration => Ty::Duration,
            Self::Type => Ty::Type,
            Self::Ip => Ty::Ip,
            Self::Cidr => Ty::Cidr,
            Self::Any | Self::Number => Ty::Any,
            Self::A => a.cloned().unwrap_or(Ty::Any),
            Self::List(inner) => Ty::list(inner.resolve(a)),
            Self::Map => Ty::map(Ty::Any, Ty::Any),
            Self::Optional(inner) => Ty::Optional(Box::new(inner.resolve(a))),
        }
    }
}

/// The result if no overload fits.
fn no_match() -> Outcome {
    Err(Kind::NoMatch.into())
}

static BY_NAME: LazyLock<BTreeMap<&'static str, Vec<&'static Function>>> = LazyLock::new(|| {
    let mut functions: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for function in all() {
        functions.entry(function.name).or_default().push(function);
    }
    functions
});

/// All functions, grouped by topic.
pub(super) const GROUPS: &[(&str, &[Function])] = &[
    ("Conversions and types", convert::FUNCTIONS),
    ("Text", string::FUNCTIONS),
    ("Text from a pattern", format::FUNCTIONS),
    ("Regular expressions", regexes::FUNCTIONS),
    ("Lists, and sizes", list::FUNCTIONS),
    ("Numbers", math::FUNCTIONS),
    ("Timestamps and durations", time::FUNCTIONS),
    ("Networks", net::FUNCTIONS),
    ("Places", geo::FUNCTIONS),
    ("JSON", json::FUNCTIONS),
    ("Base64", encode::FUNCTIONS),
    ("Hashes", hash::FUNCTIONS),
    ("Optionals", optional::FUNCTIONS),
];

fn all() -> impl Iterator<Item = &'static Function> {
    GROUPS.iter().flat_map(|(_, functions)| functions.iter())
}

/// The function of this name that can be called in this style.
pub(super) fn find(name: &str, member: bool) -> Option<&'static Function> {
    let wanted = if member { Style::Member } else { Style::Global };
    let named = BY_NAME.get(name)?;
    named.iter().copied().find(|f| f.style == wanted || f.style == Style::Either)
}

/// The names of all functions and macros.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    BY_NAME.keys().copied().chain(MACROS.iter().map(|m| m.name))
}
