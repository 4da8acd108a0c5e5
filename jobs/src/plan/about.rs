//! What the state of each part of a job rests on, for a changed job to be compared with: the names it is kept under, its keys and their types, the layout
//! of records in it, and what made the records that were read.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde_json::Value as Json;
use tidegate_cep::pattern::Body;
use tidegate_cep::{Pattern, Step};
use tidegate_operators::Keep;
use tidegate_rows::Schema;
use tidegate_runtime::{About, Basis, Field};

use super::patterns;
use super::streams::{PlannedStream, Work};
use super::windows::PlannedWindow;
use crate::file::{self, FieldType, JobFile, Near, Problem, Spanned, TimeUnit};
use tidegate_expr::Expr;

/// What is known of a stream's state. The operators of a stream are named after it, and one of them keeps state at most.
pub(super) fn stream(file: &JobFile, stream: &file::Stream, planned: &PlannedStream) -> About {
    let input = &planned.input.schema;
    let by = || stream.key.iter().map(|key| Field::new(key.value.trim(), type_of(&key.value, input))).collect();
    let rows = || fields(input).chain(computed(stream, input)).collect();
    let windowed = |window: &PlannedWindow| matches!(window, PlannedWindow::Time(windows) if windows.evictor.is_some());
    let (key, records, form): (Vec<Field>, Option<Vec<Field>>, Option<String>) = match &planned.work {
        Work::Nothing | Work::Lookup(_) => return About { id: id(stream.uid.as_ref()), basis: Basis::default() },
        Work::Aggregation(aggregation) => {
            let identity = |slots: &Arc<[usize]>| slots.iter().filter_map(|slot| input.field(*slot)).map(field).collect();
            let evicts = aggregation.window.as_ref().is_some_and(windowed);
            (by(), if evicts { Some(rows()) } else { aggregation.latest.as_ref().map(identity) }, None)
        }
        // The first one, too, waits where the order of arrival means nothing.
        Work::Dedupe(dedupe) => (by(), (dedupe.keep == Keep::Last || !dedupe.key.settled).then(rows), None),
        Work::Top(_) => (by(), Some(rows()), stream.top.as_ref().map(|top| format!("by {}", top.by.value.trim()))),
        Work::Pattern(_) => (by(), Some(rows()), stream.pattern.as_ref().map(|pattern| form(&pattern.shape))),
        Work::Join(join) => {
            let right = fields(&join.with_schema).map(|field| Field::new(format!("{}.{}", stream_with(stream), field.name), field.is));
            (on(stream, input, &join.with_schema), Some(fields(input).chain(right).collect()), near(stream))
        }
    };
    let mut reads = Vec::new();
    conditions(stream, &mut reads);
    upstream(file, stream, &mut HashSet::new(), &mut reads);
    About { id: id(stream.uid.as_ref()), basis: Basis { key: Some(key), records, form, reads: Some(reads) } }
}

/// The name under which the state of a source is kept.
pub(super) fn source(file: &JobFile, name: &str) -> About {
    About { id: file.source(name).and_then(|source| id(source.uid.as_ref())), basis: Basis::default() }
}

/// The name under which the state of a sink is kept.
pub(super) fn sink(file: &JobFile, name: &str) -> About {
    let uid = file.sinks.iter().find(|sink| sink.name.value == name).and_then(|sink| sink.uid.as_ref());
    About { id: uid.map(|uid| sink_name(&uid.value)), basis: Basis::default() }
}

/// What a sink is called among operators: sinks are named apart from sources and streams in a file.
pub(super) fn sink_name(name: &str) -> String {
    format!("sinks.{name}")
}

fn id(uid: Option<&Spanned<String>>) -> Option<String> {
    uid.map(|uid| uid.value.clone())
}

