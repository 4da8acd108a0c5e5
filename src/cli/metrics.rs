//! `tidegate metrics`: the counters of a running job's operators.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use tidegate::launch::control::OperatorReport;

use super::control::RunningJob;
use super::report::grouped;

/// Show what the operators of a running job have counted since it started
///
/// One line per operator, in the order of `tidegate explain`; counters that are 0 are left out.
#[derive(Args)]
pub struct Metrics {
    #[command(flatten)]
    job: RunningJob,
    /// Only these operators, by name
    #[arg(value_name = "OPERATOR")]
    operators: Vec<String>,
    /// Print JSON Lines, an object per operator with all its counters
    #[arg(long)]
    json: bool,
}

impl Metrics {
    pub fn run(&self) -> ExitCode {
        super::finish(self.text())
    }

    fn text(&self) -> Result<String> {
        let operators = self.job.connect()?.metrics(self.operators.clone())?;
        if self.json {
            return operators.iter().map(|operator| Ok(serde_json::to_string(operator)? + "\n")).collect();
        }
        let width = operators.iter().map(|operator| operator.operator.chars().count()).max().unwrap_or(0);
        Ok(operators.iter().map(|operator| line(operator, width)).collect())
    }
}

fn line(report: &OperatorReport, width: usize) -> String {
    let counters = report.counters.iter().filter(|(_, n)| **n > 0).map(|(name, n)| format!("{name} {}", grouped(*n)));
    let counters = counters.collect::<Vec<_>>().join(", ");
    let OperatorReport { operator, role, .. } = report;
    format!("{operator:<width$}  {role:<9}  {}\n", if counters.is_empty() { "nothing yet" } else { &counters })
}
