//! The compiled tree and its evaluation.
//!
//! Parts of known types are the specialised nodes of [`super::fast`]; a [`Node`] accepts values of any type. Macro
//! variables form a chain on the stack and are addressed by their distance, so evaluation allocates only for values
//! it builds.

use std::cell::Cell;

use tidegate_rows::{Row, Value};

use super::arith;
use super::comprehension::Comprehension;
use super::error::{Call as CallError, EvalError, Kind, Op};
use super::expr_set::{Parts, Scratch, foreign};
use super::fast::{BoolNode, DoubleNode, IntNode};
use super::functions::Function;
use super::ops;
use super::set::Keys;
use super::val::Val;

/// The maximum number of macro steps in one evaluation.
pub(super) const STEPS: u32 = 20_000_000;

/// The environment of an evaluation.
pub(super) struct Env<'a, 's> {
    row: &'a Row,
    vars: Option<&'s Var<'a, 's>>,
    steps: &'s Cell<u32>,
    shared: Option<(&'a Parts, &'s Scratch)>,
}

/// A macro variable, linked to those of the enclosing macros.
pub(super) struct Var<'a, 's> {
    value: Val<'a>,
    outer: Option<&'s Var<'a, 's>>,
}

impl<'a, 's> Env<'a, 's> {
    #[inline]
    pub fn new(row: &'a Row, steps: &'s Cell<u32>) -> Self {
        Self { row, vars: None, steps, shared: None }
    }

    /// Adds the parts that several expressions share, and their results so far.
    #[inline]
    pub fn sharing(self, parts: &'a Parts, scratch: &'s Scratch) -> Self {
        Self { shared: Some((parts, scratch)), ..self }
    }

    #[inline]
    pub fn test_shared(&self, number: usize) -> Result<bool, EvalError> {
        self.shared.map_or_else(|| Err(foreign()), |(parts, scratch)| parts.test(number, scratch, self))
    }

    #[inline(never)]
    fn eval_shared(&self, number: usize) -> Result<Val<'a>, EvalError> {
        self.shared.map_or_else(|| Err(foreign()), |(parts, scratch)| parts.eval(number, scratch, self))
    }

    /// The step counter of a new evaluation.
    #[inline]
    pub fn steps() -> Cell<u32> {
        Cell::new(STEPS)
    }

    #[inline]
    pub fn slot(&self, slot: usize) -> &'a Value {
        self.row.get(slot)
    }

    /// Runs `inner` with one more variable.
    pub fn with<R>(&self, value: Val<'a>, inner: impl FnOnce(&Env<'a, '_>) -> R) -> R {
        let var = Var { value, outer: self.vars };
        inner(&Env { row: self.row, vars: Some(&var), steps: self.steps, shared: self.shared })
    }

    /// The variable `distance` levels out.
    pub fn var(&self, distance: usize) -> Val<'a> {
        let mut var = self.vars;
        for _ in 0..distance {
            var = var.and_then(|v| v.outer);
        }
        var.map_or(Val::NULL, |v| v.value.clone())
    }

    /// Charges steps for a value that a macro collects, by its size. This bounds the total size of collected values.
    pub fn charge(&self, value: &Val<'_>) -> Result<(), EvalError> {
        const BYTES_PER_STEP: usize = 16;
        let size = match value {
            // A value borrowed from the row allocates nothing.
            Val::Own(Value::String(text)) => text.len(),
            Val::Own(Value::Bytes(bytes)) => bytes.len(),
            Val::Own(Value::List(items)) => items.len() * size_of::<Value>(),
            Val::Own(Value::Map(entries)) => entries.len() * 2 * size_of::<Value>(),
            _ => 0,
        };
        self.steps.set(self.steps.get().saturating_sub(u32::try_from(size / BYTES_PER_STEP).unwrap_or(u32::MAX)));
        self.step()
    }

    /// Counts a step. Fails if there were too many.
    pub fn step(&self) -> Result<(), EvalError> {
        let left = self.steps.get();
        self.steps.set(left.saturating_sub(1));
        if left == 0 { Err(Kind::TooManySteps.into()) } else { Ok(()) }
    }
}

