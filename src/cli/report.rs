//! The progress line of a running job, and the summary at its end.

use std::fmt::Write;
use std::time::{Duration, Instant};

pub use tidegate::launch::grouped;
use tidegate::launch::{How, Run};
use tidegate::runtime::checkpoint::{CheckpointStatus, Completed};
use tidegate::runtime::metrics::{NodeMetrics, OperatorMetrics, SourceMetrics};
use tidegate::runtime::{Backend, Budget, Clock, Graph, RunConfig};

use super::account;

/// Observes a running job from time to time.
pub struct Report {
    looked: Instant,
    records: u64,
    /// How the memory for state is divided, if it is bounded.
    budget: Option<Budget>,
}

impl Report {
    pub fn new(config: &RunConfig, graph: &Graph) -> Self {
        let budget = Budget::new(&config.state, graph, config.workers);
        let bounded = config.state.backend == Backend::RocksDb && budget.instances > 0;
        Self { looked: Instant::now(), records: 0, budget: bounded.then_some(budget) }
    }

    /// How `state.memory` will be used, if it bounds anything.
    pub fn memory(&self, config: &RunConfig) -> Option<String> {
        let Budget { instances, values, rocksdb } = self.budget?;
        Some(format!(
            "state.memory {}: {} for values ({instances} operator instances, {} each), {} for RocksDB's blocks and, up to half of it, write buffers, once values leave memory",
            bytes(config.state.memory as u64),
            bytes((values * instances) as u64),
            bytes(values as u64),
            bytes(rocksdb as u64),
        ))
    }

    /// The current progress line.
    pub fn line(&mut self, run: &Run) -> String {
        let metrics = run.metrics();
        let sources: Vec<(&str, &SourceMetrics)> = sources(run.graph(), &metrics).collect();
        let records: u64 = sources.iter().map(|(_, m)| m.records.get()).sum();
        let rate = (records - self.records) as f64 / self.looked.elapsed().as_secs_f64().max(1e-6);
        (self.looked, self.records) = (Instant::now(), records);
        let mut line = format!("{} records, {}/s", short(records as f64), short(rate));
        if let Some(watermark) = run.watermark() {
            let _ = write!(line, ", watermark {}", instant(watermark.0));
            if sources.iter().all(|(_, m)| m.bytes_total.get() == 0) {
                let _ = write!(line, " ({} behind)", lag(watermark.0));
            }
        }
        let checkpoints = run.checkpoints();
        if let Some(last) = &checkpoints.last {
            let age = run.elapsed().saturating_sub(last.at);
            let _ = write!(line, ", checkpoint {} ({}, {}) {} ago", last.epoch, time(last.took), bytes(last.bytes), time(age));
        }
        if let Some(failure) = checkpoints.failure.as_ref().filter(|_| checkpoints.failed > 0) {
            let _ = write!(line, ", {} failed ({failure})", checkpoints.failed);
        }
        for (name, source) in sources.iter().filter(|(_, m)| m.bytes_total.get() > 0) {
            let part = 100.0 * source.bytes.get() as f64 / source.bytes_total.get() as f64;
            let _ = write!(line, ", {name} {part:.0} %");
        }
        line
    }

    /// The summary of the whole run: what came in, and what happened to it.
    pub fn summary(&self, ended: &Ended<'_>, run: &Run, metrics: &[Option<NodeMetrics>], checkpoints: &CheckpointStatus) -> String {
        let (took, graph) = (run.elapsed(), run.graph());
        let (read, bad) = read(graph, metrics);
        let rate = short((read as f64) / took.as_secs_f64().max(1e-6));
        let mut out = format!("{}: {} after {}, {} records read ({rate}/s)\n", ended.job, ended.how, time(took), grouped(read));
        let parts = account::parts(graph, metrics);
        let width = parts.iter().map(|part| part.name.chars().count()).max().unwrap_or(0);
        for part in &parts {
            if let Some(account) = part.account(ended.kept) {
                let _ = writeln!(out, "  {:<width$}  {account}", part.name);
            }
        }
        let sum = |f: fn(&OperatorMetrics) -> u64| {
            metrics.iter().flatten().map(|m| if let NodeMetrics::Operator(m) = m { f(m) } else { 0 }).sum::<u64>()
        };
        let (late, failed) = (sum(|m| m.late.get()), sum(|m| m.failed.get()));
        if let Some(line) = checkpoint_account(checkpoints) {
            let _ = writeln!(out, "  {line}");
        }
        if let Some(line) = self.memory_account(metrics, ended.verbose) {
            let _ = writeln!(out, "  {line}");
        }
        if bad + late + failed > 0 {
            let _ =
                writeln!(out, "  not processed: {} bad, {} late, {} failed in an expression", grouped(bad), grouped(late), grouped(failed));
        }
        let unfinished = sum(|m| m.unfinished.get());
        if unfinished > 0 {
            let windows = if unfinished == 1 { "window" } else { "windows" };
            let _ = writeln!(
                out,
                "  not fired: {} {windows} of the wall clock (`time: processing`), open when the input ended",
                grouped(unfinished)
            );
        }
        out
    }

