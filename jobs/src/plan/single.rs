//! `dedupe` and `top`: which records of a key go on.

use std::cmp::Ordering;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tidegate_connectors::row::{Row, Schema, Type, Value};
use tidegate_operators::{Keep, Ties};
use tidegate_runtime::Error;
use tidegate_runtime::state::Stored;

use super::arrange::{self, Arranged};
use super::key::KeySlots;
use super::known::{Known, Order, Timing};
use super::pipeline::{self, Pipeline};
use super::streams::{plan_key, plan_windows, untimed};
use super::updates::Updates;
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
    slots: Vec<usize>,
    /// Do the rows of a key come in an order of their own?
    pub(super) settled: bool,
}

impl PlannedKey {
    fn plan(stream: &Stream, input: &Known, problems: &mut Vec<Problem>) -> Self {
        let (slots, computed) = plan_key(stream, input, &mut Schema::default(), problems);
        let key = KeySlots::over(&slots, &input.schema, &computed);
        let settled = input.order.is_settled(&slots);
        Self { keys: pipeline::append(computed), key, width: input.schema.width(), slots, settled }
    }

    /// Where the values of the key stand in a row, if all of them do.
    fn fields(&self) -> Option<Vec<usize>> {
        self.slots.iter().all(|slot| *slot < self.width).then(|| self.slots.clone())
    }

    /// Behind an operator by this key that keeps the order of its rows.
    fn order(&self) -> Order {
        Order::behind(self.fields().map(|slots| slots.into_iter().collect()))
    }
}

/// A `dedupe`, compiled.
#[derive(Clone)]
pub(super) struct PlannedDedupe {
    pub(super) key: PlannedKey,
    pub(super) keep: Keep,
    pub(super) ttl: Duration,
    pub(super) late_to: Option<String>,
    /// The values that order rows of one time, if not all of them do: of results that come again, what is the same in each.
    fixed: Option<Arc<[usize]>>,
    /// What is in the stream of results that come again.
    pub(super) updates: Option<Updates>,
}

impl PlannedDedupe {
    /// The order of rows of one time, if they come in none of their own.
    pub(super) fn ties(&self) -> Option<Ties<Row>> {
        match &self.fixed {
            _ if self.key.settled => None,
            None => Some(by_value()),
            Some(fixed) => {
                let fixed = Arc::clone(fixed);
                let unequal = move |a: &Row, b: &Row| fixed.iter().map(|slot| a.get(*slot).strict_cmp(b.get(*slot))).find(|o| o.is_ne());
                Some(Box::new(move |a: &Row, b: &Row| unequal(a, b).unwrap_or(Ordering::Equal)))
            }
        }
    }

    /// The order of what goes on.
    pub(super) fn order(&self) -> Order {
        self.key.order()
    }
}

/// Rows in the order of their values.
pub(super) fn by_value() -> Ties<Row> {
    Box::new(Row::strict_cmp)
}

/// Plans a `dedupe`; its rows are those of the input.
pub(super) fn plan_dedupe(stream: &Stream, dedupe: &Dedupe, input: &Known) -> Result<PlannedDedupe, Vec<Problem>> {
    let mut problems = Vec::new();
    let key = PlannedKey::plan(stream, input, &mut problems);
    if let Timing::Untimed(remedy) = &input.timing {
        problems.push(dedupe.place.problem(format!("`dedupe` is by event time, and {}", untimed(stream, remedy))));
    }
    let keep = if dedupe.last { Keep::Last } else { Keep::First };
    let late_to = stream.late_to.as_ref().map(|name| name.value.clone());
    let fixed = input.updates.as_ref().map(|updates| updates.fixed().collect());
    // A result that comes again lies in the span of the former one, unless its key is another then.
    let again = |updates: &&Updates| !stream.key.iter().all(|key| updates.settle(&key.value, &input.schema));
    let updates = input.updates.as_ref().filter(again).cloned();
    let planned = PlannedDedupe { key, keep, ttl: windows::unsigned(dedupe.ttl), late_to, fixed, updates };
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
    /// The slots that tell results apart of which the latest is kept.
    pub(super) latest: Option<Arc<[usize]>>,
    pub(super) timing: Timing,
    /// What is in the stream of results that come again.
    pub(super) updates: Option<Updates>,
}

/// Plans a `top`; the schema is that of its rows: of the input, with the rank and the window's bounds. Also tells how they are made of the fields of the
/// input and those.
pub(super) fn plan_top(stream: &Stream, top: &Top, input: &Known) -> Result<(PlannedTop, Arranged), Vec<Problem>> {
    let mut problems = Vec::new();
    let key = PlannedKey::plan(stream, input, &mut problems);
    let (window, latest) = plan_windows(stream, input, &mut problems);
    if !stream.windowed {
        Updates::refuse(input.updates.as_ref(), &top.n, "a running `top`", &mut problems);
    }
    let bounds: &[&str] = if window.as_ref().is_some_and(PlannedWindow::has_bounds) { &["window_start", "window_end"] } else { &[] };
    let added = std::iter::once(("rank", Type::Int)).chain(bounds.iter().map(|name| (*name, Type::Timestamp)));
    for (name, _) in added.clone().filter(|(name, _)| input.schema.declares(name)) {
        problems.push(top.n.problem(format!("`top` adds a field `{name}`, and there is one already: rename it with a `select` before")));
    }
    let by = pipeline::expression(&top.by, &input.schema, &mut problems);
    let Some(by) = by.filter(|_| problems.is_empty()) else { return Err(problems) };
    let late_to = stream.late_to.as_ref().map(|name| name.value.clone());
    let timing = window.as_ref().map_or_else(|| input.timing.clone(), |window| window.timing(stream, &input.timing));
    let updates = window.as_ref().and_then(|window| {
        let again = window.fires_again()?;
        let missing = || "its key is an expression and stands in no field".to_owned();
        // A place in the ranks is taken by another row, and never given up.
        let rank = input.schema.width();
        let identity = key.fields().ok_or_else(missing).and_then(|slots| window.identity(stream, slots)).and_then(|slots| match window {
            PlannedWindow::Time(windows) if windows.evictor.is_some() => Err("an evictor may leave fewer ranks".to_owned()),
            _ => Ok(slots),
        });
        let identity = identity.map(|slots| slots.into_iter().chain([rank]).collect());
        Some(Updates::new(stream, again, identity, rank..=rank + bounds.len()))
    });
    let n = usize::try_from(top.n.value).unwrap_or(usize::MAX);
    let planned = PlannedTop { key, window, n, by, late_to, latest, timing, updates };
    Ok((planned, arrange::extended(&input.schema, added)))
}

impl PlannedTop {
    /// The order of what goes on.
    pub(super) fn order(&self) -> Order {
        let settled = self.key.settled || self.window.as_ref().is_some_and(PlannedWindow::is_by_event_time);
        if settled { self.key.order() } else { Order::Arrival }
    }

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

/// What tells results that come again from others of their time.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct Identity(Row);

impl Stored for Identity {
    const SCHEMA: &'static str = "row.identity/1";
}

impl Identity {
    /// The values of these slots.
    pub(super) fn of(slots: &Arc<[usize]>) -> impl Fn(&Row) -> Self + use<> {
        let slots = Arc::clone(slots);
        move |row| Self(slots.iter().map(|slot| row.get(*slot).clone()).collect())
    }
}

impl PartialOrd for Identity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Identity {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.strict_cmp(&other.0)
    }
}

/// A value, in the order in which values of all types stand.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Measure(Value);

impl Stored for Measure {
    const SCHEMA: &'static str = "row.measure/1";
}

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
