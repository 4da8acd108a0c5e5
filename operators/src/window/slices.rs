//! Tumbling and sliding windows over shared slices: a record is added to one partial aggregate, however many windows it lies in, and a window
//! merges the partials of its slices when it fires (Krishnamurthy, Wu, Franklin: "On-the-fly sharing for streamed aggregation", SIGMOD 2006).

use std::collections::BTreeMap;
use std::hash::Hash;
use std::sync::Arc;

use tidegate_runtime::metrics::OperatorMetrics;
use tidegate_runtime::operator::{Context, Logic, Outbox};
use tidegate_runtime::state::{Due, Handle, Scope, Table, Windowed};
use tidegate_runtime::{Data, Error, Record, Watermark};

use super::assigner::{Aligned, Slice};
use super::{WindowResult, timed};
use crate::aggregate::{Aggregate, meaning};

pub(super) struct SliceLogic<K, F, T, A: Aggregate<T>> {
    key: F,
    windows: Aligned,
    /// Milliseconds.
    lateness: i64,
    aggregate: A,
    metrics: Arc<OperatorMetrics>,
    /// By start of the slice.
    slices: Handle<Windowed<K, A::Acc>>,
    /// The slice of the last record: the next one is mostly in it too, and finding a slice takes two divisions.
    last: Slice,
    /// The ends of the windows that have yet to fire and may hold something. One timer per window, not per key.
    due: Handle<Due>,
}

impl<K, F, T, A> SliceLogic<K, F, T, A>
where
    K: Data + Eq + Hash,
    A: Aggregate<T>,
{
    pub(super) fn new(key: F, windows: Aligned, lateness: i64, mut aggregate: A, context: &mut Context) -> Result<Self, Error> {
        aggregate.open(&context.metrics);
        let slices = context.states.windowed("slices", meaning(&aggregate).as_deref())?;
        let due = context.states.due("due")?;
        let metrics = Arc::clone(&context.metrics);
        Ok(Self { key, windows, lateness, aggregate, metrics, slices, last: windows.slice_of(0), due })
    }

    /// The moment after which the window that ends at `end` takes no more records.
    fn cleanup(&self, end: i64) -> i64 {
        (end - 1).saturating_add(self.lateness)
    }

    /// The slices of the window that ends at `end`.
    fn slices_of(&self, end: i64) -> Vec<i64> {
        self.slices.borrow().namespaces_in(end.saturating_sub(self.windows.size)..end).collect()
    }

    /// Emits the window that ends at `end`, of all keys it is due for.
    fn fire(&self, end: i64, scope: &Scope, out: &mut Outbox<WindowResult<K, A::Out>, T>) -> Result<(), Error> {
        let start = end.saturating_sub(self.windows.size);
        let slices = self.slices.borrow();
        let mut emit = |key: &K, acc: &A::Acc| {
            if scope.holds(key) {
                out.emit(end - 1, WindowResult { key: key.clone(), start, end, value: self.aggregate.finish(acc) });
            }
            Ok(())
        };
        if self.windows.tumbling() {
            // The slice is the window.
            return self.slices_of(end).into_iter().try_for_each(|slice| slices.for_each(slice, &mut emit));
        }
        let mut merged: Table<K, A::Acc> = Table::default();
        for slice in self.slices_of(end) {
            slices.for_each(slice, |key, acc| {
                match merged.get_mut(key) {
                    Some(so_far) => self.aggregate.merge(so_far, acc),
                    None => _ = merged.insert(key.clone(), acc.clone()),
                }
                Ok(())
            })?;
        }
        merged.iter().try_for_each(|(key, acc)| emit(key, acc))
    }

    /// Emits the window that ends at `end` once more, of one key.
    fn fire_again(&self, end: i64, key: &K, out: &mut Outbox<WindowResult<K, A::Out>, T>) -> Result<(), Error> {
        let mut merged: Option<A::Acc> = None;
        for slice in self.slices_of(end) {
            if let Some(part) = self.slices.borrow_mut().get(slice, key)? {
                match &mut merged {
                    Some(so_far) => self.aggregate.merge(so_far, part),
                    None => merged = Some(part.clone()),
                }
            }
        }
        if let Some(merged) = merged {
            let start = end.saturating_sub(self.windows.size);
            out.emit(end - 1, WindowResult { key: key.clone(), start, end, value: self.aggregate.finish(&merged) });
        }
        Ok(())
    }

    /// Drops the slices that no window needs any more.
    fn clean(&self, watermark: i64) {
        if let Some(floor) = self.windows.first_open(watermark, self.lateness) {
            self.slices.borrow_mut().end_below(floor);
        }
    }
}

impl<K, F, T, A> Logic for SliceLogic<K, F, T, A>
where
    K: Data + Eq + Hash,
    T: Data,
    F: Fn(&T) -> K + 'static,
    A: Aggregate<T>,
{
    type In = T;
    type Out = WindowResult<K, A::Out>;
    type Side = T;

    fn prefetch(&mut self, records: &[Record<T>]) -> Result<(), Error> {
        let mut by_slice: BTreeMap<i64, Vec<K>> = BTreeMap::new();
        for record in records {
            by_slice.entry(self.windows.slice_of(record.time).start).or_default().push((self.key)(&record.value));
        }
        let mut slices = self.slices.borrow_mut();
        by_slice.iter().try_for_each(|(slice, keys)| slices.prefetch(*slice, keys.iter()))
    }

    fn record(&mut self, record: Record<T>, out: &mut Outbox<Self::Out, T>) -> Result<(), Error> {
        timed(&record)?;
        let watermark = out.watermark().0;
        if !self.last.holds(record.time) {
            self.last = self.windows.slice_of(record.time);
        }
        let Slice { start, last_end, .. } = self.last;
        if last_end.is_none_or(|end| self.cleanup(end) <= watermark) {
            if record.time.saturating_add(self.lateness) <= watermark {
                self.metrics.late.add(1);
                out.emit_side(record.time, record.value);
            } else {
                // It fell between two windows.
                self.metrics.filtered.add(1);
            }
            return Ok(());
        }
        let key = (self.key)(&record.value);
        let mut slices = self.slices.borrow_mut();
        if slices.begin(start)? {
            let mut due = self.due.borrow_mut();
            self.windows.ends(record.time).filter(|end| end - 1 > watermark).for_each(|end| due.insert(end));
        }
        let mut new = false;
        let acc = slices.get_or_insert_with(start, &key, || {
            new = true;
            self.aggregate.create()
        })?;
        let counts = self.aggregate.add(acc, &record.value, record.time)?;
        if new && !counts {
            // Of a key with no record that counts there is no window.
            slices.remove(start, &key)?;
        }
        drop(slices);
        if counts && record.time <= watermark {
            let again: Vec<i64> = self.windows.ends(record.time).filter(|e| e - 1 <= watermark && self.cleanup(*e) > watermark).collect();
            again.into_iter().rev().try_for_each(|end| self.fire_again(end, &key, out))?;
        }
        Ok(())
    }

    fn watermark(&mut self, watermark: Watermark, out: &mut Outbox<Self::Out, T>) -> Result<(), Error> {
        loop {
            // A window that ends at `e` is due when the watermark is `e - 1`.
            let due = self.due.borrow_mut().take(watermark.0.saturating_add(1));
            let Some((end, scope)) = due else { break };
            self.fire(end, &scope, out)?;
        }
        self.clean(watermark.0);
        Ok(())
    }
}
