//! `tidegate status`: what a running job is doing.

use std::fmt::Write;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use tidegate::launch::control::{CheckpointReport, RunReport, State, Status as Report};

use super::control::RunningJob;
use super::report::{bytes, grouped, instant, time};

/// Show what a running job is doing: its state, progress and checkpoints
#[derive(Args)]
pub struct Status {
    #[command(flatten)]
    job: RunningJob,
    /// Print a JSON object, for programs: the `status` reply of docs/control.md
    #[arg(long)]
    json: bool,
}

impl Status {
    pub fn run(&self) -> ExitCode {
        super::finish(self.text())
    }

    fn text(&self) -> Result<String> {
        let status = self.job.connect()?.status()?;
        Ok(if self.json { serde_json::to_string(&status)? + "\n" } else { text(&status) })
    }
}

fn text(status: &Report) -> String {
    let state = match status.state {
        State::Starting => "starting",
        State::Running => "running",
        State::Restarting => "waiting for its restart",
        State::Stopping => "stopping",
        State::Ended => "ended",
    };
    let mut out = format!("{}: {state}, process {}, up {}\n", status.job, status.pid, span(status.up_ms));
    if let Some(run) = &status.run {
        out.push_str(&running(run));
    }
    if let Some(failure) = &status.failure {
        let _ = writeln!(out, "  last failure: {failure} ({} in a row)", status.failures);
    }
    out
}

fn running(run: &RunReport) -> String {
    let mut out = String::new();
    let generation = run.generation.map_or_else(String::new, |generation| format!("run {generation}, "));
    let workers = if run.workers == 1 { "1 worker".to_owned() } else { format!("{} workers", run.workers) };
    let from = run.restored_from.as_ref().map_or_else(|| "a fresh start".to_owned(), |place| format!("from {place}"));
    let _ = writeln!(out, "  {generation}{workers}, up {}, {from}", span(run.up_ms));
    let watermark = run.watermark_ms.map_or_else(String::new, |ms| format!(", watermark {}", instant(ms)));
    let _ = writeln!(out, "  {} records read{watermark}", grouped(run.records_read));
    if let Some(checkpoints) = checkpoints(&run.checkpoints) {
        let _ = writeln!(out, "  {checkpoints}");
    }
    out
}

fn checkpoints(report: &CheckpointReport) -> Option<String> {
    if report.completed + report.failed == 0 {
        return None;
    }
    let mut out = format!("{} checkpoints", grouped(report.completed));
    if let Some(last) = &report.last {
        let what = last.savepoint.as_ref().map_or_else(|| last.epoch.to_string(), |place| format!("savepoint in {place}"));
        let _ = write!(out, "; last: {what}, {}, took {}, {} ago", bytes(last.bytes), span(last.took_ms), span(last.age_ms));
    }
    if report.failed > 0 {
        let _ = write!(out, "; {} failed", grouped(report.failed));
    }
    if let Some(failure) = &report.failure {
        let _ = write!(out, " ({failure})");
    }
    Some(out)
}

fn span(ms: u64) -> String {
    time(Duration::from_millis(ms))
}
