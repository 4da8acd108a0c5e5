//! Constant folding: parts with the same value for all records are evaluated at compile time. A part that fails for
//! every record is a problem.

use cel::common::ast::IdedExpr;
use tidegate_rows::{Decimal, Row, Value};

use super::{Checker, Typed};
use crate::error::{EvalError, Kind, Op};
use crate::functions::{self, Function};
use crate::net::{Cidr, Ip, Net};
use crate::node::{Env, Node};
use crate::problem::Problem;
use crate::ty::Ty;
use crate::val::Val;

impl Checker<'_> {
    /// Compiles a part that may never be evaluated, or whose errors are absorbed.
    pub(super) fn guarded<R>(&mut self, inner: impl FnOnce(&mut Self) -> R) -> R {
        let before = std::mem::replace(&mut self.guarded, true);
        let result = inner(self);
        self.guarded = before;
        result
    }

    /// Evaluates an operator on constants. If that fails, the node is kept, because a guard may keep it from being
    /// evaluated.
    pub(super) fn fold(&mut self, e: &IdedExpr, node: Node, is_const: bool) -> Node {
        if !is_const {
            return node;
        }
        evaluate(node).unwrap_or_else(|(node, error)| {
            if !self.guarded {
                self.report_constant(e, &error);
            }
            node
        })
    }

    /// Evaluates a call with constant arguments.
    pub(super) fn fold_call(&mut self, e: &IdedExpr, node: Node) -> Node {
        evaluate(node).unwrap_or_else(|(node, error)| {
            self.report_constant(e, &error);
            node
        })
    }

    /// Reports a constant zero divisor of whole numbers or decimals.
    pub(super) fn divisor(&mut self, e: &IdedExpr, op: Op, by: &Typed) {
        let zero = matches!(&by.node, Node::Const(Val::Own(v)) if v.as_decimal().is_some_and(|v| v.units() == 0));
        let error = match op {
            Op::Div => Kind::DivisionByZero,
            Op::Rem => Kind::ModulusByZero,
            _ => return,
        };
        if zero && !self.guarded {
            self.report_constant(e, &error.into());
        }
    }

    /// Reports a constant part that has no value, unless a problem within it has already been reported.
    pub(super) fn report_constant(&mut self, e: &IdedExpr, error: &EvalError) {
        if self.scope.lenient {
            return;
        }
        let span = self.parsed.span(e);
        let said = |p: &Problem| span.start <= p.span.start && p.span.end <= span.end;
        if !self.problems.iter().any(said) {
            self.problems.push(Problem { constant: true, ..Problem::new(span, error.to_string()) });
        }
    }

    /// Drops the problems about constants from index `from` on: nothing evaluates these parts.
    pub(super) fn forget_constants(&mut self, from: usize) {
        let mut at = 0;
        self.problems.retain(|problem| {
            at += 1;
            at <= from || !problem.constant
        });
    }

    /// Checks the constant arguments of a call, the receiver first. An invalid zone, pattern, template or range makes
    /// the call useless, whatever its other arguments are. Constant address ranges are replaced by their parsed form.
    pub(super) fn constant_arguments(&mut self, e: &IdedExpr, function: &Function, sources: &[&IdedExpr], args: &mut [Typed]) {
        match (function.name, args) {
            ("ip_in", [address, range]) => {
                self.argument(sources[0], address, |text| Ip::parse(text).map(drop).ok_or_else(|| functions::no_ip(text)));
                self.read_ranges(sources[1], range);
            }
            ("containsIP", [_, address]) => {
                self.argument(sources[1], address, |text| Ip::parse(text).map(drop).ok_or_else(|| functions::no_ip(text)));
            }
            ("containsCIDR", [_, range]) => self.read_ranges(sources[1], range),
            ("matches" | "regex.extract" | "regex.extractAll", [_, pattern]) => {
                self.argument(sources[1], pattern, |pattern| functions::compile_regex(pattern).map(drop).map_err(EvalError::message));
            }
            ("regex.replace", [_, pattern, with, ..]) => self.replacement([sources[1], sources[2]], pattern, with),
            ("format", [template, values]) => self.template(sources, template, values),
            (name, [_, zone]) if name.starts_with("get") => {
                self.argument(sources[1], zone, |name| functions::time_zone(name).map(drop));
            }
            ("geo_distance" | "math.bitShiftLeft" | "math.bitShiftRight", args) => self.rehearse(e, function, args),
            _ => {}
        }
    }

    /// Calls a numeric function with zeros for its non-constant arguments. None of these functions refuses zeros.
    fn rehearse(&mut self, e: &IdedExpr, function: &Function, args: &[Typed]) {
        let value = |arg: &Typed| if let Node::Const(value) = &arg.node { value.clone() } else { Val::int(0) };
        let values: Vec<Val<'static>> = args.iter().map(value).collect();
        match (function.call)(&values) {
            Err(error) if error.0 != Kind::NoMatch => self.report_constant(e, &error),
            _ => {}
        }
    }

    /// Validates an argument that is constant text.
    fn argument(&mut self, e: &IdedExpr, arg: &Typed, read: impl FnOnce(&str) -> Result<(), EvalError>) {
        if let Some(Err(error)) = constant_text(arg).map(read) {
            self.report_constant(e, &error);
        }
    }

    /// Checks a constant pattern and its replacement.
    fn replacement(&mut self, sources: [&IdedExpr; 2], pattern: &Typed, with: &Typed) {
        let Some(pattern) = constant_text(pattern) else { return };
        match functions::compile_regex(pattern) {
            Err(message) => self.report_constant(sources[0], &EvalError::message(message)),
            Ok(regex) => self.argument(sources[1], with, |with| functions::check_replacement(with, regex.captures_len())),
        }
    }

    /// Checks a constant template against the types of its values, as far as they are known.
    fn template(&mut self, sources: &[&IdedExpr], template: &Typed, values: &Typed) {
        let Node::List(items) = &values.node else { return };
        let Some(template) = constant_text(template).filter(|_| items.iter().all(|(_, optional)| !optional)) else { return };
        let values: Vec<Option<Val<'static>>> = items.iter().map(|(node, _)| self.sample(node)).collect();
        if let Err(error) = functions::check_template(template, &values) {
            self.report_constant(sources[0], &error);
        }
    }

    /// The value of a constant, or a sample value of the type that the part is known to have.
    fn sample(&self, node: &Node) -> Option<Val<'static>> {
        let value = match node {
            Node::Const(value) => return Some(value.clone()),
            Node::Int(_) => Value::Int(0),
            Node::Double(_) => Value::Double(0.0),
            Node::Decimal(_) => Value::Decimal(Decimal::ZERO),
            Node::Bool(_) => Value::Bool(false),
            Node::Slot(slot) => match self.scope.schema.field(*slot).map(|field| Ty::from(&field.ty))? {
                Ty::Bool => Value::Bool(false),
                Ty::Int => Value::Int(0),
                Ty::Uint => Value::Uint(0),
                Ty::Double => Value::Double(0.0),
                Ty::Decimal => Value::Decimal(Decimal::ZERO),
                Ty::String => Value::string(""),
                Ty::Bytes => Value::Bytes([].into()),
                _ => return None,
            },
            _ => return None,
        };
        Some(Val::Own(value))
    }

    /// Parses constant address ranges now rather than for every row.
    fn read_ranges(&mut self, e: &IdedExpr, range: &mut Typed) {
        let Node::Const(Val::Own(value)) = &range.node else { return };
        let items = match value {
            Value::List(items) => items.as_slice(),
            other => std::slice::from_ref(other),
        };
        let mut ranges = Vec::with_capacity(items.len());
        for item in items {
            let Value::String(text) = item else { return };
            match Cidr::parse(text) {
                Some(cidr) => ranges.push(Val::Net(Net::Cidr(cidr))),
                None => return self.report_constant(e, &EvalError::message(functions::no_cidr(text))),
            }
        }
        let read = if matches!(value, Value::List(_)) { Some(Val::list(ranges)) } else { ranges.pop() };
        range.node = read.map_or_else(|| Node::Const(Val::NULL), Node::Const);
    }
}

/// Evaluates a node with constant parts. Returns the node and the error if it has no value.
fn evaluate(node: Node) -> Result<Node, (Node, EvalError)> {
    let (row, steps) = (Row::default(), Env::steps());
    let value = node.eval(&Env::new(&row, &steps)).map(Val::into_static);
    match value {
        Ok(value) => Ok(Node::Const(value)),
        Err(error) => Err((node, error)),
    }
}

fn constant_text(arg: &Typed) -> Option<&str> {
    match &arg.node {
        Node::Const(Val::Own(Value::String(text))) => Some(text),
        _ => None,
    }
}
