//! Expressions as trees, for front ends that have no text: rules, SQL.
//!
//! A [`Tree`] becomes the same syntax tree that the parser makes of a text, and goes through the same checker. It
//! prints as the equivalent text.

mod lower;
mod print;
mod read;
mod rewrite;

use std::ops::Range;

use tidegate_rows::{Schema, Value};

use super::display::Plain;
use super::parse::{self, Parsed, Tokens};
use super::problem::Problem;
use super::{Expr, check};

pub use rewrite::{Called, Rewrite, Shape};

/// An expression as a tree. Each node may carry a span that the caller defines. A problem is reported with the span
/// of its node, or of the nearest enclosing node that has one.
///
/// ```
/// use tidegate_expr::{Operator, Tree};
/// use tidegate_rows::{Row, Schema, Type, Value};
///
/// let schema = Schema::new([("country", Type::String), ("amount", Type::Decimal)]);
/// let large = Tree::op(Operator::Gt, [Tree::field("amount"), Tree::value(Value::Decimal("99.95".parse()?))]);
/// let near = Tree::op(Operator::In, [Tree::field("country"), Tree::list(["DE", "FR"].map(|name| Tree::value(Value::string(name))))]);
/// let rule = Tree::op(Operator::And, [large, near]);
/// assert_eq!(rule.to_string(), "amount > decimal('99.95') && country in ['DE', 'FR']");
///
/// let condition = rule.condition(&schema).unwrap();
/// let row = Row::from_iter([Value::string("FR"), Value::Decimal("99.96".parse()?)]);
/// assert_eq!(condition.test(&row), Ok(true));
///
/// let problems = Tree::call("size", [Tree::field("amuont").at(7..13)]).compile(&schema).unwrap_err();
/// assert_eq!((problems[0].to_string().as_str(), &problems[0].span), ("unknown field `amuont`; did you mean `amount`?", &(7..13)));
/// # Ok::<(), tidegate_rows::NotDecimal>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Tree {
    node: Node,
    span: Option<Range<usize>>,
}

#[derive(Clone, Debug, PartialEq)]
enum Node {
    /// Null, a bool, a number or text: the values that have a literal.
    Value(Value),
    Field(String),
    Op(Operator, Vec<Tree>),
    /// A field of an operand; with `true`, whether the field is there.
    Select(Box<Tree>, String, bool),
    Call(String, Vec<Tree>),
    /// A call on the first operand, of a function or of a macro, whose first arguments are names.
    Method(Box<Tree>, String, Vec<Tree>),
    /// Elements; an element with `true` is an optional, which may add nothing.
    List(Vec<(Tree, bool)>),
    /// Keys and values; an entry with `true` is optional as in a list.
    Map(Vec<(Tree, Tree, bool)>),
}

/// An operator. It determines the number of operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// `a + b`
    Add,
    /// `a - b`
    Sub,
    /// `a * b`
    Mul,
    /// `a / b`
    Div,
    /// `a % b`
    Rem,
    /// `a == b`
    Eq,
    /// `a != b`
    Ne,
    /// `a < b`
    Lt,
    /// `a <= b`
    Le,
    /// `a > b`
    Gt,
    /// `a >= b`
    Ge,
    /// `a in b`
    In,
    /// `a && b && ..`: two operands or more.
    And,
    /// `a || b || ..`: two operands or more.
    Or,
    /// `!a`
    Not,
    /// `-a`
    Neg,
    /// `c ? a : b`
    If,
    /// `a[k]`
    Index,
    /// `a[?k]`
    OptIndex,
}

impl Tree {
    fn new(node: Node) -> Self {
        Self { node, span: None }
    }

    /// A constant. Values without a literal become a call: `timestamp('..')`, `duration('..')`, `decimal('..')`.
    #[must_use]
    pub fn value(value: Value) -> Self {
        let call = |name: &str| Self::call(name, [Self::new(Node::Value(Value::string(Plain(&value).to_string())))]);
        match &value {
            Value::Timestamp(_) => call("timestamp"),
            Value::Duration(_) => call("duration"),
            Value::Decimal(_) => call("decimal"),
            Value::Double(v) if !v.is_finite() => call("double"),
            Value::List(items) => Self::list(items.iter().cloned().map(Self::value)),
            Value::Map(entries) => Self::map(entries.iter().cloned().map(|(key, value)| (Self::value(key), Self::value(value)))),
            _ => Self::new(Node::Value(value)),
        }
    }

    /// A field of the records, or a variable of an enclosing macro.
    pub fn field(name: impl Into<String>) -> Self {
        Self::new(Node::Field(name.into()))
    }

    /// An operator applied to its operands.
    pub fn op(operator: Operator, operands: impl IntoIterator<Item = Tree>) -> Self {
        Self::new(Node::Op(operator, operands.into_iter().collect()))
    }

