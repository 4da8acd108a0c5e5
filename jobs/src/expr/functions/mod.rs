//! The functions of expressions: their names, their signatures for the checker, and their code.
//!
//! A function's code takes values of any type and answers [`Kind::NoMatch`] when no overload fits, so checked and unchecked calls run
//! the same. Every function carries an example that is true; the tests evaluate them all.

mod convert;
mod encode;
mod format;
mod list;
mod math;
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
pub(super) use regexes::compile as compile_regex;
pub(super) use time::parse_duration;

/// What running a function gives.
pub(super) type Outcome = Result<Val<'static>, EvalError>;

/// A function.
pub(super) struct Function {
    /// The name; with a namespace (`math.abs`) where it has one.
    pub name: &'static str,
    pub style: Style,
    /// The parameters, the receiver first, and the result.
    pub overloads: &'static [(&'static [T], T)],
    pub call: fn(&[Val<'_>]) -> Outcome,
    /// An expression that is true.
    #[cfg_attr(not(test), expect(dead_code, reason = "the tests run it"))]
    pub example: &'static str,
}

impl std::fmt::Debug for Function {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// How a function is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// `f(x)`
    Global,
    /// `x.f()`
    Member,
    /// Both.
    Either,
}

/// A type in a signature.
#[derive(Clone, Copy, Debug)]
pub(super) enum T {
    Bool,
    Int,
    Uint,
    Double,
    String,
    Bytes,
    Timestamp,
    Duration,
    Type,
    Any,
    /// Whatever the first use of it in the arguments is.
    A,
    List(&'static T),
    Map,
    Optional(&'static T),
}

impl T {
    /// Does an argument fit? Binds `A`.
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
            | (Self::String, Ty::String)
            | (Self::Bytes, Ty::Bytes)
            | (Self::Timestamp, Ty::Timestamp)
            | (Self::Duration, Ty::Duration)
            | (Self::Type, Ty::Type)
            | (Self::Map, Ty::Map(..)) => true,
            (Self::List(inner), Ty::List(element)) => inner.accepts(element, a),
            (Self::Optional(inner), Ty::Optional(element)) => inner.accepts(element, a),
            _ => false,
        }
    }

    /// The type it stands for, with what `A` is bound to.
    pub fn resolve(self, a: Option<&Ty>) -> Ty {
        match self {
            Self::Bool => Ty::Bool,
            Self::Int => Ty::Int,
            Self::Uint => Ty::Uint,
            Self::Double => Ty::Double,
            Self::String => Ty::String,
            Self::Bytes => Ty::Bytes,
            Self::Timestamp => Ty::Timestamp,
            Self::Duration => Ty::Duration,
            Self::Type => Ty::Type,
            Self::Any => Ty::Any,
            Self::A => a.cloned().unwrap_or(Ty::Any),
            Self::List(inner) => Ty::list(inner.resolve(a)),
            Self::Map => Ty::map(Ty::Any, Ty::Any),
            Self::Optional(inner) => Ty::Optional(Box::new(inner.resolve(a))),
        }
    }
}

/// No overload fits.
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

fn all() -> impl Iterator<Item = &'static Function> {
    [
        convert::FUNCTIONS,
        string::FUNCTIONS,
        format::FUNCTIONS,
        regexes::FUNCTIONS,
        time::FUNCTIONS,
        math::FUNCTIONS,
        list::FUNCTIONS,
        encode::FUNCTIONS,
        optional::FUNCTIONS,
    ]
    .into_iter()
    .flatten()
}

/// The function of this name that can be called this way.
pub(super) fn find(name: &str, member: bool) -> Option<&'static Function> {
    let wanted = if member { Style::Member } else { Style::Global };
    let named = BY_NAME.get(name)?;
    named.iter().copied().find(|f| f.style == wanted || f.style == Style::Either)
}

/// The names of all functions.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    BY_NAME.keys().copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expr::Expr;
    use tidegate_connectors::row::{Row, Schema};

    #[test]
    fn the_example_of_every_function_is_true() {
        for function in all() {
            let expr = Expr::compile(function.example, &Schema::default()).unwrap_or_else(|p| panic!("{}: {p:?}", function.example));
            assert_eq!(expr.test(&Row::default()), Ok(true), "{}", function.example);
        }
    }
}
