//! Macros: recognised in the folds that the parser expands them to, or expanded here if the parser does not know
//! them.

use cel::common::ast::{ComprehensionExpr, Expr as Ast, IdedExpr, LiteralValue, operators as op};

use super::{Checker, Typed};
use crate::comprehension::{Comprehension, Output, Quantifier, Quantity, Range};
use crate::fast::BoolNode;
use crate::node::{Binding, Node};
use crate::ty::Ty;

/// What a macro does with each element.
pub(crate) enum Macro<'e> {
    Quantifier(Quantity, &'e IdedExpr),
    /// Builds a list, with an optional filter.
    List(Option<&'e IdedExpr>, &'e IdedExpr),
    Values(Option<&'e IdedExpr>, &'e IdedExpr),
    Entries(Option<&'e IdedExpr>, &'e IdedExpr),
}

impl Checker<'_> {
    /// Compiles a macro that the parser has expanded.
    pub(super) fn comprehension(&mut self, e: &IdedExpr, c: &ComprehensionExpr) -> Typed {
        match recognise(c) {
            Some(found) => self.over(&c.iter_range, &[&c.iter_var], found),
            None => self.refuse(e, "this macro is not known"),
        }
    }

    /// Compiles a macro that arrives as a call: those with two variables, those of optionals, which the parser does
    /// not know, and all macros of a tree.
    pub(super) fn macro_call(&mut self, e: &IdedExpr, target: &IdedExpr, name: &str, args: &[IdedExpr]) -> Option<Typed> {
        match (name, args) {
            ("optMap", [var, body]) => return Some(self.opt_map(Binding::OptMap, target, var, body)),
            ("sortBy", [var, key]) => return Some(self.sort_by(e, target, var, key)),
            ("optFlatMap", [var, body]) => return Some(self.opt_map(Binding::OptFlatMap, target, var, body)),
            ("bind", [var, value, body]) if matches!(&target.expr, Ast::Ident(name) if name == "cel") => {
                let value = self.expr(value);
                let var = self.variable(var)?;
                let body = self.with_locals([(var, value.ty)], |checker| checker.expr(body));
                return Some(Typed::new(body.ty, Node::Let(Binding::Plain, Box::new((value.node, body.node)))));
            }
            _ => {}
        }
        if let Some((var, found)) = of_one_variable(name, args) {
            return Some(match self.variable(var) {
                Some(var) => self.over(target, &[&var], found),
                None => self.refuse(e, format!("the first argument of {name} is a name")),
            });
        }
        let (vars, rest) = args.split_at_checked(2)?;
        let found = match (name, rest) {
            ("all", [body]) => Macro::Quantifier(Quantity::All, body),
            ("exists", [body]) => Macro::Quantifier(Quantity::Exists, body),
            ("existsOne" | "exists_one", [body]) => Macro::Quantifier(Quantity::One, body),
            ("transformList", [body]) => Macro::List(None, body),
            ("transformList", [filter, body]) => Macro::List(Some(filter), body),
            ("transformMap", [body]) => Macro::Values(None, body),
            ("transformMap", [filter, body]) => Macro::Values(Some(filter), body),
            ("transformMapEntry", [body]) => Macro::Entries(None, body),
            ("transformMapEntry", [filter, body]) => Macro::Entries(Some(filter), body),
            _ => return None,
        };
        let (Some(first), Some(second)) = (self.variable(&vars[0]), self.variable(&vars[1])) else {
            return Some(self.refuse(e, format!("the first two arguments of {name} are names")));
        };
        Some(self.over(target, &[&first, &second], found))
    }

    /// Compiles a macro over the elements of `range`, with one or two variables.
    fn over(&mut self, range: &IdedExpr, vars: &[&str], found: Macro<'_>) -> Typed {
        let over = self.expr(range);
        let (key, value) = match &over.ty {
            Ty::List(element) => (Ty::Int, (**element).clone()),
            Ty::Map(key, value) => ((**key).clone(), (**value).clone()),
            Ty::Any => (Ty::Any, Ty::Any),
            other => {
                self.report(range, format!("expected a list or a map, found {other}"));
                (Ty::Any, Ty::Any)
            }
        };
        let locals = match vars {
            [first, second] => vec![((*first).to_owned(), key.clone()), ((*second).to_owned(), value)],
            _ => {
                let element = if matches!(over.ty, Ty::Map(..)) { key.clone() } else { value };
                vars.iter().map(|var| ((*var).to_owned(), element.clone())).collect()
            }
        };
        let range = Range { over: over.node, two: vars.len() == 2 };
        self.with_locals(locals, |checker| {
            let (filter, body, is_list, is_values) = match found {
                Macro::Quantifier(kind, condition) => {
                    let condition = checker.condition(condition);
                    return Typed::bool(BoolNode::Quantifier(Box::new(Quantifier { kind, range, condition })));
                }
                Macro::List(filter, body) => (filter, body, true, false),
                Macro::Values(filter, body) => (filter, body, false, true),
                Macro::Entries(filter, body) => (filter, body, false, false),
            };
            let filter = filter.map(|filter| checker.condition(filter));
            let body_source = body;
            let body = checker.expr(body);
            let (ty, output) = if is_list {
                (Ty::list(body.ty), Output::List(body.node))
            } else if is_values {
                (Ty::map(key, body.ty), Output::Values(body.node))
            } else {
                if !matches!(body.ty, Ty::Map(..) | Ty::Any) {
                    checker.report(body_source, format!("expected map, found {}", body.ty));
                }
                (body.ty, Output::Entries(body.node))
            };
            Typed::new(ty, Node::Comprehension(Box::new(Comprehension { range, filter, output })))
        })
    }

    fn sort_by(&mut self, e: &IdedExpr, list: &IdedExpr, var: &IdedExpr, key: &IdedExpr) -> Typed {
        let over = self.expr(list);
        let element = match &over.ty {
            Ty::List(element) => (**element).clone(),
            Ty::Any => Ty::Any,
            other => {
                self.report(list, format!("expected a list, found {other}"));
                Ty::Any
            }
        };
        let Some(name) = self.variable(var) else { return self.refuse(e, "the first argument of sortBy is a name for the element") };
        let key = self.with_locals([(name, element.clone())], |checker| checker.expr(key));
        let range = Range { over: over.node, two: false };
        Typed::new(
            Ty::list(element),
            Node::Comprehension(Box::new(Comprehension { range, filter: None, output: Output::Sorted(key.node) })),
        )
    }

    fn opt_map(&mut self, binding: Binding, target: &IdedExpr, var: &IdedExpr, body: &IdedExpr) -> Typed {
        let value = self.expr(target);
        let inner = match &value.ty {
            Ty::Optional(inner) => (**inner).clone(),
            Ty::Any => Ty::Any,
            other => {
                self.report(target, format!("expected optional, found {other}"));
                Ty::Any
            }
        };
        let Some(name) = self.variable(var) else { return self.refuse(var, "the first argument here is a name for the value") };
        let body = self.with_locals([(name, inner)], |checker| checker.expr(body));
        let ty = match (binding, body.ty) {
            (Binding::OptFlatMap, ty) => ty,
            (_, ty) => Ty::Optional(Box::new(ty)),
        };
        Typed::new(ty, Node::Let(binding, Box::new((value.node, body.node))))
    }

    fn variable(&self, e: &IdedExpr) -> Option<String> {
        match &e.expr {
            Ast::Ident(name) => Some(name.clone()),
            _ => None,
        }
    }
}

