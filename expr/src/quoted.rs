//! Names in backticks: fields that are not valid identifiers, such as `` `user-agent` ``, `` `@timestamp` `` or ``
//! `in` ``.
//!
//! CEL allows backticks only after a dot, and only for few characters. So each such name is replaced by an identifier
//! of the same length before parsing, which keeps all positions intact, and the names are restored in the tree.

use std::collections::{HashMap, HashSet};

use cel::common::ast::{EntryExpr, Expr as Ast, IdedExpr, LiteralValue, operators as op};
use cel::parser::pratt_parser::TokenKind;

use super::parse::Tokens;

/// The name in a backtick token.
pub(super) fn name(token: &str) -> Option<&str> {
    token.strip_prefix('`')?.strip_suffix('`').filter(|name| !name.is_empty())
}

/// A field name as written in an expression: in backticks unless it is an identifier.
pub(super) fn spelt(name: &str) -> String {
    if is_identifier(name) { name.to_owned() } else { format!("`{name}`") }
}

/// Whether an expression can use this name without backticks.
pub(super) fn is_identifier(name: &str) -> bool {
    let Ok(tokens) = Tokens::read(name) else { return false };
    matches!(tokens.list.as_slice(), [token] if token.kind == TokenKind::TokIdent && token.end - token.start == name.len())
        && !name.starts_with('`')
}

/// A source with its backtick names replaced by identifiers.
pub(super) struct Quoted {
    pub text: String,
    names: HashMap<String, String>,
}

impl Quoted {
    /// `None` if there are no such names, or no free identifiers of the right lengths.
    pub fn new(source: &str, tokens: &Tokens) -> Option<Self> {
        let idents = || tokens.list.iter().filter(|token| token.kind == TokenKind::TokIdent).map(|token| token.start..token.end);
        let taken: HashSet<&str> = idents().filter_map(|place| source.get(place)).collect();
        let mut quoted = Self { text: source.to_owned(), names: HashMap::new() };
        let mut known: HashMap<&str, String> = HashMap::new();
        let mut number = 0..10_000;
        for place in idents() {
            let Some(name) = source.get(place.clone()).and_then(name) else { continue };
            let width = place.len();
            let stand_in = match known.get(name) {
                Some(stand_in) => stand_in.clone(),
                None => {
                    let padded = |n: u32| {
                        let digits = n.to_string();
                        format!("_{digits}{}", "_".repeat(width.saturating_sub(1 + digits.len())))
                    };
                    let mut candidates = number.by_ref().map(padded);
                    let free = candidates.find(|candidate| !taken.contains(candidate.as_str())).filter(|free| free.len() == width)?;
                    known.insert(name, free.clone());
                    quoted.names.insert(free.clone(), name.to_owned());
                    free
                }
            };
            quoted.text.replace_range(place, &stand_in);
        }
        (!quoted.names.is_empty()).then_some(quoted)
    }

    /// Restores the original names in a tree.
    pub fn restore(&self, e: &mut IdedExpr) {
        match &mut e.expr {
            Ast::Ident(name) => self.rename(name),
            Ast::Select(select) => {
                self.rename(&mut select.field);
                self.restore(&mut select.operand);
            }
            Ast::Call(call) => {
                if call.func_name == op::OPT_SELECT
                    && let Some(Ast::Literal(LiteralValue::String(field))) = call.args.get_mut(1).map(|field| &mut field.expr)
                    && let Some(name) = self.names.get(field.inner())
                {
                    *field = name.clone().into();
                }
                call.target.iter_mut().map(AsMut::as_mut).chain(&mut call.args).for_each(|inner| self.restore(inner));
            }
            Ast::List(list) => list.elements.iter_mut().for_each(|item| self.restore(item)),
            Ast::Map(map) => map.entries.iter_mut().for_each(|entry| self.restore_entry(&mut entry.expr)),
            Ast::Struct(message) => message.entries.iter_mut().for_each(|entry| self.restore_entry(&mut entry.expr)),
            Ast::Comprehension(c) => {
                self.rename(&mut c.iter_var);
                [&mut c.iter_range, &mut c.accu_init, &mut c.loop_cond, &mut c.loop_step, &mut c.result]
                    .into_iter()
                    .for_each(|inner| self.restore(inner));
            }
            Ast::Literal(_) | Ast::Unspecified => {}
        }
    }

    fn restore_entry(&self, entry: &mut EntryExpr) {
        match entry {
            EntryExpr::MapEntry(entry) => {
                self.restore(&mut entry.key);
                self.restore(&mut entry.value);
            }
            EntryExpr::StructField(field) => self.restore(&mut field.value),
        }
    }

    fn rename(&self, name: &mut String) {
        if let Some(real) = self.names.get(name.as_str()) {
            name.clone_from(real);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_no_identifier_needs_backticks() {
        for (name, expected) in [
            ("user", "user"),
            ("_x1", "_x1"),
            ("user-agent", "`user-agent`"),
            ("in", "`in`"),
            ("@t", "`@t`"),
            ("größe", "`größe`"),
            ("a b", "`a b`"),
            ("for", "`for`"),
        ] {
            assert_eq!(spelt(name), expected);
        }
    }

    #[test]
    fn stand_ins_are_as_long_and_new() {
        let source = "`a-b` == _0___ && `ö` == `a-b`";
        let quoted = Quoted::new(source, &Tokens::read(source).unwrap()).unwrap();
        assert_eq!(quoted.text, "_1___ == _0___ && _2__ == _1___");
    }
}
