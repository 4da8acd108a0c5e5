//! Temporal joins: each record with the version of a table that was valid at its time, like Flink's event-time temporal join.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tidegate_runtime::metrics::OperatorMetrics;
use tidegate_runtime::operator::{Context, Logic, Outbox};
use tidegate_runtime::state::{Handle, Key, Keyed, Meaning, Stored, Wake, Wakes};
use tidegate_runtime::{Error, Record, Watermark};

use super::buffer::{Buffer, Waiting};
use super::versions::Versions;
use super::{Either, Unmatched, untimed};
use crate::ties::Ties;

/// The state of one key: the records that wait for the watermark, the versions of the table row, and when the key is woken.
#[derive(Clone, Serialize, Deserialize)]
struct Row<L, R> {
    waiting: Buffer<L>,
    versions: Versions<R>,
    wake: Wake,
}

impl<L: Stored, R: Stored> Stored for Row<L, R> {
    const SCHEMA: &'static str = "temporal_join.row/1";

    fn schema() -> String {
        Self::schema_of(&[L::schema(), R::schema()])
    }
}

/// The logic of a temporal join. A left record waits until the watermark has reached its time: from then on all versions up to it are
/// known. A version is valid from its time until that of the next; of equal times the last to arrive is valid, or the last by `ties`. A
/// left record behind the watermark is late, and so is a version older than another one that the watermark has passed. Both go to the side
/// output.
pub struct TemporalLogic<K, L, R, F, D, G, O> {
    key: F,
    deletes: D,
    pair: G,
    unmatched: Unmatched,
    ties: Option<Ties<R>>,
    rows: Handle<Keyed<K, Row<L, R>>>,
    wakes: Wakes<K>,
    metrics: Arc<OperatorMetrics>,
    emits: std::marker::PhantomData<fn() -> O>,
}

impl<K, L, R, F, D, G, O> TemporalLogic<K, L, R, F, D, G, O>
where
    K: Key,
    L: Stored,
    R: Stored,
    G: FnMut(&K, &L, Option<&R>) -> O,
{
    /// Joins records of equal `key`; `pair` makes the results. A right record that `deletes` is not a version: from its time on, the row
    /// does not exist.
    ///
    /// # Errors
    /// The states can't be declared.
    pub fn new(key: F, deletes: D, unmatched: Unmatched, pair: G, ties: Option<Ties<R>>, context: &mut Context) -> Result<Self, Error> {
        let rows = context.states.keyed("rows", Meaning::of_type())?;
        let wakes = context.states.wakes("timers")?;
        let metrics = Arc::clone(&context.metrics);
        Ok(Self { key, deletes, pair, unmatched, ties, rows, wakes, metrics, emits: std::marker::PhantomData })
    }

    /// The number of waiting records and of kept versions, over all keys.
    ///
    /// # Errors
    /// The disk failed.
    pub fn held(&self) -> Result<(usize, usize), Error> {
        let mut held = (0, 0);
        self.rows.borrow().for_each(|_, row| {
            held.0 += row.waiting.times().count();
            held.1 += row.versions.len();
            Ok(())
        })?;
        Ok(held)
    }

    fn emit<S>(&mut self, key: &K, time: i64, left: &L, version: Option<&R>, out: &mut Outbox<O, S>) {
        if version.is_some() || self.unmatched == Unmatched::Keep {
            out.emit(time, (self.pair)(key, left, version));
        }
    }

    /// Wakes the key when the next record stops waiting or the next version becomes obsolete.
    fn arrange(&self, key: &K, row: &mut Row<L, R>) {
        if let Some(next) = row.waiting.next_over(0).into_iter().chain(row.versions.next_over()).min() {
            self.wakes.by(next, &mut row.wake, || key.clone());
        }
    }

    /// Joins the records that have waited until `now`, and drops the versions that no later record can need.
    fn look<S>(&mut self, key: &K, now: i64, out: &mut Outbox<O, S>) -> Result<(), Error> {
        let rows = self.rows.clone();
        let mut rows = rows.borrow_mut();
        let Some(row) = rows.get_mut(key)? else { return Ok(()) };
        if !row.wake.woken(now) {
            return Ok(());
        }
        while let Some(left) = row.waiting.take_over(0, now) {
            self.emit(key, left.time, &left.value, row.versions.at(left.time), out);
        }
        row.versions.forget_before(now);
        if row.waiting.is_empty() && row.versions.is_empty() {
            rows.remove(key)?;
        } else {
            self.arrange(key, row);
        }
        Ok(())
    }
}

impl<K, L, R, F, D, G, O> Logic for TemporalLogic<K, L, R, F, D, G, O>
where
    K: Key,
    L: Stored,
    R: Stored,
    F: Fn(&Either<L, R>) -> K + 'static,
    D: FnMut(&R) -> bool + 'static,
    G: FnMut(&K, &L, Option<&R>) -> O + 'static,
    O: Clone + 'static,
{
    type In = Either<L, R>;
    type Out = O;
    type Side = Either<L, R>;

    fn record(&mut self, record: Record<Either<L, R>>, out: &mut Outbox<O, Either<L, R>>) -> Result<(), Error> {
        if untimed(&record) {
            return Err(Error::user("a record without an event time came to a join: give its source an event time"));
        }
        let (time, now) = (record.time, out.watermark().0);
        let key = (self.key)(&record.value);
        let rows = self.rows.clone();
        let mut rows = rows.borrow_mut();
        let late = match record.value {
            Either::Left(value) if time < out.horizon().0 => Some(Either::Left(value)),
            Either::Left(value) if time == now => {
                let version = rows.get(&key)?.and_then(|row| row.versions.at(time));
                self.emit(&key, time, &value, version, out);
                None
            }
            value => {
                let make = || Row { waiting: Buffer::default(), versions: Versions::default(), wake: Wake::default() };
                let row = rows.get_or_insert_with(&key, make)?;
                let late = match value {
                    Either::Left(value) => {
                        self.wakes.foresee(time);
                        row.waiting.insert(Waiting { time, value, matched: false });
                        None
                    }
                    Either::Right(value) if row.versions.replaced(time, now) => Some(Either::Right(value)),
                    Either::Right(value) => {
                        let deletes = (self.deletes)(&value);
                        row.versions.insert(time, (!deletes).then_some(value), self.ties.as_ref());
                        None
                    }
                };
                row.versions.forget_before(now);
                if row.waiting.is_empty() && row.versions.is_empty() {
                    rows.remove(&key)?;
                } else {
                    self.arrange(&key, row);
                }
                late
            }
        };
        if let Some(value) = late {
            self.metrics.late.add(1);
            out.emit_side(time, value);
        }
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
