//! Calls: operators, macros, functions with and without a namespace, and overload resolution.

use cel::common::ast::{CallExpr, Expr as Ast, IdedExpr};
use tidegate_rows::Value;

use super::operators::widen;
use super::{Checker, Typed, is_operator};
use crate::error::EvalError;
use crate::fast::{Affix, BoolNode, TextNode};
use crate::functions::{self, Function};
use crate::nearest::nearest;
use crate::node::Node;
use crate::problem::Problem;
use crate::size_field;
use crate::ty::Ty;
use crate::val::Val;

impl Checker<'_> {
    pub(super) fn call(&mut self, e: &IdedExpr, call: &CallExpr) -> Typed {
        let name = call.func_name.as_str();
        let Some(target) = &call.target else {
            if is_operator(name) {
                return self.operator(e, name, &call.args);
            }
            let name = name.trim_start_matches('.');
            if let ("dyn", [value]) = (name, call.args.as_slice()) {
                return Typed::new(Ty::Any, self.expr(value).node);
            }
            if let ("size", [value]) = (name, call.args.as_slice())
                && let Some(known) = self.known_size(value)
            {
                return known;
            }
            if name == "coalesce" && !call.args.is_empty() {
                return self.coalesce(e, &call.args);
            }
            return match functions::find(name, false) {
                Some(function) => self.function(e, function, call.args.iter()),
                None => self.unknown_function(e, name, call),
            };
        };
        if let Some(typed) = self.macro_call(e, target, name, &call.args) {
            return typed;
        }
        if let Some(namespace) = self.qualified(target)
            && self.global(&namespace).is_none()
            && let Some(function) = functions::find(&format!("{namespace}.{name}"), false)
        {
            return self.function(e, function, call.args.iter());
        }
        if let Some(function) = functions::find(name, true) {
            return self.function(e, function, std::iter::once(&**target).chain(&call.args));
        }
        // A field may share its name with a namespace: `ip`.
        match self.qualified(target).and_then(|namespace| functions::find(&format!("{namespace}.{name}"), false)) {
            Some(function) => self.function(e, function, call.args.iter()),
            None => self.unknown_function(e, name, call),
        }
    }

    /// The size of a field, if the row holds it in a separate field.
    fn known_size(&self, value: &IdedExpr) -> Option<Typed> {
        let Ast::Ident(name) = &value.expr else { return None };
        let local = self.locals.iter().any(|(local, _)| local == name);
        let slot = self.scope.schema.slot(&size_field(name)).filter(|_| !local)?;
        Some(Typed::new(Ty::Int, Node::Slot(slot)))
    }

    fn coalesce(&mut self, e: &IdedExpr, args: &[IdedExpr]) -> Typed {
        let mut args: Vec<Typed> = args.iter().map(|arg| self.expr(arg)).collect();
        widen(&mut args);
        let ty = args.iter().fold(Ty::Null, |ty, arg| ty.join(arg.ty.clone()));
        let is_const = args.iter().all(Typed::is_const);
        let node = Node::Coalesce(args.into_iter().map(|arg| arg.node).collect());
        Typed::new(ty, self.fold(e, node, is_const))
    }

    fn unknown_function(&mut self, e: &IdedExpr, name: &str, call: &CallExpr) -> Typed {
        let namespace = call.target.as_ref().and_then(|t| self.qualified(t)).filter(|n| !self.is_known(n));
        let full = namespace.as_ref().map_or_else(|| name.to_owned(), |n| format!("{n}.{name}"));
        let is_macro = functions::MACROS.iter().any(|m| m.name == name);
        let message = match name {
            "has" => "has() tests one field of a value, as in has(a.b)".to_owned(),
            _ if is_macro => {
                let form = functions::MACROS.iter().find(|m| m.name == name).and_then(|m| m.forms.first()).unwrap_or(&name);
                format!("`{name}` takes names and expressions, as in {form}")
            }
            _ => format!("unknown function `{full}`"),
        };
        if !self.scope.lenient {
            let in_namespace = || functions::names().find(|n| n.rsplit_once('.').is_some_and(|(_, last)| last == name)).map(str::to_owned);
            let named = || in_namespace().or_else(|| nearest(&full, functions::names())).or_else(|| nearest(name, functions::names()));
            let nearest = if is_macro { None } else { named() };
            let span = if is_macro {
                self.parsed.span(e)
            } else {
                self.parsed.name_span(e, 1 + namespace.as_ref().map_or(0, |n| n.split('.').count()))
            };
            self.problems.push(Problem { nearest, ..Problem::new(span, message.clone()) });
            // Report problems in the arguments too, unless the target was a namespace.
            if namespace.is_none() {
                // The arguments of a macro use names that only the macro would bind.
                let args = if is_macro { &[] } else { call.args.as_slice() };
                call.target.iter().map(Box::as_ref).chain(args).for_each(|arg| {
                    self.expr(arg);
                });
            }
        }
        Typed::new(Ty::Any, Node::Fail(EvalError::message(message)))
    }

    /// Whether a dotted name starts with a known field or type.
    fn is_known(&self, name: &str) -> bool {
        name.match_indices('.').map(|(at, _)| &name[..at]).chain([name]).any(|prefix| self.global(prefix).is_some())
    }

    fn function<'e>(&mut self, e: &IdedExpr, function: &'static Function, sources: impl Iterator<Item = &'e IdedExpr>) -> Typed {
        let sources: Vec<&IdedExpr> = sources.collect();
        let mut args: Vec<Typed> = sources.iter().map(|source| self.expr(source)).collect();
        let ty = match function.name {
            "math.greatest" | "math.least" => self.extreme(e, function, &sources, &args),
            "avg" if matches!(args.as_slice(), [arg] if arg.ty == Ty::list(Ty::Decimal)) => Ty::Decimal,
            _ => self.overload(e, function, &sources, &args),
        };
        self.constant_arguments(e, function, &sources, &mut args);
        let is_const = args.iter().all(Typed::is_const);
        if is_const {
            let nodes = args.into_iter().map(|arg| arg.node).collect();
            return Typed::new(ty, self.fold_call(e, Node::Call(function, nodes)));
        }
        text_test(function, args).unwrap_or_else(|args| {
            let nodes = args.into_iter().map(|arg| arg.node).collect();
            Typed::new(ty, Node::Call(function, nodes))
        })
    }

    /// The result type of the overloads that accept the arguments.
    fn overload(&mut self, e: &IdedExpr, function: &'static Function, sources: &[&IdedExpr], args: &[Typed]) -> Ty {
        let mut fitting: Option<Ty> = None;
        let mut of_length = 0;
        let mut misfit = None;
        for (params, result) in function.overloads {
            if params.len() != args.len() {
                continue;
            }
            of_length += 1;
            let mut a = None;
            match params.iter().zip(args).position(|(param, arg)| !param.accepts(&arg.ty, &mut a)) {
                None => {
                    let result = result.resolve(a.as_ref());
                    fitting = Some(match fitting {
                        Some(other) if other != result => Ty::Any,
                        _ => result,
                    });
                }
                Some(at) => misfit = Some((at, params[at].resolve(None))),
            }
        }
        if let Some(ty) = fitting {
            return ty;
        }
        match misfit {
            Some((at, expected)) if of_length == 1 => self.report(sources[at], format!("expected {expected}, found {}", args[at].ty)),
            Some(_) => {
                let found: Vec<String> = args.iter().map(|arg| arg.ty.to_string()).collect();
                self.report(e, format!("`{}` does not take ({})", function.name, found.join(", ")));
            }
            None => self.report(e, wrong_count(function, args.len())),
        }
        Ty::Any
    }

    /// `math.greatest` and `math.least` take any number of numbers, or a single list of them.
    fn extreme(&mut self, e: &IdedExpr, function: &'static Function, sources: &[&IdedExpr], args: &[Typed]) -> Ty {
        let mut joined: Option<Ty> = None;
        for (source, arg) in sources.iter().zip(args) {
            let ty = match &arg.ty {
                Ty::List(element) if args.len() == 1 => &**element,
                other => other,
            };
            if !ty.is_number() && *ty != Ty::Any {
                self.report(source, format!("expected a number, found {ty}"));
            }
            joined = Some(joined.map_or_else(|| ty.clone(), |j| j.join(ty.clone())));
        }
        joined.unwrap_or_else(|| {
            self.report(e, format!("`{}` takes at least one argument", function.name));
            Ty::Any
        })
    }
}

