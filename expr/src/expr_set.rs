//! Sets of expressions over one row, which evaluate common subexpressions only once.
//!
//! Parts that occur at least twice, and cost more than remembering their result, move out of the trees into a list.
//! The trees refer to them by index. The first expression that reaches such a part evaluates it; the others find the
//! result in a [`Scratch`]. Nothing is evaluated that would not be evaluated anyway, and errors are not remembered.
//! So every expression has the same result as on its own.
//!
//! `cargo bench -p tidegate-expr` measures the gain: 1,000 rules with common predicates take between a half (cheap
//! predicates) and a seventh (address ranges) of the time of evaluating them one by one. Where nothing is shared, a
//! set costs a few nanoseconds per expression.

use std::cell::{Cell, RefCell};
use std::fmt::{self, Write};
use std::hash::{BuildHasher, Hasher};

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use tidegate_rows::{Row, Value};

use super::Expr;
use super::error::EvalError;
use super::expr::Code;
use super::fast::{BoolNode, DoubleNode, IntNode};
use super::node::{Env, Node};
use super::val::Val;
use super::visit::Part;

/// Expressions that share their common subexpressions.
///
/// ```
/// use tidegate_rows::{Row, Schema, Type, Value};
/// use tidegate_expr::{Expr, ExprSet};
///
/// let schema = Schema::new([("agent", Type::String), ("amount", Type::Double)]);
/// let rule = |limit: u32| Expr::condition(&format!("agent.matches('(?i)bot|crawl') && amount > {limit}.0"), &schema);
/// let rules = ExprSet::new([rule(10).unwrap(), rule(20).unwrap()]);
/// assert_eq!(rules.shared(), 1);
///
/// let mut scratch = rules.scratch();
/// let row: Row = [Value::string("GoogleBot"), Value::Double(15.0)].into_iter().collect();
/// let over = rules.over(&row, &mut scratch);
/// assert_eq!((over.test(0), over.test(1)), (Ok(true), Ok(false)));
/// ```
#[derive(Clone)]
pub struct ExprSet {
    exprs: Box<[Expr]>,
    /// Their trees, in which shared parts are indices.
    codes: Box<[Code]>,
    parts: Parts,
}

/// The parts that expressions share.
#[derive(Clone, Debug, Default)]
pub(super) struct Parts {
    bools: Vec<BoolNode>,
    nodes: Vec<Node>,
}

/// The results of the shared parts of an [`ExprSet`] for one row. It can be reused for the next row.
#[derive(Debug)]
pub struct Scratch {
    bools: Box<[Cell<Option<bool>>]>,
    nodes: Box<[RefCell<Option<Val<'static>>>]>,
}

/// An [`ExprSet`] applied to a row.
pub struct Over<'s> {
    set: &'s ExprSet,
    row: &'s Row,
    scratch: &'s Scratch,
}

impl ExprSet {
    /// A set of these expressions, which are identified by their index.
    #[must_use]
    pub fn new(exprs: impl IntoIterator<Item = Expr>) -> Self {
        let exprs: Box<[Expr]> = exprs.into_iter().collect();
        let mut codes: Vec<Code> = exprs.iter().map(|expr| expr.code().clone()).collect();
        let mut sharing = Sharing::default();
        codes.iter_mut().for_each(|code| sharing.count(code.part()));
        sharing.counts.retain(|_, count| *count > 1);
        codes.iter_mut().for_each(|code| sharing.share(code.part(), 1));
        Self { exprs, codes: codes.into(), parts: sharing.parts }
    }

    /// The expressions.
    #[must_use]
    pub fn exprs(&self) -> &[Expr] {
        &self.exprs
    }

    /// The number of shared parts.
    #[must_use]
    pub fn shared(&self) -> usize {
        self.parts.bools.len() + self.parts.nodes.len()
    }

    /// Allocates room for the results of shared parts.
    #[must_use]
    pub fn scratch(&self) -> Scratch {
        Scratch {
            bools: self.parts.bools.iter().map(|_| Cell::new(None)).collect(),
            nodes: self.parts.nodes.iter().map(|_| RefCell::new(None)).collect(),
        }
    }

