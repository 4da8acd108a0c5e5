//! Tables: what lookups have in common, wherever the rows are.

use std::sync::Arc;

use tidegate_expr::canonical;
use tidegate_rows::Row;

use super::kind::{AsTable, Connector, TableConnector};
use super::schema::{self, SchemaField};
use super::{CONNECTORS, choose};
use crate::text::Spanned;
use crate::yaml::{self, Node, Reader, key, key_of};

pub(crate) static TABLE: yaml::Table = yaml::Table {
    name: "table",
    title: "A table",
    keys: &[
        key_of("connector", words, "", "where rows come from"),
        key("schema", "mapping", "", "the fields of a row, in order, each with a type or a time format"),
    ],
};

/// A table.
#[derive(Clone, Debug)]
pub struct Table {
    /// Its name.
    pub name: Spanned<String>,
    /// The fields of its rows.
    pub schema: Vec<SchemaField>,
    /// The connector that serves the rows.
    pub(crate) connector: Arc<dyn TableConnector>,
}

fn side(connector: &'static Connector) -> Option<&'static AsTable> {
    connector.table.as_ref()
}

/// The connectors of tables, for the reference.
fn words() -> String {
    super::words(|connector| connector.table.is_some())
}

/// The keys of a table that has one of these connectors.
fn keys(of: &[&'static AsTable]) -> Vec<&'static yaml::Table> {
    std::iter::once(&TABLE).chain(of.iter().flat_map(|side| side.keys.iter().copied())).collect()
}

/// All keys of tables, for the reference.
pub(crate) fn tables() -> impl Iterator<Item = &'static yaml::Table> {
    let own = CONNECTORS.iter().filter_map(|connector| connector.table.as_ref());
    std::iter::once(&TABLE).chain(own.flat_map(|side| side.keys.iter().chain(side.within).copied()))
}

pub(crate) fn read(reader: &mut Reader, name: Spanned<String>, node: &Node) -> Option<Table> {
    let place = format!("table `{}`", name.value);
    let entries = reader.entries(node, &format!("a mapping for {place}"))?;
    let Some(side) = choose(reader, entries, "table.connector", side)? else {
        let every: Vec<_> = CONNECTORS.iter().filter_map(|connector| connector.table.as_ref()).collect();
        let fields = reader.fields(node, &name.span, &keys(&every), &place)?;
        reader.required(&fields, "connector");
        return None;
    };
    let fields = reader.fields(node, &name.span, &keys(&[side]), &place)?;
    let schema = reader.required(&fields, "schema").map(|node| schema::read(reader, node, &fields));
    let connector = (side.read)(reader, &fields);
    Some(Table { name, schema: schema?, connector: connector? })
}

/// The key that a row is looked up by: the values in these slots. Those that can have several forms are brought into one.
pub(crate) fn lookup_key(row: &Row, slots: &[(usize, bool)]) -> Row {
    slots.iter().map(|(slot, forms)| if *forms { canonical(row.get(*slot)) } else { row.get(*slot).clone() }).collect()
}
