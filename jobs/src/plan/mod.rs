//! The planner: turns a checked job file into a graph of operators over rows.
//!
//! [`plan`] compiles every expression and resolves every field to a slot. It opens nothing, and adds what is wrong to the problems of the file.
//! What must be known about the outside, such as the header of a CSV file, is [`Resolved`] beforehand. A [`Plan`] is data: it can be explained
//! without being run, and [`Plan::job`] builds the same operators from it on every worker.

mod about;
mod build;
mod conflicts;
mod durability;
mod look;
mod resolve;
mod stored;
mod streams;

use std::sync::Arc;

use tidegate_connectors::entry::Entry;
use tidegate_rows::Row;
use tidegate_runtime::source::Source;
use tidegate_runtime::state::Ttl;
use tidegate_runtime::{GraphError, Job};

use crate::connect::sinks::{self, PlannedSink};
use crate::connect::sources::{self, PlannedSource};
use crate::connect::{self, Answers, Look};
use crate::file::{JobFile, Problem, Problems, Section, Table};

pub use crate::connect::{Local, Outside, Written};
use crate::relation::known::{Known, Order, Timing};
use crate::relation::open::{Asked, Origin};
use crate::relation::union::Streams;

pub use crate::relation::key::RowKey;
pub use durability::{Checkpoints, Durability, Restart};
pub use resolve::Resolved;
pub use stored::records;
use streams::PlannedStream;

/// A planned job.
#[derive(Clone)]
pub struct Plan {
    /// The job's name.
    pub name: String,
    /// The number of workers that the file asks for.
    pub parallelism: Option<usize>,
    /// Its settings of state, checkpoints and restarts.
    pub durability: Durability,
    /// How long running aggregates keep a key that is not updated.
    ttl: Option<Ttl>,
    /// Checks of what the job would find, made before it runs.
    looks: Vec<Look>,
    sources: Vec<PlannedSource>,
    streams: Vec<PlannedStream>,
    sinks: Vec<PlannedSink>,
}

/// Plans a file on this machine, and adds what is wrong to `problems`. `None` if any of them is an error, including earlier ones.
pub fn plan(file: &JobFile, problems: &mut Problems) -> Option<Plan> {
    plan_resolved(file, &Resolved::new(file, &Local), problems)
}

/// Plans a file for the place that `resolved` describes. Looks at nothing but these two.
pub fn plan_resolved(file: &JobFile, resolved: &Resolved, problems: &mut Problems) -> Option<Plan> {
    problems.extend(resolved.conflicts.iter().cloned());
    problems.extend(conflicts::of_claims(file));
    problems.extend(conflicts::without_checkpoints(file));
    problems.extend(about::conflicts(file));
    problems.extend(durability::unknown_storage(file));
    problems.extend(conflicts::parallelism(file));
    let mut asked = Asked::default();
    // Planning discovers which fields are asked of open sources, and is repeated until there are no new ones. It ends
    // because the file has finitely many names.
    let (parts, found) = loop {
        let before = asked.clone();
        let planned = Parts::plan(file, &mut asked, &resolved.answers);
        if asked == before {
            break planned;
        }
    };
    problems.extend(found);
    (!problems.has_errors()).then(|| Plan {
        name: file.name.value.clone(),
        parallelism: file.parallelism.as_ref().map(|p| usize::try_from(p.value).unwrap_or(usize::MAX)),
        durability: Durability::new(file),
        looks: parts
            .sources
            .iter()
            .filter_map(|source| source.look.clone())
            .chain(file.tables.iter().filter_map(|table| table.connector.look()))
            .chain(file.lists.iter().map(|list| {
                let list = list.clone();
                let look: Look = Arc::new(move || list.look());
                look
            }))
            .collect(),
        ttl: file.state.ttl.as_ref().map(|ttl| Ttl::after(ttl.value.unsigned_abs())),
        sources: parts.sources,
        streams: parts.streams,
        sinks: parts.sinks,
    })
}

/// The planned parts of a job.
#[derive(Default)]
struct Parts {
    sources: Vec<PlannedSource>,
    streams: Vec<PlannedStream>,
    sinks: Vec<PlannedSink>,
}

impl Parts {
    /// Plans the parts of a file that can be, with the fields that are `asked` of open sources, and adds those that the parts ask for.
    /// Also returns what is wrong.
    fn plan(file: &JobFile, asked: &mut Asked, answers: &Answers) -> (Self, Vec<Problem>) {
        let mut known = Streams::new();
        let (mut parts, mut found) = (Self::default(), Vec::new());
        for source in &file.sources {
            if !file.is_sound(Section::Sources, &source.name) {
                // Its fields may be known despite its errors.
                let planned = Some(source).filter(|s| s.whole).and_then(|s| sources::plan(s, asked, answers).ok());
                known.extend(planned.map(|planned| {
                    let known = known_of(&planned);
                    (planned.name, known)
                }));
                continue;
            }
            match sources::plan(source, asked, answers) {
                Ok(mut planned) => {
                    planned.about = about::source(source);
                    known.insert(planned.name.clone(), known_of(&planned));
                    if let Some(name) = &planned.dead_letter {
                        let timing = Timing::Untimed("they are lines that could not be read".to_owned());
                        known.insert(name.clone(), Known::new(connect::dead_letter_schema(), timing, Order::Arrival));
                    }
                    parts.sources.push(planned);
                }
                Err(more) => found.extend(more),
            }
        }
        let tables: Vec<&Table> = file.tables.iter().filter(|table| file.is_sound(Section::Tables, &table.name)).collect();
        for stream in
            file.streams_in_order().into_iter().filter(|stream| stream.whole || file.is_sound(Section::Streams, &stream.head.name))
        {
            match streams::plan(stream, &known, &tables, asked, answers) {
                Ok(Some((mut planned, basis))) => {
                    planned.about = about::stream(file, stream, basis);
                    known.extend(planned.gives());
                    found.append(&mut planned.warnings);
                    parts.streams.push(planned);
                }
                // It reads a stream that could not be planned, which has already been reported.
                Ok(None) => {}
                Err(refused) => {
                    found.extend(refused.problems);
                    known.extend(refused.gives);
                }
            }
        }
        for sink in file.sinks.iter().filter(|sink| file.is_sound(Section::Sinks, &sink.name)) {
            match sinks::plan(sink, &file.name.value, &known, asked, answers) {
                Ok(planned) => parts.sinks.extend(planned.map(|planned| PlannedSink { about: about::sink(sink), ..planned })),
                Err(more) => found.extend(more),
            }
        }
        (parts, found)
    }
}

impl Plan {
    /// Replaces the source called `name` by `source`, which must have rows of the same schema. Without a source of this name, nothing
    /// changes.
    #[must_use]
    pub fn with_source(mut self, name: &str, source: impl Source<Entry<Row>>) -> Self {
        if let Some(planned) = self.sources.iter_mut().find(|s| s.name == name) {
            planned.source = Arc::new(source);
        }
        self
    }

    /// Makes the job that runs this plan.
    ///
    /// # Errors
    /// If two operators would have the same name.
    pub fn job(&self) -> Result<Job, GraphError> {
        let plan = self.clone();
        Job::new(move |flow| plan.build(flow))
    }
}

/// What is known of a source.
fn known_of(source: &PlannedSource) -> Known {
    Known::new(source.schema.clone(), Timing::of_source(source.timed), source.order.clone()).of(&Origin::source(&source.name))
}
