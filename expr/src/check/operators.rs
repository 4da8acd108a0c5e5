//! Operators: their operand types, and the specialised nodes that compute them.

use std::cmp::Ordering;

use cel::common::ast::{IdedExpr, operators as op};
use tidegate_rows::{Decimal, Value};

use super::{Checker, Typed, into_bool};
use crate::error::Op;
use crate::fast::{BoolNode, DoubleNode, IntNode, TextNode};
use crate::node::Node;
use crate::set::{ConstSet, TextSet};
use crate::ty::Ty;
use crate::val::Val;

impl Checker<'_> {
    /// Compiles an operator applied to its operands.
    pub(super) fn operator(&mut self, e: &IdedExpr, name: &str, args: &[IdedExpr]) -> Typed {
        match (name, args) {
            (op::LOGICAL_AND, _) => self.logical(e, name, false),
            (op::LOGICAL_OR, _) => self.logical(e, name, true),
            (op::LOGICAL_NOT, [operand]) => {
                let condition = self.condition(operand);
                match condition {
                    BoolNode::Const(v) => Typed::bool(BoolNode::Const(!v)),
                    other => Typed::bool(BoolNode::Not(Box::new(other))),
                }
            }
            (op::CONDITIONAL, [condition, yes, no]) => self.conditional(condition, yes, no),
            (op::NEGATE, [operand]) => self.negation(e, operand),
            (op::INDEX, [container, key]) => self.index(e, container, key, false),
            (op::OPT_INDEX | op::OPT_SELECT, [container, key]) => self.index(e, container, key, true),
            (op::IN, [needle, haystack]) => self.membership(e, needle, haystack),
            (_, [left, right]) => match binary(name) {
                Some(op @ (Op::Add | Op::Sub | Op::Mul | Op::Div | Op::Rem)) => self.arithmetic(e, op, left, right),
                Some(op) => self.comparison(e, op, left, right),
                None => self.refuse(e, format!("unknown operator `{name}`")),
            },
            _ => self.refuse(e, format!("unknown operator `{name}`")),
        }
    }

    /// Compiles a chain of `&&` or of `||` into one node.
    fn logical(&mut self, e: &IdedExpr, name: &str, decisive: bool) -> Typed {
        let mut terms = Vec::new();
        let known = self.problems.len();
        self.guarded(|checker| checker.terms(e, name, &mut terms));
        if terms.iter().any(|t| matches!(t, BoolNode::Const(v) if *v == decisive)) {
            self.forget_constants(known);
            return Typed::bool(BoolNode::Const(decisive));
        }
        terms.retain(|t| !matches!(t, BoolNode::Const(_)));
        let node = match terms.len() {
            0 => BoolNode::Const(!decisive),
            1 => terms.remove(0),
            _ if decisive => BoolNode::Any(terms.into()),
            _ => BoolNode::All(terms.into()),
        };
        Typed::bool(node)
    }

    fn terms(&mut self, e: &IdedExpr, name: &str, terms: &mut Vec<BoolNode>) {
        match &e.expr {
            cel::common::ast::Expr::Call(call) if call.func_name == name => {
                call.args.iter().for_each(|arg| self.terms(arg, name, terms));
            }
            _ => terms.push(self.condition(e)),
        }
    }

    fn conditional(&mut self, condition: &IdedExpr, yes: &IdedExpr, no: &IdedExpr) -> Typed {
        let condition = self.condition(condition);
        let decided = if let BoolNode::Const(v) = condition { Some(v) } else { None };
        let yes = self.branch(yes, decided);
        let no = self.branch(no, decided.map(|v| !v));
        let mut branches = [yes, no];
        widen(&mut branches);
        let [yes, no] = branches;
        match decided {
            Some(true) => return yes,
            Some(false) => return no,
            None => {}
        }
        if yes.ty == Ty::Bool && no.ty == Ty::Bool {
            return Typed::bool(BoolNode::Cond(Box::new([condition, into_bool(yes.node), into_bool(no.node)])));
        }
        Typed::new(yes.ty.join(no.ty), Node::Cond(Box::new((condition, yes.node, no.node))))
    }

    /// Compiles a branch of `?:`. `taken` says whether the condition selects it, if that is known.
    fn branch(&mut self, e: &IdedExpr, taken: Option<bool>) -> Typed {
        if taken == Some(true) {
            return self.expr(e);
        }
        let known = self.problems.len();
        let typed = self.guarded(|checker| checker.expr(e));
        if taken == Some(false) {
            self.forget_constants(known);
        }
        typed
    }

    fn negation(&mut self, e: &IdedExpr, operand: &IdedExpr) -> Typed {
        let operand = self.expr(operand);
        let is_const = operand.is_const();
        if !matches!(operand.ty, Ty::Int | Ty::Double | Ty::Decimal | Ty::Duration | Ty::Any) {
            self.report(e, format!("no `-` for {}", operand.ty));
            // Avoid a second problem about the same mistake.
            return Typed::new(Ty::Any, Node::Neg(Box::new(operand.node)));
        }
        Typed::new(operand.ty, self.fold(e, Node::Neg(Box::new(operand.node)), is_const))
    }

    fn index(&mut self, e: &IdedExpr, container: &IdedExpr, key: &IdedExpr, optional: bool) -> Typed {
        let (of, by) = (self.expr(container), self.expr(key));
        let (inner, chained) = match &of.ty {
            Ty::Optional(inner) => (&**inner, true),
            other => (other, false),
        };
        let element = match inner {
            Ty::List(element) => {
                if !by.ty.is_number() && by.ty != Ty::Any {
                    self.report(key, format!("expected int, found {}", by.ty));
                }
                (**element).clone()
            }
            Ty::Map(keys, value) => {
                if !keys.comparable(&by.ty) {
                    self.report(key, format!("expected {keys}, found {}", by.ty));
                }
                (**value).clone()
            }
            Ty::Any => Ty::Any,
            other => {
                self.report(e, format!("{other} has no elements"));
                Ty::Any
            }
        };
        let ty = if optional || chained { Ty::Optional(Box::new(element)) } else { element };
        let is_const = of.is_const() && by.is_const();
        let parts = Box::new((of.node, by.node));
        Typed::new(ty, self.fold(e, if optional { Node::OptionalIndex(parts) } else { Node::Index(parts) }, is_const))
    }

    fn membership(&mut self, e: &IdedExpr, needle: &IdedExpr, haystack: &IdedExpr) -> Typed {
        let (item, list) = (self.expr(needle), self.expr(haystack));
        match &list.ty {
            Ty::List(element) | Ty::Map(element, _) => {
                if !element.comparable(&item.ty) {
                    self.report(e, format!("{} is never in {}", item.ty, list.ty));
                }
            }
            Ty::Any => {}
            other => self.report(haystack, format!("expected a list or a map, found {other}")),
        }
        if let Node::Const(Val::Own(Value::List(items))) = &list.node
            && !item.is_const()
        {
            if let (Ty::String, Node::Slot(slot)) = (&item.ty, &item.node)
                && let Some(set) = TextSet::new(items)
            {
                return Typed::bool(BoolNode::InText(TextNode::Slot(*slot), Box::new(set)));
            }
            if let Some(set) = ConstSet::new(items) {
                return Typed::bool(BoolNode::InSet(Box::new(item.node), Box::new(set)));
            }
        }
        let is_const = item.is_const() && list.is_const();
        Typed::new(Ty::Bool, self.fold(e, Node::Bool(Box::new(BoolNode::In(Box::new((item.node, list.node))))), is_const))
    }

    fn comparison(&mut self, e: &IdedExpr, op: Op, left: &IdedExpr, right: &IdedExpr) -> Typed {
        let (l, r) = (self.expr(left), self.expr(right));
        let equality = matches!(op, Op::Eq | Op::Ne);
        if !(if equality { l.ty.comparable(&r.ty) } else { ordered(&l.ty, &r.ty) }) {
            let verb = if equality { "compare" } else { "order" };
            self.report(e, format!("cannot {verb} {} and {}", l.ty, r.ty));
        }
        if equality && [&l.ty, &r.ty].contains(&&Ty::Decimal) {
            self.unequal_double(e, &l, &r);
        }
        if l.is_const() && r.is_const() {
            let node = BoolNode::Compare(op, Box::new((l.node, r.node)));
            return Typed::new(Ty::Bool, self.fold(e, Node::Bool(Box::new(node)), true));
        }
        Typed::bool(compare(op, l, r))
    }

    /// Reports the comparison of a decimal with a double such as 0.1, which is not exactly the number it is written
    /// as. No decimal that anybody writes would equal it.
    fn unequal_double(&mut self, e: &IdedExpr, l: &Typed, r: &Typed) {
        for side in [l, r] {
            if let Node::Const(Val::Own(Value::Double(v))) = side.node
                && let Some(meant) = Decimal::from_f64(v).filter(|meant| meant.cmp_f64(v) != Some(Ordering::Equal))
            {
                self.report(e, format!("no decimal equals the double {meant}, which is not exactly that number: write decimal('{meant}')"));
            }
        }
    }

    fn arithmetic(&mut self, e: &IdedExpr, op: Op, left: &IdedExpr, right: &IdedExpr) -> Typed {
        let (l, r) = (self.expr(left), self.expr(right));
        let ty = match result(op, &l.ty, &r.ty) {
            Some(ty) => ty,
            None => {
                self.report(e, format!("no `{}` for {} and {}", op.symbol(), l.ty, r.ty));
                Ty::Any
            }
        };
        let is_const = l.is_const() && r.is_const();
        if !is_const && matches!(l.ty, Ty::Int | Ty::Uint | Ty::Decimal) {
            self.divisor(e, op, &r);
        }
        let node = match (&l.ty, &r.ty) {
            _ if is_const => Node::Arith(op, Box::new((l.node, r.node))),
            (Ty::Int, Ty::Int) => Node::Int(Box::new(IntNode::Arith(op, Box::new((into_int(l.node), into_int(r.node)))))),
            (a, b) if ty == Ty::Double && [a, b].iter().all(|side| side.is_number() || **side == Ty::Any) => {
                Node::Double(Box::new(DoubleNode::Arith(op, Box::new((into_double(l), into_double(r))))))
            }
            _ => Node::Arith(op, Box::new((l.node, r.node))),
        };
        Typed::new(ty, self.fold(e, node, is_const))
    }
}

