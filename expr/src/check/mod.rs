//! Compiles a syntax tree: resolves names to slots, checks types and evaluates constant parts.
//!
//! A checker is strict or lenient. A strict one collects every problem of an expression. A lenient one, for
//! expressions without declared types, accepts everything: what is wrong fails only when it is evaluated.
//!
//! A constant part without a value is also a problem, because it fails for every record. But an operator may stand
//! where its error is harmless: below `&&` and `||`, which absorb errors, in a branch of `?:`, or in a macro over a
//! list that may be empty. There it fails when it is evaluated, as in CEL. A failing constant call is a problem even
//! there: `timestamp('2026-02-30')` is a mistake wherever it stands.

mod calls;
mod constants;
mod macros;
mod operators;

pub(super) use macros::{Macro, recognise};

use std::ops::Range;

use cel::common::ast::{EntryExpr, Expr as Ast, IdedExpr, LiteralValue, SelectExpr, operators as op};
use tidegate_rows::{Schema, Value};

use super::error::{EvalError, Tag};
use super::fast::BoolNode;
use super::node::Node;
use super::parse::Parsed;
use super::problem::Problem;
use super::quoted::{is_identifier, spelt};
use super::set::Keys;
use super::ty::Ty;
use super::val::Val;
use crate::nearest::nearest;

/// The names that an expression can use, and how strictly it is checked.
pub(super) struct Scope<'s> {
    pub schema: &'s Schema,
    /// The namespace that is searched first.
    pub container: &'s str,
    pub lenient: bool,
}

/// A compiled part and its type.
pub(super) struct Typed {
    pub ty: Ty,
    pub node: Node,
}

impl Typed {
    fn new(ty: Ty, node: Node) -> Self {
        Self { ty, node }
    }

    fn bool(node: BoolNode) -> Self {
        Self::new(Ty::Bool, Node::Bool(Box::new(node)))
    }

    fn is_const(&self) -> bool {
        matches!(self.node, Node::Const(_))
    }
}

/// Compiles a syntax tree.
pub(super) fn check(parsed: &Parsed<'_>, scope: &Scope<'_>) -> Result<Typed, Vec<Problem>> {
    let mut checker = Checker { parsed, scope, locals: Vec::new(), guarded: false, problems: Vec::new() };
    let typed = checker.expr(&parsed.ast);
    if checker.problems.is_empty() { Ok(typed) } else { Err(checker.problems) }
}

struct Checker<'c> {
    parsed: &'c Parsed<'c>,
    scope: &'c Scope<'c>,
    /// The variables of the enclosing macros, innermost last.
    locals: Vec<(String, Ty)>,
    /// Whether the current part may never be evaluated, or has its errors absorbed.
    guarded: bool,
    problems: Vec<Problem>,
}

