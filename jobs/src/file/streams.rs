//! Streams: what is between sources and sinks.

use super::keys;
use crate::connect::LINES;
use crate::relation::each::{Each, FLAT_MAP_FIELD, FlatMap, Select};
use crate::relation::failures::OnError;
use crate::stage::{Around, Head, InOrder, KINDS, Kind, STAGE, Shared, Stage, window};
use crate::text::{Severity, Span, Spanned};
use crate::yaml::{Fields, Node, Reader, Value, scalar};
use tidegate_expr::nearest;

/// A stream: the union of what it reads, then its stage, if it has one, and then the steps applied to each row.
#[derive(Clone, Debug, PartialEq)]
pub struct Stream {
    /// The keys common to all streams.
    pub head: Head,
    /// The stage, if there is one.
    pub stage: Option<Stage>,
    /// The steps applied to each row after it.
    pub each: Each,
    /// Whether everything that determines the fields of its records was read. If so, its expressions can be checked despite other errors.
    pub whole: bool,
}

impl Stream {
    /// The names of everything it reads.
    pub(crate) fn reads(&self) -> impl Iterator<Item = &Spanned<String>> {
        self.head.from.iter().chain(&self.head.control).chain(self.stage.iter().flat_map(|stage| stage.get().with()))
    }

    /// The names that the stream uses, of its input or of its own output.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.head.key.iter().flat_map(|key| tidegate_expr::identifiers(&key.value)).collect();
        names.extend(self.stage.iter().flat_map(|stage| stage.get().names(&self.head)));
        names.extend(self.each.names());
        names
    }
}

const EXPRESSION: &str = "an expression";

pub(super) fn read(reader: &mut Reader, name: Spanned<String>, node: &Node, shared: &Shared) -> Option<Stream> {
    let place = format!("stream `{}`", name.value);
    let fields = reader.fields(node, &name.span, &[&keys::STREAM, &STAGE], &place)?;
    let from = reader.required(&fields, "from").map_or_else(Vec::new, |node| reader.one_or_more(node, "the name of a source or stream"));
    let key = fields.get("key").map_or_else(Vec::new, |node| reader.one_or_more(node, "a field, an expression"));
    let windows = fields.get("window").zip(fields.key("window"));
    let windows = windows.map(|(node, at)| window::read(reader, node, at, &place));
    let window = windows.as_ref().and_then(Option::as_ref);
    let around = Around { place: &place, from: &from, window, windowed: windows.is_some(), shared };
    let (mut stage, mut read) = (None, true);
    for kind in KINDS {
        let Some((node, at)) = fields.get(kind.key.name).zip(fields.key(kind.key.name)) else { continue };
        let found = Stage::read(kind, reader, node, at, &around);
        read &= found.as_ref().is_some_and(|found| found.whole);
        stage = stage.or(found.map(|found| found.stage));
    }
    let filter = fields.written("where").and_then(|node| reader.text(node, EXPRESSION));
    let select = fields.get("select").and_then(|node| read_select(reader, node));
    let flat_map = fields.get("flat_map").and_then(|node| read_flat_map(reader, node));
    let late_to = fields.get("late_to").and_then(|node| reader.name(node));
    let timeouts_to = fields.get("timeouts_to").and_then(|node| reader.name(node));
    let uid = fields.get("uid").and_then(|node| reader.name(node));
    let parallelism = fields.get("parallelism").and_then(|node| reader.count(node, 1, 1024));
    let actions = [("skip", OnError::Skip), ("fail", OnError::Fail)];
    let on_error = fields.get("on_error").and_then(|node| reader.word(node, "on_error", &actions));
    let orders = [("arrival", InOrder::Arrival), ("time", InOrder::Time)];
    let order = fields.get("order").and_then(|node| reader.word(node, "order", &orders));
    let lateness = fields.get("allowed_lateness").and_then(|node| reader.span(node));
    let zone = fields.get("zone").and_then(|node| reader.zone(node));
    let control = fields.get("control").and_then(|node| reader.name(node));
    let ledger = fields.get("ledger").and_then(|node| reader.name(node));
    let before = reader.problems.len();
    if !fields.missing {
        check_company(reader, &fields);
    }
    let fitting = reader.problems.iter().skip(before).all(|problem| problem.severity == Severity::Warning);
    read &= key.is_empty() == fields.get("key").is_none() && flat_map.is_some() == fields.get("flat_map").is_some();
    read &= fields.get("select").is_none_or(|node| select.as_ref().is_some_and(|select| is_whole(select, node)));
    let whole = fitting && read && !from.is_empty() && !fields.missing && fields.knows_all_but(&ASIDE);
    let on_error = on_error.map(|action| action.value).unwrap_or_default();
    let head = Head { name, from, key, late_to, timeouts_to, uid, parallelism, on_error, order, lateness, zone, control, ledger };
    Some(Stream { head, stage, each: Each { filter, select, flat_map }, whole })
}

