//! `lookup`: joins each record with what a table says of it at that moment.

use super::keys;
use super::read::Reader;
use super::span::{Span, Spanned};
use super::yaml::{Node, Value};

/// `lookup`.
#[derive(Clone, Debug, PartialEq)]
pub struct Lookup {
    /// Where the key `lookup` stands.
    pub place: Spanned<()>,
    /// The table.
    pub table: Spanned<String>,
    /// Fields of the table, or parameters of its URL, and the expressions they are equal to; at least one.
    pub on: Vec<(Spanned<String>, Spanned<String>)>,
    /// Whether a record without a row stays.
    pub left: bool,
    /// Whether records may overtake each other.
    pub unordered: bool,
    /// How many records may wait for an answer; above zero.
    pub capacity: u64,
}

pub(super) fn read(reader: &mut Reader, node: &Node, at: &Span, stream: &str) -> Option<Lookup> {
    let fields = reader.fields(node, at, &[&keys::LOOKUP], &format!("`lookup` of {stream}"))?;
    let table = reader.required(&fields, "table").and_then(|node| reader.name(node));
    let on = reader.required(&fields, "on").and_then(|node| read_on(reader, node));
    let kind = fields.get("type").and_then(|node| reader.word(node, "lookup.type", &[("inner", false), ("left", true)]));
    let order = fields.get("order").and_then(|node| reader.word(node, "lookup.order", &[("ordered", false), ("unordered", true)]));
    let capacity = fields.get("capacity").and_then(|node| reader.count(node, 1, 1 << 20));
    Some(Lookup {
        place: Spanned::new((), at.clone()),
        table: table?,
        on: on?,
        left: kind.is_some_and(|kind| kind.value),
        unordered: order.is_some_and(|order| order.value),
        capacity: capacity.map_or(100, |capacity| capacity.value),
    })
}

fn read_on(reader: &mut Reader, node: &Node) -> Option<Vec<(Spanned<String>, Spanned<String>)>> {
    let on: Vec<_> = match &node.value {
        Value::Map(entries) => {
            let pair = |reader: &mut Reader, name: &Spanned<String>, node| Some((name.clone(), reader.text(node, "an expression")?));
            entries.iter().map(|entry| pair(reader, &entry.key, &entry.value)).collect::<Option<_>>()?
        }
        Value::Scalar { .. } | Value::List(_) => {
            let names = reader.one_or_more(node, "the name of a field, or a mapping from names to expressions");
            names.into_iter().map(|name| (name.clone(), name)).collect()
        }
    };
    if on.is_empty() { reader.fail(&node.span, "`on` needs at least one field") } else { Some(on) }
}
