//! The reports about a run on the control socket.

use std::time::Duration;

use tidegate_runtime::checkpoint::{CheckpointStatus, Completed};
use tidegate_runtime::metrics::{NodeMetrics, OperatorMetrics, SourceMetrics};
use tidegate_runtime::{Node, Role};

use super::protocol::{CheckpointReport, Completion, OperatorReport, Refusal, RunReport};
use crate::run::Run;

pub(crate) fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

pub(crate) fn run(run: &Run) -> RunReport {
    let read = |metrics: &NodeMetrics| match metrics {
        NodeMetrics::Source(m) => m.read(),
        NodeMetrics::Operator(_) => 0,
    };
    RunReport {
        generation: run.generation(),
        workers: run.config().workers,
        up_ms: ms(run.elapsed()),
        restored_from: run.restored_from().map(str::to_owned),
        records_read: run.metrics().iter().flatten().map(read).sum(),
        watermark_ms: run.watermark().map(|watermark| watermark.0),
        checkpoints: checkpoints(run.checkpoints(), run.elapsed()),
    }
}

fn checkpoints(status: CheckpointStatus, now: Duration) -> CheckpointReport {
    let last = status.last.map(|Completed { epoch, took, bytes, stored, at, savepoint }| Completion {
        epoch: epoch.0,
        took_ms: ms(took),
        age_ms: ms(now.saturating_sub(at)),
        bytes,
        stored_bytes: stored,
        savepoint,
    });
    CheckpointReport { completed: status.completed, failed: status.failed, failure: status.failure, last }
}

/// The counters of these operators, or of all if none are named, in the order of the graph.
pub(crate) fn operators(run: &Run, names: &[String]) -> Result<Vec<OperatorReport>, Refusal> {
    let nodes = run.graph().nodes();
    if let Some(asked) = names.iter().find(|name| nodes.iter().all(|node| node.name != **name)) {
        return Err(Refusal::UnknownOperator { asked: asked.clone(), known: nodes.iter().map(|node| node.name.clone()).collect() });
    }
    let wanted = |node: &Node| names.is_empty() || names.contains(&node.name);
    let metrics = run.metrics();
    let counted = nodes.iter().zip(&metrics).filter(|(node, _)| wanted(node));
    Ok(counted.filter_map(|(node, metrics)| Some(operator(node, metrics.as_ref()?))).collect())
}

fn operator(node: &Node, metrics: &NodeMetrics) -> OperatorReport {
    let counters = match metrics {
        NodeMetrics::Source(m) => of_source(m),
        NodeMetrics::Operator(m) => of_operator(m, node.role == Role::Keyed),
    };
    let counters = counters.into_iter().map(|(name, n)| (name.to_owned(), n)).collect();
    OperatorReport { operator: node.name.clone(), role: node.role.name().to_owned(), counters }
}

fn of_source(m: &SourceMetrics) -> Vec<(&'static str, u64)> {
    vec![
        ("records", m.records.get()),
        ("bad", m.bad.get()),
        ("tombstones", m.tombstones.get()),
        ("bytes", m.bytes.get()),
        ("bytes_total", m.bytes_total.get()),
    ]
}

fn of_operator(m: &OperatorMetrics, keyed: bool) -> Vec<(&'static str, u64)> {
    let mut counters = vec![
        ("records_in", m.records_in.get()),
        ("records_out", m.records_out.get()),
        ("filtered", m.filtered.get()),
        ("late", m.late.get()),
        ("failed", m.failed.get()),
    ];
    if keyed {
        counters.extend([
            ("matches_dropped", m.dropped.get()),
            ("state_entries", m.state.entries.get()),
            ("state_memory_bytes", m.state.memory.get()),
            ("state_disk_bytes", m.state.disk.get()),
            ("state_lookups", m.state.lookups.get()),
            ("state_misses", m.state.misses.get()),
            ("state_evicted", m.state.evicted.get()),
        ]);
    }
    counters
}
