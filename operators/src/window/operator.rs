//! The general window operator, for every assigner, trigger, evictor and function: like Flink's, with all windows of a key in one state
//! entry.
//!
//! Tumbling, sliding and session windows of event time that fire once at their end have operators of their own, which do much less work.

use std::marker::PhantomData;
use std::sync::Arc;

use tidegate_runtime::metrics::OperatorMetrics;
use tidegate_runtime::operator::{Context, Logic, Outbox};
use tidegate_runtime::state::{Handle, Key, Keyed, Stored, Wakes};
use tidegate_runtime::{Clock, Data, Error, Record, Watermark};

use super::Bounds;
use super::assigner::Assigner;
use super::contents::Contents;
use super::domain::TimeDomain;
use super::function::WindowContext;
use super::panes::{KeyWindows, Pane};
use super::trigger::{Decision, Domain, Trigger, TriggerContext, WindowTimers};

/// The definition of a window operator.
pub struct WindowSpec<W, X, C> {
    /// Which windows a record belongs to.
    pub assigner: W,
    /// When they fire.
    pub trigger: X,
    /// What they hold, and what they emit.
    pub contents: C,
    /// The time domain of the windows.
    pub time: TimeDomain,
    /// How long after its end an event-time window accepts records, in milliseconds.
    pub lateness: i64,
}

type PanesOf<K, T, X, C> = KeyWindows<<C as Contents<K, T>>::Kept, <X as Trigger<T>>::State, <C as Contents<K, T>>::State>;
type PaneOf<K, T, X, C> = Pane<<C as Contents<K, T>>::Kept, <X as Trigger<T>>::State, <C as Contents<K, T>>::State>;

/// The logic of a window operator.
pub struct WindowLogic<K, F, T, W, X: Trigger<T>, C: Contents<K, T>> {
    key: F,
    core: Core<K, T, W, X, C>,
    /// The windows of each key.
    panes: Handle<Keyed<K, PanesOf<K, T, X, C>>>,
    metrics: Arc<OperatorMetrics>,
    /// The windows of the current record.
    windows: Vec<Bounds>,
}

/// Everything but the states of the keys.
struct Core<K, T, W, X, C: Contents<K, T>> {
    spec: WindowSpec<W, X, C>,
    clock: Clock,
    event_wakes: Wakes<K>,
    clock_wakes: Wakes<K>,
    watermark: i64,
    /// Windows whose clean-up time is at or before it accept no more records.
    horizon: i64,
    now: i64,
    /// The latest end of all event-time windows ever opened.
    latest: Option<i64>,
    emitted: Vec<C::Out>,
    /// Whether a window of the current key may be empty.
    emptied: bool,
    records: PhantomData<fn(T)>,
}

