//! Nodes for operands of known types. They work on machine numbers and borrowed text, and allocate nothing.
//!
//! A slot may always be null. Null equals only null; any other operation on it is an error.

use regex::Regex;
use tidegate_rows::Value;

use super::arith;
use super::comprehension::Quantifier;
use super::error::{EvalError, Kind, Op, Tag};
use super::node::{Env, Node};
use super::ops::{self, tag_or_null};
use super::set::{ConstSet, TextSet};
use super::val::Val;

/// A condition.
#[derive(Clone, Debug)]
pub(super) enum BoolNode {
    Const(bool),
    Slot(usize),
    /// `&&` of all terms: false if any is false, else the first error.
    All(Box<[BoolNode]>),
    /// `||` of all terms: true if any is true, else the first error.
    Any(Box<[BoolNode]>),
    Not(Box<BoolNode>),
    Cond(Box<[BoolNode; 3]>),
    Int(Op, IntNode, IntNode),
    Double(Op, DoubleNode, DoubleNode),
    Text(Op, TextNode, TextNode),
    Compare(Op, Box<(Node, Node)>),
    /// Tests for null, or with `false` for not null.
    IsNull(Box<Node>, bool),
    Affix(Affix, TextNode, TextNode),
    Matches(TextNode, Box<Regex>),
    InText(TextNode, Box<TextSet>),
    InSet(Box<Node>, Box<ConstSet>),
    In(Box<(Node, Node)>),
    Has(Box<(Node, Node)>),
    Quantifier(Box<Quantifier>),
    /// A part that several expressions share, by its index.
    Shared(usize),
    /// Any node that should evaluate to a bool.
    Node(Box<Node>),
}

/// Tests whether one text starts with, ends with or contains another.
#[derive(Clone, Copy, Debug)]
pub(super) enum Affix {
    StartsWith,
    EndsWith,
    Contains,
}

impl Affix {
    fn name(self) -> &'static str {
        match self {
            Self::StartsWith => "startsWith",
            Self::EndsWith => "endsWith",
            Self::Contains => "contains",
        }
    }
}

impl BoolNode {
    pub fn test<'a>(&'a self, env: &Env<'a, '_>) -> Result<bool, EvalError> {
        match self {
            Self::Const(v) => Ok(*v),
            Self::Slot(slot) => match env.slot(*slot) {
                Value::Bool(v) => Ok(*v),
                other => Err(Kind::Expected(&Tag::Bool, Tag::of(other)).into()),
            },
            Self::All(terms) => absorb(terms, env, false),
            Self::Any(terms) => absorb(terms, env, true),
            Self::Not(term) => Ok(!term.test(env)?),
            Self::Cond(parts) => {
                if parts[0].test(env)? {
                    parts[1].test(env)
                } else {
                    parts[2].test(env)
                }
            }
            Self::Int(op, left, right) => holds(*op, left.eval(env)?, right.eval(env)?, Tag::Int),
            Self::Double(op, left, right) => holds(*op, left.eval(env)?, right.eval(env)?, Tag::Double),
            Self::Text(op, left, right) => holds(*op, left.eval(env)?, right.eval(env)?, Tag::String),
            Self::Compare(op, sides) => match (sides.0.peek(env), sides.1.peek(env)) {
                (Some(a), Some(b)) => ops::compare_plain(*op, a, b),
                _ => ops::compare(*op, &sides.0.eval(env)?, &sides.1.eval(env)?),
            },
            Self::IsNull(node, wanted) => Ok(matches!(node.eval(env)?.data(), Some(Value::Null)) == *wanted),
            Self::Affix(affix, text, part) => match (text.eval(env)?, part.eval(env)?) {
                (Some(text), Some(part)) => Ok(match affix {
                    Affix::StartsWith => text.starts_with(part),
                    Affix::EndsWith => text.ends_with(part),
                    Affix::Contains => text.contains(part),
                }),
                (text, part) => Err(no_overload(affix.name(), &[tag_or_null(text, Tag::String), tag_or_null(part, Tag::String)])),
            },
            Self::Matches(text, regex) => match text.eval(env)? {
                Some(text) => Ok(regex.is_match(text)),
                None => Err(no_overload("matches", &[Tag::Null, Tag::String])),
            },
            Self::InText(text, set) => Ok(text.eval(env)?.map_or(set.has_null, |text| set.contains(text))),
            Self::InSet(node, set) => Ok(match node.peek(env) {
                Some(value) => set.contains(value),
                None => node.eval(env)?.data().is_some_and(|value| set.contains(value)),
            }),
            Self::In(sides) => ops::contains(&sides.0.eval(env)?, &sides.1.eval(env)?),
            Self::Has(parts) => ops::has(&parts.0.eval(env)?, &parts.1.eval(env)?),
            Self::Quantifier(quantifier) => quantifier.test(env),
            Self::Shared(number) => env.test_shared(*number),
            Self::Node(node) => node.eval(env)?.truth(),
        }
    }
}

fn no_overload(name: &'static str, args: &[Tag]) -> EvalError {
    Kind::Call(Box::new(super::error::Call { name, args: args.to_vec() })).into()
}

/// Evaluates `&&` and `||`: a deciding term wins over the errors of others.
fn absorb<'a>(terms: &'a [BoolNode], env: &Env<'a, '_>, decisive: bool) -> Result<bool, EvalError> {
    let mut error = None;
    for term in terms {
        match term.test(env) {
            Ok(v) if v == decisive => return Ok(decisive),
            Ok(_) => {}
            Err(e) => error = error.or(Some(e)),
        }
    }
    error.map_or(Ok(!decisive), Err)
}