/// The keys that don't affect the fields of a stream's records.
const ASIDE: [&str; 7] = ["where", "on_error", "late_to", "timeouts_to", "parallelism", "control", "ledger"];

/// Whether every field of a `select` was read.
fn is_whole(select: &Select, node: &Node) -> bool {
    let Value::Map(entries) = &node.value else { return false };
    select.fields.len() + entries.iter().filter(|entry| entry.key.value == "*").count() == entries.len()
}

/// Checks for keys that mean nothing without another one, and for keys that exclude each other.
fn check_company(reader: &mut Reader, fields: &Fields<'_>) {
    let given: Vec<&Kind> = KINDS.into_iter().filter(|kind| fields.key(kind.key.name).is_some()).collect();
    let unwindowed = given.iter().find(|kind| !kind.windowed);
    let excluded = given.iter().skip(1).map(|kind| (kind.key.name, given.first())).chain([("window", unwindowed)]);
    for (key, other) in excluded {
        if let Some((at, other)) = fields.key(key).zip(other) {
            let message =
                format!("`{key}` does not go with `{}` in {}: give one of them a stream of its own", other.key.name, fields.place);
            reader.push(at.problem(message));
        }
    }
    let windowed = fields.key("window").is_some();
    let mut needs = |key: &str, met: bool, needed: &[&str]| {
        if let Some(at) = fields.key(key).filter(|_| !met) {
            let needed: Vec<_> = needed.iter().map(|key| format!("`{key}`")).collect();
            reader.push(at.problem(format!("`{key}` in {} needs {}", fields.place, needed.join(" or "))));
        }
    };
    // If the stage can't use windows, that has already been reported.
    needs("window", unwindowed.is_some() || !given.is_empty(), &names(|kind| kind.windowed));
    let late = given.iter().any(|kind| kind.late) || windowed;
    needs("late_to", late, &[&["window"], names(|kind| kind.late).as_slice()].concat());
    needs("timeouts_to", given.iter().any(|kind| kind.timeouts), &names(|kind| kind.timeouts));
    needs("parallelism", windowed || given.iter().any(|kind| kind.keyed), &names(|kind| kind.keyed));
    let ordered = given.iter().any(|kind| kind.ordered);
    for key in ["order", "allowed_lateness", "zone"] {
        needs(key, ordered, &names(|kind| kind.ordered));
    }
    for key in ["control", "ledger"] {
        needs(key, given.iter().any(|kind| kind.key.name == "rules"), &["rules"]);
    }
    if let Some(at) = fields.key("uid").filter(|_| given.iter().all(|kind| !kind.stateful)) {
        reader.push(at.warning(format!("`uid` in {} has no effect: it keeps no state", fields.place)));
    }
    if let Some(at) = fields.key("key").filter(|_| !windowed && !given.iter().any(|kind| kind.keyed)) {
        let keyed: Vec<_> = names(|kind| kind.keyed).iter().map(|key| format!("`{key}`")).collect();
        reader.push(at.warning(format!("`key` in {} has no effect without {}", fields.place, keyed.join(" or "))));
    }
}

/// The keys of the kinds for which `are` holds.
fn names(are: impl Fn(&Kind) -> bool) -> Vec<&'static str> {
    KINDS.into_iter().filter(|kind| are(kind)).map(|kind| kind.key.name).collect()
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

/// The names of a stream's side outputs, as far as the tree alone shows them.
pub(crate) fn side_names(node: &Node) -> Vec<(&str, &Span)> {
    let Value::Map(entries) = &node.value else { return Vec::new() };
    const SIDES: [&str; 4] = ["late_to", "timeouts_to", "ledger", "dead_letter"];
    let known = |key: &str| [&keys::STREAM, &STAGE, &LINES].iter().any(|table| table.keys.iter().any(|known| known.name == key));
    // A misspelt key is reported itself, so the name after it must not be reported as unknown.
    let makes = |key: &str| SIDES.contains(&key) || !known(key) && nearest(key, SIDES).is_some();
    let named = entries.iter().filter(|entry| makes(&entry.key.value) && !entry.value.is_null());
    named.filter_map(|entry| Some((scalar(&entry.value)?, &entry.value.span))).collect()
}
