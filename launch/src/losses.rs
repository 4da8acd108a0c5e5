//! Losses to report even if a run ended well: streams that lost all their records.

use std::fmt;

use tidegate_runtime::Graph;
use tidegate_runtime::metrics::NodeMetrics;

/// A stream that lost every record to errors in an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Barren {
    /// The stream.
    pub stream: String,
    /// How many records it lost: all of them.
    pub records: u64,
}

impl fmt::Display for Barren {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stream, records } = self;
        match records {
            1 => write!(f, "stream `{stream}` dropped its only record, as an expression failed on it"),
            _ => write!(f, "stream `{stream}` dropped all of its {} records, as an expression failed on each", grouped(*records)),
        }
    }
}

/// The streams that lost all their records, in the order of the graph. The names of a stream's operators begin with the stream's:
/// `paid/key`, `paid`.
#[must_use]
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

/// A count with thousands separators: 1234567 as `1,234,567`.
#[must_use]
pub fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_grouped_by_threes() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }
}
