//! The planner: from a checked job file to a graph of operators over rows.
//!
//! [`plan`] compiles every expression, resolves every field to a slot and opens nothing; what is wrong it adds to the file's problems. A [`Plan`]
//! is data: it can be explained without being run, and [`Plan::job`] builds the same operators from it on every worker.

mod avro;
mod build;
mod conflicts;
mod durability;
mod joins;
mod kafka;
mod key;
mod known;
mod lookups;
mod patterns;
mod pipeline;
mod single;
mod sinks;
mod sources;
mod streams;
mod updates;
mod windows;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tidegate_connectors::entry::Entry;
use tidegate_connectors::row::{Row, Schema};
use tidegate_runtime::source::Source;
use tidegate_runtime::state::Ttl;
use tidegate_runtime::{GraphError, Job};

use crate::file::{self, JobFile, Problems, Severity, Spanned};

pub use durability::{Checkpoints, Durability, Restart};
pub use key::RowKey;
use known::{Known, Order, Timing};
use sinks::PlannedSink;
pub use sinks::STDOUT;
use sources::PlannedSource;
use streams::PlannedStream;
use updates::Updates;

/// A job, compiled.
#[derive(Clone)]
pub struct Plan {
    /// The job's name.
    pub name: String,
    /// How many workers the file asks for.
    pub parallelism: Option<usize>,
    /// How it is made durable.
    pub durability: Durability,
    /// How long running aggregates keep a key that is not written.
    ttl: Option<Ttl>,
    sources: Vec<PlannedSource>,
    streams: Vec<PlannedStream>,
    sinks: Vec<PlannedSink>,
}

/// The streams planned so far, by name.
type Streams = HashMap<String, Known>;

/// The parts of a file that problems are known of: looking further into them would only bring follow-up mistakes.
fn broken<'a>(file: &'a JobFile, problems: &Problems) -> HashSet<&'a str> {
    let sources = file.sources.iter().map(|s| &s.name);
    let sources = sources.chain(file.tables.iter().map(|t| &t.name));
    let names: Vec<&Spanned<String>> =
        sources.chain(file.streams.iter().map(|s| &s.name)).chain(file.sinks.iter().map(|s| &s.name)).collect();
    let errors = problems.iter().filter(|p| p.severity == Severity::Error).map(|p| p.span().range().start);
    // What stands behind a name and before the next one belongs to it.
    errors
        .filter_map(|at| names.iter().filter(|n| n.span.range().start <= at).max_by_key(|n| n.span.range().start))
        .map(|n| n.as_str())
        .collect()
}

