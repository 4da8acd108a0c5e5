//! Session windows: each record opens `[time, time + gap)`, and windows of a key that overlap or touch merge into one.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tidegate_runtime::metrics::OperatorMetrics;
use tidegate_runtime::operator::{Context, Logic, Outbox};
use tidegate_runtime::state::{Handle, Key, Keyed, Timers};
use tidegate_runtime::{Data, Error, Record, Watermark};

use super::WindowResult;
use super::assigner::timed;
use crate::aggregate::Aggregate;

/// A session window and its accumulator.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Session<Acc> {
    pub(crate) start: i64,
    pub(crate) end: i64,
    pub(crate) acc: Acc,
    /// Whether it has fired since it last changed. If not, a timer is set for its end or earlier. The watermark can't tell, as it may start
    /// over after a restore.
    fired: bool,
}

pub(super) struct SessionLogic<K, F, T, A: Aggregate<T>> {
    key: F,
    /// Milliseconds.
    gap: i64,
    /// Milliseconds.
    lateness: i64,
    aggregate: A,
    metrics: Arc<OperatorMetrics>,
    /// The sessions of each key, in order of time. Never empty, and no two touch.
    sessions: Handle<Keyed<K, Vec<Session<A::Acc>>>>,
    /// When to check a key. For a session that has grown since, the timer fires too early and is set again, so that a busy session costs
    /// one timer per gap rather than one per record.
    timers: Handle<Timers<K>>,
}

impl<K, F, T, A> SessionLogic<K, F, T, A>
where
    K: Key,
    A: Aggregate<T>,
{
    pub(super) fn new(key: F, gap: i64, lateness: i64, mut aggregate: A, context: &mut Context) -> Result<Self, Error> {
        aggregate.open(&context.metrics);
        let each = |sessions: &mut Vec<Session<A::Acc>>, each: &dyn Fn(&mut A::Acc)| sessions.iter_mut().for_each(|s| each(&mut s.acc));
        let sessions = context.states.keyed("sessions", aggregate.meaning().inside("window.sessions/1", &[], each))?;
        let timers = context.states.timers("timers")?;
        Ok(Self { key, gap, lateness, aggregate, metrics: Arc::clone(&context.metrics), sessions, timers })
    }

    fn cleanup(&self, end: i64) -> i64 {
        (end - 1).saturating_add(self.lateness)
    }

    /// Fires and removes the sessions of `key` that are due at `now`.
    fn look(&self, key: &K, now: i64, out: &mut Outbox<WindowResult<K, A::Out>, T>) -> Result<(), Error> {
        let lateness = self.lateness;
        let mut all = self.sessions.borrow_mut();
        let mut timers = self.timers.borrow_mut();
        let Some(sessions) = all.get_mut(key)? else { return Ok(()) };
        sessions.retain_mut(|session| {
            let due = session.end - 1;
            if due == now && !session.fired {
                out.emit(due, result(key, session, &self.aggregate));
                session.fired = true;
            }
            let cleanup = due.saturating_add(lateness);
            // Timers are set for what is still to come. A session that has fired waits for its clean-up.
            if cleanup > now {
                timers.set(if session.fired { cleanup } else { due }, key.clone());
            }
            cleanup > now
        });
        if sessions.is_empty() {
            all.remove(key)?;
        }
        Ok(())
    }
}

fn result<K: Clone, T, A: Aggregate<T>>(key: &K, session: &Session<A::Acc>, aggregate: &A) -> WindowResult<K, A::Out> {
    WindowResult { key: key.clone(), start: session.start, end: session.end, value: aggregate.finish(&session.acc) }
}

impl<K, F, T, A> Logic for SessionLogic<K, F, T, A>
where
    K: Key,
    T: Data,
    F: Fn(&T) -> K + 'static,
    A: Aggregate<T>,
{
    type In = T;
    type Out = WindowResult<K, A::Out>;
    type Side = T;

    fn record(&mut self, record: Record<T>, out: &mut Outbox<Self::Out, T>) -> Result<(), Error> {
        timed(record.time)?;
        let watermark = out.watermark().0;
        let (start, end) = (record.time, record.time.saturating_add(self.gap));
        let key = (self.key)(&record.value);
        let late = self.cleanup(end) <= out.horizon().0;
        let mut all = self.sessions.borrow_mut();
        let met = all.get(&key)?.map_or(0..0, |sessions| {
            let first = sessions.partition_point(|s| s.end < start);
            first..first + sessions[first..].partition_point(|s| s.start <= end)
        });
        // A record that is late on its own may still join a session that is not.
        if late && met.is_empty() {
            self.metrics.late.add(1);
            out.emit_side(record.time, record.value);
            return Ok(());
        }
        let mut acc = self.aggregate.create();
        if !self.aggregate.add(&mut acc, &record.value, record.time)? {
            return Ok(());
        }
        let mut timer_set = false;
        let sessions = all.get_or_insert_with(&key, Vec::new)?;
        let mut session = Session { start, end, acc, fired: false };
        for old in sessions.drain(met.clone()) {
            let mut merged = old.acc;
            self.aggregate.merge(&mut merged, &session.acc);
            timer_set |= !old.fired;
            session = Session { start: session.start.min(old.start), end: session.end.max(old.end), acc: merged, fired: false };
        }
        let due = session.end - 1;
        if due <= watermark {
            session.fired = true;
            out.emit(due, result(&key, &session, &self.aggregate));
            let cleanup = due.saturating_add(self.lateness);
            self.timers.borrow_mut().set(cleanup, key);
        } else if timer_set {
            self.timers.borrow_mut().foresee(due);
        } else {
            self.timers.borrow_mut().set(due, key);
        }
        sessions.insert(met.start, session);
        Ok(())
    }

    fn waits_until(&self) -> Option<i64> {
        self.timers.borrow().latest()
    }

    fn watermark(&mut self, watermark: Watermark, out: &mut Outbox<Self::Out, T>) -> Result<(), Error> {
        self.timers.fire(watermark.0, |now, key| self.look(&key, now, out))
    }
}