    /// Applies the expressions to a row. `scratch` must have been made by this set; results it holds for another row
    /// are discarded.
    #[inline]
    pub fn over<'s>(&'s self, row: &'s Row, scratch: &'s mut Scratch) -> Over<'s> {
        scratch.bools.fill(Cell::new(None));
        scratch.nodes.iter_mut().for_each(|value| *value.get_mut() = None);
        Over { set: self, row, scratch }
    }

    /// The values of all expressions.
    ///
    /// # Errors
    ///
    /// The first expression that fails, with its error.
    pub fn values(&self, row: &Row) -> Result<Vec<Value>, (&Expr, EvalError)> {
        if self.shared() == 0 {
            return self.exprs.iter().map(|expr| expr.eval(row).map_err(|error| (expr, error))).collect();
        }
        let mut scratch = self.scratch();
        let over = self.over(row, &mut scratch);
        self.exprs.iter().enumerate().map(|(i, expr)| over.eval(i).map_err(|error| (expr, error))).collect()
    }
}

impl fmt::Debug for ExprSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExprSet").field("exprs", &self.exprs).field("shared", &self.shared()).finish_non_exhaustive()
    }
}

impl Over<'_> {
    /// The value of the expression at `index`, as [`Expr::eval`] gives it. Null if there is no such expression.
    ///
    /// # Errors
    ///
    /// Like [`Expr::eval`].
    #[inline]
    pub fn eval(&self, index: usize) -> Result<Value, EvalError> {
        let steps = Env::steps();
        let env = Env::new(self.row, &steps).sharing(&self.set.parts, self.scratch);
        self.set.codes.get(index).map_or(Ok(Value::Null), |code| code.eval(&env))
    }

    /// The result of the condition at `index`, as [`Expr::test`] gives it. False if there is no such expression.
    ///
    /// # Errors
    ///
    /// Like [`Expr::test`].
    #[inline]
    pub fn test(&self, index: usize) -> Result<bool, EvalError> {
        let steps = Env::steps();
        let env = Env::new(self.row, &steps).sharing(&self.set.parts, self.scratch);
        self.set.codes.get(index).map_or(Ok(false), |code| code.test(&env))
    }
}

impl Parts {
    /// The result of a shared condition.
    #[inline]
    pub fn test<'a>(&'a self, index: usize, scratch: &Scratch, env: &Env<'a, '_>) -> Result<bool, EvalError> {
        let (Some(node), Some(known)) = (self.bools.get(index), scratch.bools.get(index)) else { return Err(foreign()) };
        if let Some(v) = known.get() {
            return Ok(v);
        }
        let v = node.test(env)?;
        known.set(Some(v));
        Ok(v)
    }

    /// The value of a shared part.
    pub fn eval<'a>(&'a self, index: usize, scratch: &Scratch, env: &Env<'a, '_>) -> Result<Val<'a>, EvalError> {
        let (Some(node), Some(known)) = (self.nodes.get(index), scratch.nodes.get(index)) else { return Err(foreign()) };
        if let Some(value) = &*known.borrow() {
            return Ok(value.clone());
        }
        let value = node.eval(env)?.into_static();
        *known.borrow_mut() = Some(value.clone());
        Ok(value)
    }
}

/// The error of a tree that is evaluated without its set.
pub(super) fn foreign() -> EvalError {
    EvalError::message("the expression is part of another set")
}

/// The state of building a set.
#[derive(Default)]
struct Sharing {
    /// The number of occurrences of each part, by its structure.
    counts: HashMap<Key, usize, FixedState>,
    /// The index of each part that has been moved out.
    numbers: HashMap<Key, usize, FixedState>,
    parts: Parts,
}

impl Sharing {
    fn count(&mut self, mut part: Part<'_>) {
        if let Some(key) = key(&mut part) {
            *self.counts.entry(key).or_default() += 1;
        }
        part.each(&mut |inner, _| self.count(inner));
    }

    /// Moves parts that occur more than `outer` times out of this part. `outer` is the number of occurrences of the
    /// part around it.
    fn share(&mut self, mut part: Part<'_>, outer: usize) {
        let found = key(&mut part).and_then(|key| Some((*self.counts.get(&key)?, key))).filter(|(count, _)| *count > outer);
        let Some((count, key)) = found else {
            return part.each(&mut |inner, _| self.share(inner, outer));
        };
        let known = self.numbers.get(&key).copied();
        if known.is_none() {
            // Parts within it may also occur elsewhere.
            part.again().each(&mut |inner, _| self.share(inner, count));
        }
        match part {
            Part::Bool(node) => {
                let number = known.unwrap_or(self.parts.bools.len());
                let node = std::mem::replace(node, BoolNode::Shared(number));
                if known.is_none() {
                    self.parts.bools.push(node);
                    self.numbers.insert(key, number);
                }
            }
            Part::Node(node) => {
                let number = known.unwrap_or(self.parts.nodes.len());
                let node = std::mem::replace(node, Node::Shared(number));
                if known.is_none() {
                    self.parts.nodes.push(node);
                    self.numbers.insert(key, number);
                }
            }
            Part::Int(_) | Part::Double(_) => {}
        }
    }
}