    /// A call of a function. A function in a namespace has its full name, `math.abs`.
    pub fn call(name: impl Into<String>, args: impl IntoIterator<Item = Tree>) -> Self {
        Self::new(Node::Call(name.into(), args.into_iter().collect()))
    }

    /// A method call on this tree: `name.startsWith('a')`. Or a macro over it, whose first arguments are names:
    /// `tags.exists(t, t == 'a')`.
    #[must_use]
    pub fn method(self, name: impl Into<String>, args: impl IntoIterator<Item = Tree>) -> Self {
        Self::new(Node::Method(Box::new(self), name.into(), args.into_iter().collect()))
    }

    /// `self.field`.
    #[must_use]
    pub fn select(self, field: impl Into<String>) -> Self {
        Self::new(Node::Select(Box::new(self), field.into(), false))
    }

    /// `has(self.field)`.
    #[must_use]
    pub fn has(self, field: impl Into<String>) -> Self {
        Self::new(Node::Select(Box::new(self), field.into(), true))
    }

    /// A list of these elements.
    pub fn list(elements: impl IntoIterator<Item = Tree>) -> Self {
        Self::new(Node::List(elements.into_iter().map(|element| (element, false)).collect()))
    }

    /// A map of these keys and values.
    pub fn map(entries: impl IntoIterator<Item = (Tree, Tree)>) -> Self {
        Self::new(Node::Map(entries.into_iter().map(|(key, value)| (key, value, false)).collect()))
    }

    /// The same tree with a span, in units the caller chooses.
    #[must_use]
    pub fn at(self, span: Range<usize>) -> Self {
        Self { span: Some(span), ..self }
    }

    /// Parses a text. Each node gets its span in the text.
    ///
    /// # Errors
    ///
    /// The text can't be parsed as an expression.
    pub fn parse(source: &str) -> Result<Self, Problem> {
        read::tree(&parse::parse(source)?)
    }

    /// Compiles the tree against the fields of `schema`, as [`Expr::compile`] does for a text.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it, each problem with the span of its node.
    pub fn compile(&self, schema: &Schema) -> Result<Expr, Vec<Problem>> {
        let (ast, spans) = lower::tree(self).map_err(|problem| vec![problem])?;
        let source = self.to_string();
        // The limits of a text apply to a tree as well.
        let whole = self.span.clone().unwrap_or_default();
        Tokens::read(&source).map_err(|problem| vec![Problem { span: whole, ..problem }])?;
        let typed = check::check(&Parsed::of_tree(ast, spans), &check::Scope { schema, container: "", lenient: false })?;
        Ok(Expr::of(source, typed))
    }

    /// Compiles the tree as a condition, as [`Expr::condition`] does for a text.
    ///
    /// # Errors
    ///
    /// Like [`Tree::compile`], or if the result can't be a bool.
    pub fn condition(&self, schema: &Schema) -> Result<Expr, Vec<Problem>> {
        self.compile(schema)?.expect_bool(self.span.clone().unwrap_or_default())
    }
}

impl Operator {
    pub(super) const ALL: [Self; 19] = [
        Self::Add,
        Self::Sub,
        Self::Mul,
        Self::Div,
        Self::Rem,
        Self::Eq,
        Self::Ne,
        Self::Lt,
        Self::Le,
        Self::Gt,
        Self::Ge,
        Self::In,
        Self::And,
        Self::Or,
        Self::Not,
        Self::Neg,
        Self::If,
        Self::Index,
        Self::OptIndex,
    ];

    /// How the operator is written, and how tightly it binds.
    fn form(self) -> (&'static str, u8) {
        match self {
            Self::If => ("?", 0),
            Self::Or => ("||", 1),
            Self::And => ("&&", 2),
            Self::Eq => ("==", 3),
            Self::Ne => ("!=", 3),
            Self::Lt => ("<", 3),
            Self::Le => ("<=", 3),
            Self::Gt => (">", 3),
            Self::Ge => (">=", 3),
            Self::In => ("in", 3),
            Self::Add => ("+", 4),
            Self::Sub => ("-", 4),
            Self::Mul => ("*", 5),
            Self::Div => ("/", 5),
            Self::Rem => ("%", 5),
            Self::Not => ("!", 6),
            Self::Neg => ("-", 6),
            Self::Index => ("[]", 8),
            Self::OptIndex => ("[?]", 8),
        }
    }

    /// Whether the operator takes this many operands.
    pub(super) fn takes(self, operands: usize) -> bool {
        match self {
            Self::And | Self::Or => operands >= 2,
            Self::Not | Self::Neg => operands == 1,
            Self::If => operands == 3,
            _ => operands == 2,
        }
    }
}
