//! Interval joins: records of the same key that are close in event time, with Flink's semantics.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tidegate_runtime::metrics::OperatorMetrics;
use tidegate_runtime::operator::{Context, Logic, Outbox};
use tidegate_runtime::state::{Handle, Key, Keyed, Meaning, Stored, Wake, Wakes};
use tidegate_runtime::{Error, Record, Watermark};

use super::buffer::{Buffer, Waiting};
use super::{Either, JoinType, untimed};

/// How far a right record may lie from a left one, in milliseconds: from the lower to the upper bound, both inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    lower: i64,
    upper: i64,
}

impl Interval {
    /// From `lower` to `upper` milliseconds after the left record; negative means before. `None` if the interval is empty.
    #[must_use]
    pub fn new(lower: i64, upper: i64) -> Option<Self> {
        (lower <= upper && lower > i64::MIN).then_some(Self { lower, upper })
    }

    /// The same interval without its lower bound; `None` if nothing is left.
    #[must_use]
    pub fn lower_exclusive(self) -> Option<Self> {
        Self::new(self.lower.checked_add(1)?, self.upper)
    }

    /// The same interval without its upper bound; `None` if nothing is left.
    #[must_use]
    pub fn upper_exclusive(self) -> Option<Self> {
        Self::new(self.lower, self.upper.checked_sub(1)?)
    }

    /// Records within `distance` of each other.
    #[must_use]
    pub fn within(distance: Duration) -> Self {
        let distance = i64::try_from(distance.as_millis()).unwrap_or(i64::MAX);
        Self { lower: -distance, upper: distance }
    }

    /// How long a left record waits for partners, in milliseconds.
    fn left_waits(self) -> i64 {
        self.upper.max(0)
    }

    /// How long a right record waits for partners, in milliseconds.
    fn right_waits(self) -> i64 {
        (-self.lower).max(0)
    }
}

impl std::fmt::Display for Interval {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ms to {} ms", self.lower, self.upper)
    }
}

/// The buffered records of one key, and when the key is woken.
#[derive(Clone, Serialize, Deserialize)]
struct Sides<L, R> {
    left: Buffer<L>,
    right: Buffer<R>,
    wake: Wake,
}

impl<L: Stored, R: Stored> Stored for Sides<L, R> {
    const SCHEMA: &'static str = "interval_join.sides/1";

    fn schema() -> String {
        Self::schema_of(&[L::schema(), R::schema()])
    }
}

/// The logic of an interval join. A record behind the watermark is late and goes to the side output. A pair has the later of its two times.
/// An outer join emits an unmatched record once it can find no partner any more, with that moment as its time.
pub struct IntervalLogic<K, L, R, F, G, O> {
    key: F,
    pair: G,
    interval: Interval,
    kind: JoinType,
    sides: Handle<Keyed<K, Sides<L, R>>>,
    wakes: Wakes<K>,
    metrics: Arc<OperatorMetrics>,
    emits: std::marker::PhantomData<fn() -> O>,
}

