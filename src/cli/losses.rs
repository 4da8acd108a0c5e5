//! What a run that came to its end has to own up to: streams of which nothing is left, as an expression failed on each of their records.

use std::fmt;

use tidegate::runtime::Graph;
use tidegate::runtime::metrics::NodeMetrics;

/// A stream that has lost every record to errors.
#[derive(Debug, PartialEq, Eq)]
pub struct Barren {
    stream: String,
    records: u64,
}

impl fmt::Display for Barren {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stream, records } = self;
        match records {
            1 => write!(f, "stream `{stream}` dropped its only record, as an expression failed on it"),
            _ => write!(
                f,
                "stream `{stream}` dropped all of its {} records, as an expression failed on each",
                super::report::grouped(*records)
            ),
        }
    }
}

/// The streams that lost all their records, in the order of the graph. The operators of a stream are called after it: `paid/key`, `paid`.
pub fn barren(graph: &Graph, metrics: &[Option<NodeMetrics>]) -> Vec<Barren> {
    let mut found: Vec<Barren> = Vec::new();
    for (node, metrics) in graph.nodes().iter().zip(metrics) {
        let Some(NodeMetrics::Operator(m)) = metrics else { continue };
        let stream = node.name.split('/').next().unwrap_or_default();
        let (records, failed) = (m.records_in.get(), m.failed.get());
        if records > 0 && failed >= records && !found.iter().any(|known| known.stream == stream) {
            found.push(Barren { stream: stream.to_owned(), records });
        }
    }
    found
}
