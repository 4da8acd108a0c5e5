//! The contract between a connector, the readers of job files and the planner.
//!
//! A connector says everything that others must know about it through the traits below. No other code knows one by name.

use std::any::Any;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use tidegate_connectors::entry::Entry;
use tidegate_operators::Retries;
use tidegate_operators::lookup::LookupTable;
use tidegate_rows::format::{Layout, Timestamps};
use tidegate_rows::{Row, Schema, Type};
use tidegate_runtime::sink::Sink;
use tidegate_runtime::source::Source;
use tidegate_runtime::watermarks::WatermarkStrategy;

use super::claim::{Claim, Owner};
use super::format::Encoding;
use super::lines::Lines;
use super::look::Look;
use super::outside::{Answers, Ask};
use super::sources::TimeField;
use crate::relation::known::Order;
use crate::relation::open::Asked;
use crate::text::{Problem, Span, Spanned};
use crate::yaml::{Fields, Reader, Table};

/// A connector: what may follow `connector:` in a source, a table or a sink. Each side is optional.
pub(crate) struct Connector {
    /// Its name in job files. It never changes, so it also identifies the connector elsewhere.
    pub(crate) name: &'static str,
    pub(crate) source: Option<AsSource>,
    pub(crate) table: Option<AsTable>,
    pub(crate) sink: Option<AsSink>,
}

/// How a connector is read as a source.
pub(crate) struct AsSource {
    /// Its keys, besides those of every source.
    pub(crate) keys: &'static [&'static Table],
    /// The keys of mappings inside it.
    pub(crate) within: &'static [&'static Table],
    /// Whether it reads lines or messages, which have a `format`, a `schema` and related keys.
    pub(crate) lines: bool,
    /// The keys that don't affect which fields its records have.
    pub(crate) aside: &'static [&'static str],
    pub(crate) read: fn(&mut Reader, &Fields<'_>) -> Option<Arc<dyn SourceConnector>>,
}

/// How a connector is read as a table.
pub(crate) struct AsTable {
    /// Its keys, besides those of every table.
    pub(crate) keys: &'static [&'static Table],
    /// The keys of mappings inside it.
    pub(crate) within: &'static [&'static Table],
    pub(crate) read: fn(&mut Reader, &Fields<'_>) -> Option<Arc<dyn TableConnector>>,
}

/// How a connector is read as a sink.
pub(crate) struct AsSink {
    /// Its keys, besides those of every sink.
    pub(crate) keys: &'static [&'static Table],
    /// What carries the records it writes.
    pub(crate) carrier: Carrier,
    pub(crate) read: fn(&mut Reader, &Fields<'_>) -> Option<Arc<dyn SinkConnector>>,
}

/// What carries records. The choice of formats depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carrier {
    /// Files or a stream, whose lines are records.
    Lines,
    /// Standard output, whose lines may be read by a person.
    Terminal,
    /// Messages, each of which is a record.
    Messages,
}

/// A source's connector, as read from a job file.
pub(crate) trait SourceConnector: Any + Debug + Send + Sync {
    /// A short description of what it reads, such as `file logins.csv`.
    fn words(&self) -> String;

    /// How its lines or messages become records, if it reads such.
    fn lines(&self) -> Option<&Lines> {
        None
    }

    /// The fields of its records with their types, if the job file gives them.
    fn field_types(&self) -> Option<Vec<(&str, Type)>> {
        self.lines()?.field_types()
    }

    /// What planning must know about the outside.
    fn asks(&self) -> Vec<Ask> {
        self.lines().map(Lines::asks).unwrap_or_default()
    }

    /// What it uses outside the job that another part could take from it.
    fn claims(&self, _: &Owner<'_>) -> Vec<Claim> {
        Vec::new()
    }

    /// The order in which its records arrive.
    fn order(&self, answers: &Answers) -> Order;

    /// Plans it.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    fn plan(&self, scope: &SourceScope<'_>) -> Result<MadeSource, Vec<Problem>>;
}

/// The context in which a source is planned.
pub(crate) struct SourceScope<'a> {
    pub(crate) name: &'a Spanned<String>,
    pub(crate) event_time: Option<&'a TimeField>,
    /// The fields that the job uses, for sources whose records bring their own.
    pub(crate) asked: &'a Asked,
    pub(crate) answers: &'a Answers,
}

/// A source of rows, opened on every worker.
pub(crate) type RowSource = Arc<dyn Source<Entry<Row>>>;

/// A planned source.
pub(crate) struct MadeSource {
    pub(crate) source: RowSource,
    pub(crate) schema: Schema,
    /// How it makes watermarks from its own times, if the job names no event time.
    pub(crate) own_times: Option<WatermarkStrategy>,
    /// A check of what it would find, made before the job runs.
    pub(crate) look: Option<Look>,
}

/// A table's connector, as read from a job file.
pub(crate) trait TableConnector: Any + Debug + Send + Sync {
    /// What it uses outside the job that another part could take from it.
    fn claims(&self) -> Vec<Claim> {
        Vec::new()
    }

    /// A check of what it would find, made before the job runs.
    fn look(&self) -> Option<Look> {
        None
    }

    /// Plans it for one `lookup`.
    ///
    /// # Errors
    /// Everything that is wrong with the table or with its use.
    fn plan(&self, scope: &TableScope<'_>) -> Result<MadeTable, Vec<Problem>>;
}

/// The context in which a table is planned.
pub(crate) struct TableScope<'a> {
    /// The table's name.
    pub(crate) name: &'a Spanned<String>,
    pub(crate) layout: Layout,
    /// The span of the key `lookup`.
    pub(crate) at: &'a Spanned<()>,
    /// The names to look rows up by, and the expressions they must be equal to.
    pub(crate) on: &'a [(Spanned<String>, Spanned<String>)],
    /// The types of those expressions, if all of them compile.
    pub(crate) types: Option<&'a [Type]>,
    pub(crate) answers: &'a Answers,
}

/// A planned table.
pub(crate) struct MadeTable {
    pub(crate) table: Box<dyn LookupTable<Row, Row = Row>>,
    /// For each part of the key, whether equal values can have more than one form and must be brought into one.
    pub(crate) forms: Vec<bool>,
    /// The time limit and retries of a request, if the table makes requests.
    pub(crate) requests: Option<(Duration, Retries)>,
}

/// A sink's connector, as read from a job file.
pub(crate) trait SinkConnector: Any + Debug + Send + Sync {
    /// A short description of what it writes, such as `file alerts.jsonl`.
    fn words(&self) -> String;

    /// The names of the fields that it uses, not counting its format.
    fn names(&self) -> Vec<String> {
        Vec::new()
    }

    /// The topic of its messages, which names their schemas.
    fn topic(&self) -> Option<&str> {
        None
    }

    /// What it uses outside the job that another part could take from it. `ending` is the extension of files in its format.
    fn claims(&self, _: &Owner<'_>, _ending: &'static str) -> Vec<Claim> {
        Vec::new()
    }

    /// Where the job file asks it to write exactly once, which requires checkpoints.
    fn exactly_once(&self) -> Option<&Span> {
        None
    }

    /// Plans it.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    fn plan(&self, scope: &SinkScope<'_>, encoding: Encoding) -> Result<Arc<dyn Sink<Row>>, Vec<Problem>>;
}

/// The context in which a sink is planned.
pub(crate) struct SinkScope<'a> {
    pub(crate) owner: Owner<'a>,
    pub(crate) schema: &'a Schema,
    pub(crate) timestamps: Timestamps,
    /// The topic of its messages.
    pub(crate) topic: Option<&'a str>,
    pub(crate) answers: &'a Answers,
}
