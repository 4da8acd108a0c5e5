//! What a connector is: the contract between a connector, the readers of job files and the planner.
//!
//! A connector tells all that others must know of it through the traits below. Nobody else knows one by name.

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

/// A connector: what may stand behind `connector:` in a source, a table or a sink. Each side is optional.
pub(crate) struct Connector {
    /// The word of job files. It never changes, so it also identifies the connector elsewhere.
    pub(crate) name: &'static str,
    pub(crate) source: Option<AsSource>,
    pub(crate) table: Option<AsTable>,
    pub(crate) sink: Option<AsSink>,
}

/// How a connector is read as a source.
pub(crate) struct AsSource {
    /// Its keys, beside those of every source.
    pub(crate) keys: &'static [&'static Table],
    /// The keys of mappings in it.
    pub(crate) within: &'static [&'static Table],
    /// Whether it reads lines or messages, which have a `format`, a `schema` and what goes with them.
    pub(crate) lines: bool,
    /// The keys that do not change which fields its records have.
    pub(crate) aside: &'static [&'static str],
    pub(crate) read: fn(&mut Reader, &Fields<'_>) -> Option<Arc<dyn SourceConnector>>,
}

/// How a connector is read as a table.
pub(crate) struct AsTable {
    /// Its keys, beside those of every table.
    pub(crate) keys: &'static [&'static Table],
    /// The keys of mappings in it.
    pub(crate) within: &'static [&'static Table],
    pub(crate) read: fn(&mut Reader, &Fields<'_>) -> Option<Arc<dyn TableConnector>>,
}

/// How a connector is read as a sink.
pub(crate) struct AsSink {
    /// Its keys, beside those of every sink.
    pub(crate) keys: &'static [&'static Table],
    /// What the records it writes travel in.
    pub(crate) carrier: Carrier,
    pub(crate) read: fn(&mut Reader, &Fields<'_>) -> Option<Arc<dyn SinkConnector>>,
}

/// What records travel in: formats depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carrier {
    /// Files, whose lines are records.
    Files,
    /// A stream of lines that nobody can look into beforehand.
    Stream,
    /// Standard output, whose lines a person may read.
    Terminal,
    /// Messages, each of which is a record.
    Messages,
}

/// Records from somewhere, as a job file says it.
pub(crate) trait SourceConnector: Any + Debug + Send + Sync {
    /// What it reads, in a few words, such as `file logins.csv`.
    fn words(&self) -> String;

    /// How its lines or messages become records, if it reads any.
    fn lines(&self) -> Option<&Lines> {
        None
    }

    /// The fields of its records, if the job file gives them.
    fn field_types(&self) -> Option<Vec<(&str, Type)>> {
        self.lines()?.field_types()
    }

    /// What must be known of the outside before it can be planned.
    fn asks(&self) -> Vec<Ask> {
        self.lines().map(Lines::asks).unwrap_or_default()
    }

    /// What it needs of the outside that another part of the job could take from it.
    fn claims(&self, _: &Owner<'_>) -> Vec<Claim> {
        Vec::new()
    }

    /// The order its records come in.
    fn order(&self, answers: &Answers) -> Order;

    /// Plans it.
    ///
    /// # Errors
    /// All that is wrong with it.
    fn plan(&self, scope: &SourceScope<'_>) -> Result<MadeSource, Vec<Problem>>;
}

/// What a source is planned in.
pub(crate) struct SourceScope<'a> {
    pub(crate) name: &'a Spanned<String>,
    pub(crate) event_time: Option<&'a TimeField>,
    /// The fields that the job names, for sources that bring their own.
    pub(crate) asked: &'a Asked,
    pub(crate) answers: &'a Answers,
}

/// A source of rows, opened on every worker.
pub(crate) type RowSource = Arc<dyn Source<Entry<Row>>>;

/// A source, planned.
pub(crate) struct MadeSource {
    pub(crate) source: RowSource,
    pub(crate) schema: Schema,
    /// The watermarks of its own times, where the job names none.
    pub(crate) own_times: Option<WatermarkStrategy>,
    /// What can be seen of it before the job runs.
    pub(crate) look: Option<Look>,
}

/// Rows to look up, as a job file says it.
pub(crate) trait TableConnector: Any + Debug + Send + Sync {
    /// What it needs of the outside that another part of the job could take from it.
    fn claims(&self) -> Vec<Claim> {
        Vec::new()
    }

    /// What can be seen of it before the job runs.
    fn look(&self) -> Option<Look> {
        None
    }

    /// Plans it for one `lookup`.
    ///
    /// # Errors
    /// All that is wrong with it, or with what it is looked up by.
    fn plan(&self, scope: &TableScope<'_>) -> Result<MadeTable, Vec<Problem>>;
}

/// What a table is planned in.
pub(crate) struct TableScope<'a> {
    /// The table's name.
    pub(crate) name: &'a Spanned<String>,
    pub(crate) layout: Layout,
    /// Where the key `lookup` stands.
    pub(crate) at: &'a Spanned<()>,
    /// What rows are looked up by: names, and the expressions that they are equal to.
    pub(crate) on: &'a [(Spanned<String>, Spanned<String>)],
    /// The types of those expressions, if all could be compiled.
    pub(crate) types: Option<&'a [Type]>,
    pub(crate) answers: &'a Answers,
}

/// A table, planned.
pub(crate) struct MadeTable {
    pub(crate) table: Box<dyn LookupTable<Row, Row = Row>>,
    /// Which parts of a key can have equal values of more than one form, which must be brought into one.
    pub(crate) forms: Vec<bool>,
    /// How long it may take to answer, and how often it is asked again, if it is one that is asked.
    pub(crate) requests: Option<(Duration, Retries)>,
}

/// Somewhere for records to go, as a job file says it.
pub(crate) trait SinkConnector: Any + Debug + Send + Sync {
    /// What it writes, in a few words, such as `file alerts.jsonl`.
    fn words(&self) -> String;

    /// The fields it names of what it writes, its format aside.
    fn names(&self) -> Vec<String> {
        Vec::new()
    }

    /// The topic of its messages, which schemas are named after.
    fn topic(&self) -> Option<&str> {
        None
    }

    /// What it needs of the outside that another part of the job could take from it. `ending` is that of files in its format.
    fn claims(&self, _: &Owner<'_>, _ending: &'static str) -> Vec<Claim> {
        Vec::new()
    }

    /// Where the file asks it to write exactly once, which takes checkpoints.
    fn exactly_once(&self) -> Option<&Span> {
        None
    }

    /// Plans it.
    ///
    /// # Errors
    /// All that is wrong with it.
    fn plan(&self, scope: &SinkScope<'_>, encoding: Encoding) -> Result<Arc<dyn Sink<Row>>, Vec<Problem>>;
}

/// What a sink is planned in.
pub(crate) struct SinkScope<'a> {
    pub(crate) owner: Owner<'a>,
    pub(crate) schema: &'a Schema,
    pub(crate) timestamps: Timestamps,
    /// The topic of its messages.
    pub(crate) topic: Option<&'a str>,
    pub(crate) answers: &'a Answers,
}
