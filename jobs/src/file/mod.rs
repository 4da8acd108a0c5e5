//! Job files: turns YAML text into a checked [`JobFile`] and a list of all its problems.
//!
//! [`parse`] finds every problem that can be found without compiling expressions, in one pass, with line and column. It never panics.
//! If no problem is an error, the model is sound: names resolve, streams form no cycle, values are in range, and whatever this version
//! can't do has been refused. If there are errors, the model holds what could be read, so that later stages can check the rest in the
//! same run. Expressions stay text; a later stage reports a mistake in one with [`Spanned::problem_at`] and adds it to
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

mod exported;
mod graph;
mod keys;
mod model;
mod overrides;
mod streams;
#[cfg(test)]
mod tests;
mod trial;

pub use crate::aggregate::reference as reference_of_aggregates;
pub use crate::connect::{EventTime, FieldType, Lines, SchemaField, Sink, Source, Table, TimeField, TimeText};
pub use crate::relation::each::{Each, FLAT_MAP_FIELD, FlatMap, Select};
pub use crate::relation::failures::OnError;
pub use crate::stage::aggregate::{Aggregate, Aggregation};
pub use crate::stage::dedupe::Dedupe;
pub use crate::stage::indicators::{Indicator, Indicators, Over, reference as reference_of_indicators};
pub use crate::stage::join::{Equality, Join, JoinKind, Near};
pub use crate::stage::lookup::Lookup;
pub use crate::stage::pattern::Pattern;
pub use crate::stage::rules::{ListSpec, Rules};
pub use crate::stage::top::Top;
pub use crate::stage::{Clock, Drops, Evictor, Gap, Head, InOrder, Shape, Stage, Trigger, Window};
pub use crate::stage::{Difference, differences as differences_of_rules, drawn as drawn_rules, streams_with_rules};
pub use crate::text::{Problem, Problems, Severity, Span, Spanned};
pub use crate::yaml::{Literal, duration_text, parse_duration, parse_size};
pub use exported::{Kept as KeptVersions, exported as exported_rules};
pub use keys::reference;
pub(crate) use model::Section;
pub use model::{Checkpoints, JobFile, Restart, State};
pub use overrides::Override;
pub(crate) use overrides::{path_steps, remove_at, set_at};
pub use streams::Stream;
pub use trial::Trial;

use std::sync::Arc;

use crate::text::Source as Text;
use crate::yaml::{self, Node, Reader};

/// Parses a job file and applies overrides to it. If no problem is an error, the job is sound. Otherwise it holds what could be read, if anything.
#[must_use]
pub fn parse(file_name: &str, text: &str, overrides: &[Override]) -> (Option<JobFile>, Problems) {
    parse_as(file_name, text, overrides, |root, _| Ok(root))
}

/// Parses a job file, applies overrides to it, and reads what `shape` makes of it. The names in it are checked as it is written.
fn parse_as(
    file_name: &str,
    text: &str,
    overrides: &[Override],
    shape: impl FnOnce(Node, &Arc<Text>) -> Result<Node, Problem>,
) -> (Option<JobFile>, Problems) {
    let source = Text::new(Some(file_name), text);
    let mut reader = Reader::default();
    let job = match yaml::parse(&source, 0, &mut reader.problems) {
        None if reader.problems.is_empty() => reader.fail(&source.span(0..0), "the file is empty"),
        None => None,
        Some(mut root) => {
            graph::attribute(&mut reader, &root);
            for set in overrides {
                if let Err(problem) = set.apply(&mut root) {
                    reader.push(problem);
                }
            }
            graph::check(&mut reader, &root);
            match shape(root, &source) {
                Ok(root) => model::read(&mut reader, &root),
                Err(problem) => {
                    reader.push(problem);
                    None
                }
            }
        }
    };
    let mut problems = Problems::new(file_name);
    problems.extend(reader.problems);
    (job, problems)
}
