//! Detects a source whose records were all bad: such a job has not done its work.

use std::fmt;

use tidegate_runtime::Graph;
use tidegate_runtime::metrics::NodeMetrics;

use crate::losses::grouped;

/// A source that read nothing but bad records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unread {
    /// The source.
    pub source: String,
    /// How many records it read.
    pub records: u64,
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { source, records } = self;
        let what =
            if *records == 1 { "its only record is bad".to_owned() } else { format!("all of its {} records are bad", grouped(*records)) };
        write!(f, "the source `{source}` could not be understood: {what}; compare its `format` and `schema` with what is there")
    }
}

impl std::error::Error for Unread {}

/// The first source that read nothing but bad records. Sources for which `wanted` holds are skipped: their bad records go to a stream of
/// their own.
pub(crate) fn unread(graph: &Graph, metrics: &[Option<NodeMetrics>], wanted: impl Fn(&str) -> bool) -> Option<Unread> {
    graph.nodes().iter().zip(metrics).find_map(|(node, metrics)| {
        let Some(NodeMetrics::Source(m)) = metrics else { return None };
        let (records, bad) = (m.records.get(), m.bad.get());
        (records == 0 && bad > 0 && !wanted(&node.name)).then(|| Unread { source: node.name.clone(), records: bad })
    })
}