fn binary(name: &str) -> Option<Op> {
    Some(match name {
        op::ADD => Op::Add,
        op::SUBSTRACT => Op::Sub,
        op::MULTIPLY => Op::Mul,
        op::DIVIDE => Op::Div,
        op::MODULO => Op::Rem,
        op::EQUALS => Op::Eq,
        op::NOT_EQUALS => Op::Ne,
        op::LESS => Op::Lt,
        op::LESS_EQUALS => Op::Le,
        op::GREATER => Op::Gt,
        op::GREATER_EQUALS => Op::Ge,
        _ => return None,
    })
}

fn ordered(a: &Ty, b: &Ty) -> bool {
    let orderable = |ty: &Ty| ty.is_number() || matches!(ty, Ty::Bool | Ty::String | Ty::Bytes | Ty::Timestamp | Ty::Duration | Ty::Any);
    orderable(a) && orderable(b) && (*a == Ty::Any || *b == Ty::Any || a == b || a.is_number() && b.is_number())
}

/// The specialised node for a comparison, chosen by the types of both sides.
fn compare(op: Op, l: Typed, r: Typed) -> BoolNode {
    let is_null = |side: &Typed| side.ty == Ty::Null && side.is_const();
    if matches!(op, Op::Eq | Op::Ne) && (is_null(&l) || is_null(&r)) {
        let other = if is_null(&l) { r.node } else { l.node };
        return BoolNode::IsNull(Box::new(other), op == Op::Eq);
    }
    match (&l.ty, &r.ty) {
        (Ty::Int, Ty::Int) => BoolNode::Int(op, into_int(l.node), into_int(r.node)),
        (a, b)
            if a.is_number()
                && b.is_number()
                // Decimals are compared exactly, not as doubles.
                && ![a, b].contains(&&Ty::Decimal)
                && (*a == Ty::Double || *b == Ty::Double)
                && (!op.is_equality() || is_double(&l) && is_double(&r)) =>
        {
            BoolNode::Double(op, into_double(l), into_double(r))
        }
        (Ty::String, Ty::String) => match (TextNode::try_from(l.node), TextNode::try_from(r.node)) {
            (Ok(a), Ok(b)) => BoolNode::Text(op, a, b),
            (a, b) => {
                let node = |side: Result<TextNode, Node>| side.map_or_else(|node| node, TextNode::into_node);
                BoolNode::Compare(op, Box::new((node(a), node(b))))
            }
        },
        _ => BoolNode::Compare(op, Box::new((l.node, r.node))),
    }
}