/// A compiled expression or part of one.
#[derive(Clone, Debug)]
pub(super) enum Node {
    Const(Val<'static>),
    Slot(usize),
    /// A macro variable, by its distance.
    Var(usize),
    Bool(Box<BoolNode>),
    Int(Box<IntNode>),
    Double(Box<DoubleNode>),
    Cond(Box<(BoolNode, Node, Node)>),
    Arith(Op, Box<(Node, Node)>),
    Neg(Box<Node>),
    /// A whole number converted to a decimal; null stays null.
    Decimal(Box<Node>),
    Index(Box<(Node, Node)>),
    OptionalIndex(Box<(Node, Node)>),
    Select(Box<(Node, Node)>),
    /// Elements, each with whether it is an optional that may be left out.
    List(Box<[(Node, bool)]>),
    Map(Box<[(Node, Node, bool)]>),
    Call(&'static Function, Box<[Node]>),
    /// The first value that is not null; later ones are not evaluated.
    Coalesce(Box<[Node]>),
    Comprehension(Box<Comprehension>),
    /// `optMap`, `optFlatMap` and `bind`: evaluates the second with the first bound to a variable.
    Let(Binding, Box<(Node, Node)>),
    /// A part that several expressions share, by its index.
    Shared(usize),
    /// Fails whenever it is reached: something the strict checker refuses, compiled by the lenient one.
    Fail(EvalError),
}

/// What a [`Node::Let`] does with the value.
#[derive(Clone, Copy, Debug)]
pub(super) enum Binding {
    Plain,
    /// The variable is the content of the optional; the result is wrapped in an optional.
    OptMap,
    /// The same, but the result is already an optional.
    OptFlatMap,
}

impl Node {
    /// The value, if it can be borrowed: slots and constants need no evaluation.
    #[inline]
    pub fn peek<'a>(&'a self, env: &Env<'a, '_>) -> Option<&'a Value> {
        match self {
            Self::Slot(slot) => Some(env.slot(*slot)),
            Self::Const(Val::Own(value)) => Some(value),
            _ => None,
        }
    }

    pub fn eval<'a>(&'a self, env: &Env<'a, '_>) -> Result<Val<'a>, EvalError> {
        match self {
            Self::Const(value) => Ok(value.reborrow()),
            Self::Slot(slot) => Ok(Val::Ref(env.slot(*slot))),
            Self::Var(distance) => Ok(env.var(*distance)),
            Self::Bool(node) => node.test(env).map(Val::bool),
            Self::Int(node) => Ok(node.eval(env)?.map_or(Val::NULL, Val::int)),
            Self::Double(node) => Ok(node.eval(env)?.map_or(Val::NULL, |v| Val::Own(Value::Double(v)))),
            Self::Cond(parts) => {
                if parts.0.test(env)? {
                    parts.1.eval(env)
                } else {
                    parts.2.eval(env)
                }
            }
            Self::Arith(op, sides) => match (sides.0.peek(env), sides.1.peek(env)) {
                (Some(a), Some(b)) => arith::plain(*op, a, b).map(Val::Own),
                _ => arith::values(*op, &sides.0.eval(env)?, &sides.1.eval(env)?),
            },
            Self::Neg(node) => arith::negate(&node.eval(env)?),
            Self::Decimal(node) => {
                let value = node.eval(env)?;
                Ok(value.data().and_then(Value::as_decimal).map_or(value, |v| Val::Own(Value::Decimal(v))))
            }
            Self::Index(parts) => ops::index(&parts.0.eval(env)?, &parts.1.eval(env)?),
            Self::OptionalIndex(parts) => ops::optional_index(&parts.0.eval(env)?, &parts.1.eval(env)?),
            Self::Select(parts) => ops::select(&parts.0.eval(env)?, &parts.1.eval(env)?),
            Self::List(items) => list(items, env),
            Self::Map(entries) => map(entries, env),
            Self::Call(function, args) => call(function, args, env),
            Self::Coalesce(args) => coalesce(args, env),
            Self::Comprehension(comprehension) => comprehension.eval(env),
            Self::Let(binding, parts) => bind(*binding, &parts.0, &parts.1, env),
            Self::Shared(number) => env.eval_shared(*number),
            Self::Fail(error) => Err(error.clone()),
        }
    }
}

