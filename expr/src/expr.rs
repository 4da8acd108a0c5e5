//! A compiled expression.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use tidegate_rows::{Row, Schema, Type, Value};

use crate::error::{self, EvalError};
use crate::fast::{BoolNode, DoubleNode};
use crate::node::{Env, Node};
use crate::problem::Problem;
use crate::{check, parse, val, visit};

/// A compiled expression. Clones share the compiled form.
///
/// ```
/// use tidegate_rows::{Row, Schema, Type, Value};
/// use tidegate_expr::Expr;
///
/// let schema = Schema::new([("user", Type::String), ("amount", Type::Double)]);
/// let large = Expr::condition("amount > 100.0 && user != 'bank'", &schema).unwrap();
/// let row: Row = [Value::string("ann"), Value::Double(250.0)].into_iter().collect();
/// assert_eq!(large.test(&row), Ok(true));
///
/// let problems = Expr::compile("amuont * 2.0", &schema).unwrap_err();
/// assert_eq!(problems[0].to_string(), "unknown field `amuont`; did you mean `amount`?");
/// assert_eq!(problems[0].span, 0..6);
/// ```
#[derive(Clone)]
pub struct Expr(Arc<Compiled>);

struct Compiled {
    source: String,
    ty: Type,
    code: Code,
}

/// The compiled tree, specialised by its most common use.
#[derive(Clone, Debug)]
pub(crate) enum Code {
    Bool(BoolNode),
    Number(DoubleNode),
    Any(Node),
}

impl Code {
    #[inline]
    pub(crate) fn eval<'a>(&'a self, env: &Env<'a, '_>) -> Result<Value, EvalError> {
        match self {
            Self::Bool(node) => node.test(env).map(Value::Bool),
            Self::Number(node) => Ok(node.eval(env)?.map_or(Value::Null, Value::Double)),
            Self::Any(node) => node.eval(env).map(val::Val::into_value),
        }
    }

    #[inline]
    pub(crate) fn test<'a>(&'a self, env: &Env<'a, '_>) -> Result<bool, EvalError> {
        match self {
            Self::Bool(node) => node.test(env),
            Self::Any(node) => node.eval(env)?.truth(),
            Self::Number(_) => Err(error::Kind::Expected(&error::Tag::Bool, error::Tag::Double).into()),
        }
    }

    pub(crate) fn part(&mut self) -> visit::Part<'_> {
        match self {
            Self::Bool(node) => visit::Part::Bool(node),
            Self::Number(node) => visit::Part::Double(node),
            Self::Any(node) => visit::Part::Node(node),
        }
    }
}

impl Expr {
    /// Compiles `source` against the fields of `schema`.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with the expression: one syntax problem, or every unknown name and type mismatch.
    pub fn compile(source: &str, schema: &Schema) -> Result<Self, Vec<Problem>> {
        let parsed = parse::parse(source).map_err(|problem| vec![problem])?;
        let typed = check::check(&parsed, &check::Scope { schema, container: "", lenient: false })?;
        Ok(Self::of(source.to_owned(), typed))
    }

    pub(crate) fn of(source: String, typed: check::Typed) -> Self {
        let ty = typed.ty.to_row();
        let code = match typed.node {
            Node::Bool(node) => Code::Bool(*node),
            Node::Double(node) => Code::Number(*node),
            other => Code::Any(other),
        };
        Self(Arc::new(Compiled { source, ty, code }))
    }

    /// Compiles a condition. The result must be bool, or `any`, which is checked at run time.
    ///
    /// # Errors
    ///
    /// Like [`Expr::compile`], or if the result has another type.
    pub fn condition(source: &str, schema: &Schema) -> Result<Self, Vec<Problem>> {
        let start = source.len() - source.trim_start().len();
        Self::compile(source, schema)?.expect_bool(start..source.trim_end().len())
    }

    /// Checks that this can be a condition. Otherwise, reports a problem at `span`.
    pub(crate) fn expect_bool(self, span: Range<usize>) -> Result<Self, Vec<Problem>> {
        match self.ty() {
            Type::Bool | Type::Any => Ok(self),
            other => Err(vec![Problem::new(span, format!("expected bool, found {other}"))]),
        }
    }

    pub(crate) fn code(&self) -> &Code {
        &self.0.code
    }

    /// The type of the result, which may also be null.
    #[must_use]
    pub fn ty(&self) -> &Type {
        &self.0.ty
    }

    /// The source text. For a compiled tree, the equivalent text.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.0.source
    }

    /// The value for a row.
    ///
    /// # Errors
    ///
    /// What CEL calls an error: overflow, division by zero, a missing key, an operand of the wrong type.
    pub fn eval(&self, row: &Row) -> Result<Value, EvalError> {
        let steps = Env::steps();
        self.0.code.eval(&Env::new(row, &steps))
    }

    /// The result of a condition for a row.
    ///
    /// # Errors
    ///
    /// Like [`Expr::eval`], or if the result is not bool.
    #[inline]
    pub fn test(&self, row: &Row) -> Result<bool, EvalError> {
        let steps = Env::steps();
        self.0.code.test(&Env::new(row, &steps))
    }

    /// The numeric value for a row, `None` for null. Sums and averages use it.
    ///
    /// # Errors
    ///
    /// Like [`Expr::eval`], or if the result is not a number.
    #[inline]
    pub fn number(&self, row: &Row) -> Result<Option<f64>, EvalError> {
        let steps = Env::steps();
        let env = Env::new(row, &steps);
        match &self.0.code {
            Code::Number(node) => node.eval(&env),
            Code::Any(Node::Slot(slot)) => DoubleNode::of(env.slot(*slot)),
            Code::Any(node) => {
                let value = node.eval(&env)?;
                value.data().map_or_else(|| Err(error::Kind::Expected(&error::Tag::Number, value.tag()).into()), DoubleNode::of)
            }
            Code::Bool(_) => Err(error::Kind::Expected(&error::Tag::Number, error::Tag::Bool).into()),
        }
    }

    /// The slot, if the expression is a plain field, which keys and aggregates can read by reference.
    #[must_use]
    pub fn as_slot(&self) -> Option<usize> {
        match &self.0.code {
            Code::Any(Node::Slot(slot)) => Some(*slot),
            _ => None,
        }
    }
}

impl fmt::Debug for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Expr").field("source", &self.0.source).field("ty", &self.0.ty).finish_non_exhaustive()
    }
}
