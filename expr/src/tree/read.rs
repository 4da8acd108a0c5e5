//! Converts the syntax tree of a text to a tree.

use cel::common::ast::{CallExpr, EntryExpr, Expr as Ast, IdedEntryExpr, IdedExpr};

use super::{Node, Operator, Tree, lower};
use crate::check::{self, Macro};
use crate::comprehension::Quantity;
use crate::parse::Parsed;
use crate::problem::Problem;

pub(super) fn tree(parsed: &Parsed<'_>) -> Result<Tree, Problem> {
    expr(parsed, &parsed.ast)
}

fn expr(parsed: &Parsed<'_>, e: &IdedExpr) -> Result<Tree, Problem> {
    let boxed = |e: &IdedExpr| expr(parsed, e).map(Box::new);
    let node = match &e.expr {
        Ast::Literal(literal) => Node::Value(check::value(literal)),
        Ast::Ident(name) => Node::Field(name.clone()),
        Ast::Select(select) => Node::Select(boxed(&select.operand)?, select.field.clone(), select.test),
        Ast::Call(call) => self::call(parsed, e, call)?,
        Ast::Comprehension(fold) => match check::recognise(fold) {
            Some(found) => {
                let (name, bodies) = macro_parts(&found);
                let names = Tree::field(&fold.iter_var);
                let bodies = bodies.into_iter().flatten().map(|body| expr(parsed, body));
                Node::Method(boxed(&fold.iter_range)?, name.to_owned(), std::iter::once(Ok(names)).chain(bodies).collect::<Result<_, _>>()?)
            }
            None => return Err(Problem::new(parsed.span(e), "this macro is not known")),
        },
        Ast::List(list) => {
            let item = |(at, item)| Ok((expr(parsed, item)?, list.optional_indices.contains(&at)));
            Node::List(list.elements.iter().enumerate().map(item).collect::<Result<_, Problem>>()?)
        }
        Ast::Map(map) => Node::Map(map.entries.iter().map(|entry| self::entry(parsed, e, entry)).collect::<Result<_, _>>()?),
        Ast::Struct(_) | Ast::Unspecified => return Err(Problem::new(parsed.span(e), "there are no messages here")),
    };
    Ok(Tree { node, span: Some(parsed.span(e)) })
}

fn entry(parsed: &Parsed<'_>, map: &IdedExpr, entry: &IdedEntryExpr) -> Result<(Tree, Tree, bool), Problem> {
    match &entry.expr {
        EntryExpr::MapEntry(entry) => Ok((expr(parsed, &entry.key)?, expr(parsed, &entry.value)?, entry.optional)),
        EntryExpr::StructField(_) => Err(Problem::new(parsed.span(map), "there are no messages here")),
    }
}

fn call(parsed: &Parsed<'_>, e: &IdedExpr, call: &CallExpr) -> Result<Node, Problem> {
    let args = || call.args.iter().map(|arg| expr(parsed, arg)).collect::<Result<Vec<_>, _>>();
    if let Some(target) = &call.target {
        return Ok(Node::Method(Box::new(expr(parsed, target)?), call.func_name.clone(), args()?));
    }
    if let Some(operator @ (Operator::And | Operator::Or)) = lower::named(&call.func_name) {
        let mut terms = Vec::new();
        chain(parsed, e, &call.func_name, &mut terms)?;
        return Ok(Node::Op(operator, terms));
    }
    Ok(match lower::named(&call.func_name) {
        Some(operator) => Node::Op(operator, args()?),
        // The checker treats both alike.
        None if call.func_name == cel::common::ast::operators::OPT_SELECT => Node::Op(Operator::OptIndex, args()?),
        None => Node::Call(call.func_name.trim_start_matches('.').to_owned(), args()?),
    })
}

/// Collects the operands of a chain of operators of this name.
fn chain(parsed: &Parsed<'_>, e: &IdedExpr, name: &str, terms: &mut Vec<Tree>) -> Result<(), Problem> {
    match &e.expr {
        Ast::Call(call) if call.func_name == name && call.target.is_none() => {
            call.args.iter().try_for_each(|arg| chain(parsed, arg, name, terms))
        }
        _ => {
            terms.push(expr(parsed, e)?);
            Ok(())
        }
    }
}

/// The name of a macro, and the arguments after its variable.
fn macro_parts<'e>(found: &Macro<'e>) -> (&'static str, [Option<&'e IdedExpr>; 2]) {
    match found {
        Macro::Quantifier(Quantity::All, body) => ("all", [None, Some(*body)]),
        Macro::Quantifier(Quantity::Exists, body) => ("exists", [None, Some(*body)]),
        Macro::Quantifier(Quantity::One, body) => ("exists_one", [None, Some(*body)]),
        Macro::List(filter, body) => ("map", [*filter, Some(*body)]),
        Macro::Values(filter, body) => ("transformMap", [*filter, Some(*body)]),
        Macro::Entries(filter, body) => ("transformMapEntry", [*filter, Some(*body)]),
    }
}