/// Parts of a job that would keep their state under one name.
pub(super) fn conflicts(file: &JobFile) -> Vec<Problem> {
    let sources = file.sources.iter().map(|source| (&source.name, source.uid.as_ref()));
    let streams = file.streams.iter().map(|stream| (&stream.name, stream.uid.as_ref()));
    let sinks = file.sinks.iter().map(|sink| (&sink.name, sink.uid.as_ref()));
    let mut problems = Vec::new();
    for parts in [sources.chain(streams).collect::<Vec<_>>(), sinks.collect()] {
        let mut taken: HashMap<&str, &str> = HashMap::new();
        // Those without a `uid` first: whoever takes their names is the one to change.
        let (with, without): (Vec<_>, Vec<_>) = parts.into_iter().partition(|(_, uid)| uid.is_some());
        for (name, uid) in without.into_iter().chain(with) {
            let id = uid.unwrap_or(name);
            if let Some(other) = taken.insert(&id.value, &name.value)
                && uid.is_some()
            {
                problems.push(id.problem(format!(
                    "`{other}` keeps its state under this name: each `uid` is used once, and no other part has it as its name"
                )));
            }
        }
    }
    problems
}

fn fields(schema: &Schema) -> impl Iterator<Item = Field> {
    schema.fields().map(|(_, own)| field(own))
}

fn field(field: &tidegate_rows::Field) -> Field {
    Field::new(field.name.clone(), field.ty.to_string())
}

/// The keys that are expressions: their values stand behind the row.
fn computed<'a>(stream: &'a file::Stream, input: &'a Schema) -> impl Iterator<Item = Field> + 'a {
    let keys = stream.key.iter().filter(move |key| input.slot(&key.value).is_none());
    keys.map(move |key| Field::new(key.value.trim(), type_of(&key.value, input)))
}

/// The type of a field or an expression. What can't be compiled has been told.
fn type_of(text: &str, schema: &Schema) -> String {
    match schema.named(text) {
        Some(field) => field.ty.to_string(),
        None => Expr::compile(text, schema).map_or_else(|_| "any".to_owned(), |expr| expr.ty().to_string()),
    }
}

fn stream_with(stream: &file::Stream) -> &str {
    stream.join.as_ref().map_or("", |join| join.with.as_str())
}

/// What a join pairs by.
fn on(stream: &file::Stream, left: &Schema, right: &Schema) -> Vec<Field> {
    let Some(join) = stream.join.as_ref().filter(|join| !join.on.is_empty()) else {
        return stream.key.iter().map(|key| Field::new(key.value.trim(), type_of(&key.value, left))).collect();
    };
    let field = |equality: &file::Equality| {
        let text = |range: &std::ops::Range<usize>| equality.text.value.get(range.clone()).unwrap_or_default();
        let (l, r) = (text(&equality.left), text(&equality.right));
        let (of_left, of_right) = (type_of(l, left), type_of(r, right));
        Field::new(format!("{l} == {r}"), if of_left == of_right { of_left } else { format!("{of_left} and {of_right}") })
    };
    join.on.iter().map(field).collect()
}

fn near(stream: &file::Stream) -> Option<String> {
    match &stream.join.as_ref()?.near {
        Near::Temporal(Some(deleted)) => Some(format!("a table whose versions end where {}", deleted.value.trim())),
        _ => None,
    }
}