impl<K, F, T, W, X, C> WindowLogic<K, F, T, W, X, C>
where
    K: Key,
    T: Data,
    W: Assigner<T>,
    X: Trigger<T>,
    C: Contents<K, T>,
{
    /// The logic for a stream keyed by `key`.
    ///
    /// # Errors
    /// The states can't be declared.
    pub fn new(key: F, mut spec: WindowSpec<W, X, C>, context: &mut Context) -> Result<Self, Error> {
        let each = |windows: &mut PanesOf<K, T, X, C>, each: &dyn Fn(&mut C::Kept)| {
            windows.all.iter_mut().filter_map(|pane| pane.kept.as_mut()).for_each(each);
        };
        let of_windows = [X::State::schema(), C::State::schema()];
        let panes = context.states.keyed("windows", spec.contents.meaning().inside("window.panes/1", &of_windows, each))?;
        let event_wakes = context.states.wakes("event timers")?;
        let clock_wakes = context.states.wakes("clock timers")?;
        spec.contents.open(context)?;
        let (watermark, clock) = (Watermark::NONE.0, context.clock().clone());
        let core = Core {
            spec,
            now: clock.now(),
            clock,
            event_wakes,
            clock_wakes,
            watermark,
            horizon: watermark,
            latest: None,
            emitted: Vec::new(),
            emptied: false,
            records: PhantomData,
        };
        Ok(Self { key, core, panes, metrics: Arc::clone(&context.metrics), windows: Vec::new() })
    }

    /// The windows of every key.
    ///
    /// # Errors
    /// The disk failed.
    #[allow(clippy::type_complexity, reason = "a pair of what the types say")]
    pub fn keys(&self) -> Result<Vec<(K, PanesOf<K, T, X, C>)>, Error> {
        let mut all = Vec::new();
        self.panes.borrow().for_each(|key, panes| {
            all.push((key.clone(), panes.clone()));
            Ok(())
        })?;
        Ok(all)
    }

    /// Restores the windows of a key, as returned by [`WindowLogic::keys`] of another logic.
    ///
    /// # Errors
    /// The disk failed.
    pub fn restore(&mut self, key: &K, mut panes: PanesOf<K, T, X, C>) -> Result<(), Error> {
        panes.forget_wakes();
        self.core.arrange(key, &mut panes);
        self.panes.borrow_mut().insert(key, panes)
    }

    /// Fires all wall-clock timers up to and including `to`. [`Logic::clock`] does the same for a millisecond once it is over.
    ///
    /// # Errors
    /// An error here fails the job.
    pub fn advance_clock(&mut self, to: i64, out: &mut Outbox<C::Out, T>) -> Result<(), Error> {
        self.core.now = self.core.now.max(to);
        self.core.watermark = out.watermark().0;
        let wakes = self.core.clock_wakes.clone();
        wakes.fire(to, |time, key| self.ring(&key, Domain::Clock, time, out))
    }

    /// The number of windows.
    fn open(&self) -> Result<u64, Error> {
        let mut open = 0;
        self.panes.borrow().for_each(|_, panes| {
            open += panes.all.len() as u64;
            Ok(())
        })?;
        Ok(open)
    }

    /// Fires the timers of a key that are due at `time`.
    fn ring(&mut self, key: &K, domain: Domain, time: i64, out: &mut Outbox<C::Out, T>) -> Result<(), Error> {
        let mut states = self.panes.borrow_mut();
        let Some(panes) = states.get_mut(key)? else { return Ok(()) };
        if !panes.wake(domain).woken(time) {
            return Ok(());
        }
        let mut at = 0;
        while let Some(pane) = panes.all.get_mut(at) {
            if !pane.timers.take(domain, time) || self.core.ring(key, pane, domain, time, out)? {
                at += 1;
            } else {
                panes.all.remove(at);
            }
        }
        self.core.arrange(key, panes);
        if panes.all.is_empty() {
            states.remove(key)?;
        }
        Ok(())
    }
}

