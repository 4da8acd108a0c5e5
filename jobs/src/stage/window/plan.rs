//! Plans windows: turns those of a job file into what the window operators expect, and evaluates their expressions on rows.

use std::num::NonZeroU64;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tidegate_operators::Window;
use tidegate_operators::window::{
    Assigner, Bounds, CountEvictor, CountWindow, Decision, DynamicSession, Evictor, InvalidWindow, StandardState, StandardTrigger,
    TimeEvictor, Trigger, TriggerContext,
};
use tidegate_rows::{Row, Schema, Type, Value};
use tidegate_runtime::state::Stored;
use tidegate_runtime::{Error, Record};

use tidegate_expr::Expr;

use super::{Clock, Drops, Evictor as FileEvictor, Gap, Shape, Trigger as FileTrigger, Window as FileWindow};
use crate::relation::expression::expression;
use crate::relation::failures::Failures;
use crate::relation::known::Timing;
use crate::text::{Problem, Spanned};
use crate::yaml::{millis, unsigned};

/// The planned windows of a stream.
#[derive(Clone)]
pub(crate) enum PlannedWindow {
    /// Windows of a number of records.
    Count(CountWindow),
    /// Windows of time, or a single one over everything.
    Time(Box<TimeWindows>),
}

/// Windows of time, or a single one over everything.
#[derive(Clone)]
pub(crate) struct TimeWindows {
    pub(crate) shape: PlannedShape,
    pub(crate) clock: Clock,
    pub(crate) lateness: Duration,
    pub(crate) trigger: Option<PlannedTrigger>,
    pub(crate) evictor: Option<PlannedEvictor>,
    /// Why a window may fire again without having been emptied, or `None` if it doesn't.
    again: Option<&'static str>,
}

/// Assigns rows to windows.
#[derive(Clone)]
pub(crate) enum PlannedShape {
    Plain(Window),
    /// Sessions whose gap depends on the row.
    Session(Expr),
}

impl PlannedShape {
    /// Whether overlapping windows of a key are merged.
    fn merges(&self) -> bool {
        match self {
            Self::Plain(window) => Assigner::<Row>::merges(window),
            Self::Session(_) => true,
        }
    }
}

/// When a window fires.
#[derive(Clone)]
pub(crate) struct PlannedTrigger {
    fires: Fires,
    purges: bool,
}

#[derive(Clone)]
enum Fires {
    Standard(StandardTrigger),
    Delta(Expr, f64),
}

/// What a window drops.
#[derive(Clone)]
pub(crate) struct PlannedEvictor {
    drops: PlannedDrops,
    after: bool,
}

#[derive(Clone)]
enum PlannedDrops {
    Count(CountEvictor),
    Time(TimeEvictor),
    Delta(Expr, f64),
}

impl PlannedWindow {
    /// Whether they need records with an event time.
    pub(crate) fn needs_event_time(&self) -> bool {
        matches!(self, Self::Time(windows) if windows.clock == Clock::Event && windows.has_bounds())
    }

    /// Whether their results have an event time.
    pub(crate) fn timing(&self, name: &str, input: &Timing) -> Timing {
        match self {
            Self::Time(windows) if !windows.has_bounds() => Timing::Untimed(format!(
                "the windows of `{name}` are `global` and have no end: give them one that has, such as `tumbling: 1h`, or let what reads them go by `time: processing`"
            )),
            // Results at times of the wall clock are of use only if the input has a watermark.
            _ => input.clone(),
        }
    }

    /// Why a window may fire again without having been emptied, or `None` if it doesn't.
    pub(crate) fn fires_again(&self) -> Option<&'static str> {
        if let Self::Time(windows) = self { windows.again } else { None }
    }

    /// The slots that distinguish an updated result from others of the same time: those of the `key`. If windows merge, why nothing does.
    pub(crate) fn identity(&self, name: &str, key: Vec<usize>) -> Result<Vec<usize>, String> {
        match self {
            Self::Time(windows) if windows.shape.merges() => {
                Err(format!("the sessions of `{name}` may grow before they fire again, and are others then"))
            }
            _ => Ok(key),
        }
    }

    /// A description of windows that count every update of a result as a new one, or `None` if they keep the latest.
    pub(crate) fn counts_anew(&self) -> Option<&'static str> {
        match self {
            Self::Count(_) => Some("a window that counts"),
            Self::Time(windows) if windows.clock == Clock::Processing => Some("a window of the wall clock"),
            Self::Time(windows) if windows.trigger.as_ref().is_some_and(|trigger| trigger.purges) => Some("a window that is emptied"),
            Self::Time(_) => None,
        }
    }

    /// Whether the results of each key come in the same order in every run, even if the records don't.
    pub(crate) fn is_by_event_time(&self) -> bool {
        matches!(self, Self::Time(windows) if windows.clock == Clock::Event)
    }

    /// Whether they have a start and an end in time.
    pub(crate) fn has_bounds(&self) -> bool {
        matches!(self, Self::Time(windows) if windows.has_bounds())
    }
}

