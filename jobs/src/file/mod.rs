//! Job files: YAML text in, a checked [`JobFile`] and all of its problems out.
//!
//! [`parse`] promises that it finds every problem that can be found without looking into expressions, in one pass, with line and column;
//! that it never panics; and that if no problem is an error the model is sound: names resolve, streams form no cycle, values are in range, and
//! whatever this version cannot do has been refused. If there are errors the model holds what could be read, so that the later stages can
//! look into the rest at once. Expressions stay text; a later stage reports a mistake in one with [`Spanned::problem_at`] and adds it to
//! the same [`Problems`].
//!
//! ```
//! use tidegate_jobs::file::parse;
//!
//! let text = "
//! name: spot
//! sources: { logins: { connector: stdin, format: json } }
//! streams: { fails: { from: logins, wher: 'result == \"fail\"' } }
//! sinks:   { out: { from: fails, connector: stdout } }
//! ";
//! let (job, problems) = parse("job.yaml", text, &[]);
//! assert!(problems.has_errors() && job.is_some_and(|job| job.source("logins").is_some()));
//! assert_eq!(problems.to_string(), r#"error: job.yaml:4:35: unknown key `wher` in stream `fails`: did you mean `where`?
//!   4 | streams: { fails: { from: logins, wher: 'result == "fail"' } }
//!     |                                   ^^^^
//! "#);
//! ```

mod avro;
mod cut;
mod dedupe;
mod foreign;
mod generator;
mod graph;
mod join;
mod kafka;
mod keys;
mod lookup;
mod model;
mod not_yet;
mod overrides;
mod pattern;
mod problem;
mod read;
mod schema;
mod sinks;
mod sources;
mod span;
mod streams;
mod tables;
#[cfg(test)]
mod tests;
mod top;
mod values;
mod window;
mod yaml;

pub use avro::{AvroSink, AvroSource, SchemaRegistry};
pub use dedupe::Dedupe;
pub(crate) use foreign::aggregate as foreign_aggregate;
pub use generator::{Distribution, Generator};
pub use join::{Equality, Join, JoinKind, Near};
pub use kafka::{Delivery, KafkaCluster, KafkaSink, KafkaSource, KafkaTopics};
pub use keys::reference;
pub use lookup::Lookup;
pub use model::{Backend, Checkpoints, JobFile, Mode, OnError, Restart, State};
pub use overrides::Override;
pub use pattern::Pattern;
pub use problem::{Problem, Problems, Severity};
pub use schema::{FieldType, SchemaField, TimeText};
pub use sinks::{Sink, SinkConnector, SinkFormat, TextPart, Timestamps};
pub use sources::{EventTime, Lines, Source, SourceConnector, SourceFormat, TimeField, TimeUnit};
pub use span::{Span, Spanned};
pub use streams::{Aggregate, FLAT_MAP_FIELD, FlatMap, Select, Stream};
pub use tables::{Cache, Table, TableConnector};
pub use top::Top;
pub use values::{Literal, duration_text, parse_duration, parse_size};
pub use window::{Clock, Drops, Evictor, Gap, Shape, Trigger, Window};

/// Text that stands nowhere, for tests of what is compiled from it.
#[cfg(test)]
pub(crate) fn spanned_text(text: &str) -> Spanned<String> {
    Spanned::new(text.to_owned(), span::Source::new(None, text).span(0..text.len()))
}

/// Reads a job file, with keys overridden from outside. The job is sound if no problem is an error; else it is what could be read, or none.
#[must_use]
pub fn parse(file_name: &str, text: &str, overrides: &[Override]) -> (Option<JobFile>, Problems) {
    let source = span::Source::new(Some(file_name), text);
    let mut reader = read::Reader::default();
    let job = match yaml::parse(&source, 0, &mut reader.problems) {
        None if reader.problems.is_empty() => reader.fail(&source.span(0..0), "the file is empty"),
        None => None,
        Some(mut root) => {
            for set in overrides {
                if let Err(problem) = set.apply(&mut root) {
                    reader.push(problem);
                }
            }
            graph::check(&mut reader, &root);
            model::read(&mut reader, &root)
        }
    };
    let mut problems = Problems::new(file_name);
    problems.extend(reader.problems);
    (job, problems)
}