/// Whether this number converts to a double without loss.
fn is_double(side: &Typed) -> bool {
    side.ty == Ty::Double || matches!(&side.node, Node::Const(Val::Own(Value::Int(v))) if v.unsigned_abs() <= 1 << 53)
}

/// Converts whole numbers next to decimals to decimals, so that all parts have one type, as in `ok ? amount : 0`.
pub(super) fn widen(parts: &mut [Typed]) {
    let fits = |part: &Typed| matches!(part.ty, Ty::Decimal | Ty::Int | Ty::Uint | Ty::Null);
    if !parts.iter().all(fits) || parts.iter().all(|part| part.ty != Ty::Decimal) {
        return;
    }
    for part in parts.iter_mut().filter(|part| matches!(part.ty, Ty::Int | Ty::Uint)) {
        part.ty = Ty::Decimal;
        part.node = match std::mem::replace(&mut part.node, Node::Const(Val::NULL)) {
            Node::Const(Val::Own(value)) => Node::Const(Val::Own(value.as_decimal().map_or(value, Value::Decimal))),
            node => Node::Decimal(Box::new(node)),
        };
    }
}

pub(super) fn into_int(node: Node) -> IntNode {
    match node {
        Node::Slot(slot) => IntNode::Slot(slot),
        Node::Const(Val::Own(Value::Int(v))) => IntNode::Const(v),
        Node::Int(node) => *node,
        other => IntNode::Node(Box::new(other)),
    }
}

