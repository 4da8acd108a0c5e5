//! Tumbling and sliding windows over shared slices: a record is added to one partial aggregate, however many windows it lies in
//! (Krishnamurthy, Wu, Franklin: "On-the-fly sharing for streamed aggregation", SIGMOD 2006). Totals of overlapping windows are carried on
//! from one window to the next.

use std::collections::BTreeSet;
use std::sync::Arc;

use tidegate_runtime::metrics::OperatorMetrics;
use tidegate_runtime::operator::{Context, Logic, Outbox};
use tidegate_runtime::state::{Due, Handle, Key, Reached, Scope, Timers, Windowed};
use tidegate_runtime::{Data, Error, Record, Watermark};

use super::WindowResult;
use super::aligned::{Aligned, Slice};
use super::assigner::timed;
use super::running::Running;
use crate::aggregate::{Aggregate, Sliding};

pub(super) struct SliceLogic<K, F, T, A: Aggregate<T>> {
    key: F,
    windows: Aligned,
    /// Milliseconds.
    lateness: i64,
    aggregate: A,
    metrics: Arc<OperatorMetrics>,
    /// The partial aggregates, by start of the slice.
    slices: Handle<Windowed<K, A::Acc>>,
    /// The slices that come from a snapshot and have had no record since. Their windows may have fired in another instance, and are then not
    /// in `due` here.
    restored: BTreeSet<i64>,
    /// The slice that the last record was added to, if it needs no more preparation.
    begun: Option<i64>,
    /// The slice of the last record. The next record is usually in it too, and finding a slice takes two divisions.
    last: Slice,
    /// The ends of the windows that have yet to fire and may hold something. One timer per window rather than per key.
    due: Handle<Due>,
    /// How far event time has come in each key group, over all runs, as the watermark may start over after a restore. The windows that end
    /// by then have fired.
    reached: Handle<Reached>,
    /// Revised windows, by end: for these keys, a record arrived after the window had fired.
    late: Handle<Windowed<K, A::Acc>>,
    /// Timers of revised windows that fired in an earlier run and whose end the watermark has yet to reach in this one.
    late_due: Handle<Timers<K>>,
    /// The smallest and the greatest of a contiguous row of window ends that are in `due` or have fired. A new slice usually adds one.
    expected: Option<(i64, i64)>,
    /// The running totals of overlapping windows since the last one that fired. Rebuilt from the slices when there are none.
    running: Option<Running<K, A::Acc>>,
}

