//! One record of each key within a span of event time.

use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tidegate_runtime::metrics::OperatorMetrics;
use tidegate_runtime::operator::{Context, Logic, Outbox};
use tidegate_runtime::state::{Handle, Keyed, Timers};
use tidegate_runtime::{Data, Error, Record, Watermark};

/// Which record of a span goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keep {
    /// The first to arrive, at once.
    #[default]
    First,
    /// The one of the greatest event time, of equal ones the last to arrive; when the span is over, at its last millisecond.
    Last,
}

/// The records of a key that lie less than the length of a span from the one that began it.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Span<T> {
    pub(crate) start: i64,
    /// What goes on at its end.
    pub(crate) last: Option<Record<T>>,
}

pub(crate) struct DedupeLogic<K, F, T> {
    key: F,
    keep: Keep,
    /// Milliseconds.
    length: i64,
    /// In order of time.
    spans: Handle<Keyed<K, Vec<Span<T>>>>,
    timers: Handle<Timers<K>>,
    metrics: Arc<OperatorMetrics>,
}

impl<K: Data + Eq + Hash, F, T: Data> DedupeLogic<K, F, T> {
    pub(crate) fn new(key: F, keep: Keep, length: Duration, context: &mut Context) -> Result<Self, Error> {
        let length = i64::try_from(length.as_millis()).unwrap_or(i64::MAX).max(1);
        let spans = context.states.keyed("spans", None)?;
        let timers = context.states.timers("timers")?;
        Ok(Self { key, keep, length, spans, timers, metrics: Arc::clone(&context.metrics) })
    }

    /// The last millisecond of a span.
    fn over(&self, start: i64) -> i64 {
        start.saturating_add(self.length - 1)
    }
}

impl<K, F, T> Logic for DedupeLogic<K, F, T>
where
    K: Data + Eq + Hash,
    T: Data,
    F: Fn(&T) -> K + 'static,
{
    type In = T;
    type Out = T;
    type Side = T;

    fn prefetch(&mut self, records: &[Record<T>]) -> Result<(), Error> {
        let keys: Vec<K> = records.iter().map(|record| (self.key)(&record.value)).collect();
        self.spans.borrow_mut().prefetch(keys.iter())
    }

    fn record(&mut self, record: Record<T>, out: &mut Outbox<T, T>) -> Result<(), Error> {
        if record.time == Record::UNTIMED {
            return Err(Error::user("a record without an event time came to `dedupe`: give its source an event time"));
        }
        let time = record.time;
        let key = (self.key)(&record.value);
        let mut states = self.spans.borrow_mut();
        let spans = states.get_mut(&key)?;
        if let Some(span) = spans.and_then(|spans| spans.iter_mut().find(|span| span.start.abs_diff(time) < self.length.unsigned_abs())) {
            match &mut span.last {
                Some(last) if last.time <= time => *last = record,
                _ => {}
            }
            self.metrics.filtered.add(1);
            return Ok(());
        }
        if self.over(time) <= out.horizon().0 {
            self.metrics.late.add(1);
            out.emit_side(time, record.value);
            return Ok(());
        }
        let last = match self.keep {
            Keep::First => {
                out.emit(time, record.value);
                None
            }
            Keep::Last => Some(record),
        };
        let spans = states.get_or_insert_with(&key, Vec::new)?;
        let at = spans.partition_point(|span| span.start < time);
        spans.insert(at, Span { start: time, last });
        self.timers.borrow_mut().set(self.over(time), key);
        Ok(())
    }

    fn waits_until(&self) -> Option<i64> {
        self.timers.borrow().latest()
    }

    fn watermark(&mut self, watermark: Watermark, out: &mut Outbox<T, T>) -> Result<(), Error> {
        loop {
            let due = self.timers.borrow_mut().take_due(watermark.0);
            let Some((now, keys)) = due else { return Ok(()) };
            let mut states = self.spans.borrow_mut();
            for key in keys {
                let Some(spans) = states.get_mut(&key)? else { continue };
                let over = spans.partition_point(|span| self.over(span.start) <= now);
                spans.drain(..over).filter_map(|span| span.last).for_each(|last| out.emit(now, last.value));
                if spans.is_empty() {
                    states.remove(&key)?;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[allow(clippy::type_complexity)]
    fn logic(keep: Keep) -> DedupeLogic<u8, impl Fn(&(u8, usize)) -> u8, (u8, usize)> {
        DedupeLogic::new(|value: &(u8, usize)| value.0, keep, Duration::from_millis(10), &mut Context::default()).unwrap()
    }

    proptest! {
        /// Records in order: a span begins where the one before is over.
        #[test]
        fn one_record_of_a_key_in_each_span(steps in proptest::collection::vec((0u8..3, 0i64..8, any::<bool>()), 0..60)) {
            for keep in [Keep::First, Keep::Last] {
                let (mut logic, mut out) = (logic(keep), Outbox::default());
                let (mut time, mut records) = (0, Vec::new());
                for (i, (key, step, moves)) in steps.iter().enumerate() {
                    time += step;
                    if *moves && Watermark(time - 1) > out.watermark() {
                        logic.watermark(Watermark(time - 1), &mut out).unwrap();
                        out.set_watermark(Watermark(time - 1));
                    }
                    logic.record(Record::new(time, (*key, i)), &mut out).unwrap();
                    records.push((*key, time, i));
                }
                logic.watermark(Watermark::END, &mut out).unwrap();
                let (main, late) = out.take();
                prop_assert!(late.is_empty());
                let mut found: Vec<_> = main.into_iter().map(|r| (r.time, r.value)).collect();
                found.sort_unstable();
                let mut expected = Vec::new();
                for key in 0..3 {
                    let mut rest: Vec<&(u8, i64, usize)> = records.iter().filter(|r| r.0 == key).collect();
                    while let Some((_, start, first)) = rest.first().copied() {
                        let (span, after): (Vec<&(u8, i64, usize)>, Vec<_>) = rest.into_iter().partition(|r| r.1 < start + 10);
                        expected.push(match keep {
                            Keep::First => (*start, (key, *first)),
                            Keep::Last => (start + 9, (key, span.last().unwrap().2)),
                        });
                        rest = after;
                    }
                }
                expected.sort_unstable();
                prop_assert_eq!(found, expected);
            }
        }
    }

    #[test]
    fn a_record_whose_span_is_over_is_late() {
        let (mut logic, mut out) = (logic(Keep::First), Outbox::default());
        out.set_watermark(Watermark(29));
        for time in [20, 21] {
            logic.record(Record::new(time, (1, 0)), &mut out).unwrap();
        }
        let (main, late) = out.take();
        assert_eq!((main.len(), main[0].time, late.len(), late[0].time), (1, 21, 1, 20));
    }
}