impl TimeWindows {
    pub(crate) fn has_bounds(&self) -> bool {
        !matches!(self.shape, PlannedShape::Plain(window) if window == Window::global())
    }

    /// The given trigger, or else the default one.
    pub(crate) fn trigger_or_default(&self) -> PlannedTrigger {
        self.trigger.clone().unwrap_or_else(|| {
            let by_clock = self.clock == Clock::Processing;
            let fires = if by_clock { StandardTrigger::processing_time() } else { StandardTrigger::event_time() };
            PlannedTrigger { fires: Fires::Standard(fires), purges: false }
        })
    }
}

/// Plans windows over records of `schema`. `None` after a problem.
pub(crate) fn plan(window: &FileWindow, schema: &Schema, problems: &mut Vec<Problem>) -> Option<PlannedWindow> {
    let plain = |window: Result<Window, InvalidWindow>| window.map(PlannedShape::Plain);
    let shape = match &window.shape {
        Shape::Count { size, every } => {
            return NonZeroU64::new(*size)
                .zip(NonZeroU64::new(*every))
                .map(|(size, every)| PlannedWindow::Count(CountWindow::new(size, every)));
        }
        Shape::Tumbling { size, offset } => plain(Window::tumbling(unsigned(*size), millis(*offset))),
        Shape::Sliding { size, every, offset } => plain(Window::sliding(unsigned(*size), unsigned(*every), millis(*offset))),
        Shape::Cumulative { size, every, offset } => plain(Window::cumulative(unsigned(*size), unsigned(*every), millis(*offset))),
        Shape::Session(Gap::Fixed(gap)) => plain(Window::session(unsigned(*gap))),
        Shape::Session(Gap::Dynamic(gap)) => Ok(PlannedShape::Session(gap_of(gap, schema, problems)?)),
        Shape::Global => plain(Ok(Window::global())),
    };
    let before = problems.len();
    let trigger = window.trigger.as_ref().map(|trigger| plan_trigger(trigger, window, schema, problems));
    let evictor = window.evictor.as_ref().map(|evictor| plan_evictor(evictor, schema, problems));
    let shape = shape.map_err(|error| problems.push(window.place.problem(error.to_string()))).ok()?;
    let lateness = unsigned(window.allowed_lateness);
    let again = fires_again(window);
    let windows = TimeWindows { shape, clock: window.clock, lateness, trigger: trigger.flatten(), evictor: evictor.flatten(), again };
    (problems.len() == before).then(|| PlannedWindow::Time(Box::new(windows)))
}

fn fires_again(window: &FileWindow) -> Option<&'static str> {
    match (&window.trigger, window.clock) {
        // Their content is emitted only once.
        (Some(FileTrigger::Purging(_)), _) => None,
        (Some(FileTrigger::Count(_) | FileTrigger::Every(_) | FileTrigger::Delta(..)), _)
        | (Some(FileTrigger::ProcessingTime), Clock::Event)
        | (Some(FileTrigger::EventTime), Clock::Processing) => Some("`trigger`"),
        _ => (!window.allowed_lateness.is_zero()).then_some("`allowed_lateness`"),
    }
}

fn gap_of(gap: &Spanned<String>, schema: &Schema, problems: &mut Vec<Problem>) -> Option<Expr> {
    let expr = expression(gap, schema, problems)?;
    if matches!(expr.ty(), Type::Int | Type::Uint | Type::Duration | Type::Any) {
        return Some(expr);
    }
    problems.push(gap.problem(format!("a gap is a duration or a number of milliseconds, and this is of type {}", expr.ty())));
    None
}

fn plan_trigger(trigger: &FileTrigger, window: &FileWindow, schema: &Schema, problems: &mut Vec<Problem>) -> Option<PlannedTrigger> {
    let standard = match trigger {
        FileTrigger::Purging(inner) => {
            return plan_trigger(inner, window, schema, problems).map(|inner| PlannedTrigger { purges: true, ..inner });
        }
        FileTrigger::Delta(delta, threshold) => {
            let fires = Fires::Delta(number(delta, schema, problems)?, *threshold);
            return Some(PlannedTrigger { fires, purges: false });
        }
        FileTrigger::EventTime => Ok(StandardTrigger::event_time()),
        FileTrigger::ProcessingTime => Ok(StandardTrigger::processing_time()),
        FileTrigger::Count(n) => Ok(StandardTrigger::count(*n)),
        FileTrigger::Every(interval) if window.clock == Clock::Processing => StandardTrigger::every_processing(unsigned(*interval)),
        FileTrigger::Every(interval) => StandardTrigger::every(unsigned(*interval)),
    };
    let standard = standard.map_err(|error| problems.push(window.place.problem(format!("in `trigger`: {error}")))).ok()?;
    Some(PlannedTrigger { fires: Fires::Standard(standard), purges: false })
}

