//! Tumbling and sliding windows over shared slices: a record is added to one partial aggregate, however many windows it lies in, and a window
//! merges the partials of its slices when it fires (Krishnamurthy, Wu, Franklin: "On-the-fly sharing for streamed aggregation", SIGMOD 2006).

use std::collections::{BTreeMap, BTreeSet};
use std::hash::Hash;
use std::sync::Arc;

use tidegate_runtime::metrics::OperatorMetrics;
use tidegate_runtime::operator::{Logic, Outbox};
use tidegate_runtime::state::Table;
use tidegate_runtime::{Data, Error, Record, Watermark};

use super::assigner::{Aligned, Slice};
use super::{WindowResult, timed};
use crate::aggregate::Aggregate;

pub(super) struct SliceLogic<K, F, T, A: Aggregate<T>> {
    key: F,
    windows: Aligned,
    /// Milliseconds.
    lateness: i64,
    aggregate: A,
    metrics: Arc<OperatorMetrics>,
    /// By start of the slice.
    slices: BTreeMap<i64, Table<K, A::Acc>>,
    /// The slice of the last record: the next one is mostly in it too, and finding a slice takes two divisions.
    last: Slice,
    /// The ends of the windows that have yet to fire and may hold something. One timer per window, not per key.
    due: BTreeSet<i64>,
}

impl<K, F, T, A> SliceLogic<K, F, T, A>
where
    K: Data + Eq + Hash,
    A: Aggregate<T>,
{
    pub(super) fn new(key: F, windows: Aligned, lateness: i64, aggregate: A, metrics: Arc<OperatorMetrics>) -> Self {
        Self { key, windows, lateness, aggregate, metrics, slices: BTreeMap::new(), last: windows.slice_of(0), due: BTreeSet::new() }
    }

    /// The moment after which the window that ends at `end` takes no more records.
    fn cleanup(&self, end: i64) -> i64 {
        (end - 1).saturating_add(self.lateness)
    }

    fn slices_of(&self, end: i64) -> impl Iterator<Item = &Table<K, A::Acc>> {
        self.slices.range(end.saturating_sub(self.windows.size)..end).map(|(_, slice)| slice)
    }

    /// Emits the window that ends at `end`, of all keys.
    fn fire(&self, end: i64, out: &mut Outbox<WindowResult<K, A::Out>, T>) {
        let start = end.saturating_sub(self.windows.size);
        if self.windows.tumbling() {
            // The slice is the window.
            for (key, acc) in self.slices_of(end).flatten() {
                out.emit(end - 1, WindowResult { key: key.clone(), start, end, value: self.aggregate.finish(acc) });
            }
            return;
        }
        let mut merged: Table<&K, A::Acc> = Table::default();
        for (key, acc) in self.slices_of(end).flatten() {
            merged.entry(key).and_modify(|m| self.aggregate.merge(m, acc)).or_insert_with(|| acc.clone());
        }
        for (key, acc) in merged {
            out.emit(end - 1, WindowResult { key: key.clone(), start, end, value: self.aggregate.finish(&acc) });
        }
    }

    /// Emits the window that ends at `end` once more, of one key.
    fn fire_again(&self, end: i64, key: &K, out: &mut Outbox<WindowResult<K, A::Out>, T>) {
        let mut parts = self.slices_of(end).filter_map(|slice| slice.get(key));
        if let Some(first) = parts.next() {
            let mut merged = first.clone();
            parts.for_each(|part| self.aggregate.merge(&mut merged, part));
            let start = end.saturating_sub(self.windows.size);
            out.emit(end - 1, WindowResult { key: key.clone(), start, end, value: self.aggregate.finish(&merged) });
        }
    }

    /// Drops the slices that no window needs any more.
    fn clean(&mut self, watermark: i64) {
        while let Some((&start, _)) = self.slices.first_key_value() {
            // A slice lies in the windows that its first moment lies in.
            let needed = self.windows.last_end(start).is_some_and(|end| self.cleanup(end) > watermark);
            if needed {
                break;
            }
            self.slices.pop_first();
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
        let slice = self.slices.entry(start).or_insert_with(|| {
            self.due.extend(self.windows.ends(record.time).filter(|end| end - 1 > watermark));
            Table::default()
        });
        let key = (self.key)(&record.value);
        let mut new = false;
        let acc = slice.entry_ref(&key).or_insert_with(|| {
            new = true;
            self.aggregate.create()
        });
        let counts = self.aggregate.add(acc, &record.value, record.time)?;
        if new && !counts {
            // Of a key with no record that counts there is no window.
            slice.remove(&key);
        }
        if counts && record.time <= watermark {
            let again: Vec<i64> = self.windows.ends(record.time).filter(|e| e - 1 <= watermark && self.cleanup(*e) > watermark).collect();
            again.into_iter().rev().for_each(|end| self.fire_again(end, &key, out));
        }
        Ok(())
    }

    fn watermark(&mut self, watermark: Watermark, out: &mut Outbox<Self::Out, T>) -> Result<(), Error> {
        while let Some(end) = self.due.first().copied().filter(|end| end - 1 <= watermark.0) {
            self.due.pop_first();
            self.fire(end, out);
        }
        self.clean(watermark.0);
        Ok(())
    }
}