    /// How much of the memory for state was used, if it is bounded: shown if it was half of it or more, or if asked for.
    fn memory_account(&self, metrics: &[Option<NodeMetrics>], asked: bool) -> Option<String> {
        let budget = self.budget?;
        let states = metrics.iter().flatten().filter_map(|m| if let NodeMetrics::Operator(m) = m { Some(&m.state) } else { None });
        let (held, disk) = states.fold((0, 0), |(held, disk), m| (held + m.memory.get(), disk + m.disk.get()));
        let bound = (budget.values * budget.instances) as u64;
        if !asked && disk == 0 && held < bound / 2 {
            return None;
        }
        let mut account = format!("state.memory: values {} of {}", bytes(held), bytes(bound));
        match disk {
            0 => account.push_str(", nothing in RocksDB"),
            disk => {
                let _ = write!(account, ", RocksDB up to {} for {} on disk", bytes(budget.rocksdb as u64), bytes(disk));
            }
        }
        Some(account)
    }
}

/// How a job that did not fail has ended, in one word.
pub fn word(how: How) -> &'static str {
    match how {
        How::Finished => "done",
        How::Stopped => "stopped",
        How::Drained => "drained",
        How::Cancelled => "cancelled",
    }
}

/// How a run ended.
pub struct Ended<'a> {
    /// The job's name.
    pub job: &'a str,
    /// In one word.
    pub how: &'static str,
    /// Whether the state outlives the run.
    pub kept: bool,
    /// Whether to report everything.
    pub verbose: bool,
}

/// The number of records the sources have read, and how many of these were bad.
pub fn read(graph: &Graph, metrics: &[Option<NodeMetrics>]) -> (u64, u64) {
    sources(graph, metrics).fold((0, 0), |(read, bad), (_, m)| (read + m.read(), bad + m.bad.get()))
}

fn sources<'a>(graph: &'a Graph, metrics: &'a [Option<NodeMetrics>]) -> impl Iterator<Item = (&'a str, &'a SourceMetrics)> {
    graph.nodes().iter().zip(metrics).filter_map(|(node, metrics)| match metrics {
        Some(NodeMetrics::Source(m)) => Some((node.name.as_str(), &**m)),
        _ => None,
    })
}

/// The results of the checkpoints, if there were any.
fn checkpoint_account(status: &CheckpointStatus) -> Option<String> {
    let mut account = match &status.last {
        Some(Completed { epoch, took, bytes: size, stored, savepoint, .. }) => {
            let what = savepoint.as_ref().map_or_else(|| format!("checkpoint {epoch}"), |to| format!("savepoint in {to}"));
            format!(
                "{} checkpoints; last: {what}, {} ({} new), took {}",
                grouped(status.completed),
                bytes(*size),
                bytes(*stored),
                time(*took)
            )
        }
        None if status.failed > 0 => "no checkpoint".to_owned(),
        None => return None,
    };
    if status.failed > 0 {
        let _ = write!(account, "; {} failed", grouped(status.failed));
    }
    if let Some(failure) = &status.failure {
        let _ = write!(account, " ({failure})");
    }
    Some(account)
}

/// Formats 1234567 as 1.23 M.
pub fn short(n: f64) -> String {
    match n {
        n if n >= 1e9 => format!("{:.2} G", n / 1e9),
        n if n >= 1e6 => format!("{:.2} M", n / 1e6),
        n if n >= 1e4 => format!("{:.1} K", n / 1e3),
        n => format!("{n:.0}"),
    }
}

pub fn bytes(n: u64) -> String {
    match n as f64 {
        n if n >= 1024.0 * 1024.0 * 1024.0 => format!("{:.2} GiB", n / (1024.0 * 1024.0 * 1024.0)),
        n if n >= 1024.0 * 1024.0 => format!("{:.1} MiB", n / (1024.0 * 1024.0)),
        n if n >= 1024.0 => format!("{:.1} KiB", n / 1024.0),
        n => format!("{n} bytes"),
    }
}

pub fn time(duration: Duration) -> String {
    match duration.as_secs() {
        0 => format!("{} ms", duration.as_millis()),
        1..=119 => format!("{:.1} s", duration.as_secs_f64()),
        s => format!("{} min {} s", s / 60, s % 60),
    }
}

/// Formats milliseconds since 1970 as an ISO 8601 timestamp.
pub fn instant(ms: i64) -> String {
    use tidegate::rows::format::{Encoder, TextEncoder, TextPart, Timestamps};
    use tidegate::rows::{Row, Value};
    let mut text = Vec::new();
    TextEncoder::new(vec![TextPart::Field(0)], Timestamps::Iso).encode(&Row::from_iter([Value::timestamp_ms(ms)]), &mut text);
    String::from_utf8_lossy(&text).trim_end().to_owned()
}

/// How far the wall clock is ahead of a watermark.
fn lag(ms: i64) -> String {
    let behind = Clock::default().now().saturating_sub(ms);
    time(Duration::from_millis(u64::try_from(behind).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(short(1_234_567.0), "1.23 M");
        assert_eq!(bytes(3 << 20), "3.0 MiB");
        assert_eq!(time(Duration::from_secs(125)), "2 min 5 s");
        assert_eq!(instant(0), "1970-01-01T00:00:00Z");
    }
}
