//! The identity and basis of the state of each part of a job, which a changed job is compared with: the name it is kept under, and what made the
//! records that were read. What the state of a stage holds is described by the stage.

use std::collections::{HashMap, HashSet};
use std::num::NonZeroUsize;

use tidegate_runtime::{About, Basis};

use crate::file::{self, EventTime, FieldType, JobFile, Problem, Spanned};

/// The identity and basis of a stream's state; its stage gives `basis`. Its operators are named after it. If several of them keep
/// state, the stage gives each a name and a basis of its own.
pub(super) fn stream(file: &JobFile, stream: &file::Stream, basis: Option<Basis>) -> About {
    let id = id(stream.head.uid.as_ref());
    let Some(basis) = basis else { return About { id, ..About::default() } };
    let mut reads = stream.stage.as_ref().map_or_else(Vec::new, |stage| stage.get().said());
    upstream(file, stream, &mut HashSet::new(), &mut reads);
    let parallelism = stream.head.parallelism.as_ref().and_then(|n| NonZeroUsize::new(usize::try_from(n.value).unwrap_or(usize::MAX)));
    About { id, basis: Basis { reads: Some(reads), ..basis }, parallelism }
}

/// The identity of a source's state.
pub(crate) fn source(source: &file::Source) -> About {
    About { id: id(source.uid.as_ref()), ..About::default() }
}

/// The identity of a sink's state.
pub(crate) fn sink(sink: &file::Sink) -> About {
    About { id: sink.uid.as_ref().map(|uid| sink_name(&uid.value)), ..About::default() }
}

/// The operator name of a sink. The prefix is needed because a sink may have the same name as a source or stream.
pub(crate) fn sink_name(name: &str) -> String {
    format!("sinks.{name}")
}

fn id(uid: Option<&Spanned<String>>) -> Option<String> {
    uid.map(|uid| uid.value.clone())
}

/// Reports parts of a job that would keep their state under the same name.
pub(crate) fn conflicts(file: &JobFile) -> Vec<Problem> {
    let sources = file.sources.iter().map(|source| (&source.name, source.uid.as_ref()));
    let streams = file.streams.iter().map(|stream| (&stream.head.name, stream.head.uid.as_ref()));
    let sinks = file.sinks.iter().map(|sink| (&sink.name, sink.uid.as_ref()));
    let mut problems = Vec::new();
    for parts in [sources.chain(streams).collect::<Vec<_>>(), sinks.collect()] {
        let mut taken: HashMap<&str, &str> = HashMap::new();
        // Parts without a `uid` come first, so that the problem is reported at the `uid` that takes their name.
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

/// Describes where the records of a source get their event time from.
fn event_time(source: &file::Source) -> Option<String> {
    let time = match source.event_time.as_ref()? {
        EventTime::Field(time) => time,
        EventTime::Ingestion => return Some("event_time ingestion".to_owned()),
    };
    let schema = source.lines().and_then(|lines| lines.schema.as_ref());
    let field = schema.and_then(|schema| schema.iter().find(|field| field.name.value == time.field.value));
    let read = match field.map(|field| &field.ty) {
        Some(FieldType::Epoch(of)) => of.name().to_owned(),
        Some(FieldType::Text(text)) => format!("{} {}", text.format.value, text.zone),
        Some(FieldType::Plain(_) | FieldType::Decimal(_)) | None => time.unit.name().to_owned(),
    };
    Some(format!("event_time {} in {read}", time.field.value))
}

/// Describes what made the records that a stream reads, back to the previous streams that keep state.
fn upstream<'f>(file: &'f JobFile, stream: &'f file::Stream, seen: &mut HashSet<&'f str>, reads: &mut Vec<String>) {
    for name in stream.reads() {
        if !seen.insert(&name.value) {
            continue;
        }
        reads.extend(file.source(&name.value).and_then(event_time));
        let Some(before) = file.stream(&name.value) else { continue };
        let stateless = before.stage.as_ref().filter(|stage| !stage.get().kind().stateful);
        if stateless.is_some() || before.stage.is_none() {
            upstream(file, before, seen, reads);
        }
        reads.extend(stateless.iter().flat_map(|stage| stage.get().said()));
        reads.extend(before.each.said());
    }
}