impl<K, L, R, F, G, O> IntervalLogic<K, L, R, F, G, O>
where
    K: Key,
    L: Stored,
    R: Stored,
    G: FnMut(&K, Option<&L>, Option<&R>) -> O,
{
    /// Joins records of equal `key`; `pair` makes the results.
    ///
    /// # Errors
    /// The states can't be declared.
    pub fn new(key: F, interval: Interval, kind: JoinType, pair: G, context: &mut Context) -> Result<Self, Error> {
        let sides = context.states.keyed("sides", Meaning::of_type())?;
        let wakes = context.states.wakes("timers")?;
        let metrics = Arc::clone(&context.metrics);
        Ok(Self { key, pair, interval, kind, sides, wakes, metrics, emits: std::marker::PhantomData })
    }

    /// The event times of the buffered left and right records, over all keys.
    ///
    /// # Errors
    /// The disk failed.
    pub fn waiting(&self) -> Result<(Vec<i64>, Vec<i64>), Error> {
        let (mut left, mut right) = (Vec::new(), Vec::new());
        self.sides.borrow().for_each(|_, sides| {
            left.extend(sides.left.times());
            right.extend(sides.right.times());
            Ok(())
        })?;
        Ok((left, right))
    }

    /// Wakes the key when its oldest record has waited long enough.
    fn arrange(&self, key: &K, sides: &mut Sides<L, R>) {
        let left = sides.left.next_over(self.interval.left_waits());
        let right = sides.right.next_over(self.interval.right_waits());
        if let Some(next) = left.into_iter().chain(right).min() {
            self.wakes.by(next, &mut sides.wake, || key.clone());
        }
    }

    /// Removes the records that have waited long enough at `now`.
    fn look<S>(&mut self, key: &K, now: i64, out: &mut Outbox<O, S>) -> Result<(), Error> {
        let mut all = self.sides.borrow_mut();
        let Some(sides) = all.get_mut(key)? else { return Ok(()) };
        if !sides.wake.woken(now) {
            return Ok(());
        }
        while let Some(left) = sides.left.take_over(self.interval.left_waits(), now) {
            if self.kind.keeps_left() && !left.matched {
                out.emit(now, (self.pair)(key, Some(&left.value), None));
            }
        }
        while let Some(right) = sides.right.take_over(self.interval.right_waits(), now) {
            if self.kind.keeps_right() && !right.matched {
                out.emit(now, (self.pair)(key, None, Some(&right.value)));
            }
        }
        if sides.left.is_empty() && sides.right.is_empty() {
            all.remove(key)?;
        } else {
            self.arrange(key, sides);
        }
        Ok(())
    }
}

impl<K, L, R, F, G, O> Logic for IntervalLogic<K, L, R, F, G, O>
where
    K: Key,
    L: Stored,
    R: Stored,
    F: Fn(&Either<L, R>) -> K + 'static,
    G: FnMut(&K, Option<&L>, Option<&R>) -> O + 'static,
    O: Clone + 'static,
{
    type In = Either<L, R>;
    type Out = O;
    type Side = Either<L, R>;

    fn record(&mut self, record: Record<Either<L, R>>, out: &mut Outbox<O, Either<L, R>>) -> Result<(), Error> {
        if untimed(&record) {
            return Err(Error::user("a record without an event time came to a join: give its source an event time"));
        }
        let time = record.time;
        if time < out.horizon().0 {
            self.metrics.late.add(1);
            out.emit_side(time, record.value);
            return Ok(());
        }
        let waits = if let Either::Left(_) = record.value { self.interval.left_waits() } else { self.interval.right_waits() };
        self.wakes.foresee(time.saturating_add(waits));
        let key = (self.key)(&record.value);
        let (Interval { lower, upper }, pair) = (self.interval, &mut self.pair);
        let mut all = self.sides.borrow_mut();
        let sides = all.get_or_insert_with(&key, || Sides { left: Buffer::default(), right: Buffer::default(), wake: Wake::default() })?;
        let mut matched = false;
        match record.value {
            Either::Left(value) => {
                for right in sides.right.between(time.saturating_add(lower), time.saturating_add(upper)) {
                    (right.matched, matched) = (true, true);
                    out.emit(time.max(right.time), pair(&key, Some(&value), Some(&right.value)));
                }
                sides.left.insert(Waiting { time, value, matched });
            }
            Either::Right(value) => {
                for left in sides.left.between(time.saturating_sub(upper), time.saturating_sub(lower)) {
                    (left.matched, matched) = (true, true);
                    out.emit(time.max(left.time), pair(&key, Some(&left.value), Some(&value)));
                }
                sides.right.insert(Waiting { time, value, matched });
            }
        }
        self.arrange(&key, sides);
        Ok(())
    }

    fn waits_until(&self) -> Option<i64> {
        self.wakes.latest()
    }

    fn watermark(&mut self, watermark: Watermark, out: &mut Outbox<O, Either<L, R>>) -> Result<(), Error> {
        let wakes = self.wakes.clone();
        wakes.fire(watermark.0, |now, key| self.look(&key, now, out))
    }
}
