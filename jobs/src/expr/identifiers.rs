//! The names an expression may take from a row, before it is known what the row has.

use cel::parser::pratt_parser::TokenKind;

use super::parse::Tokens;
use super::quoted;

/// The field that a text names as an expression does: in backticks, if it is written so.
#[must_use]
pub fn field_name(text: &str) -> &str {
    quoted::name(text.trim()).filter(|name| !name.contains('`')).unwrap_or(text)
}

/// The identifiers in `source` that are neither called nor selected from something, in order; none if it can't be read. Variables of macros
/// are among them: without the fields, which is which can't be told.
#[must_use]
pub fn identifiers(source: &str) -> Vec<String> {
    let Ok(tokens) = Tokens::read(source) else { return Vec::new() };
    let list = &tokens.list;
    let free = |i: usize| {
        let called = list.get(i + 1).is_some_and(|t| t.kind == TokenKind::TokLeftParen);
        let selected = i.checked_sub(1).and_then(|i| list.get(i)).is_some_and(|t| t.kind == TokenKind::TokDot);
        list[i].kind == TokenKind::TokIdent && !called && !selected
    };
    let mut names: Vec<String> = Vec::new();
    for token in (0..list.len()).filter(|i| free(*i)).map(|i| field_name(&source[list[i].start..list[i].end])) {
        if !names.iter().any(|n| n == token) {
            names.push(token.to_owned());
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::{field_name, identifiers};

    #[test]
    fn calls_and_selected_fields_are_no_names() {
        assert_eq!(identifiers("size(a.b) > 3 && has(c.d) || 'e' == f.g(h)"), ["a", "c", "f", "h"]);
        assert_eq!(identifiers("a +"), ["a"]);
        assert_eq!(identifiers("`user-agent` == 'x' && m.`a-b` > `in`"), ["user-agent", "m", "in"]);
        assert_eq!((field_name("`a b`"), field_name("a"), field_name("`a` + `b`")), ("a b", "a", "`a` + `b`"));
    }
}
