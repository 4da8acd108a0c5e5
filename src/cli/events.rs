//! Prints the events of a launched job as lines on standard error.

use std::io::IsTerminal;

use tidegate::connectors::kinds::STDOUT;
use tidegate::launch::{Event, How, Run, describe};
use tidegate::runtime::{Graph, Role};

use super::log::{self, note, progress};
use super::report::{Ended, Report, read, word};

/// What is shown.
pub struct Shown {
    /// Whether to show progress and the summary, not only problems.
    pub account: bool,
    /// Whether to show how memory is used, too.
    pub memory: bool,
    /// Whether a savepoint at the end keeps the state.
    pub savepoint_at_end: bool,
}

/// Prints events.
pub struct Events<'a> {
    /// The job's name.
    job: &'a str,
    shown: Shown,
    /// The report of the run.
    report: Option<Report>,
    /// Whether a progress line is on the screen.
    drawn: bool,
}

impl<'a> Events<'a> {
    pub fn new(job: &'a str, shown: Shown) -> Self {
        Self { job, shown, report: None, drawn: false }
    }

    /// Prints an event.
    pub fn print(&mut self, event: Event<'_>) {
        match event {
            Event::NoCheckpoint { directory } => note(&format!("there is no checkpoint in {directory} yet: starting afresh")),
            Event::CheckpointSkipped { why } => note(&format!("checkpoint passed over: {why}")),
            Event::RestoredDamaged { place, error } => note(&format!("checkpoint passed over: {place}: {error}")),
            Event::Remark { text } => note(&text),
            Event::Unreachable { error } => tracing::warn!("{}", describe(error)),
            Event::CheckpointFailed { why } => tracing::warn!("a checkpoint failed, and the job goes on: {why}"),
            Event::Restarting { error, wait, .. } => tracing::warn!("{}; restarting in {wait:?}", describe(error)),
            Event::Started { run } => self.started(run),
            Event::Progress { run } => self.progress(run),
            Event::Ended { run, how } => self.ended(run, how),
            // The progress line and the summary show these.
            Event::CheckpointCompleted { .. } | Event::SavepointWritten { .. } => {}
            other => tracing::debug!("{other:?}"),
        }
    }

    fn started(&mut self, run: &Run) {
        let report = Report::new(run.config(), run.graph());
        if let Some(memory) = report.memory(run.config()).filter(|_| self.shown.memory && self.shown.account) {
            note(&format!("{}: {memory}", self.job));
        }
        self.report = Some(report);
    }

    fn progress(&mut self, run: &Run) {
        if let Some(report) = &mut self.report
            && self.shown.account
            && drawable(run.graph())
        {
            progress(&report.line(run));
            self.drawn = true;
        }
    }

    fn ended(&mut self, run: &Run, how: Option<How>) {
        if std::mem::take(&mut self.drawn) {
            progress("");
        }
        let (metrics, checkpoints) = (run.metrics(), run.checkpoints());
        // A job that failed before it read anything has nothing to account for.
        let begun = read(run.graph(), &metrics).0 > 0 || checkpoints.completed > 0;
        let Some(report) = self.report.take().filter(|_| self.shown.account && (how.is_some() || begun)) else { return };
        let kept = !matches!(how, Some(How::Finished | How::Drained)) || self.shown.savepoint_at_end;
        let ended = Ended { job: self.job, how: how.map_or("failed", word), kept, verbose: self.shown.memory };
        note(report.summary(&ended, run, &metrics, &checkpoints).trim_end());
    }
}

/// Whether to draw a progress line: only on a terminal, and not if results go to the terminal, too, which would mix with the line.
fn drawable(graph: &Graph) -> bool {
    let results = std::io::stdout().is_terminal() && graph.nodes().iter().any(|n| n.role == Role::Sink && n.kind == STDOUT);
    !log::is_json() && std::io::stderr().is_terminal() && !results
}
