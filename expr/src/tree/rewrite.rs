//! Looks into trees and puts trees into one another.

use std::ops::Range;

use tidegate_rows::Value;

use super::{Node, Operator, Tree};
use crate::problem::Problem;

/// What a tree is, as far as a front end can tell it apart.
#[derive(Clone, Copy, Debug)]
pub enum Shape<'t> {
    /// A constant.
    Value(&'t Value),
    /// A field, or a variable.
    Field(&'t str),
    /// An operator with its operands.
    Op(Operator, &'t [Tree]),
    /// A list of elements, none of them optional.
    List(&'t [(Tree, bool)]),
    /// Anything else.
    Other,
}

/// A call of a function that has no operand before the dot.
#[derive(Debug)]
pub struct Called<'t> {
    /// The name of the function.
    pub name: &'t str,
    /// Its arguments, already rewritten.
    pub args: Vec<Tree>,
    /// Where the call is, if that is known.
    pub span: Option<Range<usize>>,
}

/// How [`Tree::rewrite`] changes a tree.
pub trait Rewrite {
    /// What takes the place of a field, if anything does.
    fn field(&self, name: &str) -> Option<Tree>;

    /// What takes the place of a call, if anything does.
    ///
    /// # Errors
    /// The call can't be replaced.
    fn call(&self, called: &Called<'_>) -> Result<Option<Tree>, Problem>;
}

/// The number of arguments at the front of a method call that are names of variables. Zero for what is no macro.
fn variables(name: &str, args: usize) -> usize {
    match name {
        "map" | "filter" | "sortBy" | "exists_one" | "bind" | "optMap" | "optFlatMap" => 1,
        "all" | "exists" | "existsOne" => args.saturating_sub(1).min(2),
        "transformList" | "transformMap" | "transformMapEntry" => 2,
        _ => 0,
    }
}

/// The variables that a method call binds, and the index of the first argument in which they are known.
fn bound<'t>(name: &str, args: &'t [Tree]) -> (Vec<&'t str>, usize) {
    let names: Vec<&str> = args.iter().take(variables(name, args.len())).filter_map(|arg| arg.as_field()).collect();
    // The value that `cel.bind` names is computed outside.
    let from = if name == "bind" { 2 } else { names.len() };
    (names, from)
}

impl Tree {
    /// What the tree is.
    #[must_use]
    pub fn shape(&self) -> Shape<'_> {
        match &self.node {
            Node::Value(value) => Shape::Value(value),
            Node::Field(name) => Shape::Field(name),
            Node::Op(operator, operands) => Shape::Op(*operator, operands),
            Node::List(items) if items.iter().all(|(_, optional)| !optional) => Shape::List(items),
            _ => Shape::Other,
        }
    }

    fn as_field(&self) -> Option<&str> {
        if let Node::Field(name) = &self.node { Some(name) } else { None }
    }

    /// The same tree without spans. Its problems are reported at the nearest node around it that has one.
    #[must_use]
    pub fn without_spans(&self) -> Self {
        let mut tree = self.clone();
        tree.forget_spans();
        tree
    }

    fn forget_spans(&mut self) {
        self.span = None;
        self.each_child(&mut |child| child.forget_spans());
    }

    fn each_child(&mut self, f: &mut dyn FnMut(&mut Self)) {
        match &mut self.node {
            Node::Value(_) | Node::Field(_) => {}
            Node::Op(_, operands) | Node::Call(_, operands) => operands.iter_mut().for_each(f),
            Node::Select(operand, ..) => f(operand),
            Node::Method(target, _, args) => {
                f(target);
                args.iter_mut().for_each(f);
            }
            Node::List(items) => items.iter_mut().for_each(|(item, _)| f(item)),
            Node::Map(entries) => entries.iter_mut().for_each(|(key, value, _)| {
                f(key);
                f(value);
            }),
        }
    }

    /// The number of its nodes.
    #[must_use]
    pub fn size(&self) -> usize {
        let sum = |trees: &[Self]| trees.iter().map(Self::size).sum::<usize>();
        1 + match &self.node {
            Node::Value(_) | Node::Field(_) => 0,
            Node::Op(_, trees) | Node::Call(_, trees) => sum(trees),
            Node::Select(operand, ..) => operand.size(),
            Node::Method(target, _, args) => target.size() + sum(args),
            Node::List(items) => items.iter().map(|(item, _)| item.size()).sum(),
            Node::Map(entries) => entries.iter().map(|(key, value, _)| key.size() + value.size()).sum(),
        }
    }

    /// The names that the tree takes from outside, in order and each once: fields, and the namespaces of functions. The variables of macros are
    /// not among them.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let (mut found, mut bound) = (Vec::new(), Vec::new());
        self.collect(&mut bound, &mut found);
        found
    }

    fn collect<'t>(&'t self, hidden: &mut Vec<&'t str>, found: &mut Vec<String>) {
        match &self.node {
            Node::Value(_) => {}
            Node::Field(name) => {
                if !hidden.contains(&name.as_str()) && !found.contains(name) {
                    found.push(name.clone());
                }
            }
            Node::Op(_, trees) | Node::Call(_, trees) => trees.iter().for_each(|tree| tree.collect(hidden, found)),
            Node::Select(operand, ..) => operand.collect(hidden, found),
            Node::Method(target, name, args) => {
                target.collect(hidden, found);
                let (names, from) = bound(name, args);
                let before = hidden.len();
                for (i, arg) in args.iter().enumerate().skip(names.len()) {
                    if i == from {
                        hidden.extend(&names);
                    }
                    arg.collect(hidden, found);
                }
                hidden.truncate(before);
            }
            Node::List(items) => items.iter().for_each(|(item, _)| item.collect(hidden, found)),
            Node::Map(entries) => entries.iter().for_each(|(key, value, _)| {
                key.collect(hidden, found);
                value.collect(hidden, found);
            }),
        }
    }

    /// Replaces fields and calls, from the inside out. The variables of macros are no fields; one that would capture a name of what is put in
    /// gets another name.
    ///
    /// # Errors
    /// A call that can't be replaced.
    pub fn rewrite(&self, by: &dyn Rewrite) -> Result<Self, Problem> {
        self.rewritten(by, &mut Vec::new())
    }

    fn rewritten(&self, by: &dyn Rewrite, hidden: &mut Vec<String>) -> Result<Self, Problem> {
        let node = match &self.node {
            Node::Value(_) => return Ok(self.clone()),
            Node::Field(name) => {
                let new = if hidden.contains(name) { None } else { by.field(name) };
                return Ok(new.map_or_else(|| self.clone(), |new| self.replaced(new)));
            }
            Node::Op(operator, operands) => Node::Op(*operator, all(operands, by, hidden)?),
            Node::Select(operand, field, test) => Node::Select(Box::new(operand.rewritten(by, hidden)?), field.clone(), *test),
            Node::Call(name, args) => {
                let args = all(args, by, hidden)?;
                let called = Called { name, args, span: self.span.clone() };
                if let Some(new) = by.call(&called)? {
                    return Ok(self.replaced(new));
                }
                Node::Call(name.clone(), called.args)
            }
            Node::Method(target, name, args) => self.method_rewritten(target, name, args, by, hidden)?,
            Node::List(items) => {
                let item = |(item, optional): &(Self, bool)| Ok((item.rewritten(by, hidden)?, *optional));
                Node::List(items.iter().map(item).collect::<Result<_, Problem>>()?)
            }
            Node::Map(entries) => {
                let entry =
                    |(key, value, optional): &(Self, Self, bool)| Ok((key.rewritten(by, hidden)?, value.rewritten(by, hidden)?, *optional));
                Node::Map(entries.iter().map(entry).collect::<Result<_, Problem>>()?)
            }
        };
        Ok(Self { node, span: self.span.clone() })
    }

    /// Something in the place of this tree.
    fn replaced(&self, new: Self) -> Self {
        let span = self.span.clone().or(new.span);
        Self { node: new.node, span }
    }

    fn method_rewritten(
        &self,
        target: &Self,
        name: &str,
        args: &[Self],
        by: &dyn Rewrite,
        hidden: &mut Vec<String>,
    ) -> Result<Node, Problem> {
        let target = Box::new(target.rewritten(by, hidden)?);
        let (names, from) = bound(name, args);
        // What is put in may use any name that the bodies do not bind themselves.
        let mut put_in: Vec<String> = Vec::new();
        for name in args.iter().skip(from).flat_map(Self::names).filter(|name| !hidden.contains(name)) {
            put_in.extend(by.field(&name).into_iter().flat_map(|new| new.names()));
        }
        let mut renamed = Renamed(Vec::new());
        for variable in &names {
            if put_in.iter().any(|name| name == variable) {
                let mut fresh = format!("{variable}_");
                while put_in.contains(&fresh) || args.iter().any(|arg| arg.names().contains(&fresh)) {
                    fresh.push('_');
                }
                renamed.0.push(((*variable).to_owned(), fresh));
            }
        }
        let count = names.len();
        let mut new = Vec::with_capacity(args.len());
        let before = hidden.len();
        for (i, arg) in args.iter().enumerate() {
            if i == from {
                hidden.extend(names.iter().map(|name| renamed.of(name)));
            }
            if i < count {
                let name = arg.as_field().map(|name| renamed.of(name)).unwrap_or_default();
                new.push(Self { node: Node::Field(name), span: arg.span.clone() });
            } else if i >= from && !renamed.0.is_empty() {
                new.push(arg.rewrite(&renamed)?.rewritten(by, hidden)?);
            } else {
                new.push(arg.rewritten(by, hidden)?);
            }
        }
        hidden.truncate(before);
        Ok(Node::Method(target, name.to_owned(), new))
    }
}

fn all(trees: &[Tree], by: &dyn Rewrite, hidden: &mut Vec<String>) -> Result<Vec<Tree>, Problem> {
    trees.iter().map(|tree| tree.rewritten(by, hidden)).collect()
}

/// New names of variables.
struct Renamed(Vec<(String, String)>);

impl Renamed {
    fn of(&self, name: &str) -> String {
        self.0.iter().find(|(old, _)| old == name).map_or(name, |(_, new)| new).to_owned()
    }
}

impl Rewrite for Renamed {
    fn field(&self, name: &str) -> Option<Tree> {
        self.0.iter().find(|(old, _)| old == name).map(|(_, new)| Tree::field(new))
    }

    fn call(&self, _: &Called<'_>) -> Result<Option<Tree>, Problem> {
        Ok(None)
    }
}