fn plan_evictor(evictor: &FileEvictor, schema: &Schema, problems: &mut Vec<Problem>) -> Option<PlannedEvictor> {
    let drops = match &evictor.drops {
        Drops::Count(n) => PlannedDrops::Count(CountEvictor(usize::try_from(*n).unwrap_or(usize::MAX))),
        Drops::Time(size) => PlannedDrops::Time(TimeEvictor(unsigned(*size))),
        Drops::Delta(delta, threshold) => PlannedDrops::Delta(number(delta, schema, problems)?, *threshold),
    };
    Some(PlannedEvictor { drops, after: evictor.after })
}

fn number(text: &Spanned<String>, schema: &Schema, problems: &mut Vec<Problem>) -> Option<Expr> {
    let expr = expression(text, schema, problems)?;
    if matches!(expr.ty(), Type::Int | Type::Uint | Type::Double | Type::Decimal | Type::Any) {
        return Some(expr);
    }
    problems.push(text.problem(format!("a delta is between numbers, and this is of type {}", expr.ty())));
    None
}

/// The number that an expression yields for a row, or `None` if it fails, which is then reported.
fn value_of(expr: &Expr, row: &Row, failures: &mut Failures) -> Result<Option<f64>, Error> {
    let error = match expr.eval(row) {
        Ok(value) => match value.as_f64() {
            Some(number) => return Ok(Some(number)),
            None => format!("expected a number, found {}", value.type_of()),
        },
        Err(error) => error.to_string(),
    };
    failures.report(expr, &error, row).map(|()| None)
}

/// Assigns rows to windows.
pub(crate) struct RowAssigner {
    pub(crate) shape: PlannedShape,
    pub(crate) failures: Failures,
}

impl RowAssigner {
    fn gap(gap: &Expr, row: &Row, failures: &mut Failures) -> Result<Option<i64>, Error> {
        let error = match gap.eval(row) {
            Ok(value) => {
                let ms = match value {
                    Value::Int(ms) => Some(ms),
                    Value::Uint(ms) => Some(i64::try_from(ms).unwrap_or(i64::MAX)),
                    Value::Duration(gap) => Some(millis(gap)),
                    _ => None,
                };
                match ms {
                    Some(ms) if ms > 0 => return Ok(Some(ms)),
                    Some(ms) => format!("the gap of a session is at least a millisecond, and this is {ms} ms"),
                    None => format!("expected a duration or milliseconds, found {}", value.type_of()),
                }
            }
            Err(error) => error.to_string(),
        };
        failures.report(gap, &error, row).map(|()| None)
    }
}

impl Assigner<Row> for RowAssigner {
    fn assign(&mut self, row: &Row, time: i64, windows: &mut Vec<Bounds>) -> Result<bool, Error> {
        match &mut self.shape {
            PlannedShape::Plain(window) => window.assign(row, time, windows),
            PlannedShape::Session(gap) => {
                let Some(gap) = Self::gap(gap, row, &mut self.failures)? else { return Ok(false) };
                DynamicSession::new(move |_: &Row| Ok(Some(gap))).assign(row, time, windows)
            }
        }
    }

    fn form(&self) -> String {
        match &self.shape {
            PlannedShape::Plain(window) => window.to_string(),
            PlannedShape::Session(gap) => format!("session {}", gap.source()),
        }
    }

    fn merges(&self) -> bool {
        self.shape.merges()
    }

    fn ends(&self) -> bool {
        match &self.shape {
            PlannedShape::Plain(window) => Assigner::<Row>::ends(window),
            PlannedShape::Session(_) => true,
        }
    }

    fn plain(&self) -> Option<Window> {
        if let PlannedShape::Plain(window) = &self.shape { Some(*window) } else { None }
    }
}

/// Decides when windows of rows fire.
pub(crate) struct RowTrigger {
    pub(crate) trigger: PlannedTrigger,
    pub(crate) failures: Failures,
}

/// The state of a trigger for one window.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct RowTriggerState {
    standard: StandardState,
    /// The value at the last firing, or else that of the first record.
    value: Option<f64>,
}

impl Stored for RowTriggerState {
    const SCHEMA: &'static str = "row.trigger/1";
}

impl RowTrigger {
    fn decided(&self, decision: Decision) -> Decision {
        if self.trigger.purges { decision.purging() } else { decision }
    }
}

impl Trigger<Row> for RowTrigger {
    type State = RowTriggerState;

    fn form(&self) -> String {
        let fires = match &self.trigger.fires {
            Fires::Standard(trigger) => Trigger::<Row>::form(trigger),
            Fires::Delta(delta, threshold) => format!("delta {} above {threshold}", delta.source()),
        };
        if self.trigger.purges { format!("purging {fires}") } else { fires }
    }

