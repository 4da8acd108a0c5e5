//! Open rows: those of sources that give no schema, whose fields nobody knows before they come.
//!
//! The job is planned with what it names: each name that is asked of an open stream becomes a field of the sources it comes from, one that a
//! row may lack, and what nobody asks for travels in the rest. So every stage finds names in the schema of its input and nowhere else.
//! Planning itself tells what is asked: it is done again for as long as it asks for more.

use std::collections::{BTreeMap, BTreeSet};

use tidegate_rows::Schema;

use super::patterns;
use crate::file::{Join, Near, Sink, SinkConnector, SinkFormat, Spanned, Stream, TextPart};
use tidegate_expr::{identifiers, parse_call};

/// Where the fields of an open stream come from.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Origin {
    sources: BTreeSet<String>,
    /// What names may have got in front of them in joins.
    prefixes: BTreeSet<String>,
}

impl Origin {
    /// Of this source alone.
    pub(super) fn source(name: &str) -> Self {
        Self { sources: BTreeSet::from([name.to_owned()]), prefixes: BTreeSet::new() }
    }

    /// Of both.
    pub(super) fn and(mut self, other: &Self) -> Self {
        self.sources.extend(other.sources.iter().cloned());
        self.prefixes.extend(other.prefixes.iter().cloned());
        self
    }

    /// Of a join with what is called so.
    pub(super) fn joined_with(mut self, with: &str) -> Self {
        if !self.sources.is_empty() {
            self.prefixes.insert(format!("{with}_"));
        }
        self
    }

    /// The name, and what it is in the sources if it got a prefix on the way.
    fn names<'n>(&self, name: &'n str) -> BTreeSet<&'n str> {
        let (mut all, mut new) = (BTreeSet::new(), vec![name]);
        while let Some(name) = new.pop() {
            if all.insert(name) {
                new.extend(self.prefixes.iter().filter_map(|prefix| name.strip_prefix(prefix.as_str())).filter(|name| !name.is_empty()));
            }
        }
        all
    }
}

/// Why a field is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Why {
    /// Another stream has it, and one name must mean one field where they meet.
    Met,
    /// The job says it.
    Named,
}

/// The fields that are asked of each open source.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Asked(BTreeMap<String, BTreeMap<String, Why>>);

impl Asked {
    /// The fields asked of a source.
    pub(super) fn of(&self, source: &str) -> impl Iterator<Item = &str> {
        self.0.get(source).into_iter().flatten().map(|(name, _)| name.as_str())
    }

    /// Does the job say this name of what comes from there?
    pub(super) fn is_named(&self, origin: &Origin, name: &str) -> bool {
        origin.sources.iter().any(|source| self.0.get(source).and_then(|asked| asked.get(name)) == Some(&Why::Named))
    }

    /// The job says these names of a stream.
    pub(super) fn name(&mut self, origin: &Origin, names: &[String]) {
        names.iter().for_each(|name| self.ask(origin, name, Why::Named));
    }

    /// Rows of these streams become rows of one. What one of them has must not be in the rest of another.
    pub(super) fn meet(&mut self, streams: &[(&Schema, &Origin)]) {
        for (open, origin) in streams.iter().filter(|(schema, _)| schema.rest().is_some()) {
            let others = streams.iter().filter(|(schema, _)| !std::ptr::eq(*schema, *open));
            others.flat_map(|(schema, _)| schema.names()).for_each(|name| self.ask(origin, name, Why::Met));
        }
    }

    /// As [`Asked::meet`], for a join of two sides, of which the second is called `with`.
    pub(super) fn meet_in_join(&mut self, sides: [(&Schema, &Origin); 2], with: &str) {
        let [_, (right, _)] = sides;
        for (_, origin) in sides.iter().filter(|(schema, _)| schema.rest().is_some()) {
            let origin = (*origin).clone().joined_with(with);
            sides.iter().flat_map(|(schema, _)| schema.names()).for_each(|name| self.ask(&origin, name, Why::Met));
            // What the right is sure to have may get this name. What it may have does not get one that nobody asks for, so there is an end to the names.
            for (_, field) in right.fields().filter(|(_, field)| !field.optional) {
                self.ask(&origin, &format!("{with}_{}", field.name), Why::Met);
            }
        }
    }