#[inline]
fn holds<T: PartialOrd>(op: Op, a: Option<T>, b: Option<T>, tag: Tag) -> Result<bool, EvalError> {
    match (a, b) {
        (Some(a), Some(b)) => Ok(op.holds(&a, &b)),
        (a, b) => match op {
            Op::Eq => Ok(a.is_none() && b.is_none()),
            Op::Ne => Ok(a.is_some() || b.is_some()),
            _ => Err(Kind::Binary(op, tag_or_null(a, tag), tag_or_null(b, tag)).into()),
        },
    }
}

/// An int, or null.
#[derive(Clone, Debug)]
pub(super) enum IntNode {
    Const(i64),
    Slot(usize),
    Arith(Op, Box<(IntNode, IntNode)>),
    Node(Box<Node>),
}

impl IntNode {
    #[inline]
    pub fn eval<'a>(&'a self, env: &Env<'a, '_>) -> Result<Option<i64>, EvalError> {
        match self {
            Self::Const(v) => Ok(Some(*v)),
            Self::Slot(slot) => Self::of(env.slot(*slot)),
            other => other.compute(env),
        }
    }

    #[inline]
    fn of(value: &Value) -> Result<Option<i64>, EvalError> {
        match value {
            Value::Int(v) => Ok(Some(*v)),
            Value::Null => Ok(None),
            other => Err(Kind::Expected(&Tag::Int, Tag::of(other)).into()),
        }
    }

    #[inline(never)]
    fn compute<'a>(&'a self, env: &Env<'a, '_>) -> Result<Option<i64>, EvalError> {
        match self {
            Self::Arith(op, sides) => match (sides.0.eval(env)?, sides.1.eval(env)?) {
                (Some(a), Some(b)) => arith::int(*op, a, b).map(Some),
                (a, b) => Err(Kind::Binary(*op, tag_or_null(a, Tag::Int), tag_or_null(b, Tag::Int)).into()),
            },
            Self::Node(node) => {
                let value = node.eval(env)?;
                value.data().map_or_else(|| Err(Kind::Expected(&Tag::Int, value.tag()).into()), Self::of)
            }
            Self::Const(v) => Ok(Some(*v)),
            Self::Slot(slot) => Self::of(env.slot(*slot)),
        }
    }
}

/// A number as a double, or null.
#[derive(Clone, Debug)]
pub(super) enum DoubleNode {
    Const(f64),
    Slot(usize),
    Int(Box<IntNode>),
    Arith(Op, Box<(DoubleNode, DoubleNode)>),
    Node(Box<Node>),
}

impl DoubleNode {
    #[inline]
    pub fn eval<'a>(&'a self, env: &Env<'a, '_>) -> Result<Option<f64>, EvalError> {
        match self {
            Self::Const(v) => Ok(Some(*v)),
            Self::Slot(slot) => Self::of(env.slot(*slot)),
            other => other.compute(env),
        }
    }

    #[inline]
    pub fn of(value: &Value) -> Result<Option<f64>, EvalError> {
        match value {
            Value::Double(v) => Ok(Some(*v)),
            Value::Null => Ok(None),
            other => other.as_f64().map(Some).ok_or(EvalError(Kind::Expected(&Tag::Number, Tag::of(other)))),
        }
    }

    /// The type of the operand, for error messages.
    fn tag(&self, value: Option<f64>) -> Tag {
        let tag = if matches!(self, Self::Int(_)) { Tag::Int } else { Tag::Double };
        tag_or_null(value, tag)
    }

    #[inline(never)]
    fn compute<'a>(&'a self, env: &Env<'a, '_>) -> Result<Option<f64>, EvalError> {
        match self {
            Self::Arith(op, sides) => {
                let (a, b) = (sides.0.eval(env)?, sides.1.eval(env)?);
                let result = a.zip(b).and_then(|(a, b)| arith::double(*op, a, b));
                result.map(Some).ok_or_else(|| Kind::Binary(*op, sides.0.tag(a), sides.1.tag(b)).into())
            }
            Self::Int(node) => Ok(node.eval(env)?.map(|v| v as f64)),
            Self::Node(node) => {
                let value = node.eval(env)?;
                value.data().map_or_else(|| Err(Kind::Expected(&Tag::Number, value.tag()).into()), Self::of)
            }
            Self::Const(v) => Ok(Some(*v)),
            Self::Slot(slot) => Self::of(env.slot(*slot)),
        }
    }
}

/// Text that can be borrowed, or null.
#[derive(Clone, Debug)]
pub(super) enum TextNode {
    Const(compact_str::CompactString),
    Slot(usize),
}

impl TextNode {
    /// Makes a text node of a node that only borrows. Returns any other node unchanged.
    pub fn try_from(node: Node) -> Result<Self, Node> {
        match node {
            Node::Slot(slot) => Ok(Self::Slot(slot)),
            Node::Const(Val::Own(Value::String(text))) => Ok(Self::Const(text)),
            other => Err(other),
        }
    }

    /// Converts back to the original node.
    pub fn into_node(self) -> Node {
        match self {
            Self::Const(text) => Node::Const(Val::Own(Value::String(text))),
            Self::Slot(slot) => Node::Slot(slot),
        }
    }

    #[inline]
    pub fn eval<'a>(&'a self, env: &Env<'a, '_>) -> Result<Option<&'a str>, EvalError> {
        match self {
            Self::Const(text) => Ok(Some(text)),
            Self::Slot(slot) => match env.slot(*slot) {
                Value::String(text) => Ok(Some(text)),
                Value::Null => Ok(None),
                other => Err(Kind::Expected(&Tag::String, Tag::of(other)).into()),
            },
        }
    }
}
