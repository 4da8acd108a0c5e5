//! Expressions that YAML has cut in two: between braces and brackets, a comma ends an unquoted value.

use super::tree::{Entry, Node, Value};
use crate::text::Problem;

/// Problems such as `{ p99: quantile(ms, 0.99) }`, which YAML parses as `p99: quantile(ms` and a key `0.99)` without
/// a value.
pub(crate) fn in_entries(entries: &[Entry]) -> impl Iterator<Item = Problem> {
    entries.iter().enumerate().filter_map(|(at, entry)| {
        let rest = entries.iter().skip(at + 1).map(|entry| entry.value.is_null().then_some(entry.key.value.as_str()));
        problem(&entry.value, rest)
    })
}

/// Problems such as `[user, max(a, b)]`.
pub(crate) fn in_items(items: &[Node]) -> impl Iterator<Item = Problem> {
    items.iter().enumerate().filter_map(|(at, item)| problem(item, items.iter().skip(at + 1).map(plain)))
}

fn plain(node: &Node) -> Option<&str> {
    if let Value::Scalar { text, plain: true } = &node.value { Some(text) } else { None }
}

/// The problem of a value whose parenthesis is closed in one of the pieces after it.
fn problem<'n>(first: &'n Node, rest: impl Iterator<Item = Option<&'n str>>) -> Option<Problem> {
    let open = |text: &str| text.matches('(').count() > text.matches(')').count();
    let mut whole = plain(first).filter(|text| open(text))?.to_owned();
    for piece in rest {
        whole = format!("{whole}, {}", piece?);
        if !open(&whole) {
            let quote = if whole.contains('\'') { '"' } else { '\'' };
            return Some(first.span.problem(format!("the comma ends this value: put the expression in quotes, {quote}{whole}{quote}")));
        }
    }
    None
}
