//! Rules, indicators and patterns by name, as they are written and as they are read. Versions change them one by one.

use std::sync::Arc;

use serde_json::Value as Json;

use super::document::{Wrong, reading};
use super::json_of;
use crate::file::{remove_at, set_at};
use crate::text::Spanned;
use crate::yaml::{Entry, Node, Reader, Value};

/// Something with a name, as written and as read.
#[derive(Clone, Debug)]
pub(super) struct Named<T> {
    pub(super) name: Spanned<String>,
    pub(super) node: Node,
    pub(super) read: T,
}

/// All of a kind, in order.
pub(super) type All<T> = Vec<Arc<Named<T>>>;

/// How one is read.
pub(super) type ReadOne<T> = fn(&mut Reader, &Spanned<String>, &Node) -> Option<T>;

/// What a path into something that is not there does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    /// It makes one.
    Begun,
    /// It is refused: one is set as a whole, so that a misspelt name makes none.
    Refused,
}

impl<T> Named<T> {
    /// It as JSON.
    pub(super) fn json(&self) -> Json {
        json_of(&self.node)
    }
}

/// Reads all entries of a mapping.
pub(super) fn all<T>(reader: &mut Reader, node: &Node, expected: &str, read: ReadOne<T>) -> Option<All<T>> {
    let entries = reader.entries(node, expected)?;
    let one = |entry: &Entry| {
        let read = read(reader, &entry.key, &entry.value)?;
        Some(Arc::new(Named { name: entry.key.clone(), node: entry.value.clone(), read }))
    };
    let named: All<T> = entries.iter().filter_map(one).collect();
    (named.len() == entries.len()).then_some(named)
}

/// Sets or removes one, or something below it. Returns whether there was something to remove.
pub(super) fn put<T>(
    all: &mut All<T>,
    name: &Spanned<String>,
    below: &[Spanned<String>],
    value: Option<Node>,
    (read, missing): (ReadOne<T>, Missing),
) -> Result<bool, Wrong> {
    let place = all.iter().position(|known| known.name.value == name.value);
    let before = place.and_then(|place| all.get(place)).map(|known| known.node.clone());
    let node = match (below, value, before) {
        ([], None, _) => return Ok(place.map(|place| all.remove(place)).is_some()),
        ([], Some(value), _) => value,
        (_, None, None) => return Ok(false),
        (below, None, Some(mut node)) => {
            if !remove_at(&mut node, below) {
                return Ok(false);
            }
            node
        }
        (_, Some(_), None) if missing == Missing::Refused => {
            let names = all.iter().map(|known| known.name.as_str());
            return Err(vec![name.problem(format!("nothing here is called `{}`", name.value)).near(&name.value, names)]);
        }
        (below, Some(value), before) => {
            let mut node = before.unwrap_or_else(|| Node { span: name.span.clone(), value: Value::Map(Vec::new()) });
            set_at(&mut node, below, value).map_err(|problem| vec![problem])?;
            node
        }
    };
    let read = reading(|reader| read(reader, name, &node))?;
    let new = Arc::new(Named { name: name.clone(), node, read });
    match place.and_then(|place| all.get_mut(place)) {
        Some(known) => *known = new,
        None => all.push(new),
    }
    Ok(true)
}