impl<K, T, W, X, C> Core<K, T, W, X, C>
where
    K: Key,
    T: Data,
    W: Assigner<T>,
    X: Trigger<T>,
    C: Contents<K, T>,
{
    /// Whether event time ends the windows.
    fn by_event_time(&self) -> bool {
        self.spec.time == TimeDomain::Event && self.spec.assigner.ends()
    }

    /// The moment at which a window is cleaned up.
    fn cleanup(&self, window: Bounds) -> i64 {
        if self.by_event_time() { window.last().saturating_add(self.spec.lateness) } else { window.last() }
    }

    fn is_late(&self, window: Bounds) -> bool {
        self.by_event_time() && self.cleanup(window) <= self.horizon
    }

    fn context<'a>(&self, window: Bounds, timers: &'a mut WindowTimers) -> TriggerContext<'a> {
        TriggerContext::new(window, self.watermark, self.now, timers)
    }

    /// Adds a record to its only window, where windows don't merge. Returns whether it counts.
    fn add(
        &mut self,
        key: &K,
        panes: &mut PanesOf<K, T, X, C>,
        window: Bounds,
        record: &Record<T>,
        out: &mut Outbox<C::Out, T>,
    ) -> Result<bool, Error> {
        let at = panes.open(window);
        let Some(pane) = panes.all.get_mut(at) else { return Ok(true) };
        let counts = match &mut pane.kept {
            Some(kept) => self.spec.contents.add(kept, record)?,
            none => {
                *none = self.spec.contents.one(record)?;
                none.is_some()
            }
        };
        if counts {
            self.added(key, pane, record, out)?;
        }
        Ok(counts)
    }

    /// Adds a record to several windows, or to windows that merge before it is added. It is evaluated once and then merged into each. Returns
    /// whether it counts.
    fn add_once(
        &mut self,
        key: &K,
        panes: &mut PanesOf<K, T, X, C>,
        windows: &[Bounds],
        record: &Record<T>,
        out: &mut Outbox<C::Out, T>,
    ) -> Result<bool, Error> {
        let Some(one) = self.spec.contents.one(record)? else { return Ok(false) };
        let merges = self.spec.assigner.merges();
        for window in windows {
            let at = if merges { self.merge(key, panes, *window)? } else { panes.open(*window) };
            let Some(pane) = panes.all.get_mut(at) else { continue };
            match &mut pane.kept {
                Some(kept) => self.spec.contents.merge(kept, &one),
                none => *none = Some(one.clone()),
            }
            self.added(key, pane, record, out)?;
        }
        Ok(true)
    }

    /// Asks the trigger after a record was added to a window, or windows were merged into it.
    fn added(&mut self, key: &K, pane: &mut PaneOf<K, T, X, C>, record: &Record<T>, out: &mut Outbox<C::Out, T>) -> Result<(), Error> {
        let mut context = self.context(pane.window, &mut pane.timers);
        let decision = self.spec.trigger.on_element(&record.value, record.time, &mut pane.trigger, &mut context)?;
        self.act(key, pane, decision, out)?;
        let cleanup = self.cleanup(pane.window);
        if cleanup != i64::MAX {
            if self.by_event_time() {
                self.latest = self.latest.max(Some(pane.window.last()));
            }
            pane.timers.set(if self.by_event_time() { Domain::Event } else { Domain::Clock }, cleanup);
        }
        Ok(())
    }

    /// Fires a timer of a window. Returns whether the window stays.
    fn ring(
        &mut self,
        key: &K,
        pane: &mut PaneOf<K, T, X, C>,
        domain: Domain,
        time: i64,
        out: &mut Outbox<C::Out, T>,
    ) -> Result<bool, Error> {
        let mut context = self.context(pane.window, &mut pane.timers);
        let decision = match domain {
            Domain::Event => self.spec.trigger.on_event_time(time, &mut pane.trigger, &mut context)?,
            Domain::Clock => self.spec.trigger.on_processing_time(time, &mut pane.trigger, &mut context)?,
        };
        self.act(key, pane, decision, out)?;
        if (domain == Domain::Event) != self.by_event_time() || time != self.cleanup(pane.window) {
            return Ok(true);
        }
        self.spec.trigger.clear(&mut pane.trigger, &mut self.context(pane.window, &mut pane.timers));
        self.spec.contents.clear(key, pane.window, pane.user.take())?;
        Ok(false)
    }

    fn act(&mut self, key: &K, pane: &mut PaneOf<K, T, X, C>, decision: Decision, out: &mut Outbox<C::Out, T>) -> Result<(), Error> {
        if decision.fires()
            && let Some(kept) = &mut pane.kept
        {
            let (window, watermark, now) = (pane.window, self.watermark, self.now);
            let mut context = WindowContext { key, window, watermark, now, state: &mut pane.user, out: &mut self.emitted };
            if !self.spec.contents.fire(kept, &mut context)? {
                pane.kept = None;
                self.emptied = true;
            }
            self.emitted.drain(..).for_each(|value| out.emit(window.result_time(), value));
        }
        if decision.purges() {
            pane.kept = None;
            self.emptied = true;
        }
        Ok(())
    }

    /// Merges a new window with those it overlaps or touches. Returns the index of the result. A window that contains the new one stays as
    /// it is.
    fn merge(&mut self, key: &K, panes: &mut PanesOf<K, T, X, C>, window: Bounds) -> Result<usize, Error> {
        let (met, hull) = panes.met(window);
        if met.is_empty() || met.len() == 1 && panes.all.get(met.start).is_some_and(|pane| pane.window == hull) {
            return Ok(panes.open(hull));
        }
        let at = met.start;
        let mut sources: Vec<PaneOf<K, T, X, C>> = panes.all.drain(met).collect();
        let mut states: Vec<X::State> = sources.iter_mut().map(|pane| std::mem::take(&mut pane.trigger)).collect();
        let mut pane = Pane { window: hull, kept: None, trigger: X::State::default(), timers: WindowTimers::default(), user: None };
        let mut context = self.context(hull, &mut pane.timers);
        self.spec.trigger.on_merge(&states, &mut pane.trigger, &mut context)?;
        for (source, state) in sources.iter_mut().zip(&mut states) {
            self.spec.trigger.clear(state, &mut self.context(source.window, &mut source.timers));
            self.spec.contents.clear(key, source.window, source.user.take())?;
            match (&mut pane.kept, source.kept.take()) {
                (Some(kept), Some(more)) => self.spec.contents.merge(kept, &more),
                (kept @ None, more) => *kept = more,
                (Some(_), None) => {}
            }
        }
        panes.all.insert(at, pane);
        Ok(at)
    }

    /// Removes empty windows, and wakes the key when the next timer of any of its windows is due.
    fn arrange(&mut self, key: &K, panes: &mut PanesOf<K, T, X, C>) {
        if std::mem::take(&mut self.emptied) {
            let trigger = &self.spec.trigger;
            panes.all.retain(|p| p.kept.is_some() || p.user.is_some() || !p.timers.is_empty() || !trigger.is_idle(&p.trigger));
        }
        for (domain, wakes) in [(Domain::Event, &self.event_wakes), (Domain::Clock, &self.clock_wakes)] {
            if let Some(time) = panes.next(domain) {
                wakes.by(time, panes.wake(domain), || key.clone());
            }
        }
    }
}

