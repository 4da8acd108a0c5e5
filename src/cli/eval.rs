//! `tidegate eval`: evaluates an expression.

use std::io::{BufRead, Write};
use std::process::ExitCode;

use anyhow::{Context, anyhow};
use clap::Args;
use tidegate::expr::{EvalWithError, eval_batch_line, eval_with};
use tidegate::rows::Row;
use tidegate::rows::format::{Encoder, TextEncoder, TextPart, Timestamps};

/// Evaluate an expression, as job files have them (CEL)
///
/// `tidegate eval 'amount > 100.0 && user != "bank"' --with '{"amount": 250, "user": "ann"}'`
#[derive(Args)]
pub struct Eval {
    /// The expression
    #[arg(required_unless_present = "batch", conflicts_with = "batch")]
    expression: Option<String>,
    /// The fields it can use, as a JSON object
    #[arg(long, value_name = "JSON", default_value = "{}")]
    with: String,
    /// Read cases as JSON Lines from standard input and answer each with a line: `{"expr": "1 + 1"}` gives `{"value": {"int": "2"}}`
    #[arg(long)]
    batch: bool,
}

impl Eval {
    pub fn run(&self) -> ExitCode {
        let result = match &self.expression {
            Some(expression) => self.one(expression),
            None => batch().map(|()| ExitCode::SUCCESS),
        };
        result.unwrap_or_else(|e| super::fail(&e, super::USAGE))
    }

    fn one(&self, expression: &str) -> anyhow::Result<ExitCode> {
        let variables = serde_json::from_str(&self.with).with_context(|| format!("`--with {}` is not JSON", self.with))?;
        match eval_with(expression, &variables) {
            Ok((value, ty)) => {
                let mut text = Vec::new();
                TextEncoder::new(vec![TextPart::Field(0)], Timestamps::Iso).encode(&Row::from_iter([value]), &mut text);
                super::print(&String::from_utf8_lossy(&text))?;
                super::log::note(&format!("type: {ty}"));
                Ok(ExitCode::SUCCESS)
            }
            Err(EvalWithError::Problems(problems)) => {
                // If the only problem is a constant without a value, that is the result.
                let code = if problems.iter().all(|p| p.constant) { super::FAILED } else { super::USAGE };
                for problem in problems {
                    let before = expression.get(..problem.span.start).unwrap_or_default().chars().count();
                    let width = expression.get(problem.span.clone()).unwrap_or_default().chars().count().max(1);
                    super::log::note(&format!("error: {problem}\n  {expression}\n  {}{}", " ".repeat(before), "^".repeat(width)));
                }
                Ok(ExitCode::from(code))
            }
            Err(EvalWithError::Eval(error)) => Ok(super::fail(&anyhow!("{error}"), super::FAILED)),
            Err(error) => Err(anyhow!("{error}")),
        }
    }
}

/// Exits if standard output is a closed pipe: the reader has seen enough.
fn answer(written: std::io::Result<()>) -> anyhow::Result<()> {
    match written {
        Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => std::process::exit(0),
        written => Ok(written?),
    }
}

fn batch() -> anyhow::Result<()> {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for line in std::io::stdin().lock().lines() {
        let line = line.context("standard input can't be read")?;
        answer(writeln!(out, "{}", eval_batch_line(&line)))?;
    }
    answer(out.flush())
}