fn list<'a>(items: &'a [(Node, bool)], env: &Env<'a, '_>) -> Result<Val<'a>, EvalError> {
    let mut values = Vec::with_capacity(items.len());
    for (item, optional) in items {
        let value = item.eval(env)?;
        if *optional {
            values.extend(inside(value)?);
        } else {
            values.push(value);
        }
    }
    Ok(Val::list(values))
}

fn map<'a>(entries: &'a [(Node, Node, bool)], env: &Env<'a, '_>) -> Result<Val<'a>, EvalError> {
    let mut values: Vec<(Value, Val<'_>)> = Vec::with_capacity(entries.len());
    let mut keys = Keys::default();
    for (key, value, optional) in entries {
        let key = ops::map_key(&key.eval(env)?)?;
        keys.add(&key)?;
        let value = value.eval(env)?;
        if *optional {
            values.extend(inside(value)?.map(|v| (key, v)));
        } else {
            values.push((key, value));
        }
    }
    Ok(Val::map(values))
}

fn coalesce<'a>(args: &'a [Node], env: &Env<'a, '_>) -> Result<Val<'a>, EvalError> {
    for arg in args {
        let value = arg.eval(env)?;
        if !value.data().is_some_and(Value::is_null) {
            return Ok(value);
        }
    }
    Ok(Val::NULL)
}

/// The content of an optional.
fn inside(value: Val<'_>) -> Result<Option<Val<'static>>, EvalError> {
    match value {
        Val::Optional(inner) => Ok(inner.map(|v| (*v).clone())),
        other => Err(Kind::Expected(&super::error::Tag::Optional, other.tag()).into()),
    }
}

fn call<'a>(function: &'static Function, args: &'a [Node], env: &Env<'a, '_>) -> Result<Val<'a>, EvalError> {
    let result = match args {
        [a] => {
            let values = [a.eval(env)?];
            named(function, &values)
        }
        [a, b] => {
            let values = [a.eval(env)?, b.eval(env)?];
            named(function, &values)
        }
        _ => {
            let values = args.iter().map(|arg| arg.eval(env)).collect::<Result<Vec<_>, _>>()?;
            named(function, &values)
        }
    }?;
    Ok(result)
}

/// Calls a function. If no overload fits, the error names the function.
pub(super) fn named(function: &'static Function, args: &[Val<'_>]) -> Result<Val<'static>, EvalError> {
    (function.call)(args).map_err(|error| match error.0 {
        Kind::NoMatch => {
            let args = args.iter().map(Val::tag).collect();
            Kind::Call(Box::new(CallError { name: function.name, args })).into()
        }
        _ => error,
    })
}

fn bind<'a>(binding: Binding, value: &'a Node, body: &'a Node, env: &Env<'a, '_>) -> Result<Val<'a>, EvalError> {
    let value = value.eval(env)?;
    match binding {
        Binding::Plain => env.with(value, |env| body.eval(env)),
        Binding::OptMap | Binding::OptFlatMap => {
            let Some(inner) = inside(value)? else { return Ok(Val::Optional(None)) };
            let result = env.with(inner, |env| body.eval(env))?;
            match binding {
                Binding::OptMap => Ok(Val::some(result)),
                _ if matches!(result, Val::Optional(_)) => Ok(result),
                _ => Err(Kind::Expected(&super::error::Tag::Optional, result.tag()).into()),
            }
        }
    }
}