impl<K, F, T, A> SliceLogic<K, F, T, A>
where
    K: Key,
    A: Aggregate<T>,
{
    pub(super) fn new(key: F, windows: Aligned, lateness: i64, mut aggregate: A, context: &mut Context) -> Result<Self, Error> {
        aggregate.open(&context.metrics);
        let states = &mut context.states;
        let slices = states.windowed("slices", aggregate.meaning())?;
        slices.borrow_mut().asked_at(move |time| windows.slice_of(time).times());
        let due = states.due("due")?;
        let reached = states.reached("reached")?;
        let late = states.windowed("late", aggregate.meaning())?;
        let late_due = states.timers("late due")?;
        let (metrics, last) = (Arc::clone(&context.metrics), windows.slice_of(0));
        let (restored, begun, expected, running) = (BTreeSet::new(), None, None, None);
        Ok(Self {
            key,
            windows,
            lateness,
            aggregate,
            metrics,
            slices,
            restored,
            begun,
            last,
            due,
            reached,
            late,
            late_due,
            expected,
            running,
        })
    }

    /// The moment at which the window that ends at `end` is cleaned up: once the watermark reaches it, the window accepts no more records.
    fn cleanup(&self, end: i64) -> i64 {
        (end - 1).saturating_add(self.lateness)
    }

    /// Emits the results of the window that ends at `end`, for the keys in `scope`.
    fn fire(&mut self, end: i64, scope: &Scope, out: &mut Outbox<WindowResult<K, A::Out>, T>) -> Result<(), Error> {
        let start = end.saturating_sub(self.windows.size);
        let (slices, aggregate) = (self.slices.borrow(), &self.aggregate);
        let mut emit = |key: &K, acc: &A::Acc| {
            if scope.holds(key) {
                out.emit(end - 1, WindowResult { key: key.clone(), start, end, value: aggregate.finish(acc) });
            }
            Ok(())
        };
        if !self.windows.overlapping() {
            // The slice is the window.
            return slices.namespaces_in(start..end).try_for_each(|slice| slices.for_each(slice, &mut emit));
        }
        let before = end.saturating_sub(self.windows.every);
        let next = start.saturating_add(self.windows.every);
        let (mut running, fresh) = match self.running.take().filter(|running| running.end == before) {
            Some(running) => (running, before),
            None => (Running::new(before, aggregate.sliding()), start),
        };
        for slice in slices.namespaces_in(fresh..end) {
            slices.for_each(slice, |key, acc| {
                running.add(aggregate, key, acc);
                Ok(())
            })?;
        }
        running.for_each(aggregate, |key, acc| _ = emit(key, acc));
        // If the window is due for some keys only, the totals are not kept but rebuilt: one former instance had passed this window, others
        // had not.
        if aggregate.sliding() != Sliding::Anew && *scope == Scope::All {
            for slice in slices.namespaces_in(start..next) {
                slices.for_each(slice, |key, acc| {
                    running.take(aggregate, key, acc);
                    Ok(())
                })?;
            }
            running.end = end;
            self.running = Some(running);
        }
        Ok(())
    }

    /// Rebuilds the running total of a key after a record was added to a slice that it already includes.
    fn amend(&mut self, slice: i64, key: &K) -> Result<(), Error> {
        let Some(running) = self.running.as_mut().filter(|running| slice < running.end) else { return Ok(()) };
        running.forget(key);
        let from = running.end.saturating_add(self.windows.every).saturating_sub(self.windows.size);
        let mut slices = self.slices.borrow_mut();
        for slice in slices.namespaces_in(from..running.end).collect::<Vec<_>>() {
            if let Some(part) = slices.get(slice, key)? {
                running.add(&self.aggregate, key, part);
            }
        }
        Ok(())
    }

    /// Prepares a slice for a record of this time.
    #[inline]
    fn begin(&mut self, slice: i64, time: i64) -> Result<(), Error> {
        if self.begun == Some(slice) { Ok(()) } else { self.begin_anew(slice, time) }
    }

    fn begin_anew(&mut self, slice: i64, time: i64) -> Result<(), Error> {
        let new = self.slices.borrow_mut().begin(slice)?;
        // A slice restored from one instance may have windows that fired there and are yet to fire for keys of another.
        let restored = !self.restored.is_empty() && self.restored.remove(&slice);
        let level = self.reached.borrow().is_level();
        if new || restored || !level {
            self.expect(time);
        }
        self.begun = level.then_some(slice);
        Ok(())
    }

    /// Makes the windows that contain `time` fire when they end, if they have yet to fire for any key. `due` knows for which key groups
    /// that is.
    fn expect(&mut self, time: i64) {
        let reached = self.reached.borrow().least();
        let mut due = self.due.borrow_mut();
        let known = self.expected;
        let is_known = |end: i64| known.is_some_and(|(least, greatest)| (least..=greatest).contains(&end));
        let (mut least, mut greatest) = (i64::MAX, i64::MIN);
        for end in self.windows.ends(time).take_while(|end| end - 1 > reached) {
            if !is_known(end) {
                due.insert(end);
            }
            (least, greatest) = (least.min(end), greatest.max(end));
        }
        let every = self.windows.every;
        if least <= greatest {
            let joined = known.filter(|(from, to)| least <= to.saturating_add(every) && greatest.saturating_add(every) >= *from);
            self.expected = Some(joined.map_or((least, greatest), |(from, to)| (least.min(from), greatest.max(to))));
        }
    }

    /// Adds a record to windows some of which may have fired. For its key, those are kept apart from the slices from then on and fire
    /// again: at once, or, after a restore, when event time reaches their end again.
    #[cold]
    fn record_late(
        &mut self,
        key: K,
        record: &Record<T>,
        last_end: i64,
        out: &mut Outbox<WindowResult<K, A::Out>, T>,
    ) -> Result<(), Error> {
        let (slice, watermark, horizon) = (self.last.start, out.watermark().0, out.horizon().0);
        let reached = self.reached.borrow().of(&key);
        let mut one = self.aggregate.create();
        if !self.aggregate.add(&mut one, &record.value, record.time)? {
            return Ok(());
        }
        let fired: Vec<i64> = self.windows.ends(record.time).filter(|end| end - 1 <= reached && self.cleanup(*end) > horizon).collect();
        for end in fired.into_iter().rev() {
            let value = self.revise(end, reached, &key, &one)?;
            if end - 1 <= watermark {
                out.emit(end - 1, WindowResult { key: key.clone(), start: end.saturating_sub(self.windows.size), end, value });
            } else {
                self.late_due.borrow_mut().set(end - 1, key.clone());
            }
        }
        if last_end - 1 <= reached {
            return Ok(());
        }
        self.begin(slice, record.time)?;
        let mut slices = self.slices.borrow_mut();
        let part = slices.get_or_insert_with(slice, &key, || self.aggregate.create())?;
        self.aggregate.merge(part, &one);
        drop(slices);
        self.amend(slice, &key)
    }

    /// Adds `one` to the window of a key that ends at `end` and has fired. Returns the new result.
    fn revise(&self, end: i64, reached: i64, key: &K, one: &A::Acc) -> Result<A::Out, Error> {
        let mut late = self.late.borrow_mut();
        let mut before = None;
        // The contents of a window that was cleaned up in an earlier run are gone.
        if self.cleanup(end) > reached && late.get(end, key)?.is_none() {
            let mut slices = self.slices.borrow_mut();
            for slice in slices.namespaces_in(end.saturating_sub(self.windows.size)..end).collect::<Vec<_>>() {
                match (&mut before, slices.get(slice, key)?) {
                    (Some(before), Some(part)) => self.aggregate.merge(before, part),
                    (before, Some(part)) => *before = Some(part.clone()),
                    (_, None) => {}
                }
            }
        }
        let acc = late.get_or_insert_with(end, key, || before.unwrap_or_else(|| self.aggregate.create()))?;
        self.aggregate.merge(acc, one);
        Ok(self.aggregate.finish(acc))
    }

    /// Drops the windows that accept no more records, and the slices that no other window needs.
    fn clean(&self, watermark: i64) {
        self.late.borrow_mut().end_below(watermark.saturating_sub(self.lateness).saturating_add(2));
        if let Some(floor) = self.windows.first_open(watermark, self.lateness) {
            self.slices.borrow_mut().end_below(floor);
        }
    }
}