    fn ask(&mut self, origin: &Origin, name: &str, why: Why) {
        for source in &origin.sources {
            let asked = self.0.entry(source.clone()).or_default();
            for name in origin.names(name) {
                let known = asked.entry(name.to_owned()).or_insert(why);
                *known = why.max(*known);
            }
        }
    }
}

/// The names a stream says of its input or of what it makes of it. There may be some among them that are no fields, such as variables of macros.
pub(super) fn named_in(stream: &Stream) -> Vec<String> {
    let over = |text: &Spanned<String>| identifiers(&text.value);
    let mut names: Vec<String> = stream.key.iter().flat_map(over).collect();
    for aggregate in &stream.aggregate {
        let args = parse_call(&aggregate.call.value).map(|call| call.args).unwrap_or_default();
        names.extend(args.iter().flat_map(|arg| identifiers(&arg.source)));
        names.extend(aggregate.filter.iter().flat_map(over));
    }
    let windows = stream.window.iter().chain(stream.join.iter().filter_map(|join| match &join.near {
        Near::Window(window) => Some(window),
        Near::Within(..) | Near::Temporal(_) => None,
    }));
    for window in windows {
        names.extend(window.texts().flat_map(over));
        names.extend(["window_start", "window_end"].map(str::to_owned));
    }
    if let Some(top) = &stream.top {
        names.extend(over(&top.by));
        names.push("rank".to_owned());
    }
    if let Some(join) = &stream.join {
        names.extend(of_left(stream, join));
        names.extend(join.on.iter().flat_map(|on| identifiers(on.text.value.get(on.right.clone()).unwrap_or_default())));
    }
    if let Some(Near::Temporal(Some(deleted))) = stream.join.as_ref().map(|join| &join.near) {
        names.extend(over(deleted));
    }
    names.extend(stream.lookup.iter().flat_map(|lookup| &lookup.on).flat_map(|(_, text)| over(text)));
    if let Some(pattern) = &stream.pattern {
        names.extend(patterns::texts(pattern).into_iter().flat_map(|text| identifiers(&text)));
        names.extend(pattern.tie_break.iter().map(|field| field.value.clone()));
    }
    names.extend(stream.filter.iter().flat_map(over));
    for (name, text) in stream.select.iter().flat_map(|select| &select.fields) {
        names.extend(over(text));
        names.push(name.value.clone());
    }
    if let Some(flat_map) = &stream.flat_map {
        names.extend(over(&flat_map.list));
        names.push(flat_map.field.value.clone());
    }
    names
}

/// The names that the key of a join says of its left side.
pub(super) fn of_left(stream: &Stream, join: &Join) -> Vec<String> {
    let on = join.on.iter().flat_map(|on| identifiers(on.text.value.get(on.left.clone()).unwrap_or_default()));
    let key = stream.key.iter().filter(|_| join.on.is_empty()).flat_map(|key| identifiers(&key.value));
    on.chain(key).collect()
}

/// The names a sink says of what it writes.
pub(super) fn named_in_sink(sink: &Sink) -> Vec<String> {
    let mut parts: Vec<&TextPart> = Vec::new();
    let mut names = Vec::new();
    if let SinkFormat::Text(Some(text)) = &sink.format {
        parts.extend(text);
    }
    if let SinkConnector::Kafka(kafka) = &sink.connector {
        parts.extend(kafka.key.iter().chain(kafka.headers.iter().map(|(_, text)| text)).flatten());
        names.extend(kafka.timestamp.iter().map(|field| field.value.clone()));
    }
    names.extend(parts.into_iter().filter_map(|part| if let TextPart::Field(field) = part { Some(field.value.clone()) } else { None }));
    names
}