    fn on_element(&mut self, row: &Row, time: i64, state: &mut RowTriggerState, cx: &mut TriggerContext<'_>) -> Result<Decision, Error> {
        let decision = match &mut self.trigger.fires {
            Fires::Standard(trigger) => trigger.on_element(row, time, &mut state.standard, cx)?,
            Fires::Delta(delta, threshold) => match (value_of(delta, row, &mut self.failures)?, state.value) {
                (None, _) => Decision::Continue,
                (Some(new), Some(last)) if (new - last).abs() <= *threshold => Decision::Continue,
                (new, last) => {
                    state.value = new;
                    if last.is_some() { Decision::Fire } else { Decision::Continue }
                }
            },
        };
        Ok(self.decided(decision))
    }

    fn on_event_time(&mut self, time: i64, state: &mut RowTriggerState, cx: &mut TriggerContext<'_>) -> Result<Decision, Error> {
        let Fires::Standard(trigger) = &mut self.trigger.fires else { return Ok(Decision::Continue) };
        let decision = Trigger::<Row>::on_event_time(trigger, time, &mut state.standard, cx)?;
        Ok(self.decided(decision))
    }

    fn on_processing_time(&mut self, time: i64, state: &mut RowTriggerState, cx: &mut TriggerContext<'_>) -> Result<Decision, Error> {
        let Fires::Standard(trigger) = &mut self.trigger.fires else { return Ok(Decision::Continue) };
        let decision = Trigger::<Row>::on_processing_time(trigger, time, &mut state.standard, cx)?;
        Ok(self.decided(decision))
    }

    fn on_merge(&mut self, merged: &[RowTriggerState], state: &mut RowTriggerState, cx: &mut TriggerContext<'_>) -> Result<(), Error> {
        match &mut self.trigger.fires {
            Fires::Standard(trigger) => {
                let merged: Vec<StandardState> = merged.iter().map(|state| state.standard.clone()).collect();
                Trigger::<Row>::on_merge(trigger, &merged, &mut state.standard, cx)
            }
            Fires::Delta(..) => {
                state.value = state.value.or_else(|| merged.iter().rev().find_map(|state| state.value));
                Ok(())
            }
        }
    }

    fn is_idle(&self, state: &RowTriggerState) -> bool {
        *state == RowTriggerState::default()
    }

    fn clear(&mut self, state: &mut RowTriggerState, cx: &mut TriggerContext<'_>) {
        if let Fires::Standard(trigger) = &mut self.trigger.fires {
            Trigger::<Row>::clear(trigger, &mut state.standard, cx);
        }
    }
}

/// Drops rows from windows.
pub(crate) struct RowEvictor {
    pub(crate) evictor: PlannedEvictor,
    /// Whether rows come in the same order in every run. If not, they are sorted by time and value before any are dropped.
    pub(crate) settled: bool,
    pub(crate) failures: Failures,
}

impl RowEvictor {
    fn evict(&mut self, records: &mut Vec<Record<Row>>) -> Result<(), Error> {
        if !self.settled {
            records.sort_by(|a, b| a.time.cmp(&b.time).then_with(|| a.value.strict_cmp(&b.value)));
        }
        match &mut self.evictor.drops {
            PlannedDrops::Count(evictor) => evictor.before(records),
            PlannedDrops::Time(evictor) => evictor.before(records),
            PlannedDrops::Delta(delta, threshold) => {
                let mut values = Vec::with_capacity(records.len());
                for record in &*records {
                    values.push(value_of(delta, &record.value, &mut self.failures)?);
                }
                let Some(last) = values.last().copied().flatten() else { return Ok(()) };
                let mut values = values.into_iter();
                // A record without a value is kept.
                records.retain(|_| values.next().flatten().is_none_or(|value| (value - last).abs() < *threshold));
                Ok(())
            }
        }
    }
}

impl Evictor<Row> for RowEvictor {
    fn describe(&self) -> String {
        let drops = match &self.evictor.drops {
            PlannedDrops::Count(evictor) => Evictor::<Row>::describe(evictor),
            PlannedDrops::Time(evictor) => Evictor::<Row>::describe(evictor),
            PlannedDrops::Delta(delta, threshold) => format!("keeping a delta of {} below {threshold}", delta.source()),
        };
        if self.evictor.after { format!("{drops} after firing") } else { drops }
    }

    fn before(&mut self, records: &mut Vec<Record<Row>>) -> Result<(), Error> {
        if self.evictor.after { Ok(()) } else { self.evict(records) }
    }

    fn after(&mut self, records: &mut Vec<Record<Row>>) -> Result<(), Error> {
        if self.evictor.after { self.evict(records) } else { Ok(()) }
    }
}