pub(super) fn into_double(typed: Typed) -> DoubleNode {
    match (typed.node, typed.ty) {
        (Node::Const(Val::Own(v)), _) if v.as_f64().is_some() => DoubleNode::Const(v.as_f64().unwrap_or_default()),
        (Node::Double(node), _) => *node,
        (node, Ty::Int) => DoubleNode::Int(Box::new(into_int(node))),
        // For type `any`, the check for a number happens at run time.
        (Node::Slot(slot), Ty::Double | Ty::Any) => DoubleNode::Slot(slot),
        (other, _) => DoubleNode::Node(Box::new(other)),
    }
}

/// The type of `l op r`, if the operator accepts these types.
fn result(op: Op, l: &Ty, r: &Ty) -> Option<Ty> {
    Some(match (l, r) {
        (Ty::Any, Ty::Any) => Ty::Any,
        (Ty::Any, Ty::Double) | (Ty::Double, Ty::Any) if op != Op::Rem => Ty::Double,
        (Ty::Any, Ty::String) | (Ty::String, Ty::Any) if op == Op::Add => Ty::String,
        (Ty::Any, other) | (other, Ty::Any) => {
            let additive = matches!(op, Op::Add | Op::Sub) && matches!(other, Ty::Timestamp | Ty::Duration);
            let joined = op == Op::Add && matches!(other, Ty::Bytes | Ty::List(_));
            if !(matches!(other, Ty::Int | Ty::Uint | Ty::Decimal) || additive || joined) {
                return None;
            }
            Ty::Any
        }
        (Ty::Int, Ty::Int) => Ty::Int,
        (Ty::Uint, Ty::Uint) => Ty::Uint,
        (Ty::Decimal, Ty::Decimal | Ty::Int | Ty::Uint) | (Ty::Int | Ty::Uint, Ty::Decimal) => Ty::Decimal,
        (a, b) if op != Op::Rem && a.is_number() && b.is_number() && (*a == Ty::Double || *b == Ty::Double) => Ty::Double,
        (Ty::String, Ty::String) if op == Op::Add => Ty::String,
        (Ty::Bytes, Ty::Bytes) if op == Op::Add => Ty::Bytes,
        (Ty::List(a), Ty::List(b)) if op == Op::Add => Ty::list((**a).clone().join((**b).clone())),
        (Ty::Timestamp, Ty::Duration) if matches!(op, Op::Add | Op::Sub) => Ty::Timestamp,
        (Ty::Duration, Ty::Timestamp) if op == Op::Add => Ty::Timestamp,
        (Ty::Timestamp, Ty::Timestamp) if op == Op::Sub => Ty::Duration,
        (Ty::Duration, Ty::Duration) if matches!(op, Op::Add | Op::Sub) => Ty::Duration,
        _ => return None,
    })
}
