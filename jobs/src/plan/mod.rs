//! The planner: from a checked job file to a graph of operators over rows.
//!
//! [`plan`] compiles every expression, resolves every field to a slot and opens nothing; what is wrong it adds to the file's problems. A [`Plan`]
//! is data: it can be explained without being run, and [`Plan::job`] builds the same operators from it on every worker.

mod about;
mod arrange;
mod avro;
mod build;
mod conflicts;
mod durability;
mod first_time;
mod joins;
mod kafka;
mod key;
mod known;
mod look;
mod lookups;
mod open;
mod patterns;
mod pipeline;
mod single;
mod sinks;
mod sources;
mod stored;
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

use crate::file::{self, JobFile, Problem, Problems, Severity, Spanned};

pub use durability::{Checkpoints, Durability, Restart};
pub use key::RowKey;
use known::{Known, Order, Timing};
use look::Look;
use open::{Asked, Origin};
use sinks::PlannedSink;
use sources::PlannedSource;
pub use stored::records;
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
    /// What can be looked at beforehand.
    looks: Vec<Look>,
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
    problems.extend(about::conflicts(file));
    problems.extend(durability::unknown_storage(file));
    problems.extend(kafka::exactly_once_problems(file));
    let broken = broken(file, problems);
    let mut asked = Asked::default();
    // What is asked of open sources shows when the job is planned: it is planned again until nothing new is asked. There is an end to the names of a file.
    let (parts, found) = loop {
        let before = asked.clone();
        let planned = Parts::plan(file, &broken, &mut asked);
        if asked == before {
            break planned;
        }
    };
    problems.extend(found);
    (!problems.has_errors()).then(|| Plan {
        name: file.name.value.clone(),
        parallelism: file.parallelism.as_ref().map(|p| usize::try_from(p.value).unwrap_or(usize::MAX)),
        durability: Durability::new(file),
        looks: parts.sources.iter().filter_map(|source| source.look.clone()).chain(file.tables.iter().filter_map(Look::table)).collect(),
        ttl: file.state.ttl.as_ref().map(|ttl| Ttl::after(ttl.value.unsigned_abs())),
        sources: parts.sources,
        streams: parts.streams,
        sinks: parts.sinks,
    })
}

/// The parts of a plan.
#[derive(Default)]
struct Parts {
    sources: Vec<PlannedSource>,
    streams: Vec<PlannedStream>,
    sinks: Vec<PlannedSink>,
}

impl Parts {
    /// Plans the parts of a file that are whole, with the fields that are `asked` of open sources; adds what the parts ask for. Also tells what is wrong.
    fn plan(file: &JobFile, broken: &HashSet<&str>, asked: &mut Asked) -> (Self, Vec<Problem>) {
        let whole = |name: &Spanned<String>| !broken.contains(name.as_str());
        let mut known = Streams::new();
        let (mut parts, mut found) = (Self::default(), Vec::new());
        for source in &file.sources {
            if !whole(&source.name) {
                // Its fields may be known all the same.
                let planned = Some(source).filter(|s| s.whole).and_then(|s| sources::plan(s, asked).ok());
                known.extend(planned.map(|planned| {
                    let known = known_of(&planned);
                    (planned.name, known)
                }));
                continue;
            }
            match sources::plan(source, asked) {
                Ok(mut source) => {
                    source.about = about::source(file, &source.name);
                    known.insert(source.name.clone(), known_of(&source));
                    if let Some(name) = &source.dead_letter {
                        let timing = Timing::Untimed("they are lines that could not be read".to_owned());
                        known.insert(name.clone(), Known::new(sources::dead_letter_schema(), timing, Order::Arrival));
                    }
                    parts.sources.push(source);
                }
                Err(more) => found.extend(more),
            }
        }
        let tables: Vec<&file::Table> = file.tables.iter().filter(|t| whole(&t.name)).collect();
        for stream in file.streams_in_order().into_iter().filter(|s| s.whole || whole(&s.name)) {
            match streams::plan(stream, &known, &tables, asked) {
                Ok(Some((mut planned, origin))) => {
                    planned.about = about::stream(file, stream, &planned);
                    let stream = planned;
                    known.insert(stream.name.clone(), stream.out.clone());
                    if let Some(late) = stream.late_to() {
                        let of_late = Known::new(stream.late_schema().clone(), stream.input.timing.clone(), Order::Arrival);
                        let of_late = Known { updates: stream.input.updates.clone(), ..of_late };
                        known.insert(late.to_owned(), of_late.of(&origin));
                    }
                    if let Some((timeouts, schema)) = stream.timeouts_to() {
                        known.insert(timeouts.to_owned(), Known::new(schema.clone(), stream.out.timing.clone(), Order::Arrival));
                    }
                    parts.streams.push(stream);
                }
                // It reads a stream that could not be planned, whose problems are known.
                Ok(None) => {}
                Err(refused) => {
                    found.extend(refused.problems);
                    known.extend(refused.gives);
                }
            }
        }
        for sink in file.sinks.iter().filter(|s| whole(&s.name)) {
            match sinks::plan(sink, &file.name.value, &known, asked) {
                Ok(planned) => parts.sinks.extend(planned.map(|planned| {
                    let about = about::sink(file, &planned.name);
                    PlannedSink { about, ..planned }
                })),
                Err(more) => found.extend(more),
            }
        }
        (parts, found)
    }
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

/// What is known of a source.
fn known_of(source: &PlannedSource) -> Known {
    Known::new(source.schema.clone(), Timing::of_source(source.timed), source.order.clone()).of(&Origin::source(&source.name))
}

/// The union of what `names` give, and for each whether its rows must be rearranged; `said` of it are these names. `None` if one of them is not
/// known, for want of a plan.
fn union(names: &[Spanned<String>], known: &Streams, said: &[String], asked: &mut Asked) -> Option<(Known, Vec<PlannedInput>)> {
    let inputs: Vec<(&str, &Known)> = names.iter().map(|n| known.get(n.as_str()).map(|k| (n.as_str(), k))).collect::<Option<_>>()?;
    let schemas: Vec<&Schema> = inputs.iter().map(|(_, k)| &k.schema).collect();
    let schema = arrange::united(&schemas);
    let timing = inputs.iter().fold(Timing::Timed, |timing, (_, k)| timing.and(&k.timing));
    let origin = inputs.iter().fold(Origin::default(), |origin, (_, k)| origin.and(&k.origin));
    asked.name(&origin, said);
    asked.meet(&inputs.iter().map(|(_, k)| (&k.schema, &k.origin)).collect::<Vec<_>>());
    let planned = inputs.iter().map(|(name, k)| {
        let rearrange = pipeline::arranging(arrange::between(&k.schema, &schema));
        PlannedInput { name: (*name).to_owned(), rearrange }
    });
    let planned = planned.collect();
    let (order, updates) = match inputs.as_slice() {
        [(_, one)] => (one.order.clone(), one.updates.clone()),
        several => (Order::Arrival, several.iter().find_map(|(_, k)| k.updates.as_ref()).map(Updates::united)),
    };
    Some((Known { updates, ..Known::new(schema, timing, order) }.of(&origin), planned))
}

/// A stream that another reads.
#[derive(Clone, Debug)]
struct PlannedInput {
    name: String,
    /// Lays the rows that come out as the reader expects them, if they aren't.
    rearrange: Option<pipeline::Pipeline>,
}
