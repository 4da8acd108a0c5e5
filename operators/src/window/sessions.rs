//! Session windows: each record opens `[time, time + gap)`, and windows of a key that meet or touch become one.

use std::hash::Hash;
use std::sync::Arc;

use tidegate_runtime::metrics::OperatorMetrics;
use tidegate_runtime::operator::{Logic, Outbox};
use tidegate_runtime::state::Table;
use tidegate_runtime::timers::Timers;
use tidegate_runtime::{Data, Error, Record, Watermark};

use super::{WindowResult, timed};
use crate::aggregate::Aggregate;

/// The window of a session and what it has come to.
struct Session<Acc> {
    start: i64,
    end: i64,
    acc: Acc,
}

pub(super) struct SessionLogic<K, F, T, A: Aggregate<T>> {
    key: F,
    /// Milliseconds.
    gap: i64,
    /// Milliseconds.
    lateness: i64,
    aggregate: A,
    metrics: Arc<OperatorMetrics>,
    /// The sessions of each key, in order of time; never empty, never touching each other.
    sessions: Table<K, Vec<Session<A::Acc>>>,
    /// When to look at a key. A session that has grown is looked at too early and gets a new timer then, so that a busy session costs one
    /// timer per gap, not one per record.
    timers: Timers<K>,
}

impl<K, F, T, A> SessionLogic<K, F, T, A>
where
    K: Data + Eq + Hash,
    A: Aggregate<T>,
{
    pub(super) fn new(key: F, gap: i64, lateness: i64, aggregate: A, metrics: Arc<OperatorMetrics>) -> Self {
        Self { key, gap, lateness, aggregate, metrics, sessions: Table::default(), timers: Timers::default() }
    }

    fn cleanup(&self, end: i64) -> i64 {
        (end - 1).saturating_add(self.lateness)
    }

    /// Fires and cleans the sessions of `key` as `now` demands.
    fn look(&mut self, key: &K, now: i64, out: &mut Outbox<WindowResult<K, A::Out>, T>) {
        let lateness = self.lateness;
        let Some(sessions) = self.sessions.get_mut(key) else { return };
        sessions.retain(|session| {
            let due = session.end - 1;
            if due == now {
                out.emit(due, result(key, session, &self.aggregate));
            }
            let cleanup = due.saturating_add(lateness);
            // Timers are set for what is still to come; what has fired waits for its clean-up.
            if cleanup > now {
                self.timers.set(if due > now { due } else { cleanup }, key.clone());
            }
            cleanup > now
        });
        if sessions.is_empty() {
            self.sessions.remove(key);
        }
    }
}

fn result<K: Clone, T, A: Aggregate<T>>(key: &K, session: &Session<A::Acc>, aggregate: &A) -> WindowResult<K, A::Out> {
    WindowResult { key: key.clone(), start: session.start, end: session.end, value: aggregate.finish(&session.acc) }
}

impl<K, F, T, A> Logic for SessionLogic<K, F, T, A>
where
    K: Data + Eq + Hash,
    T: Data,
    F: Fn(&T) -> K + 'static,
    A: Aggregate<T>,
{
    type In = T;
    type Out = WindowResult<K, A::Out>;
    type Side = T;

    fn record(&mut self, record: Record<T>, out: &mut Outbox<Self::Out, T>) -> Result<(), Error> {
        timed(&record)?;
        let watermark = out.watermark().0;
        let (start, end) = (record.time, record.time.saturating_add(self.gap));
        let key = (self.key)(&record.value);
        let late = self.cleanup(end) <= watermark;
        let sessions = self.sessions.get_mut(&key);
        let met = sessions.as_ref().map_or(0..0, |sessions| {
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
        let sessions = self.sessions.entry_ref(&key).or_default();
        let mut session = Session { start, end, acc };
        for old in sessions.drain(met.clone()) {
            let mut merged = old.acc;
            self.aggregate.merge(&mut merged, &session.acc);
            timer_set |= old.end - 1 > watermark;
            session = Session { start: session.start.min(old.start), end: session.end.max(old.end), acc: merged };
        }
        let due = session.end - 1;
        if due <= watermark {
            out.emit(due, result(&key, &session, &self.aggregate));
            let cleanup = due.saturating_add(self.lateness);
            self.timers.set(cleanup, key);
        } else if !timer_set {
            self.timers.set(due, key);
        }
        sessions.insert(met.start, session);
        Ok(())
    }

    fn watermark(&mut self, watermark: Watermark, out: &mut Outbox<Self::Out, T>) -> Result<(), Error> {
        while let Some((now, keys)) = self.timers.take_due(watermark.0) {
            for key in keys {
                self.look(&key, now, out);
            }
        }
        Ok(())
    }
}
