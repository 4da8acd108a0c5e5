//! Prints a tree as text.

use std::fmt::{self, Display, Formatter, Write};

use tidegate_rows::Value;

use super::{Node, Operator, Tree};
use crate::quoted::spelt;

/// Binding strengths: of a prefix operator, of a number, of what a dot or bracket can follow, and of what needs no
/// parentheses.
const PREFIX: u8 = 6;
const NUMBER: u8 = 7;
const POSTFIX: u8 = 8;
const ATOM: u8 = 9;

impl Display for Tree {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.within(0, f)
    }
}

impl Tree {
    /// Writes the tree, in parentheses if it binds less tightly than `least`.
    fn within(&self, least: u8, f: &mut Formatter<'_>) -> fmt::Result {
        if self.binds() >= least {
            return self.bare(f);
        }
        f.write_char('(')?;
        self.bare(f)?;
        f.write_char(')')
    }

    fn binds(&self) -> u8 {
        match &self.node {
            Node::Op(operator, operands) if operator.takes(operands.len()) => operator.form().1,
            Node::Value(Value::Int(v)) => {
                if *v < 0 {
                    PREFIX
                } else {
                    NUMBER
                }
            }
            Node::Value(Value::Double(v)) => {
                if v.is_sign_negative() {
                    PREFIX
                } else {
                    NUMBER
                }
            }
            Node::Value(Value::Uint(_)) => NUMBER,
            Node::Method(..) | Node::Select(_, _, false) => POSTFIX,
            _ => ATOM,
        }
    }

    fn bare(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.node {
            Node::Value(value) => literal(value, f),
            Node::Field(name) => f.write_str(&spelt(name)),
            Node::Op(operator, operands) if operator.takes(operands.len()) => operation(*operator, operands, f),
            // Such a tree never compiles: see `lower`.
            Node::Op(operator, operands) => call(operator.form().0, operands, f),
            Node::Select(operand, field, true) => {
                f.write_str("has(")?;
                operand.within(POSTFIX, f)?;
                write!(f, ".{})", spelt(field))
            }
            Node::Select(operand, field, false) => {
                operand.within(POSTFIX, f)?;
                write!(f, ".{}", spelt(field))
            }
            Node::Call(name, args) => call(name, args, f),
            Node::Method(target, name, args) => {
                target.within(POSTFIX, f)?;
                f.write_char('.')?;
                call(name, args, f)
            }
            Node::List(items) => {
                f.write_char('[')?;
                list(items, f, |(item, optional), f| {
                    f.write_str(mark(*optional))?;
                    item.bare(f)
                })?;
                f.write_char(']')
            }
            Node::Map(entries) => {
                f.write_char('{')?;
                list(entries, f, |(key, value, optional), f| {
                    f.write_str(mark(*optional))?;
                    // A `?:` before the colon would be hard to read.
                    key.within(1, f)?;
                    f.write_str(": ")?;
                    value.bare(f)
                })?;
                f.write_char('}')
            }
        }
    }
}

fn mark(optional: bool) -> &'static str {
    if optional { "?" } else { "" }
}

fn list<T>(items: &[T], f: &mut Formatter<'_>, each: impl Fn(&T, &mut Formatter<'_>) -> fmt::Result) -> fmt::Result {
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            f.write_str(", ")?;
        }
        each(item, f)?;
    }
    Ok(())
}

fn call(name: &str, args: &[Tree], f: &mut Formatter<'_>) -> fmt::Result {
    write!(f, "{name}(")?;
    list(args, f, Tree::bare)?;
    f.write_char(')')
}

fn operation(operator: Operator, operands: &[Tree], f: &mut Formatter<'_>) -> fmt::Result {
    let (symbol, binds) = operator.form();
    match (operator, operands) {
        (Operator::Not | Operator::Neg, [operand]) => {
            f.write_str(symbol)?;
            // `-0` would be read as a number, which is printed as `0`.
            let zero = matches!(operand.node, Node::Value(Value::Int(0)));
            operand.within(if zero { POSTFIX } else { NUMBER }, f)
        }
        (Operator::If, [condition, yes, no]) => {
            condition.within(1, f)?;
            f.write_str(" ? ")?;
            yes.within(1, f)?;
            f.write_str(" : ")?;
            no.within(0, f)
        }
        (Operator::Index | Operator::OptIndex, [container, key]) => {
            container.within(POSTFIX, f)?;
            write!(f, "[{}{key}]", mark(operator == Operator::OptIndex))
        }
        (_, [first, rest @ ..]) => {
            // Sums and products associate to the left.
            let from_left = matches!(binds, 4 | 5);
            first.within(if from_left { binds } else { binds + 1 }, f)?;
            rest.iter().try_for_each(|operand| {
                write!(f, " {symbol} ")?;
                operand.within(binds + 1, f)
            })
        }
        (_, []) => Ok(()),
    }
}

fn literal(value: &Value, f: &mut Formatter<'_>) -> fmt::Result {
    match value {
        Value::Bool(v) => write!(f, "{v}"),
        Value::Int(v) => write!(f, "{v}"),
        Value::Uint(v) => write!(f, "{v}u"),
        // With a decimal point or an exponent, and the fewest digits that read back as the same double.
        Value::Double(v) => write!(f, "{v:?}"),
        Value::String(v) => {
            f.write_char('\'')?;
            v.chars().try_for_each(|c| match c {
                '\'' | '\\' => write!(f, "\\{c}"),
                '\n' => f.write_str("\\n"),
                '\r' => f.write_str("\\r"),
                '\t' => f.write_str("\\t"),
                c if c.is_control() => write!(f, "\\u{:04x}", u32::from(c)),
                c => f.write_char(c),
            })?;
            f.write_char('\'')
        }
        Value::Bytes(v) => {
            f.write_str("b'")?;
            v.iter().try_for_each(|byte| match byte {
                b'\'' | b'\\' => write!(f, "\\{}", char::from(*byte)),
                b' '..=b'~' => f.write_char(char::from(*byte)),
                byte => write!(f, "\\x{byte:02x}"),
            })?;
            f.write_char('\'')
        }
        _ => f.write_str("null"),
    }
}
