//! `lookup`: joins each record with a row of a table, as it is at that moment.

mod plan;

use tidegate_expr::identifiers;

use super::kind::{Around, Head, Kind, Planned, Read, Refused, Scope, Stage};
use crate::text::{Span, Spanned};
use crate::yaml::{Node, Reader, Table, Value, key};

pub(crate) static KIND: Kind = Kind {
    key: key("lookup", "mapping", "none", "adds to each record the fields of its row in a table; instead of `aggregate`"),
    tables: &[&LOOKUP],
    keyed: false,
    windowed: false,
    ordered: false,
    stateful: false,
    late: false,
    timeouts: false,
    beside: None,
    table: Some("table"),
};

static LOOKUP: Table = Table {
    name: "lookup",
    title: "lookup",
    keys: &[
        key("table", "name", "", "the table to look rows up in"),
        key(
            "on",
            "name | [name, ...] | { name: expression }",
            "",
            "the fields of the table, or parameters of its `url`, and what they must equal; a name alone equals the field of that name",
        ),
        key("type", "inner | left", "inner", "what happens to a record without a row: it is dropped, or passes with nulls"),
        key("order", "ordered | unordered", "ordered", "unordered: records may overtake each other between two watermarks"),
        key("capacity", "count", "100", "how many records may await an answer on each worker; beyond that, the sources wait"),
    ],
};

/// `lookup`.
#[derive(Clone, Debug, PartialEq)]
pub struct Lookup {
    /// The span of the key `lookup`.
    pub place: Spanned<()>,
    /// The table.
    pub table: Spanned<String>,
    /// Fields of the table, or parameters of its URL, with the expressions they must be equal to; at least one.
    pub on: Vec<(Spanned<String>, Spanned<String>)>,
    /// Whether a record without a matching row is kept.
    pub left: bool,
    /// Whether records may overtake one another.
    pub unordered: bool,
    /// The maximum number of records waiting for an answer; above zero.
    pub capacity: u64,
}

pub(crate) fn read(reader: &mut Reader, node: &Node, at: &Span, around: &Around<'_>) -> Option<Read<Lookup>> {
    let fields = reader.fields(node, at, &[&LOOKUP], &format!("`lookup` of {}", around.place))?;
    let table = reader.required(&fields, "table").and_then(|node| reader.name(node));
    let on = reader.required(&fields, "on").and_then(|node| read_on(reader, node));
    let kind = fields.get("type").and_then(|node| reader.word(node, "lookup.type", &[("inner", false), ("left", true)]));
    let order = fields.get("order").and_then(|node| reader.word(node, "lookup.order", &[("ordered", false), ("unordered", true)]));
    let capacity = fields.get("capacity").and_then(|node| reader.count(node, 1, 1 << 20));
    let stage = Lookup {
        place: Spanned::new((), at.clone()),
        table: table?,
        on: on?,
        left: kind.is_some_and(|kind| kind.value),
        unordered: order.is_some_and(|order| order.value),
        capacity: capacity.map_or(100, |capacity| capacity.value),
    };
    Some(Read { stage, whole: true })
}

impl Stage for Lookup {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn names(&self, _: &Head) -> Vec<String> {
        self.on.iter().flat_map(|(_, text)| identifiers(&text.value)).collect()
    }

    fn said(&self) -> Vec<String> {
        let on: Vec<_> = self.on.iter().map(|(field, is)| format!("{} = {}", field.value, is.value.trim())).collect();
        vec![format!("lookup in {} by {}", self.table.value, on.join(", "))]
    }

    fn plan(&self, scope: &mut Scope<'_>) -> Result<Option<Planned>, Refused> {
        plan::plan(self, scope)
    }
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
