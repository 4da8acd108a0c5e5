//! Stages over the windows of their stream.

use std::sync::Arc;

use tidegate_operators::{Aggregate, KeyedStream, Stream, WindowResult};
use tidegate_rows::Row;

use super::plan::{self, PlannedTrigger, PlannedWindow, RowAssigner, RowEvictor, RowTrigger, TimeWindows};
use super::{Clock, Window};
use crate::relation::failures::Failures;
use crate::relation::key::RowKey;
use crate::relation::known::{Known, Timing};
use crate::stage::build::Rows;
use crate::stage::kind::Head;
use crate::text::Problem;

/// The windows of a stage, planned.
#[derive(Clone, Default)]
pub(crate) struct Windows {
    pub(crate) planned: Option<PlannedWindow>,
    /// The slots that tell results of other windows apart of which the latest is kept, if any come again.
    pub(crate) latest: Option<Arc<[usize]>>,
}

impl Windows {
    /// Plans the windows of a stream, if it has any.
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

    /// Do results come in an order that is the same in every run, for each key, whatever that of the records is?
    pub(crate) fn is_by_event_time(&self) -> bool {
        self.planned.as_ref().is_some_and(PlannedWindow::is_by_event_time)
    }

    /// Do they drop records before they fire, and keep all until then?
    pub(crate) fn evicts(&self) -> bool {
        matches!(&self.planned, Some(PlannedWindow::Time(windows)) if windows.evictor.is_some())
    }
}

/// The aggregates of windows of time; also the late rows. `settled`: do the rows of a key come in an order of their own?
pub(crate) fn windowed<'s, A: Aggregate<Row>>(
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
