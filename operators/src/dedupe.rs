//! Deduplication: one record per key within a span of event time.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tidegate_runtime::metrics::OperatorMetrics;
use tidegate_runtime::operator::{Context, Logic, Outbox};
use tidegate_runtime::state::{Handle, Key, Keyed, Meaning, Stored, Timers};
use tidegate_runtime::{Error, Record, Watermark};

use crate::queue::{Queue, Waits};
use crate::ties::Ties;

/// Which record of a span is emitted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keep {
    /// The one that begins the span, emitted at once.
    #[default]
    First,
    /// The one with the greatest event time, of equal times the last. It is emitted when the span is over, with the span's last millisecond
    /// as its event time.
    Last,
}

/// A span of a key: the record that begins it and those less than the span's length from it in event time.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Span<T> {
    pub(crate) start: i64,
    /// The record to emit at its end.
    pub(crate) last: Option<Record<T>>,
}

impl<T: Stored> Stored for Span<T> {
    const SCHEMA: &'static str = "dedupe.span/1";

    fn schema() -> String {
        Self::schema_of(&[T::schema()])
    }
}

pub(crate) struct DedupeLogic<K, F, T> {
    key: F,
    keep: Keep,
    /// Milliseconds.
    length: i64,
    /// The open spans of each key, in order of time.
    spans: Handle<Keyed<K, Vec<Span<T>>>>,
    timers: Handle<Timers<K>>,
    metrics: Arc<OperatorMetrics>,
    /// `Some` if records are processed in order of event time rather than arrival.
    queue: Option<Queue<K, Waiting<T>>>,
}

/// A record whose event time the watermark has not reached.
#[derive(Clone, Serialize, Deserialize)]
struct Waiting<T> {
    record: Record<T>,
    /// Whether the record was late when it arrived. It still counts if it lies in a span that another record began.
    late: bool,
}

impl<T: Stored> Stored for Waiting<T> {
    const SCHEMA: &'static str = "dedupe.waiting/1";

    fn schema() -> String {
        Self::schema_of(&[T::schema()])
    }
}

impl<T> Waits for Waiting<T> {
    type Value = T;

    fn record(&self) -> &Record<T> {
        &self.record
    }
}

impl<K: Key, F, T: Stored> DedupeLogic<K, F, T> {
    pub(crate) fn new(key: F, keep: Keep, length: Duration, ties: Option<Ties<T>>, context: &mut Context) -> Result<Self, Error> {
        let length = i64::try_from(length.as_millis()).unwrap_or(i64::MAX).max(1);
        let spans = context.states.keyed("spans", Meaning::of_type())?;
        let timers = context.states.timers("timers")?;
        let queue = ties.map(|ties| Queue::new(ties, context)).transpose()?;
        Ok(Self { key, keep, length, spans, timers, metrics: Arc::clone(&context.metrics), queue })
    }

    /// The last millisecond of a span.
    fn over(&self, start: i64) -> i64 {
        start.saturating_add(self.length - 1)
    }

    /// Whether `new` comes after `old`: by event time, then by the order of ties.
    fn is_after(&self, new: &Record<T>, old: &Record<T>) -> bool {
        let in_order = |queue: &Queue<K, Waiting<T>>| (queue.ties)(&old.value, &new.value).is_le();
        old.time < new.time || old.time == new.time && self.queue.as_ref().is_none_or(in_order)
    }

