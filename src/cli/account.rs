//! What happened to the records of each source, stream and sink, in the terms of the job file.

use std::fmt::Write;

use tidegate::operators::kinds::{INDICATORS, RULES, RULES_CONTROL};
use tidegate::runtime::metrics::{NodeMetrics, OperatorMetrics, SourceMetrics, StateMetrics};
use tidegate::runtime::{Graph, Node, Role};

use super::report::{bytes, grouped};

/// A source, stream or sink of the job file. The names of its operators begin with its own, as in `paid/key`, `paid`, `paid/emit`.
pub struct Part<'a> {
    pub name: &'a str,
    nodes: Vec<(&'a Node, &'a NodeMetrics)>,
}

/// The parts of a job, in the order of its graph.
pub fn parts<'a>(graph: &'a Graph, metrics: &'a [Option<NodeMetrics>]) -> Vec<Part<'a>> {
    let mut parts: Vec<Part<'a>> = Vec::new();
    for (node, metrics) in graph.nodes().iter().zip(metrics) {
        let (name, Some(metrics)) = (node.name.split('/').next().unwrap_or_default(), metrics) else { continue };
        match parts.iter_mut().find(|part| part.name == name) {
            Some(part) => part.nodes.push((node, metrics)),
            None => parts.push(Part { name, nodes: vec![(node, metrics)] }),
        }
    }
    parts
}

impl Part<'_> {
    /// The account, which adds up. With `kept`, it includes what remains in state when the job ends.
    pub fn account(&self, kept: bool) -> Option<String> {
        if let Some(source) = self.source() {
            return Some(of_source(source));
        }
        let Some((node, main)) = self.main() else { return self.of_rules(kept).or_else(|| self.of_indicators(kept)) };
        Some(match node.role {
            Role::Sink => format!("in {} = {} written", grouped(main.records_in.get()), grouped(main.records_out.get())),
            // Output records differ from input records here, so the two are counted apart.
            Role::Keyed => self.of_keyed(main, kept),
            Role::Source | Role::Stateless => self.of_stateless(main),
        })
    }

    fn source(&self) -> Option<&SourceMetrics> {
        self.nodes.iter().find_map(|(_, metrics)| if let NodeMetrics::Source(m) = metrics { Some(&**m) } else { None })
    }

    fn operators(&self) -> impl Iterator<Item = (&Node, &OperatorMetrics)> {
        self.nodes.iter().filter_map(|(node, metrics)| if let NodeMetrics::Operator(m) = metrics { Some((*node, &**m)) } else { None })
    }

    /// The operator whose name is exactly that of the part.
    fn main(&self) -> Option<(&Node, &OperatorMetrics)> {
        self.operators().find(|(node, _)| node.name == self.name)
    }

    /// The operator that turns results into rows, with what follows it. The part's records come out of it.
    fn emit(&self) -> Option<&OperatorMetrics> {
        self.operators().find(|(node, _)| node.name.strip_prefix(self.name) == Some("/emit")).map(|(_, m)| m)
    }

    /// Records whose key could not be computed.
    fn keyless(&self) -> u64 {
        let keys = |node: &Node| node.name.strip_prefix(self.name).is_some_and(|rest| matches!(rest, "/key" | "/left_key" | "/right_key"));
        self.operators().filter(|(node, _)| keys(node)).map(|(_, m)| m.failed.get()).sum()
    }

    fn of_keyed(&self, main: &OperatorMetrics, kept: bool) -> String {
        let (filtered, late, failed) = (main.filtered.get(), main.late.get(), main.failed.get() + self.keyless());
        let total = main.records_in.get() + self.keyless();
        let mut account = format!("in {} = {} taken", grouped(total), grouped(total.saturating_sub(filtered + late + failed)));
        for (n, what) in [(filtered, "filtered"), (late, "late"), (failed, "failed")] {
            if n > 0 || what == "late" {
                let _ = write!(account, " + {} {what}", grouped(n));
            }
        }
        let emit = self.emit();
        let _ = write!(account, "; out {}", grouped(emit.unwrap_or(main).records_out.get()));
        if let Some(emit) = emit {
            for (n, what) in [(emit.filtered.get(), "filtered"), (emit.failed.get(), "failed")] {
                if n > 0 {
                    let _ = write!(account, "; {} of {} results {what}", grouped(n), grouped(emit.records_in.get()));
                }
            }
        }
        if let Some(state) = of_state(&main.state).filter(|_| kept) {
            let _ = write!(account, "; {state}");
        }
        if main.dropped.get() > 0 {
            let _ = write!(account, "; {} partial matches dropped", grouped(main.dropped.get()));
        }
        account
    }

    /// The account of indicators, which have an operator for each key that they group by.
    fn of_indicators(&self, kept: bool) -> Option<String> {
        let by_key = || self.operators().filter(|(node, _)| node.kind == INDICATORS).map(|(_, m)| m);
        let emit = self.emit().filter(|_| by_key().next().is_some())?;
        let (on, late) = (emit.records_in.get(), by_key().map(|m| m.late.get()).sum::<u64>());
        let behind = by_key().map(|m| m.behind.get()).max().unwrap_or(0);
        let uncounted: u64 = self.operators().map(|(_, m)| m.uncounted.get()).sum();
        let mut account =
            format!("in {} = {} on + {} late; out {}", grouped(on + late), grouped(on), grouped(late), grouped(emit.records_out.get()));
        for (n, what) in [(emit.filtered.get(), "filtered"), (emit.failed.get(), "failed")] {
            if n > 0 {
                let _ = write!(account, "; {} of {} {what}", grouped(n), grouped(on));
            }
        }
        if behind > 0 {
            let _ = write!(account, "; {} went on although late", grouped(behind));
        }
        if uncounted > 0 {
            let _ = write!(account, "; {} times a record did not count because an expression failed", grouped(uncounted));
        }
        if kept {
            for (node, m) in self.operators() {
                if let Some(state) = of_state(&m.state) {
                    let _ = write!(account, "; {}: {state}", node.name.split_once('/').map_or(node.name.as_str(), |(_, key)| key));
                }
            }
        }
        Some(account)
    }

    /// The account of rules: of the records, and of the control records that change them.
    fn of_rules(&self, kept: bool) -> Option<String> {
        let (_, judge) = self.operators().find(|(node, _)| node.kind == RULES)?;
        let named = |suffix: &str| self.operators().find(|(node, _)| node.name.strip_prefix(self.name) == Some(suffix)).map(|(_, m)| m);
        let (total, late) = (named("/judge/records")?.records_in.get(), judge.late.get());
        let emit = self.emit()?;
        let mut account = format!(
            "in {} = {} judged + {} late; out {}",
            grouped(total),
            grouped(total.saturating_sub(late)),
            grouped(late),
            grouped(emit.records_out.get())
        );
        for (n, what) in [(emit.filtered.get(), "filtered"), (emit.failed.get(), "failed")] {
            if n > 0 {
                let _ = write!(account, "; {} of {} decisions {what}", grouped(n), grouped(emit.records_in.get()));
            }
        }
        if let Some((_, control)) = self.operators().find(|(node, _)| node.kind == RULES_CONTROL) {
            let _ = write!(
                account,
                "; {} of {} control records accepted",
                grouped(control.records_out.get()),
                grouped(control.records_in.get())
            );
        }
        if let Some(state) = of_state(&judge.state).filter(|_| kept) {
            let _ = write!(account, "; {state}");
        }
        Some(account)
    }

    fn of_stateless(&self, main: &OperatorMetrics) -> String {
        let emit = self.emit();
        let sum = |f: fn(&OperatorMetrics) -> u64| f(main) + emit.map_or(0, f);
        let (filtered, failed) = (sum(|m| m.filtered.get()), sum(|m| m.failed.get()) + self.keyless());
        let total = main.records_in.get() + self.keyless();
        let (passed, out) = (total.saturating_sub(filtered + failed), emit.unwrap_or(main).records_out.get());
        let mut account = format!("in {} = {} on + {} filtered", grouped(total), grouped(passed), grouped(filtered));
        if failed > 0 {
            let _ = write!(account, " + {} failed", grouped(failed));
        }
        if out != passed {
            let _ = write!(account, "; out {}", grouped(out));
        }
        account
    }
}

