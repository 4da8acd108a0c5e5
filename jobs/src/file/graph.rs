//! Checks who reads whom: every name in `from` exists, no stream reads itself by any path, and something reads every source and stream.

use std::collections::{HashMap, HashSet};

use super::keys::JOB;
use super::model::Section;
use super::streams::{Stream, side_names};
use crate::stage::{Beside, KINDS, Kind};
use crate::text::{Span, Spanned};
use crate::yaml::{Entry, Node, Value};
use crate::yaml::{Reader, scalar};
use tidegate_expr::nearest;

/// A source or stream that can be read.
struct Made<'n> {
    section: &'static str,
    /// The entry that makes it: the source or stream itself, or the one that it is a side output of.
    maker: &'n str,
    span: &'n Span,
}

/// Checks the names in the whole tree, including parts that can't be read, so that one mistake is not reported twice.
pub(crate) fn check(reader: &mut Reader, root: &Node) {
    let mut made: HashMap<&str, Made<'_>> = HashMap::new();
    for section in ["sources", "streams"] {
        for Entry { key, value, .. } in part(root, section) {
            let side = side_names(value);
            let names = std::iter::once((key.value.as_str(), &key.span)).chain(side);
            for (name, span) in names {
                if let Some(first) = made.get(name) {
                    let line = first.span.line();
                    let taken = span.problem(format!("the name `{name}` is taken by a {} in line {line}", noun(name, first)));
                    reader.within(section, key.as_str(), |reader| reader.push(taken));
                } else {
                    made.insert(name, Made { section, maker: &key.value, span });
                }
            }
        }
    }
    if !has_sections(root) {
        return;
    }
    let mut names: Vec<&str> = made.keys().copied().collect();
    names.sort_unstable();
    let mut read: HashSet<&str> = HashSet::new();
    for section in ["streams", "sinks"] {
        for entry in part(root, section) {
            for (name, span) in reads(&entry.value) {
                if let Some(found) = made.get(name) {
                    read.insert(name);
                    read.insert(found.maker);
                } else {
                    let known = names.iter().copied().filter(|known| *known != entry.key.value);
                    let unknown = span.problem(format!("no source or stream is called `{name}`")).near(name, known);
                    reader.within(section, entry.key.as_str(), |reader| reader.push(unknown));
                }
            }
        }
    }
    tables(reader, root);
    let mut unread: Vec<(&&str, &Made<'_>)> = made.iter().filter(|(name, _)| !read.contains(**name)).collect();
    unread.sort_by_key(|(_, made)| made.span.range().start);
    for (name, made) in unread {
        reader.push(made.span.warning(format!("nothing reads the {} `{name}`", noun(name, made))));
    }
    cycles(reader, root, &made);
}

/// Checks that every table that is used exists, and that every table is used.
fn tables<'n>(reader: &mut Reader, root: &'n Node) {
    let made = part(root, "tables");
    let tables = |stream: &'n Entry| inner(&stream.value, |kind| kind.table).map(move |node| (stream, node));
    let asked = part(root, "streams").iter().flat_map(tables);
    let asked: Vec<(&str, &Entry, &Span)> = asked.filter_map(|(stream, node)| Some((scalar(node)?, stream, &node.span))).collect();
    for (name, stream, span) in &asked {
        if !made.iter().any(|table| table.key.value == *name) {
            let names = made.iter().map(|table| table.key.value.as_str());
            let unknown = span.problem(format!("no table is called `{name}`")).near(name, names);
            reader.within("streams", stream.key.as_str(), |reader| reader.push(unknown));
        }
    }
    for table in made.iter().filter(|table| !asked.iter().any(|(name, ..)| *name == table.key.value)) {
        reader.push(table.key.span.warning(format!("nothing looks into the table `{}`", table.key.value)));
    }
}

/// Attributes the problems of parsing to the entries they are in, which are then known to have errors.
pub(super) fn attribute(reader: &mut Reader, root: &Node) {
    for problem in std::mem::take(&mut reader.problems) {
        let at = problem.span().range().start;
        let sections = Section::ALL.iter().flat_map(|section| part(root, section.key()).iter().map(|entry| (section.key(), entry)));
        // An entry reaches from its name to the next one.
        let before = sections.filter(|(_, entry)| entry.key.span.range().start <= at);
        match before.max_by_key(|(_, entry)| entry.key.span.range().start) {
            Some((section, entry)) => reader.within(section, entry.key.as_str(), |reader| reader.push(problem)),
            None => reader.push(problem),
        }
    }
}

/// Whether names can be checked at all: a misspelt `sources` would make every name unknown.
fn has_sections(root: &Node) -> bool {
    let Value::Map(entries) = &root.value else { return false };
    let known = || JOB.keys.iter().map(|key| key.name);
    let unknown = entries.iter().map(|entry| entry.key.as_str()).filter(|name| !known().any(|known| known == *name));
    let mut meant = unknown.filter_map(|name| nearest(name, known()));
    !meant.any(|name| matches!(name.as_str(), "sources" | "streams" | "sinks"))
}

fn noun(name: &str, made: &Made<'_>) -> &'static str {
    if made.section == "sources" && made.maker == name { "source" } else { "stream" }
}

/// The entries of the section called `section`.
pub(super) fn part<'n>(root: &'n Node, section: &str) -> &'n [Entry] {
    let Value::Map(entries) = &root.value else { return &[] };
    match entries.iter().find(|entry| entry.key.value == section).map(|entry| &entry.value.value) {
        Some(Value::Map(entries)) => entries,
        _ => &[],
    }
}

