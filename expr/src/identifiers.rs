//! The names that an expression may take from a row, found before the row's fields are known.

use cel::parser::pratt_parser::TokenKind;

use super::parse::Tokens;
use super::quoted;

/// The field that a text names, with the backticks removed if it has them.
#[must_use]
pub fn field_name(text: &str) -> &str {
    quoted::name(text.trim()).filter(|name| !name.contains('`')).unwrap_or(text)
}

/// The name of a field that holds the size of another. If a row has it, `size(name)` reads it.
#[must_use]
pub fn size_field(name: &str) -> String {
    format!("size({name})")
}

/// The identifiers in `source` that are neither called nor selected from something, in order. Empty if `source` can't
/// be tokenized. Macro variables are included: without the fields, they can't be told apart.
#[must_use]
pub fn identifiers(source: &str) -> Vec<String> {
    let (mut names, sized) = identifiers_and_sizes(source);
    for name in sized {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// The same identifiers in two lists: those used for more than their size, and those that occur as `size(name)`.
#[must_use]
pub fn identifiers_and_sizes(source: &str) -> (Vec<String>, Vec<String>) {
    let Ok(tokens) = Tokens::read(source) else { return (Vec::new(), Vec::new()) };
    let list = &tokens.list;
    let is = |i: Option<usize>, kind: TokenKind| i.and_then(|i| list.get(i)).is_some_and(|token| token.kind == kind);
    let text = |i: usize| &source[list[i].start..list[i].end];
    let (mut names, mut sized) = (Vec::new(), Vec::new());
    for (i, token) in list.iter().enumerate() {
        let before = |n: usize| i.checked_sub(n);
        if token.kind != TokenKind::TokIdent || is(Some(i + 1), TokenKind::TokLeftParen) || is(before(1), TokenKind::TokDot) {
            continue;
        }
        let in_parens = is(before(1), TokenKind::TokLeftParen) && is(Some(i + 1), TokenKind::TokRightParen);
        let is_size = in_parens && before(2).is_some_and(|of| text(of) == "size") && !is(before(3), TokenKind::TokDot);
        let into = if is_size { &mut sized } else { &mut names };
        let name = field_name(text(i)).to_owned();
        if !into.contains(&name) {
            into.push(name);
        }
    }
    (names, sized)
}

#[cfg(test)]
mod tests {
    use super::{field_name, identifiers, identifiers_and_sizes};

    #[test]
    fn calls_and_selected_fields_are_no_names() {
        assert_eq!(identifiers("size(a.b) > 3 && has(c.d) || 'e' == f.g(h)"), ["a", "c", "f", "h"]);
        assert_eq!(identifiers("a +"), ["a"]);
        let (names, sized) = identifiers_and_sizes("size(a) > 1 && x.size(b) && size(c) == c[0] + size(d + 1)");
        assert_eq!((names, sized), (vec!["x".to_owned(), "b".into(), "c".into(), "d".into()], vec!["a".to_owned(), "c".into()]));
        assert_eq!(identifiers("`user-agent` == 'x' && m.`a-b` > `in`"), ["user-agent", "m", "in"]);
        assert_eq!((field_name("`a b`"), field_name("a"), field_name("`a` + `b`")), ("a b", "a", "`a` + `b`"));
    }
}