impl<K, F, T, W, X, C> Logic for WindowLogic<K, F, T, W, X, C>
where
    K: Key,
    T: Data,
    F: Fn(&T) -> K + 'static,
    W: Assigner<T>,
    X: Trigger<T>,
    C: Contents<K, T>,
{
    type In = T;
    type Out = C::Out;
    type Side = T;

    fn record(&mut self, record: Record<T>, out: &mut Outbox<C::Out, T>) -> Result<(), Error> {
        let core = &mut self.core;
        (core.watermark, core.horizon) = (out.watermark().0, out.horizon().0);
        if core.spec.time == TimeDomain::Processing {
            core.now = core.now.max(core.clock.now());
        }
        let time = if core.spec.time == TimeDomain::Event { record.time } else { core.now };
        self.windows.clear();
        if !core.spec.assigner.assign(&record.value, time, &mut self.windows)? {
            self.metrics.failed.add(1);
            return Ok(());
        }
        let key = (self.key)(&record.value);
        let mut states = self.panes.borrow_mut();
        let panes = states.get_or_insert_with(&key, KeyWindows::new)?;
        let merges = core.spec.assigner.merges();
        self.windows.retain(|window| !core.is_late(if merges { panes.met(*window).1 } else { *window }));
        let counts = match self.windows.as_slice() {
            [window] if !merges => core.add(&key, panes, *window, &record, out)?,
            [] => true,
            windows => core.add_once(&key, panes, windows, &record, out)?,
        };
        if !counts {
            // A window that was opened for this record is empty.
            core.emptied = true;
        }
        core.arrange(&key, panes);
        if panes.all.is_empty() {
            states.remove(&key)?;
        }
        if self.windows.is_empty() {
            if core.by_event_time() && time.saturating_add(core.spec.lateness) <= core.horizon {
                self.metrics.late.add(1);
                out.emit_side(record.time, record.value);
            } else {
                // The record lies in a gap between windows.
                self.metrics.filtered.add(1);
            }
        }
        Ok(())
    }

    fn waits_until(&self) -> Option<i64> {
        self.core.latest
    }

    fn watermark(&mut self, watermark: Watermark, out: &mut Outbox<C::Out, T>) -> Result<(), Error> {
        self.core.watermark = watermark.0;
        self.core.now = self.core.now.max(self.core.clock.now());
        if watermark == Watermark::END && self.core.spec.time == TimeDomain::Processing && self.core.spec.assigner.ends() {
            self.metrics.unfinished.add(self.open()?);
        }
        let wakes = self.core.event_wakes.clone();
        wakes.fire(watermark.0, |time, key| self.ring(&key, Domain::Event, time, out))
    }

    fn clock(&mut self, now: i64, out: &mut Outbox<C::Out, T>) -> Result<Option<i64>, Error> {
        // A millisecond is over when the clock shows the next one. Until then, records may still arrive for a window that ends with it.
        self.advance_clock(now.saturating_sub(1), out)?;
        Ok(self.core.clock_wakes.next().map(|next| next.saturating_add(1)))
    }
}