/// The value of a key in a mapping.
pub(super) fn entry<'n>(node: &'n Node, key: &str) -> Option<&'n Node> {
    let Value::Map(entries) = &node.value else { return None };
    entries.iter().find(|entry| entry.key.value == key).map(|entry| &entry.value)
}

/// The names of other streams in the stages of a stream.
fn beside(stream: &Node) -> impl Iterator<Item = &Node> {
    KINDS.into_iter().flat_map(move |kind| {
        let named = entry(stream, kind.key.name).zip(kind.beside).map(|(stage, beside)| match (beside, &stage.value) {
            (Beside::Under(key), _) => entry(stage, key).into_iter().collect(),
            (Beside::EachUnder(key), Value::Map(entries)) => entries.iter().filter_map(|each| entry(&each.value, key)).collect(),
            (Beside::EachUnder(_), _) => Vec::new(),
        });
        named.unwrap_or_default()
    })
}

/// What the stages of a stream name under the key that their kind has for it.
fn inner(stream: &Node, key: fn(&Kind) -> Option<&'static str>) -> impl Iterator<Item = &Node> {
    KINDS.into_iter().filter_map(move |kind| entry(entry(stream, kind.key.name)?, key(kind)?))
}

/// The names in the `from` of a stream or sink, and those of the streams that its stage reads.
fn reads(node: &Node) -> Vec<(&str, &Span)> {
    let from = match entry(node, "from") {
        Some(Node { value: Value::List(items), .. }) => items.as_slice(),
        Some(one) => std::slice::from_ref(one),
        None => &[],
    };
    from.iter()
        .chain(entry(node, "control"))
        .chain(beside(node))
        .filter(|node| !node.is_null())
        .filter_map(|node| Some((scalar(node)?, &node.span)))
        .collect()
}

/// The sources and streams that make what a stream reads. With `control`, control records count, too.
pub(super) fn makers_of<'n>(root: &'n Node, stream: &str, control: bool) -> Vec<&'n str> {
    let Some(stream) = part(root, "streams").iter().find(|entry| entry.key.value == stream) else { return Vec::new() };
    let read = reads(&stream.value);
    let skipped = if control { None } else { entry(&stream.value, "control").and_then(scalar) };
    let makers = ["sources", "streams"].into_iter().flat_map(|section| part(root, section));
    let makes = |maker: &Entry, name: &str| maker.key.value == name || side_names(&maker.value).iter().any(|(side, _)| *side == name);
    let wanted: Vec<&str> = read.into_iter().map(|(name, _)| name).filter(|name| Some(*name) != skipped).collect();
    makers.filter(|maker| wanted.iter().any(|name| makes(maker, name))).map(|maker| maker.key.as_str()).collect()
}

/// Reports each cycle once, at the `from` that closes it. The walk keeps its own stack, because a chain can be as long as the file.
fn cycles(reader: &mut Reader, root: &Node, made: &HashMap<&str, Made<'_>>) {
    let streams = part(root, "streams");
    let edges: HashMap<&str, Vec<(&str, &Span)>> = streams
        .iter()
        .map(|entry| {
            let makers = reads(&entry.value).into_iter().filter_map(|(name, span)| Some((made.get(name)?.maker, span)));
            (entry.key.value.as_str(), makers.collect())
        })
        .collect();
    let mut done: HashSet<&str> = HashSet::new();
    for start in streams {
        let mut path = vec![(start.key.value.as_str(), 0)];
        while let Some((name, next)) = path.last_mut() {
            let edge = edges.get(*name).and_then(|edges| edges.get(*next)).filter(|_| !done.contains(*name)).copied();
            *next += 1;
            let name = *name;
            let Some((target, span)) = edge else {
                done.insert(name);
                path.pop();
                continue;
            };
            if let Some(at) = path.iter().position(|(name, _)| *name == target) {
                let mut names: Vec<&str> = path.iter().skip(at).map(|(name, _)| *name).collect();
                names.push(target);
                names.reverse();
                let cycle = span.problem(format!("streams read each other in a cycle: {}", names.join(" -> ")));
                reader.within("streams", name, |reader| reader.push(cycle));
            } else if !done.contains(target) {
                path.push((target, 0));
            }
        }
    }
}

/// Streams in an order in which each comes after what it reads. Apart from that, the order of the file is kept.
pub(crate) fn in_order(streams: &[Stream]) -> Vec<&Stream> {
    let mut makers: HashMap<&str, usize> = HashMap::new();
    for (at, stream) in streams.iter().enumerate() {
        let side = [&stream.head.late_to, &stream.head.timeouts_to, &stream.head.ledger].into_iter().flatten().map(Spanned::as_str);
        makers.extend(std::iter::once(stream.head.name.as_str()).chain(side).map(|name| (name, at)));
    }
    let mut ordered = Vec::with_capacity(streams.len());
    let mut visited = vec![false; streams.len()];
    for start in 0..streams.len() {
        let mut path = vec![(start, 0)];
        while let Some((at, next)) = path.last_mut() {
            let Some(stream) = streams.get(*at).filter(|_| *next > 0 || !visited[*at]) else {
                path.pop();
                continue;
            };
            visited[*at] = true;
            let from = stream.reads().nth(*next);
            *next += 1;
            match from {
                Some(from) => path.extend(makers.get(from.as_str()).filter(|maker| !visited[**maker]).map(|maker| (*maker, 0))),
                None => {
                    ordered.push(stream);
                    path.pop();
                }
            }
        }
    }
    ordered
}
