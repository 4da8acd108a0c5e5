//! Lowers a tree to the syntax tree that the parser makes of its text.

use std::ops::Range;

use cel::common::ast::{
    CallExpr, EntryExpr, Expr as Ast, IdedEntryExpr, IdedExpr, ListExpr, LiteralValue, MapEntryExpr, MapExpr, SelectExpr, operators as op,
};
use tidegate_rows::Value;

use super::{Node, Operator, Tree};
use crate::parse::{MAX_DEPTH, Tokens};
use crate::problem::Problem;
use crate::quoted::{is_identifier, spelt};

/// The syntax tree, and the span of each of its nodes by id.
pub(super) fn tree(tree: &Tree) -> Result<(IdedExpr, Vec<Range<usize>>), Problem> {
    let mut lower = Lower { spans: Vec::new() };
    let ast = lower.expr(tree, &(0..0), 0)?;
    Ok((ast, lower.spans))
}

struct Lower {
    spans: Vec<Range<usize>>,
}

impl Lower {
    fn node(&mut self, span: &Range<usize>, expr: Ast) -> IdedExpr {
        self.spans.push(span.clone());
        IdedExpr { id: self.spans.len() as u64 - 1, expr }
    }

    /// Lowers a node at this depth. `around` is the span of the enclosing node.
    fn expr(&mut self, tree: &Tree, around: &Range<usize>, depth: usize) -> Result<IdedExpr, Problem> {
        let span = tree.span.as_ref().unwrap_or(around);
        if depth > MAX_DEPTH {
            return Err(Problem::new(span.clone(), format!("the expression is nested too deeply, at most {MAX_DEPTH} levels are allowed")));
        }
        let mut each = |trees: &[Tree]| trees.iter().map(|tree| self.expr(tree, span, depth + 1)).collect::<Result<Vec<_>, _>>();
        let expr = match &tree.node {
            Node::Value(value) => Ast::Literal(literal(value)),
            Node::Field(name) => Ast::Ident(field(name, span)?.to_owned()),
            Node::Op(operator, operands) if operator.takes(operands.len()) => {
                let operands = each(operands)?;
                return Ok(self.operator(*operator, operands, span));
            }
            Node::Op(operator, operands) => {
                let message = format!("`{}` does not take {} operands", operator.form().0, operands.len());
                return Err(Problem::new(span.clone(), message));
            }
            Node::Select(operand, name, test) => {
                let operand = Box::new(self.expr(operand, span, depth + 1)?);
                Ast::Select(SelectExpr { operand, field: field(name, span)?.to_owned(), test: *test })
            }
            Node::Call(name, args) => {
                let args = each(args)?;
                // The namespace is everything before the last dot.
                let (namespace, name) = name.rsplit_once('.').map_or((None, name.as_str()), |(namespace, name)| (Some(namespace), name));
                let target = namespace.map(|namespace| self.namespace(namespace, span)).transpose()?;
                call(name, target, args, span)?
            }
            Node::Method(target, name, args) => {
                let target = self.expr(target, span, depth + 1)?;
                let args = args.iter().map(|arg| self.expr(arg, span, depth + 1)).collect::<Result<_, _>>()?;
                call(name, Some(target), args, span)?
            }
            Node::List(items) => {
                let elements = items.iter().map(|(item, _)| self.expr(item, span, depth + 1)).collect::<Result<_, _>>()?;
                let optional = items.iter().enumerate().filter(|(_, (_, optional))| *optional).map(|(at, _)| at).collect();
                Ast::List(ListExpr::new_with_optionals(elements, optional))
            }
            Node::Map(entries) => {
                let entry = |(key, value, optional): &(Tree, Tree, bool)| {
                    let (key, value) = (self.expr(key, span, depth + 1)?, self.expr(value, span, depth + 1)?);
                    Ok(IdedEntryExpr { id: key.id, expr: EntryExpr::MapEntry(MapEntryExpr { key, value, optional: *optional }) })
                };
                Ast::Map(MapExpr { entries: entries.iter().map(entry).collect::<Result<_, Problem>>()? })
            }
        };
        Ok(self.node(span, expr))
    }