/// The macro with one variable that a call denotes, and that variable. In a text, the parser would have expanded it.
fn of_one_variable<'e>(name: &str, args: &'e [IdedExpr]) -> Option<(&'e IdedExpr, Macro<'e>)> {
    Some(match (name, args) {
        ("all", [var, body]) => (var, Macro::Quantifier(Quantity::All, body)),
        ("exists", [var, body]) => (var, Macro::Quantifier(Quantity::Exists, body)),
        ("existsOne" | "exists_one", [var, body]) => (var, Macro::Quantifier(Quantity::One, body)),
        ("map", [var, body]) => (var, Macro::List(None, body)),
        ("map", [var, filter, body]) => (var, Macro::List(Some(filter), body)),
        ("filter", [var, condition]) => (var, Macro::List(Some(condition), var)),
        _ => return None,
    })
}

/// Recognises the macro behind an expansion by its initial value and its step.
pub(crate) fn recognise(c: &ComprehensionExpr) -> Option<Macro<'_>> {
    let Ast::Call(step) = &c.loop_step.expr else { return None };
    let added = |e: &'_ IdedExpr| -> Option<usize> { matches!(&e.expr, Ast::Call(call) if call.func_name == op::ADD).then_some(1) };
    match (&c.accu_init.expr, step.args.as_slice()) {
        (Ast::Literal(LiteralValue::Boolean(init)), [_, condition]) => {
            Some(Macro::Quantifier(if *init.inner() { Quantity::All } else { Quantity::Exists }, condition))
        }
        (Ast::Literal(LiteralValue::Int(_)), [condition, ..]) => Some(Macro::Quantifier(Quantity::One, condition)),
        (Ast::List(_), [_, item]) => Some(Macro::List(None, only(item)?)),
        (Ast::List(_), [filter, sum, _]) if added(sum).is_some() => match &sum.expr {
            Ast::Call(sum) => Some(Macro::List(Some(filter), only(sum.args.get(1)?)?)),
            _ => None,
        },
        _ => None,
    }
}

/// The only element of a one-element list.
fn only(list: &IdedExpr) -> Option<&IdedExpr> {
    match &list.expr {
        Ast::List(list) => list.elements.first(),
        _ => None,
    }
}