impl Checker<'_> {
    fn expr(&mut self, e: &IdedExpr) -> Typed {
        match &e.expr {
            Ast::Literal(literal) => constant(literal),
            Ast::Ident(name) => self.ident(e, name),
            Ast::Select(select) => self.select(e, select),
            Ast::Call(call) => self.call(e, call),
            Ast::Comprehension(comprehension) => self.comprehension(e, comprehension),
            Ast::List(list) => {
                let mut element = Ty::Null;
                let mut items = Vec::with_capacity(list.elements.len());
                for (i, item) in list.elements.iter().enumerate() {
                    let typed = self.expr(item);
                    let optional = list.optional_indices.contains(&i);
                    element = element.join(self.content(item, &typed.ty, optional));
                    items.push((typed.node, optional));
                }
                let element = if items.is_empty() { Ty::Any } else { element };
                let is_const = items.iter().all(|(node, optional)| !optional && matches!(node, Node::Const(_)));
                Typed::new(Ty::list(element), self.fold(e, Node::List(items.into()), is_const))
            }
            Ast::Map(map) => self.map(e, &map.entries),
            Ast::Struct(message) => self.refuse(e, format!("there are no messages here, so no `{}{{..}}`", message.type_name)),
            Ast::Unspecified => self.refuse(e, "the expression is incomplete"),
        }
    }

    fn map(&mut self, e: &IdedExpr, entries: &[cel::common::ast::IdedEntryExpr]) -> Typed {
        let (mut key_ty, mut value_ty) = (Ty::Null, Ty::Null);
        let mut keys = Keys::default();
        let mut nodes = Vec::with_capacity(entries.len());
        for entry in entries {
            let EntryExpr::MapEntry(entry) = &entry.expr else { continue };
            let key = self.expr(&entry.key);
            if !matches!(key.ty, Ty::Bool | Ty::Int | Ty::Uint | Ty::String | Ty::Any) {
                self.report(&entry.key, format!("{} cannot be the key of a map", key.ty));
            }
            if let Node::Const(Val::Own(constant)) = &key.node
                && let Err(twice) = keys.add(constant)
            {
                self.report_constant(&entry.key, &twice);
            }
            let value = self.expr(&entry.value);
            key_ty = key_ty.join(key.ty);
            value_ty = value_ty.join(self.content(&entry.value, &value.ty, entry.optional));
            nodes.push((key.node, value.node, entry.optional));
        }
        if nodes.is_empty() {
            (key_ty, value_ty) = (Ty::Any, Ty::Any);
        }
        let is_const = nodes.iter().all(|(k, v, o)| !o && matches!((k, v), (Node::Const(_), Node::Const(_))));
        Typed::new(Ty::map(key_ty, value_ty), self.fold(e, Node::Map(nodes.into()), is_const))
    }

    /// The element type that an element contributes to its container. An optional element, marked with `?`,
    /// contributes its content type.
    fn content(&mut self, e: &IdedExpr, ty: &Ty, optional: bool) -> Ty {
        match ty {
            Ty::Optional(inner) if optional => (**inner).clone(),
            ty if !optional || *ty == Ty::Any => ty.clone(),
            ty => {
                self.report(e, format!("expected optional, found {ty}"));
                Ty::Any
            }
        }
    }

    fn ident(&mut self, e: &IdedExpr, name: &str) -> Typed {
        if let Some(at) = self.locals.iter().rposition(|(local, _)| local == name) {
            return Typed::new(self.locals[at].1.clone(), Node::Var(self.locals.len() - 1 - at));
        }
        if let Some(typed) = self.global(name) {
            return typed;
        }
        let candidates = self.scope.schema.names().chain(self.locals.iter().map(|(local, _)| local.as_str()));
        let nearest = nearest(name, candidates);
        if !self.scope.lenient {
            let span = self.parsed.span(e);
            let problem = match self.unquoted(&span) {
                Some((place, field)) => {
                    let message =
                        format!("the field `{field}` is written in backticks, as in `` {} ``: its name is no identifier", spelt(field));
                    Problem::new(place, message)
                }
                None => Problem { nearest: nearest.map(|name| spelt(&name)), ..Problem::new(span, format!("unknown field `{name}`")) },
            };
            // `user` and `agent` are one mistake, so report it once.
            if !self.problems.contains(&problem) {
                self.problems.push(problem);
            }
        }
        Typed::new(Ty::Any, Node::Fail(EvalError::message(format!("unknown field `{name}`"))))
    }

    /// The field written without backticks that covers this span, as when `user-agent` is parsed as a subtraction.
    fn unquoted(&self, span: &Range<usize>) -> Option<(Range<usize>, &str)> {
        let source = self.parsed.source;
        self.scope.schema.names().filter(|name| !is_identifier(name)).find_map(|name| {
            let mut places = source.match_indices(name).map(|(at, _)| at..at + name.len());
            let found = places.find(|place| place.start <= span.start && span.end <= place.end)?;
            (!source[..found.start].ends_with('`')).then_some((found, name))
        })
    }

    /// Looks up a field or a type by its qualified name, from the innermost container outwards.
    fn global(&self, name: &str) -> Option<Typed> {
        let (mut container, name) = match name.strip_prefix('.') {
            Some(rooted) => ("", rooted),
            None => (self.scope.container, name),
        };
        loop {
            let slot =
                if container.is_empty() { self.scope.schema.slot(name) } else { self.scope.schema.slot(&format!("{container}.{name}")) };
            if let Some(slot) = slot {
                let ty = self.scope.schema.field(slot).map_or(Ty::Any, |field| (&field.ty).into());
                return Some(Typed::new(ty, Node::Slot(slot)));
            }
            if container.is_empty() {
                break;
            }
            container = container.rsplit_once('.').map_or("", |(outer, _)| outer);
        }
        const TYPES: [Tag; 15] = [
            Tag::Null,
            Tag::Bool,
            Tag::Int,
            Tag::Uint,
            Tag::Double,
            Tag::Decimal,
            Tag::String,
            Tag::Bytes,
            Tag::List,
            Tag::Map,
            Tag::Type,
            Tag::Timestamp,
            Tag::Duration,
            Tag::Ip,
            Tag::Cidr,
        ];
        let named = TYPES.into_iter().chain([Tag::Optional]).find(|tag| tag.cel_name() == name)?;
        Some(Typed::new(Ty::Type, Node::Const(Val::Type(named.cel_name()))))
    }

    /// The dotted name spelled by a chain of selections, unless it starts with a macro variable.
    fn qualified(&self, e: &IdedExpr) -> Option<String> {
        match &e.expr {
            Ast::Ident(name) if self.locals.iter().any(|(local, _)| local == name) => None,
            Ast::Ident(name) => Some(name.clone()),
            Ast::Select(select) if !select.test => Some(format!("{}.{}", self.qualified(&select.operand)?, select.field)),
            _ => None,
        }
    }

    fn select(&mut self, e: &IdedExpr, select: &SelectExpr) -> Typed {
        // A field's own name may contain dots; the longest match wins.
        if let Some(prefix) = self.qualified(&select.operand)
            && let Some(typed) = self.global(&format!("{prefix}.{}", select.field))
        {
            return if select.test { Typed::bool(BoolNode::IsNull(Box::new(typed.node), false)) } else { typed };
        }
        let operand = self.expr(&select.operand);
        let field = || Node::Const(Val::text(&select.field));
        let ty = match &operand.ty {
            Ty::Map(_, value) => (**value).clone(),
            Ty::Any => Ty::Any,
            Ty::Optional(inner) => match &**inner {
                Ty::Map(_, value) => Ty::Optional(value.clone()),
                _ => Ty::Any,
            },
            other => {
                self.report(e, format!("{other} has no field `{}`", select.field));
                Ty::Any
            }
        };
        let parts = Box::new((operand.node, field()));
        if select.test {
            return Typed::bool(BoolNode::Has(parts));
        }
        let is_const = matches!(parts.0, Node::Const(_));
        Typed::new(ty, self.fold(e, Node::Select(parts), is_const))
    }

    /// Compiles a part that must be a bool.
    fn condition(&mut self, e: &IdedExpr) -> BoolNode {
        let typed = self.expr(e);
        if !typed.ty.may_be_bool() {
            self.report(e, format!("expected bool, found {}", typed.ty));
        }
        into_bool(typed.node)
    }

    fn report(&mut self, e: &IdedExpr, message: impl Into<String>) {
        if !self.scope.lenient {
            let span = self.parsed.span(e);
            self.report_at(span, message);
        }
    }

    fn report_at(&mut self, span: Range<usize>, message: impl Into<String>) {
        self.problems.push(Problem::new(span, message));
    }

    /// Reports a problem that even a lenient checker can't make evaluable.
    fn refuse(&mut self, e: &IdedExpr, message: impl Into<String>) -> Typed {
        let message = message.into();
        self.report(e, message.clone());
        Typed::new(Ty::Any, Node::Fail(EvalError::message(message)))
    }

    /// Compiles `inner`, the body of a macro, with variables of these names and types.
    fn with_locals<R>(&mut self, locals: impl IntoIterator<Item = (String, Ty)>, inner: impl FnOnce(&mut Self) -> R) -> R {
        let before = self.locals.len();
        self.locals.extend(locals);
        let result = self.guarded(inner);
        self.locals.truncate(before);
        result
    }
}