/// The specialised node for a test on borrowed text, or the arguments if there is none.
fn text_test(function: &'static Function, mut args: Vec<Typed>) -> Result<Typed, Vec<Typed>> {
    let affix = match function.name {
        "startsWith" => Some(Affix::StartsWith),
        "endsWith" => Some(Affix::EndsWith),
        "contains" => Some(Affix::Contains),
        "matches" => None,
        _ => return Err(args),
    };
    let borrowed =
        |arg: &Typed| matches!(arg.ty, Ty::String | Ty::Any) && matches!(arg.node, Node::Slot(_) | Node::Const(Val::Own(Value::String(_))));
    if args.len() != 2 {
        return Err(args);
    }
    let Some(affix) = affix else {
        let Node::Const(Val::Own(Value::String(pattern))) = &args[1].node else { return Err(args) };
        // A pattern that does not compile has already been reported.
        let Ok(regex) = functions::compile_regex(pattern) else { return Err(args) };
        if !borrowed(&args[0]) {
            return Err(args);
        }
        return match TextNode::try_from(args.swap_remove(0).node) {
            Ok(text) => Ok(Typed::bool(BoolNode::Matches(text, Box::new(regex)))),
            Err(_) => Err(args),
        };
    };
    if !args.iter().all(borrowed) {
        return Err(args);
    }
    let mut texts = args.into_iter().map(|arg| TextNode::try_from(arg.node));
    match (texts.next(), texts.next()) {
        (Some(Ok(text)), Some(Ok(part))) => Ok(Typed::bool(BoolNode::Affix(affix, text, part))),
        _ => Err(Vec::new()),
    }
}

/// A description of the accepted numbers of arguments. The receiver does not count.
fn wrong_count(function: &'static Function, found: usize) -> String {
    let hidden = usize::from(function.style == functions::Style::Member);
    let mut counts: Vec<usize> = function.overloads.iter().map(|(params, _)| params.len() - hidden).collect();
    counts.sort_unstable();
    counts.dedup();
    let plural = if counts == [1] { "" } else { "s" };
    let counts: Vec<String> = counts.iter().map(usize::to_string).collect();
    format!("`{}` takes {} argument{plural}, found {}", function.name, counts.join(" or "), found - hidden)
}