/// Plans a file. `None` if there are problems, those it finds included: it adds them to `problems`.
pub fn plan(file: &JobFile, problems: &mut Problems) -> Option<Plan> {
    problems.extend(conflicts::conflicts(file));
    problems.extend(durability::unknown_storage(file));
    problems.extend(kafka::exactly_once_problems(file));
    let broken = broken(file, problems);
    let whole = |name: &Spanned<String>| !broken.contains(name.as_str());
    let mut known = Streams::new();
    let open = sources::fields_asked_for(file);
    let mut found = Vec::new();
    let mut sources_planned = Vec::new();
    for source in file.sources.iter().filter(|s| whole(&s.name)) {
        match sources::plan(source, open.get(source.name.as_str())) {
            Ok(source) => {
                let (schema, timing) = (source.schema.clone(), Timing::of_source(source.timed));
                known.insert(source.name.clone(), Known { schema, timing, order: source.order.clone(), updates: None });
                if let Some(name) = &source.dead_letter {
                    let timing = Timing::Untimed("they are lines that could not be read".to_owned());
                    let schema = sources::dead_letter_schema();
                    known.insert(name.clone(), Known { schema, timing, order: Order::Arrival, updates: None });
                }
                sources_planned.push(source);
            }
            Err(more) => found.extend(more),
        }
    }
    let tables: Vec<&file::Table> = file.tables.iter().filter(|t| whole(&t.name)).collect();
    let mut streams_planned = Vec::new();
    for stream in file.streams_in_order().into_iter().filter(|s| whole(&s.name)) {
        match streams::plan(stream, &known, &tables) {
            Ok(Some(stream)) => {
                let of_side = |schema: &Schema, timing: &Timing, updates: Option<&Updates>| Known {
                    schema: schema.clone(),
                    timing: timing.clone(),
                    order: Order::Arrival,
                    updates: updates.cloned(),
                };
                if let Some(late) = stream.late_to() {
                    let known_late = of_side(stream.late_schema(), &stream.input.timing, stream.input.updates.as_ref());
                    known.insert(late.to_owned(), known_late);
                }
                if let Some((timeouts, schema)) = stream.timeouts_to() {
                    known.insert(timeouts.to_owned(), of_side(schema, &stream.out.timing, None));
                }
                known.insert(stream.name.clone(), stream.out.clone());
                streams_planned.push(stream);
            }
            // It reads a stream that could not be planned, whose problems are known.
            Ok(None) => {}
            Err(more) => found.extend(more),
        }
    }
    let mut sinks_planned = Vec::new();
    for sink in file.sinks.iter().filter(|s| whole(&s.name)) {
        match sinks::plan(sink, &file.name.value, &known) {
            Ok(sink) => sinks_planned.extend(sink),
            Err(more) => found.extend(more),
        }
    }
    problems.extend(found);
    (!problems.has_errors()).then(|| Plan {
        name: file.name.value.clone(),
        parallelism: file.parallelism.as_ref().map(|p| usize::try_from(p.value).unwrap_or(usize::MAX)),
        durability: Durability::new(file),
        ttl: file.state.ttl.as_ref().map(|ttl| Ttl::after(ttl.value.unsigned_abs())),
        sources: sources_planned,
        streams: streams_planned,
        sinks: sinks_planned,
    })
}

impl Plan {
    /// Reads `source` in place of the source called `name`: rows of the schema that the file gives it, from elsewhere. Nothing changes if
    /// there is no source of this name.
    #[must_use]
    pub fn with_source(mut self, name: &str, source: impl Source<Entry<Row>>) -> Self {
        if let Some(planned) = self.sources.iter_mut().find(|s| s.name == name) {
            planned.source = Arc::new(source);
        }
        self
    }

    /// The job that runs this plan.
    ///
    /// # Errors
    /// Two operators would have one name.
    pub fn job(&self) -> Result<Job, GraphError> {
        let plan = self.clone();
        Job::new(move |flow| plan.build(flow))
    }
}

/// The union of what `names` give, and for each whether its rows must be rearranged. `None` if one of them is not known, for want of a plan.
fn union(names: &[Spanned<String>], known: &Streams) -> Option<(Known, Vec<PlannedInput>)> {
    let inputs: Vec<(&str, &Known)> = names.iter().map(|n| known.get(n.as_str()).map(|k| (n.as_str(), k))).collect::<Option<_>>()?;
    let schemas: Vec<&Schema> = inputs.iter().map(|(_, k)| &k.schema).collect();
    let schema = pipeline::common_schema(&schemas);
    let timing = inputs.iter().fold(Timing::Timed, |timing, (_, k)| timing.and(&k.timing));
    let (order, updates) = match inputs.as_slice() {
        [(_, one)] => (one.order.clone(), one.updates.clone()),
        several => (Order::Arrival, several.iter().find_map(|(_, k)| k.updates.as_ref()).map(Updates::united)),
    };
    let planned =
        inputs.iter().map(|(name, k)| PlannedInput { name: (*name).to_owned(), rearrange: pipeline::rearrange(&k.schema, &schema) });
    Some((Known { schema: schema.clone(), timing, order, updates }, planned.collect()))
}

/// A stream that another reads.
#[derive(Clone, Debug)]
struct PlannedInput {
    name: String,
    /// The slot of each field in the rows that come, if they are laid out otherwise than the reader expects.
    rearrange: Option<pipeline::Pipeline>,
}
