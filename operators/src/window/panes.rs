//! The windows of one key, as they are stored.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use tidegate_runtime::state::Wake;

use super::Bounds;
use super::trigger::{Domain, WindowTimers};

/// A window of one key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Pane<C, S, U> {
    pub(crate) window: Bounds,
    /// Its contents, unless it is empty.
    pub(crate) kept: Option<C>,
    pub(super) trigger: S,
    pub(super) timers: WindowTimers,
    /// The state of the window function.
    pub(super) user: Option<U>,
}

/// All windows of one key, in order, and when the key is woken. A key has one timer per clock rather than one per window and record.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct KeyWindows<C, S, U> {
    pub(crate) all: Vec<Pane<C, S, U>>,
    wake_event: Wake,
    wake_clock: Wake,
}

impl<C, S: Default, U> KeyWindows<C, S, U> {
    pub(super) fn new() -> Self {
        Self { all: Vec::new(), wake_event: Wake::default(), wake_clock: Wake::default() }
    }

    /// The index of a window, which is created if it does not exist.
    pub(super) fn open(&mut self, window: Bounds) -> usize {
        let at = self.all.partition_point(|pane| pane.window < window);
        if self.all.get(at).is_none_or(|pane| pane.window != window) {
            self.all.insert(at, Pane { window, kept: None, trigger: S::default(), timers: WindowTimers::default(), user: None });
        }
        at
    }

    /// The windows that overlap or touch a new one, where such windows merge, and the bounds of all of them together.
    pub(super) fn met(&self, window: Bounds) -> (Range<usize>, Bounds) {
        let first = self.all.partition_point(|pane| pane.window.end < window.start);
        let more = self.all.get(first..).unwrap_or_default().partition_point(|pane| pane.window.start <= window.end);
        let met = first..first + more;
        let hull = self
            .all
            .get(met.clone())
            .unwrap_or_default()
            .iter()
            .fold(window, |hull, pane| Bounds { start: hull.start.min(pane.window.start), end: hull.end.max(pane.window.end) });
        (met, hull)
    }

    /// When the key is woken by this clock.
    pub(super) fn wake(&mut self, domain: Domain) -> &mut Wake {
        match domain {
            Domain::Event => &mut self.wake_event,
            Domain::Clock => &mut self.wake_clock,
        }
    }

    /// Forgets the timers of the key, which have yet to be set.
    pub(super) fn forget_wakes(&mut self) {
        (self.wake_event, self.wake_clock) = (Wake::default(), Wake::default());
    }

    /// The time of the next timer of any window.
    pub(super) fn next(&self, domain: Domain) -> Option<i64> {
        self.all.iter().filter_map(|pane| pane.timers.first(domain)).min()
    }
}