    /// Lowers an operator. With more than two operands it becomes a chain.
    fn operator(&mut self, operator: Operator, operands: Vec<IdedExpr>, span: &Range<usize>) -> IdedExpr {
        let name = name(operator);
        let call = |args: Vec<IdedExpr>| Ast::Call(CallExpr { func_name: name.to_owned(), target: None, args });
        if !matches!(operator, Operator::And | Operator::Or) {
            return self.node(span, call(operands));
        }
        // Balance the chain, as the parser does: a thousand terms are not a thousand levels deep.
        let mut level = operands;
        while level.len() > 1 {
            let mut above = Vec::with_capacity(level.len().div_ceil(2));
            let mut terms = level.into_iter();
            while let Some(first) = terms.next() {
                above.push(match terms.next() {
                    Some(second) => self.node(span, call(vec![first, second])),
                    None => first,
                });
            }
            level = above;
        }
        level.pop().unwrap_or_default()
    }

    fn namespace(&mut self, name: &str, span: &Range<usize>) -> Result<IdedExpr, Problem> {
        let mut parts = name.split('.');
        let first = function(parts.next().unwrap_or_default(), span)?;
        let mut whole = self.node(span, Ast::Ident(first));
        for part in parts {
            let select = SelectExpr { operand: Box::new(whole), field: function(part, span)?, test: false };
            whole = self.node(span, Ast::Select(select));
        }
        Ok(whole)
    }
}

fn call(name: &str, target: Option<IdedExpr>, args: Vec<IdedExpr>, span: &Range<usize>) -> Result<Ast, Problem> {
    Ok(Ast::Call(CallExpr { func_name: function(name, span)?, target: target.map(Box::new), args }))
}

/// Checks the name of a function. Other names could mean something else in a text: the parser has internal names for
/// operators.
fn function(name: &str, span: &Range<usize>) -> Result<String, Problem> {
    if is_identifier(name) {
        Ok(name.to_owned())
    } else {
        Err(Problem::new(span.clone(), format!("`{name}` is not the name of a function")))
    }
}

/// Checks that a text can spell the name.
fn field<'n>(name: &'n str, span: &Range<usize>) -> Result<&'n str, Problem> {
    match Tokens::read(&spelt(name)) {
        Ok(tokens) if tokens.list.len() == 1 && !name.is_empty() => Ok(name),
        _ => Err(Problem::new(
            span.clone(),
            format!("an expression cannot spell the name `{name}`: a name has no backtick and no line break"),
        )),
    }
}

fn literal(value: &Value) -> LiteralValue {
    match value {
        Value::Bool(v) => LiteralValue::Boolean((*v).into()),
        Value::Int(v) => LiteralValue::Int((*v).into()),
        Value::Uint(v) => LiteralValue::UInt((*v).into()),
        Value::Double(v) => LiteralValue::Double((*v).into()),
        Value::String(v) => LiteralValue::String(v.to_string().into()),
        Value::Bytes(v) => LiteralValue::Bytes(v.to_vec().into()),
        // Other values never occur in a tree: see `Tree::value`.
        _ => LiteralValue::Null,
    }
}

/// The parser's name for the operator.
fn name(operator: Operator) -> &'static str {
    match operator {
        Operator::Add => op::ADD,
        Operator::Sub => op::SUBSTRACT,
        Operator::Mul => op::MULTIPLY,
        Operator::Div => op::DIVIDE,
        Operator::Rem => op::MODULO,
        Operator::Eq => op::EQUALS,
        Operator::Ne => op::NOT_EQUALS,
        Operator::Lt => op::LESS,
        Operator::Le => op::LESS_EQUALS,
        Operator::Gt => op::GREATER,
        Operator::Ge => op::GREATER_EQUALS,
        Operator::In => op::IN,
        Operator::And => op::LOGICAL_AND,
        Operator::Or => op::LOGICAL_OR,
        Operator::Not => op::LOGICAL_NOT,
        Operator::Neg => op::NEGATE,
        Operator::If => op::CONDITIONAL,
        Operator::Index => op::INDEX,
        Operator::OptIndex => op::OPT_INDEX,
    }
}

/// The operator that the parser calls by this name.
pub(super) fn named(name: &str) -> Option<Operator> {
    Operator::ALL.into_iter().find(|operator| self::name(*operator) == name)
}