fn of_source(m: &SourceMetrics) -> String {
    let (records, bad, tombstones) = (m.records.get(), m.bad.get(), m.tombstones.get());
    let mut account = format!("read {} = {} on + {} bad", grouped(m.read()), grouped(records), grouped(bad));
    if tombstones > 0 {
        let _ = write!(account, " + {} tombstones", grouped(tombstones));
    }
    if m.bytes.get() > 0 {
        let _ = write!(account, "  ({})", bytes(m.bytes.get()));
    }
    if let Some(remark) = m.remarked() {
        let _ = write!(account, "; {remark}");
    }
    account
}

/// What an operator keeps, if anything.
fn of_state(m: &StateMetrics) -> Option<String> {
    let entries = m.entries.get();
    if entries == 0 && m.disk.get() == 0 {
        return None;
    }
    let mut account = format!("state {} entries in {}", grouped(entries), bytes(m.memory.get()));
    if m.disk.get() > 0 {
        let _ = write!(account, ", {} on disk", bytes(m.disk.get()));
    }
    let (lookups, misses) = (m.lookups.get(), m.misses.get());
    if lookups > 0 {
        let _ = write!(account, ", {:.1} % found in memory", 100.0 * (lookups.saturating_sub(misses)) as f64 / lookups as f64);
    }
    if m.evicted.get() > 0 {
        let _ = write!(account, ", {} evicted", grouped(m.evicted.get()));
    }
    Some(account)
}
