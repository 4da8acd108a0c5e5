//! Streams: the operators between sources and sinks.

use super::dedupe::{self, Dedupe};
use super::join::{self, Join};
use super::keys;
use super::lookup::{self, Lookup};
use super::model::OnError;
use super::pattern::{self, Pattern};
use super::problem::Severity;
use super::read::{Fields, Reader, scalar};
use super::span::{Span, Spanned};
use super::top::{self, Top};
use super::window::{self, Window};
use super::yaml::{Node, Value};
use tidegate_expr::nearest;

/// The field a `flat_map` in its short form adds.
pub const FLAT_MAP_FIELD: &str = "value";

/// A stream. What is present is applied in this order: union of `from`, `aggregate` (by `key`, in `window`s or running) or
/// `pattern` (by `key`), `filter`, `select`, `flat_map`.
#[derive(Clone, Debug, PartialEq)]
pub struct Stream {
    /// Its name.
    pub name: Spanned<String>,
    /// What it reads; more than one is a union.
    pub from: Vec<Spanned<String>>,
    /// What `aggregate` and `pattern` group by, each the name of a field or an expression; without any the whole stream is one group.
    pub key: Vec<Spanned<String>>,
    /// The windows of `aggregate`; without it one output per record.
    pub window: Option<Window>,
    /// The aggregates in order; empty if the stream has none.
    pub aggregate: Vec<Aggregate>,
    /// What is looked for; not beside `aggregate`.
    pub pattern: Option<Pattern>,
    /// What it is joined with; not beside the others.
    pub join: Option<Join>,
    /// What it is looked up in; not beside the others.
    pub lookup: Option<Lookup>,
    /// Which record of a key goes on; not beside the others.
    pub dedupe: Option<Dedupe>,
    /// Which records of a key or window go on; not beside the others.
    pub top: Option<Top>,
    /// `where`.
    pub filter: Option<Spanned<String>>,
    /// `select`.
    pub select: Option<Select>,
    /// `flat_map`.
    pub flat_map: Option<FlatMap>,
    /// The name of a stream of late records.
    pub late_to: Option<Spanned<String>>,
    /// The name of a stream of timed-out partial matches.
    pub timeouts_to: Option<Spanned<String>>,
    /// The name its state is kept under, if not its own.
    pub uid: Option<Spanned<String>>,
    /// What an error in an expression does at run time.
    pub on_error: OnError,
    /// Has it the key `window`, whether that could be read or not?
    pub windowed: bool,
    /// Was all read that says which fields its records have? Then its expressions can be judged, whatever else is wrong with it.
    pub whole: bool,
}

/// A named aggregate.
#[derive(Clone, Debug, PartialEq)]
pub struct Aggregate {
    /// The field it becomes.
    pub name: Spanned<String>,
    /// The call: `sum(amount)`.
    pub call: Spanned<String>,
    /// Which records it is over.
    pub filter: Option<Spanned<String>>,
}

/// `select`.
#[derive(Clone, Debug, PartialEq)]
pub struct Select {
    /// `"*": true`: all fields are kept, and the others are added or replaced.
    pub all: Option<Spanned<bool>>,
    /// The fields with their expressions, in order.
    pub fields: Vec<(Spanned<String>, Spanned<String>)>,
}

/// `flat_map`: one record per element of a list, being the record with the element as a further field.
#[derive(Clone, Debug, PartialEq)]
pub struct FlatMap {
    /// The field; [`FLAT_MAP_FIELD`] in the short form.
    pub field: Spanned<String>,
    /// The expression that gives the list.
    pub list: Spanned<String>,
}

const EXPRESSION: &str = "an expression";

