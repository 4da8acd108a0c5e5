//! The operator that judges records. Every worker judges its own.

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tidegate_operators::Queue;
use tidegate_rows::{Row, Value};
use tidegate_rules::Judge;
use tidegate_runtime::operator::{Context, Logic, Outbox};
use tidegate_runtime::state::{Broadcast, Handle};
use tidegate_runtime::{Error, Record, Watermark};

use super::build::InFlow;
use super::control::Accepted;
use super::store::{Held, Name, Settled, Store, View};
use super::features::Answer;
use super::timeline::{Configuration, Timeline, Workshop};
use super::uses::Limited;

/// What comes to the operator.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Fed {
    /// A record.
    Row(Row),
    /// A version, for one worker.
    Version(usize, Accepted),
    /// A record of this worker with its number here, about whose features so many questions have been asked.
    Asked {
        number: u64,
        /// When it was looked up what is active.
        moment: i64,
        questions: usize,
        row: Row,
    },
    /// The answer to a question of one worker.
    Answer(Answer),
}

/// A record whose features are on their way. None is at a checkpoint: questions and answers are of the same epoch.
#[derive(Default)]
struct Pending {
    /// The record with its time and what was active when it came. Answers may be faster.
    record: Option<(i64, Row, Arc<Configuration>)>,
    /// How many answers there will be, and how many have come.
    questions: usize,
    come: usize,
    answered: Vec<(u64, Value)>,
}

/// What goes out beside decisions.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Aside {
    /// A record that is too late.
    Late(Row),
    /// A record that meets entries with limited uses.
    Limited(Limited),
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
    pending: HashMap<u64, Pending>,
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
            pending: HashMap::new(),
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
        let configuration = Arc::clone(self.timeline.at(time));
        self.judge_by(&configuration, time, row, Vec::new(), out);
    }

    /// Judges a record by what has been answered about its features.
    fn judge_by(&mut self, configuration: &Configuration, time: i64, mut row: Row, answered: Vec<(u64, Value)>, out: &mut Outbox<Row, Aside>) {
        let (rules, features) = (&configuration.rules, &configuration.features);
        let width = row.0.len();
        if !features.is_empty() {
            row = features.put(row, &answered);
        }
        let held = self.held.borrow();
        let lists = self.workshop.lists();
        let ops = View { store: &self.store, map: held.map() };
        match self.judge.decide(rules, row, time, lists, &ops, &mut self.out) {
            Ok(()) => self.out.drain(..).for_each(|row| out.emit(time, row)),
            Err((row, _)) => {
                let looks = Judge::look(rules, &row, time, lists, &ops);
                let row = row.0.into_vec().into_iter().take(width).collect();
                out.emit_side(time, Aside::Limited(Limited { row, looks, answered }));
            }
        }
    }

    /// Judges a record if all that was asked about it has been answered.
    fn answered(&mut self, number: u64, out: &mut Outbox<Row, Aside>) {
        let whole = |pending: &Pending| pending.record.is_some() && pending.come >= pending.questions;
        if self.pending.get(&number).is_some_and(whole)
            && let Some(Pending { record: Some((time, row, configuration)), answered, .. }) = self.pending.remove(&number)
        {
            self.judge_by(&configuration, time, row, answered, out);
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
            Fed::Asked { questions: 0, row, moment, .. } => {
                let configuration = Arc::clone(self.timeline.at(moment));
                self.judge_by(&configuration, time, row, Vec::new(), out);
            }
            Fed::Asked { number, moment, questions, row } => {
                let configuration = Arc::clone(self.timeline.at(moment));
                let pending = self.pending.entry(number).or_default();
                pending.questions = questions;
                pending.record = Some((time, row, configuration));
                self.answered(number, out);
            }
            Fed::Answer(Answer { number, values, .. }) => {
                let pending = self.pending.entry(number).or_default();
                pending.come += 1;
                pending.answered.extend(values);
                self.answered(number, out);
            }
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
