//! `dedupe` and `top`: which records of a key go on.

use std::cmp::Ordering;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tidegate_connectors::row::{Row, Schema, Type, Value};
use tidegate_operators::Keep;
use tidegate_runtime::Error;

use super::Known;
use super::arrange::{self, Arrangement};
use super::key::KeySlots;
use super::pipeline::{self, Pipeline};
use super::streams::{plan_key, untimed};
use super::windows::{self, PlannedWindow};
use crate::expr::Expr;
use crate::failures::Failures;
use crate::file::{Dedupe, Problem, Stream, Top};

/// The key of a stream whose rows go on as they are.
#[derive(Clone)]
pub(super) struct PlannedKey {
    /// Computes the keys that are expressions.
    pub(super) keys: Pipeline,
    pub(super) key: KeySlots,
    /// The fields of a row, without those.
    pub(super) width: usize,
}

impl PlannedKey {
    fn plan(stream: &Stream, input: &Known, problems: &mut Vec<Problem>) -> Self {
        let (slots, computed) = plan_key(stream, input, &mut Schema::default(), problems);
        let key = KeySlots::over(&slots, &input.schema, &computed);
        Self { keys: pipeline::append(computed), key, width: input.schema.width() }
    }
}

/// A `dedupe`, compiled.
#[derive(Clone)]
pub(super) struct PlannedDedupe {
    pub(super) key: PlannedKey,
    pub(super) keep: Keep,
    pub(super) ttl: Duration,
    pub(super) late_to: Option<String>,
}

/// Plans a `dedupe`; its rows are those of the input.
pub(super) fn plan_dedupe(stream: &Stream, dedupe: &Dedupe, input: &Known) -> Result<PlannedDedupe, Vec<Problem>> {
    let mut problems = Vec::new();
    let key = PlannedKey::plan(stream, input, &mut problems);
    if !input.timed {
        problems.push(dedupe.place.problem(format!("`dedupe` is by event time, and {}", untimed(stream))));
    }
    let keep = if dedupe.last { Keep::Last } else { Keep::First };
    let late_to = stream.late_to.as_ref().map(|name| name.value.clone());
    let planned = PlannedDedupe { key, keep, ttl: windows::unsigned(dedupe.ttl), late_to };
    if problems.is_empty() { Ok(planned) } else { Err(problems) }
}

/// A `top`, compiled.
#[derive(Clone)]
pub(super) struct PlannedTop {
    pub(super) key: PlannedKey,
    pub(super) window: Option<PlannedWindow>,
    pub(super) n: usize,
    by: Expr,
    pub(super) late_to: Option<String>,
}

/// Plans a `top`; the schema is that of its rows: of the input, with the rank and the window's bounds. Also tells how they are made of the fields of the
/// input and those.
pub(super) fn plan_top(stream: &Stream, top: &Top, input: &Known) -> Result<(PlannedTop, (Schema, Option<Arrangement>)), Vec<Problem>> {
    let mut problems = Vec::new();
    let key = PlannedKey::plan(stream, input, &mut problems);
    let window = stream.window.as_ref().and_then(|window| {
        let planned = windows::plan(window, &input.schema, &mut problems)?;
        if planned.needs_event_time() && !input.timed {
            problems.push(window.place.problem(format!("these windows are of event time, and {}", untimed(stream))));
        }
        Some(planned)
    });
    let bounds: &[&str] = if window.as_ref().is_some_and(PlannedWindow::has_bounds) { &["window_start", "window_end"] } else { &[] };
    let added = std::iter::once(("rank", Type::Int)).chain(bounds.iter().map(|name| (*name, Type::Timestamp)));
    for (name, _) in added.clone().filter(|(name, _)| input.schema.declares(name)) {
        problems.push(top.n.problem(format!("`top` adds a field `{name}`, and there is one already: rename it with a `select` before")));
    }
    let by = pipeline::expression(&top.by, &input.schema, &mut problems);
    let Some(by) = by.filter(|_| problems.is_empty()) else { return Err(problems) };
    let late_to = stream.late_to.as_ref().map(|name| name.value.clone());
    let planned = PlannedTop { key, window, n: usize::try_from(top.n.value).unwrap_or(usize::MAX), by, late_to };
    Ok((planned, arrange::extended(&input.schema, added)))
}

impl PlannedTop {
    /// What a row is measured by; a row on which the expression fails, or gives null, has no measure.
    pub(super) fn measure(&self, mut failures: Failures) -> impl FnMut(&Row) -> Result<Option<Measure>, Error> + use<> {
        let by = self.by.clone();
        move |row| {
            let error = match by.eval(row) {
                Ok(Value::Null) => "expected a value, found null".to_owned(),
                Ok(value) => return Ok(Some(Measure(value))),
                Err(error) => error.to_string(),
            };
            failures.report(&by, &error, row).map(|()| None)
        }
    }
}

/// A value, in the order in which values of all types stand.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Measure(Value);

impl PartialEq for Measure {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Measure {}

impl PartialOrd for Measure {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Measure {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}