/// The steps of a pattern, without their conditions: partial matches are in one of them.
fn form(pattern: &Pattern<Spanned<String>>) -> String {
    fn steps<C>(of: &[Step<C>]) -> String {
        of.iter().map(step).collect::<Vec<_>>().join(", ")
    }
    fn step<C>(step: &Step<C>) -> String {
        let body = match &step.body {
            Body::Event(_) => step.name.to_string(),
            Body::AnyOf(kinds) => format!("any of ({})", kinds.iter().map(|kind| kind.name.to_string()).collect::<Vec<_>>().join(", ")),
            Body::Group(inside) => format!("({})", steps(inside)),
        };
        let said = |what: &str, value: Result<Json, serde_json::Error>| match value {
            Ok(Json::Null | Json::Bool(false)) | Err(_) => String::new(),
            Ok(Json::Bool(true)) => format!(" {what}"),
            Ok(Json::String(word)) => format!(" {word}"),
            Ok(Json::Object(parts)) => {
                let parts = parts.iter().filter(|(_, part)| !part.is_null()).map(|(name, part)| format!("{name} {part}"));
                format!(" {what} {}", parts.collect::<Vec<_>>().join(" "))
            }
            Ok(value) => format!(" {what} {value}"),
        };
        let contiguity =
            serde_json::to_value(step.contiguity).ok().and_then(|word| Some(word.as_str()?.replace('_', " "))).unwrap_or_default();
        let inner = if step.times.is_some() { said("", serde_json::to_value(step.inner)) } else { String::new() };
        let until = if step.until.is_some() { " until" } else { "" };
        let (times, within) = (said("times", serde_json::to_value(step.times)), said("within", serde_json::to_value(step.within)));
        let (optional, greedy) = (said("optional", Ok(step.optional.into())), said("greedy", Ok(step.greedy.into())));
        format!("{contiguity} {body}{times}{inner}{optional}{greedy}{until}{within}")
    }
    format!("the steps {}", steps(&pattern.steps))
}

/// What decides in the operator itself which records count, and is not compared otherwise.
fn conditions(stream: &file::Stream, reads: &mut Vec<String>) {
    if let Some(pattern) = &stream.pattern {
        reads.extend(patterns::texts(pattern).iter().map(|text| format!("where {}", text.trim())));
    }
}

/// How the records of a source get their time.
fn event_time(source: &file::Source) -> Option<String> {
    let time = source.event_time.as_ref()?;
    let schema = source.lines().and_then(|lines| lines.schema.as_ref());
    let field = schema.and_then(|schema| schema.iter().find(|field| field.name.value == time.field.value));
    let unit = |unit: TimeUnit| match unit {
        TimeUnit::Seconds => "s",
        TimeUnit::Millis => "ms",
        TimeUnit::Micros => "us",
        TimeUnit::Nanos => "ns",
    };
    let read = match field.map(|field| &field.ty) {
        Some(FieldType::Epoch(of)) => unit(*of).to_owned(),
        Some(FieldType::Text(text)) => format!("{} {}", text.format.value, text.zone),
        Some(FieldType::Plain(_) | FieldType::Decimal(_)) | None => unit(time.unit).to_owned(),
    };
    Some(format!("event_time {} in {read}", time.field.value))
}

/// What made the records that a stream reads, back to what keeps state itself.
fn upstream<'f>(file: &'f JobFile, stream: &'f file::Stream, seen: &mut HashSet<&'f str>, reads: &mut Vec<String>) {
    let with = stream.join.iter().map(|join| &join.with);
    for name in stream.from.iter().chain(with) {
        if !seen.insert(&name.value) {
            continue;
        }
        reads.extend(file.source(&name.value).and_then(event_time));
        let Some(before) = file.stream(&name.value) else { continue };
        let keeps = before.pattern.is_some() || before.join.is_some() || before.dedupe.is_some() || before.top.is_some();
        if !keeps && before.aggregate.is_empty() {
            upstream(file, before, seen, reads);
        }
        if let Some(lookup) = &before.lookup {
            let on = lookup.on.iter().map(|(field, is)| format!("{} = {}", field.value, is.value.trim()));
            reads.push(format!("lookup in {} by {}", lookup.table.value, on.collect::<Vec<_>>().join(", ")));
        }
        reads.extend(before.filter.iter().map(|text| format!("where {}", text.value.trim())));
        if let Some(select) = &before.select {
            reads.extend(select.fields.iter().map(|(field, is)| format!("{} = {}", field.value, is.value.trim())));
        }
        reads.extend(before.flat_map.iter().map(|each| format!("flat_map {} = {}", each.field.value, each.list.value.trim())));
    }
}
