//! Sources that a run could make nothing of: every record was a bad one, so the job has not done what it is for.

use std::fmt;

use tidegate::jobs::plan::Plan;
use tidegate::runtime::Graph;
use tidegate::runtime::metrics::NodeMetrics;

use super::report::grouped;

/// A source that read nothing but bad records.
#[derive(Debug)]
pub struct Unread {
    source: String,
    records: u64,
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

/// Fails if a source read nothing but bad records, unless these are wanted, in a stream of their own.
pub fn check(plan: &Plan, graph: &Graph, metrics: &[Option<NodeMetrics>]) -> Result<(), Unread> {
    let unread = graph.nodes().iter().zip(metrics).find_map(|(node, metrics)| {
        let Some(NodeMetrics::Source(m)) = metrics else { return None };
        let (records, bad) = (m.records.get(), m.bad.get());
        (records == 0 && bad > 0 && !plan.keeps_bad_records(&node.name)).then(|| Unread { source: node.name.clone(), records: bad })
    });
    unread.map_or(Ok(()), Err)
}
