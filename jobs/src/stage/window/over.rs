//! Stages over the windows of their stream.

use std::sync::Arc;

use tidegate_operators::{Aggregate, KeyedStream, Latest, Stream, WindowResult};
use tidegate_rows::Row;

use super::plan::{self, PlannedTrigger, PlannedWindow, RowAssigner, RowEvictor, RowTrigger, TimeWindows};
use super::{Clock, Window};
use crate::relation::failures::Failures;
use crate::relation::key::RowKey;
use crate::relation::known::{Known, Timing};
use crate::stage::build::Rows;
use crate::stage::keyed::Identity;
use crate::stage::kind::Head;
use crate::text::Problem;

/// The planned windows of a stage.
#[derive(Clone, Default)]
pub(crate) struct Windows {
    pub(crate) planned: Option<PlannedWindow>,
    /// The slots that distinguish the updated results in the input, if it has any. Windows keep only the latest version of each result.
    pub(crate) latest: Option<Arc<[usize]>>,
}

impl Windows {
    /// Plans the windows of a stream. Without any, nothing is planned.
    pub(crate) fn plan(head: &Head, window: Option<&Window>, input: &Known, problems: &mut Vec<Problem>) -> Self {
        let Some(window) = window else { return Self::default() };
        let Some(planned) = plan::plan(window, &input.schema, problems) else { return Self::default() };
        if let (true, Timing::Untimed(remedy)) = (planned.needs_event_time(), &input.timing) {
            problems.push(window.place.problem(format!("these windows are of event time, and {}", head.untimed(remedy))));
        }
        let Some(updates) = &input.updates else { return Self { planned: Some(planned), latest: None } };
        let refused = planned.counts_anew().map(|reader| updates.refused(reader));
        let refused = refused.or_else(|| updates.irreplaceable(&head.key, &input.schema));
        problems.extend(refused.map(|message| window.place.problem(message)));
        Self { planned: Some(planned), latest: updates.identity().map(Into::into) }
    }

    /// Whether the results have an event time.
    pub(crate) fn timing(&self, head: &Head, input: &Timing) -> Timing {
        self.planned.as_ref().map_or_else(|| input.clone(), |window| window.timing(&head.name.value, input))
    }

    /// Whether the results of each key come in the same order in every run, even if the records don't.
    pub(crate) fn is_by_event_time(&self) -> bool {
        self.planned.as_ref().is_some_and(PlannedWindow::is_by_event_time)
    }

    /// Whether they have an evictor, and so keep every record.
    pub(crate) fn evicts(&self) -> bool {
        matches!(&self.planned, Some(PlannedWindow::Time(windows)) if windows.evictor.is_some())
    }
}

/// Aggregates over time windows. Also returns the late rows. `settled` says whether the rows of a key come in the same order in every run.
pub(crate) fn windowed<'s, A: Aggregate<Row>>(
    keyed: KeyedStream<'s, Row, impl Fn(&Row) -> RowKey + Clone + 'static>,
    name: &str,
    window: &TimeWindows,
    latest: Option<&Arc<[usize]>>,
    settled: bool,
    aggregate: A,
    failures: &impl Fn() -> Failures,
) -> (Stream<'s, WindowResult<RowKey, A::Out>>, Rows<'s>) {
    match latest {
        None => all(keyed, name, window, settled, aggregate, failures),
        Some(identity) => all(keyed, name, window, settled, Latest::new(aggregate, Identity::of(identity)), failures),
    }
}

fn all<'s, A: Aggregate<Row>>(
    keyed: KeyedStream<'s, Row, impl Fn(&Row) -> RowKey + Clone + 'static>,
    name: &str,
    window: &TimeWindows,
    settled: bool,
    aggregate: A,
    failures: &impl Fn() -> Failures,
) -> (Stream<'s, WindowResult<RowKey, A::Out>>, Rows<'s>) {
    let windows = keyed.window(RowAssigner { shape: window.shape.clone(), failures: failures() }).allowed_lateness(window.lateness);
    let windows = if window.clock == Clock::Processing { windows.processing_time() } else { windows };
    let trigger = |trigger: &PlannedTrigger| RowTrigger { trigger: trigger.clone(), failures: failures() };
    match (&window.trigger, &window.evictor) {
        (None, None) => windows.aggregate_with_late(name, aggregate),
        (Some(given), None) => windows.trigger(trigger(given)).aggregate_with_late(name, aggregate),
        (_, Some(evictor)) => {
            let evictor = RowEvictor { evictor: evictor.clone(), settled, failures: failures() };
            windows.trigger(trigger(&window.trigger_or_default())).evictor(evictor).aggregate_with_late(name, aggregate)
        }
    }
}
