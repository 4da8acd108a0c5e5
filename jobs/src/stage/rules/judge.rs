//! The operator that judges records. Every worker judges its own.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tidegate_operators::Queue;
use tidegate_rows::Row;
use tidegate_rules::{Judge, Looks};
use tidegate_runtime::operator::{Context, Logic, Outbox};
use tidegate_runtime::state::{Broadcast, Handle};
use tidegate_runtime::{Error, Record, Watermark};

use super::build::InFlow;
use super::control::Accepted;
use super::store::{Held, Name, Settled, Store, View};
use super::timeline::{Timeline, Workshop};

/// What comes to the operator.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Fed {
    /// A record.
    Row(Row),
    /// A version, for one worker.
    Version(usize, Accepted),
}

/// What goes out beside decisions.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Aside {
    /// A record that is too late.
    Late(Row),
    /// A record that meets entries with limited uses, and what its checks have found.
    Limited(Row, Looks),
}

pub(super) struct Judging {
    workshop: Arc<Workshop>,
    timeline: Timeline,
    store: Store,
    held: Handle<Broadcast<Name, Held>>,
    /// Records that wait, in order of time, under a key of this worker.
    queue: Option<(u64, Queue<u64, Record<Row>>)>,
    lateness: i64,
    judge: Judge,
    out: Vec<Row>,
    metrics: Arc<tidegate_runtime::metrics::OperatorMetrics>,
}

impl Judging {
    pub(super) fn new(workshop: Arc<Workshop>, flow: InFlow, context: &mut Context) -> Result<Self, Error> {
        let held = context.states.broadcast("rules")?;
        let ties: tidegate_operators::Ties<Row> = if flow.settled { Box::new(|_, _| std::cmp::Ordering::Equal) } else { crate::stage::keyed::by_value() };
        let queue = if flow.in_time { Some((0, Queue::new(ties, context)?)) } else { None };
        Ok(Self {
            timeline: Timeline::new(Arc::clone(&workshop)),
            workshop,
            store: Store::default(),
            held,
            queue,
            lateness: flow.lateness,
            judge: Judge::default(),
            out: Vec::new(),
            metrics: Arc::clone(&context.metrics),
        })
    }

    /// The time before which this worker is asked for nothing.
    fn settled(&self, watermark: Watermark) -> i64 {
        watermark.0.saturating_sub(self.lateness)
    }

    #[inline]
    fn judge(&mut self, time: i64, row: Row, out: &mut Outbox<Row, Aside>) {
        let rules = &self.timeline.at(time).rules;
        let held = self.held.borrow();
        let ops = View { store: &self.store, map: held.map() };
        let lists = self.workshop.lists();
        match self.judge.decide(rules, row, time, lists, &ops, &mut self.out) {
            Ok(()) => self.out.drain(..).for_each(|row| out.emit(time, row)),
            Err((row, _)) => {
                let looks = Judge::look(rules, &row, time, lists, &ops);
                out.emit_side(time, Aside::Limited(row, looks));
            }
        }
    }
}

impl Logic for Judging {
    type In = Fed;
    type Out = Row;
    type Side = Aside;

    fn opened(&mut self) -> Result<(), Error> {
        self.workshop.load()?;
        let held = self.held.borrow();
        self.store.restore(held.map(), self.workshop.lists());
        self.timeline.restore(self.store.versions.iter());
        if let Some((key, queue)) = &mut self.queue {
            // A worker has at least one key group, so one of so many keys is in it.
            *key = queue.own_key(0..1 << 20).ok_or_else(|| Error::internal("this worker has no key group"))?;
        }
        Ok(())
    }

    #[inline]
    fn record(&mut self, record: Record<Fed>, out: &mut Outbox<Row, Aside>) -> Result<(), Error> {
        let time = record.time;
        match record.value {
            Fed::Row(row) => match &self.queue {
                None => self.judge(time, row, out),
                Some(_) if time <= out.horizon().0 => {
                    self.metrics.late.add(1);
                    out.emit_side(time, Aside::Late(row));
                }
                Some((key, queue)) => queue.wait(*key, Record::new(time, row))?,
            },
            Fed::Version(_, Accepted { version, settled }) => {
                let here = self.settled(out.watermark());
                let settled = Settled { by_all: settled, here, lists: self.workshop.lists() };
                let store = &mut self.store;
                self.held.borrow_mut().change(|map| store.apply(map, &version, settled));
                self.timeline.accepted(&version)?;
            }
        }
        Ok(())
    }

    fn waits_until(&self) -> Option<i64> {
        self.queue.as_ref().and_then(|(_, queue)| queue.latest())
    }

    fn watermark(&mut self, watermark: Watermark, out: &mut Outbox<Row, Aside>) -> Result<(), Error> {
        if let Some((_, queue)) = &self.queue {
            let mut come = queue.come(watermark.0)?;
            // After a restore, this worker may have the keys of several.
            come.sort_by_key(|record| record.time);
            come.into_iter().for_each(|record| self.judge(record.time, record.value, out));
        }
        let settled = self.settled(watermark);
        self.timeline.settle(settled);
        self.store.reach(self.held.borrow().map(), settled, self.workshop.lists());
        Ok(())
    }
}
