//! Walks the compiled tree across its different kinds of nodes.

use super::comprehension::{Output, Range};
use super::fast::{BoolNode, DoubleNode, IntNode};
use super::node::Node;

/// A part of a compiled tree.
pub(super) enum Part<'n> {
    Node(&'n mut Node),
    Bool(&'n mut BoolNode),
    Int(&'n mut IntNode),
    Double(&'n mut DoubleNode),
}

impl Part<'_> {
    /// Reborrows the part for a shorter lifetime.
    pub fn again(&mut self) -> Part<'_> {
        match self {
            Self::Node(node) => Part::Node(node),
            Self::Bool(node) => Part::Bool(node),
            Self::Int(node) => Part::Int(node),
            Self::Double(node) => Part::Double(node),
        }
    }

    /// Calls `f` with every direct child, and the number of variables bound around it.
    pub fn each(self, f: &mut dyn FnMut(Part<'_>, usize)) {
        match self {
            Self::Node(node) => each_of_node(node, f),
            Self::Bool(node) => each_of_bool(node, f),
            Self::Int(IntNode::Arith(_, sides)) => {
                f(Part::Int(&mut sides.0), 0);
                f(Part::Int(&mut sides.1), 0);
            }
            Self::Int(IntNode::Node(node)) => f(Part::Node(node), 0),
            Self::Double(DoubleNode::Arith(_, sides)) => {
                f(Part::Double(&mut sides.0), 0);
                f(Part::Double(&mut sides.1), 0);
            }
            Self::Double(DoubleNode::Int(node)) => f(Part::Int(node), 0),
            Self::Double(DoubleNode::Node(node)) => f(Part::Node(node), 0),
            Self::Int(IntNode::Const(_) | IntNode::Slot(_)) | Self::Double(DoubleNode::Const(_) | DoubleNode::Slot(_)) => {}
        }
    }
}

fn each_of_node(node: &mut Node, f: &mut dyn FnMut(Part<'_>, usize)) {
    match node {
        Node::Const(_) | Node::Slot(_) | Node::Var(_) | Node::Shared(_) | Node::Fail(_) => {}
        Node::Bool(node) => f(Part::Bool(node), 0),
        Node::Int(node) => f(Part::Int(node), 0),
        Node::Double(node) => f(Part::Double(node), 0),
        Node::Cond(parts) => {
            f(Part::Bool(&mut parts.0), 0);
            f(Part::Node(&mut parts.1), 0);
            f(Part::Node(&mut parts.2), 0);
        }
        Node::Arith(_, pair) | Node::Index(pair) | Node::OptionalIndex(pair) | Node::Select(pair) => each_of_pair(pair, 0, f),
        Node::Let(_, pair) => each_of_pair(pair, 1, f),
        Node::Neg(node) | Node::Decimal(node) => f(Part::Node(node), 0),
        Node::List(items) => items.iter_mut().for_each(|(item, _)| f(Part::Node(item), 0)),
        Node::Map(entries) => entries.iter_mut().for_each(|(key, value, _)| {
            f(Part::Node(key), 0);
            f(Part::Node(value), 0);
        }),
        Node::Call(_, args) | Node::Coalesce(args) => args.iter_mut().for_each(|arg| f(Part::Node(arg), 0)),
        Node::Comprehension(comprehension) => {
            let vars = each_of_range(&mut comprehension.range, f);
            if let Some(filter) = &mut comprehension.filter {
                f(Part::Bool(filter), vars);
            }
            match &mut comprehension.output {
                Output::List(node) | Output::Values(node) | Output::Entries(node) | Output::Sorted(node) => f(Part::Node(node), vars),
            }
        }
    }
}

fn each_of_bool(node: &mut BoolNode, f: &mut dyn FnMut(Part<'_>, usize)) {
    match node {
        BoolNode::Const(_)
        | BoolNode::Slot(_)
        | BoolNode::Shared(_)
        | BoolNode::Text(..)
        | BoolNode::Affix(..)
        | BoolNode::Matches(..)
        | BoolNode::InText(..) => {}
        BoolNode::All(terms) | BoolNode::Any(terms) => terms.iter_mut().for_each(|term| f(Part::Bool(term), 0)),
        BoolNode::Not(term) => f(Part::Bool(term), 0),
        BoolNode::Cond(parts) => parts.iter_mut().for_each(|part| f(Part::Bool(part), 0)),
        BoolNode::Int(_, left, right) => {
            f(Part::Int(left), 0);
            f(Part::Int(right), 0);
        }
        BoolNode::Double(_, left, right) => {
            f(Part::Double(left), 0);
            f(Part::Double(right), 0);
        }
        BoolNode::Compare(_, pair) | BoolNode::In(pair) | BoolNode::Has(pair) => each_of_pair(pair, 0, f),
        BoolNode::IsNull(node, _) | BoolNode::InSet(node, _) | BoolNode::Node(node) => f(Part::Node(node), 0),
        BoolNode::Quantifier(quantifier) => {
            let vars = each_of_range(&mut quantifier.range, f);
            f(Part::Bool(&mut quantifier.condition), vars);
        }
    }
}

/// Visits two parts. `vars` variables are bound around the second.
fn each_of_pair(pair: &mut (Node, Node), vars: usize, f: &mut dyn FnMut(Part<'_>, usize)) {
    f(Part::Node(&mut pair.0), 0);
    f(Part::Node(&mut pair.1), vars);
}

/// Visits what is iterated over, and returns the number of variables bound in each step.
fn each_of_range(range: &mut Range, f: &mut dyn FnMut(Part<'_>, usize)) -> usize {
    f(Part::Node(&mut range.over), 0);
    if range.two { 2 } else { 1 }
}