impl<K, F, T, A> Logic for SliceLogic<K, F, T, A>
where
    K: Key,
    T: Data,
    F: Fn(&T) -> K + 'static,
    A: Aggregate<T>,
{
    type In = T;
    type Out = WindowResult<K, A::Out>;
    type Side = T;

    fn opened(&mut self) -> Result<(), Error> {
        self.restored = self.slices.borrow().namespaces().collect();
        Ok(())
    }

    fn record(&mut self, record: Record<T>, out: &mut Outbox<Self::Out, T>) -> Result<(), Error> {
        timed(record.time)?;
        let horizon = out.horizon().0;
        if !self.last.holds(record.time) {
            self.last = self.windows.slice_of(record.time);
        }
        let Slice { start, last_end, .. } = self.last;
        let Some(last_end) = last_end.filter(|end| self.cleanup(*end) > horizon) else {
            if record.time.saturating_add(self.lateness) <= horizon {
                self.metrics.late.add(1);
                out.emit_side(record.time, record.value);
            } else {
                // The record lies in a gap between windows.
                self.metrics.filtered.add(1);
            }
            return Ok(());
        };
        let key = (self.key)(&record.value);
        let reached = self.reached.borrow().of(&key);
        if record.time <= reached && (self.windows.overlapping() || last_end - 1 <= reached) {
            return self.record_late(key, &record, last_end, out);
        }
        self.begin(start, record.time)?;
        let mut slices = self.slices.borrow_mut();
        let mut new = false;
        let acc = slices.get_or_insert_with(start, &key, || {
            new = true;
            self.aggregate.create()
        })?;
        if !self.aggregate.add(acc, &record.value, record.time)? && new {
            // A key without a record that counts has no window.
            slices.remove(start, &key)?;
        }
        Ok(())
    }

    fn waits_until(&self) -> Option<i64> {
        // A window that ends at `e` is due when the watermark is `e - 1`.
        self.due.borrow().last().map(|end| end - 1).max(self.late_due.borrow().latest())
    }

    fn watermark(&mut self, watermark: Watermark, out: &mut Outbox<Self::Out, T>) -> Result<(), Error> {
        self.begun = None;
        self.late_due.fire(watermark.0, |last, key| {
            let end = last + 1;
            if let Some(acc) = self.late.borrow_mut().get(end, &key)? {
                let (start, value) = (end.saturating_sub(self.windows.size), self.aggregate.finish(acc));
                out.emit(last, WindowResult { key, start, end, value });
            }
            Ok(())
        })?;
        loop {
            // A window that ends at `e` is due when the watermark is `e - 1`.
            let due = self.due.borrow_mut().take(watermark.0.saturating_add(1));
            let Some((end, scope)) = due else { break };
            self.fire(end, &scope, out)?;
        }
        if watermark == Watermark::END {
            // Nothing is left: the next run starts like the first.
            (self.expected, self.running) = (None, None);
            self.reached.borrow_mut().restart();
            self.due.borrow_mut().restart();
        } else {
            self.reached.borrow_mut().advance(watermark.0);
        }
        self.clean(watermark.0);
        Ok(())
    }
}