/// The value of a literal.
pub(super) fn value(literal: &LiteralValue) -> Value {
    match literal {
        LiteralValue::Null => Value::Null,
        LiteralValue::Boolean(v) => Value::Bool(*v.inner()),
        LiteralValue::Int(v) => Value::Int(*v.inner()),
        LiteralValue::UInt(v) => Value::Uint(*v.inner()),
        LiteralValue::Double(v) => Value::Double(*v.inner()),
        LiteralValue::String(v) => Value::string(v.inner()),
        LiteralValue::Bytes(v) => Value::Bytes(v.inner().into()),
    }
}

fn constant(literal: &LiteralValue) -> Typed {
    let value = value(literal);
    Typed::new((&value.type_of()).into(), Node::Const(Val::Own(value)))
}

/// Converts a node to a condition.
pub(super) fn into_bool(node: Node) -> BoolNode {
    match node {
        Node::Bool(node) => *node,
        Node::Slot(slot) => BoolNode::Slot(slot),
        Node::Const(Val::Own(Value::Bool(v))) => BoolNode::Const(v),
        other => BoolNode::Node(Box::new(other)),
    }
}

/// Whether the parser uses this function name for an operator.
fn is_operator(name: &str) -> bool {
    name.starts_with(['_', '!', '-', '@']) && name != op::NOT_STRICTLY_FALSE
}