pub(super) fn read(reader: &mut Reader, name: Spanned<String>, node: &Node) -> Option<Stream> {
    let place = format!("stream `{}`", name.value);
    let fields = reader.fields(node, &name.span, &[&keys::STREAM], &place)?;
    let from = reader.required(&fields, "from").map_or_else(Vec::new, |node| reader.one_or_more(node, "the name of a source or stream"));
    let key = fields.get("key").map_or_else(Vec::new, |node| reader.one_or_more(node, "a field, an expression"));
    let window = fields.get("window").zip(fields.key("window"));
    let window = window.and_then(|(node, at)| window::read(reader, node, at, &place));
    let aggregate = fields.get("aggregate").map_or_else(Vec::new, |node| read_aggregates(reader, node));
    let pattern = fields.get("pattern").zip(fields.key("pattern"));
    let pattern = pattern.and_then(|(node, at)| pattern::read(reader, node, at, &place));
    let join = fields.get("join").zip(fields.key("join"));
    let join = join.and_then(|(node, at)| join::read(reader, node, at, &place, &from));
    let lookup = fields.get("lookup").zip(fields.key("lookup"));
    let lookup = lookup.and_then(|(node, at)| lookup::read(reader, node, at, &place));
    let dedupe = fields.get("dedupe").zip(fields.key("dedupe"));
    let dedupe = dedupe.and_then(|(node, at)| dedupe::read(reader, node, at, &place));
    let top = fields.get("top").zip(fields.key("top"));
    let top = top.and_then(|(node, at)| top::read(reader, node, at, &place));
    let filter = fields.written("where").and_then(|node| reader.text(node, EXPRESSION));
    let select = fields.get("select").and_then(|node| read_select(reader, node));
    let flat_map = fields.get("flat_map").and_then(|node| read_flat_map(reader, node));
    let late_to = fields.get("late_to").and_then(|node| reader.name(node));
    let timeouts_to = fields.get("timeouts_to").and_then(|node| reader.name(node));
    let uid = fields.get("uid").and_then(|node| reader.name(node));
    let actions = [("skip", OnError::Skip), ("fail", OnError::Fail)];
    let on_error = fields.get("on_error").and_then(|node| reader.word(node, "on_error", &actions));
    let before = reader.problems.len();
    if !fields.missing {
        check_company(reader, &fields);
    }
    let fitting = reader.problems.iter().skip(before).all(|problem| problem.severity == Severity::Warning);
    let entries = |key: &str| match fields.get(key).map(|node| &node.value) {
        Some(Value::Map(entries)) => entries.len(),
        Some(_) => usize::MAX,
        None => 0,
    };
    let selected = select.as_ref().map_or(0, |select| select.fields.len());
    let stars = fields
        .get("select")
        .map_or(0, |node| if let Value::Map(entries) = &node.value { entries.iter().filter(|e| e.key.value == "*").count() } else { 0 });
    let read = [
        ("key", !key.is_empty()),
        ("window", window.is_some() || top.is_none()),
        ("pattern", pattern.as_ref().is_some_and(|pattern| pattern.named)),
        ("join", join.is_some()),
        ("lookup", lookup.is_some()),
        ("dedupe", dedupe.is_some()),
        ("top", top.is_some()),
        ("flat_map", flat_map.is_some()),
        ("aggregate", aggregate.len() == entries("aggregate")),
        ("select", selected + stars == entries("select")),
    ];
    let read = read.iter().all(|(key, read)| fields.get(key).is_none() || *read);
    let whole = fitting && read && !from.is_empty() && !fields.missing && fields.knows_all_but(&ASIDE);
    let on_error = on_error.map(|action| action.value).unwrap_or_default();
    Some(Stream {
        name,
        from,
        key,
        window,
        aggregate,
        pattern,
        join,
        lookup,
        dedupe,
        top,
        filter,
        select,
        flat_map,
        late_to,
        timeouts_to,
        uid,
        on_error,
        windowed: fields.key("window").is_some(),
        whole,
    })
}

/// The keys that say nothing about the fields of a stream's records.
const ASIDE: [&str; 4] = ["where", "on_error", "late_to", "timeouts_to"];

/// What a stream can be.
const WORK: [&str; 6] = ["pattern", "join", "lookup", "dedupe", "top", "aggregate"];