    /// Processes a record. `late` says that the span it would begin was already over when it was sent.
    fn look(&self, key: K, record: Record<T>, late: bool, out: &mut Outbox<T, T>) -> Result<(), Error> {
        let time = record.time;
        let mut states = self.spans.borrow_mut();
        let spans = states.get_mut(&key)?;
        if let Some(span) = spans.and_then(|spans| spans.iter_mut().find(|span| span.start.abs_diff(time) < self.length.unsigned_abs())) {
            if let Some(last) = span.last.as_mut().filter(|last| self.is_after(&record, last)) {
                *last = record;
            }
            self.metrics.filtered.add(1);
            return Ok(());
        }
        if late {
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
}

impl<K, F, T> Logic for DedupeLogic<K, F, T>
where
    K: Key,
    T: Stored,
    F: Fn(&T) -> K + 'static,
{
    type In = T;
    type Out = T;
    type Side = T;

    fn record(&mut self, record: Record<T>, out: &mut Outbox<T, T>) -> Result<(), Error> {
        if record.time == Record::UNTIMED {
            return Err(Error::user("a record without an event time came to `dedupe`: give its source an event time"));
        }
        let key = (self.key)(&record.value);
        let over = self.over(record.time);
        let late = over <= out.horizon().0;
        match &self.queue {
            Some(queue) if record.time > out.watermark().0 => {
                self.timers.borrow_mut().foresee(over);
                queue.wait(key, Waiting { record, late })
            }
            _ => self.look(key, record, late, out),
        }
    }

    fn waits_until(&self) -> Option<i64> {
        self.timers.borrow().latest()
    }

    fn watermark(&mut self, watermark: Watermark, out: &mut Outbox<T, T>) -> Result<(), Error> {
        if let Some(queue) = &self.queue {
            queue.fire(watermark.0, |key, Waiting { record, late }| self.look(key.clone(), record, late, out))?;
        }
        self.timers.fire(watermark.0, |now, key| {
            let mut states = self.spans.borrow_mut();
            let Some(spans) = states.get_mut(&key)? else { return Ok(()) };
            let over = spans.partition_point(|span| self.over(span.start) <= now);
            spans.drain(..over).filter_map(|span| span.last).for_each(|last| out.emit(now, last.value));
            if spans.is_empty() {
                states.remove(&key)?;
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[allow(clippy::type_complexity)]
    fn logic(keep: Keep, ties: Option<Ties<(u8, usize)>>) -> DedupeLogic<u8, impl Fn(&(u8, usize)) -> u8, (u8, usize)> {
        DedupeLogic::new(|value: &(u8, usize)| value.0, keep, Duration::from_millis(10), ties, &mut Context::default()).unwrap()
    }

    /// The expected record of each span of ten milliseconds. `records` are (key, time, number), in the order of processing.
    fn of_spans(keep: Keep, records: &[(u8, i64, usize)]) -> Vec<(i64, (u8, usize))> {
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
        expected
    }

    fn found(mut out: Outbox<(u8, usize), (u8, usize)>) -> Vec<(i64, (u8, usize))> {
        let (main, late) = out.take();
        assert!(late.is_empty());
        let mut found: Vec<_> = main.into_iter().map(|r| (r.time, r.value)).collect();
        found.sort_unstable();
        found
    }

    proptest! {
        /// With records in order of time, a span begins where the one before is over.
        #[test]
        fn one_record_of_a_key_in_each_span(steps in proptest::collection::vec((0u8..3, 0i64..8, any::<bool>()), 0..60)) {
            for keep in [Keep::First, Keep::Last] {
                let (mut logic, mut out) = (logic(keep, None), Outbox::default());
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
                prop_assert_eq!(found(out), of_spans(keep, &records));
            }
        }

        /// Any order of arrival gives the same result if no record is late. Records with equal times are ordered by their numbers.
        #[test]
        fn in_order_of_event_time_arrival_does_not_show(
            steps in proptest::collection::vec((0u8..3, 0i64..60, 0usize..4, any::<bool>()), 0..60),
        ) {
            for keep in [Keep::First, Keep::Last] {
                let (mut logic, mut out) = (logic(keep, Some(Box::new(|a, b| a.1.cmp(&b.1)))), Outbox::default());
                for (i, (key, time, number, moves)) in steps.iter().enumerate() {
                    let least = steps[i..].iter().map(|step| step.1).min().unwrap() - 1;
                    if *moves && Watermark(least) > out.watermark() {
                        out.set_watermark(Watermark(least));
                        logic.watermark(Watermark(least), &mut out).unwrap();
                    }
                    logic.record(Record::new(*time, (*key, *number)), &mut out).unwrap();
                }
                out.set_watermark(Watermark::END);
                logic.watermark(Watermark::END, &mut out).unwrap();
                let mut records: Vec<_> = steps.iter().map(|(key, time, number, _)| (*key, *time, *number)).collect();
                records.sort_unstable_by_key(|(key, time, number)| (*key, *time, *number));
                prop_assert_eq!(found(out), of_spans(keep, &records));
            }
        }
    }

    #[test]
    fn a_record_whose_span_is_over_is_late() {
        let (mut logic, mut out) = (logic(Keep::First, None), Outbox::default());
        out.set_watermark(Watermark(29));
        for time in [20, 21] {
            logic.record(Record::new(time, (1, 0)), &mut out).unwrap();
        }
        let (main, late) = out.take();
        assert_eq!((main.len(), main[0].time, late.len(), late[0].time), (1, 21, 1, 20));
    }
}