/// What remembering a result costs, in the unit of [`cost`]. Cheaper parts are not shared.
const REMEMBER_BOOL: usize = 6;
const REMEMBER_VALUE: usize = 25;

/// The structure of a part, as two independent hashes of its text. Together they are wide enough to distinguish all
/// parts.
type Key = (u64, u64);

/// Computes a [`Key`] from a text written in pieces, up to a maximum length.
struct KeyWriter(<FixedState as BuildHasher>::Hasher, <FixedState as BuildHasher>::Hasher, usize);

impl KeyWriter {
    /// Larger parts are never shared as a whole, only the parts within them. This keeps the time to build a set
    /// linear in its size.
    const LONGEST: usize = 1 << 14;
}

impl Write for KeyWriter {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write(text.as_bytes());
        self.1.write(text.as_bytes());
        self.2 += text.len();
        if self.2 > Self::LONGEST { Err(fmt::Error) } else { Ok(()) }
    }
}

/// The structure of a part, if it is worth sharing and uses no variable bound outside it.
fn key(part: &mut Part<'_>) -> Option<Key> {
    let dear = match part {
        Part::Bool(BoolNode::Shared(_) | BoolNode::Const(_) | BoolNode::Slot(_)) => false,
        Part::Bool(_) => measure(part.again()).0 >= REMEMBER_BOOL,
        // These wrap the nodes below them.
        Part::Node(Node::Bool(_) | Node::Int(_) | Node::Double(_) | Node::Shared(_)) => false,
        Part::Node(_) => measure(part.again()).0 >= REMEMBER_VALUE,
        // Machine arithmetic is cheaper than remembering it. Expensive parts below it are considered separately.
        Part::Int(_) | Part::Double(_) => false,
    };
    if !dear || measure(part.again()).1 > 0 {
        return None;
    }
    let mut writer = KeyWriter(FixedState::with_seed(1).build_hasher(), FixedState::with_seed(2).build_hasher(), 0);
    match part {
        Part::Bool(node) => write!(writer, "{node:?}").ok()?,
        Part::Node(node) => write!(writer, "={node:?}").ok()?,
        Part::Int(_) | Part::Double(_) => return None,
    }
    Some((writer.0.finish(), writer.1.finish()))
}

/// The approximate cost of evaluating a part, in nanoseconds, and the number of enclosing macro variables it may use,
/// counted from the innermost.
fn measure(mut part: Part<'_>) -> (usize, usize) {
    let mut total = cost(&mut part);
    let mut free = if let Part::Node(Node::Var(distance)) = &part { *distance + 1 } else { 0 };
    part.each(&mut |inner, vars| {
        let (cost, uses) = measure(inner);
        total += cost;
        free = free.max(uses.saturating_sub(vars));
    });
    (total, free)
}

fn cost(part: &mut Part<'_>) -> usize {
    match part {
        Part::Bool(node) => match node {
            BoolNode::Const(_) | BoolNode::Slot(_) | BoolNode::Shared(_) | BoolNode::Not(_) | BoolNode::Cond(_) | BoolNode::IsNull(..) => 1,
            BoolNode::All(terms) | BoolNode::Any(terms) => terms.len(),
            BoolNode::Int(..) | BoolNode::Double(..) => 2,
            BoolNode::Text(..) | BoolNode::Compare(..) => 4,
            BoolNode::Affix(..) | BoolNode::InText(..) => 6,
            BoolNode::InSet(..) => 10,
            BoolNode::In(_) | BoolNode::Has(_) | BoolNode::Node(_) => 15,
            BoolNode::Matches(..) | BoolNode::Quantifier(_) => 50,
        },
        Part::Node(node) => match node {
            Node::Const(_) | Node::Slot(_) | Node::Var(_) | Node::Shared(_) | Node::Fail(_) => 0,
            Node::Bool(_) | Node::Int(_) | Node::Double(_) | Node::Cond(_) | Node::Coalesce(_) => 1,
            Node::Arith(..) | Node::Neg(_) | Node::Decimal(_) => 10,
            Node::Index(_) | Node::OptionalIndex(_) | Node::Select(_) => 15,
            Node::Call(..) | Node::List(_) | Node::Map(_) | Node::Let(..) => 30,
            Node::Comprehension(_) => 60,
        },
        Part::Int(IntNode::Arith(..)) | Part::Double(DoubleNode::Arith(..)) => 2,
        Part::Int(_) | Part::Double(_) => 0,
    }
}