/// Keys that mean nothing without another one, and those that don't go together.
fn check_company(reader: &mut Reader, fields: &Fields<'_>) {
    let work = fields.given(&WORK);
    let unwindowed = work.iter().find(|work| !matches!(**work, "aggregate" | "top"));
    let excluded = work.iter().skip(1).map(|key| (*key, work.first())).chain([("window", unwindowed)]);
    for (key, other) in excluded {
        if let Some((at, other)) = fields.key(key).zip(other) {
            let message = format!("`{key}` does not go with `{other}` in {}: give one of them a stream of its own", fields.place);
            reader.push(at.problem(message));
        }
    }
    let needs: [(&str, &[&'static str]); 3] =
        [("window", &["aggregate", "top"]), ("late_to", &["window", "pattern", "join", "dedupe"]), ("timeouts_to", &["pattern"])];
    for (key, needed) in needs {
        let told = key == "window" && unwindowed.is_some();
        if let Some(at) = fields.key(key).filter(|_| fields.given(needed).is_empty() && !told) {
            let needed: Vec<_> = needed.iter().map(|key| format!("`{key}`")).collect();
            reader.push(at.problem(format!("`{key}` in {} needs {}", fields.place, needed.join(" or "))));
        }
    }
    if let Some(at) = fields.key("uid").filter(|_| work.iter().all(|work| *work == "lookup")) {
        reader.push(at.warning(format!("`uid` in {} has no effect: it keeps no state", fields.place)));
    }
    let keyed = work.iter().any(|work| *work != "lookup") || fields.key("window").is_some();
    if let Some(at) = fields.key("key").filter(|_| !keyed) {
        let work: Vec<_> = WORK.iter().filter(|work| **work != "lookup").map(|key| format!("`{key}`")).collect();
        reader.push(at.warning(format!("`key` in {} has no effect without {}", fields.place, work.join(" or "))));
    }
}

fn read_aggregates(reader: &mut Reader, node: &Node) -> Vec<Aggregate> {
    let Some(entries) = reader.entries(node, "a mapping from new fields to aggregates") else { return Vec::new() };
    if entries.is_empty() {
        reader.push(node.span.problem("`aggregate` needs at least one field, such as `n: count()`"));
    }
    entries.iter().filter_map(|entry| read_aggregate(reader, &entry.key, &entry.value)).collect()
}

fn read_aggregate(reader: &mut Reader, name: &Spanned<String>, node: &Node) -> Option<Aggregate> {
    const CALL: &str = "an aggregate such as `count()`";
    let name = reader.field_name(name)?;
    if !matches!(node.value, Value::Map(_)) {
        return Some(Aggregate { name, call: reader.text(node, CALL)?, filter: None });
    }
    let place = format!("the aggregate `{}`", name.value);
    let fields = reader.fields(node, &name.span, &[&keys::AGGREGATE], &place)?;
    let call = reader.required(&fields, "value").and_then(|node| reader.text(node, CALL));
    let filter = fields.written("where").and_then(|node| reader.text(node, EXPRESSION));
    Some(Aggregate { name, call: call?, filter })
}

fn read_select(reader: &mut Reader, node: &Node) -> Option<Select> {
    let mut select = Select { all: None, fields: Vec::new() };
    let entries = reader.entries(node, "a mapping from new fields to expressions")?;
    if entries.is_empty() {
        return reader.fail(&node.span, "`select` needs at least one field");
    }
    for entry in entries {
        if entry.key.value == "*" {
            select.all = reader.bool(&entry.value).filter(|all| all.value);
        } else if let (Some(name), Some(expression)) = (reader.field_name(&entry.key), reader.text(&entry.value, EXPRESSION)) {
            select.fields.push((name, expression));
        }
    }
    Some(select)
}

fn read_flat_map(reader: &mut Reader, node: &Node) -> Option<FlatMap> {
    match &node.value {
        Value::Map(entries) => match entries.as_slice() {
            [entry] => Some(FlatMap { field: reader.field_name(&entry.key)?, list: reader.text(&entry.value, EXPRESSION)? }),
            _ => reader.fail(&node.span, "`flat_map` takes an expression or one field with its expression"),
        },
        Value::Scalar { .. } | Value::List(_) => {
            let list = reader.text(node, EXPRESSION)?;
            Some(FlatMap { field: Spanned::new(FLAT_MAP_FIELD.to_owned(), list.span.clone()), list })
        }
    }
}

/// Names a stream makes besides its own, as far as they can be told from the tree alone.
pub(super) fn side_names(node: &Node) -> Vec<(&str, &Span)> {
    let Value::Map(entries) = &node.value else { return Vec::new() };
    const SIDES: [&str; 3] = ["late_to", "timeouts_to", "dead_letter"];
    let known = |key: &str| [&keys::STREAM, &keys::SOURCE_TEXT].iter().any(|table| table.keys.iter().any(|known| known.name == key));
    // A key that is probably meant to be one of these is told of; the name behind it is no mistake.
    let makes = |key: &str| SIDES.contains(&key) || !known(key) && nearest(key, SIDES).is_some();
    let named = entries.iter().filter(|entry| makes(&entry.key.value) && !entry.value.is_null());
    named.filter_map(|entry| Some((scalar(&entry.value)?, &entry.value.span))).collect()
}
