//! The operator that judges records. Every worker judges its own.

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tidegate_rows::{Row, Value};
use tidegate_rules::Judge;
use tidegate_runtime::metrics::OperatorMetrics;
use tidegate_runtime::operator::{Context, Logic, Outbox};
use tidegate_runtime::state::{Broadcast, Handle};
use tidegate_runtime::{Error, Record, Watermark};

use super::build::InFlow;
use super::control::Accepted;
use super::store::{Held, Name, Settled, Store, View};
use super::features::Answer;
use super::timeline::{Configuration, Timeline, Workshop};
use super::uses::Limited;
use super::waiting::Waiting;

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
    timeline: Timeline,
    bench: Bench,
    waiting: Option<Waiting>,
    lateness: i64,
    pending: HashMap<u64, Pending>,
    metrics: Arc<OperatorMetrics>,
}

/// What records are judged by, apart from what is active.
struct Bench {
    workshop: Arc<Workshop>,
    store: Store,
    held: Handle<Broadcast<Name, Held>>,
    judge: Judge,
    out: Vec<Row>,
}

impl Bench {
    /// Judges a record by what has been answered about its features.
    #[inline]
    fn judge(&mut self, configuration: &Configuration, time: i64, mut row: Row, answered: Vec<(u64, Value)>, out: &mut Outbox<Row, Aside>) {
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
}

impl Judging {
    pub(super) fn new(workshop: Arc<Workshop>, flow: InFlow, context: &mut Context) -> Result<Self, Error> {
        let held = context.states.broadcast("rules")?;
        let timeline = Timeline::new(Arc::clone(&workshop));
        Ok(Self {
            timeline,
            bench: Bench { workshop, store: Store::default(), held, judge: Judge::default(), out: Vec::new() },
            waiting: Waiting::new(flow, context)?,
            lateness: flow.lateness,
            pending: HashMap::new(),
            metrics: Arc::clone(&context.metrics),
        })
    }

    /// The time before which this worker is asked for nothing.
    fn settled(&self, watermark: Watermark) -> i64 {
        watermark.0.saturating_sub(self.lateness)
    }

    /// Judges a record if all that was asked about it has been answered.
    fn answered(&mut self, number: u64, out: &mut Outbox<Row, Aside>) {
        let whole = |pending: &Pending| pending.record.is_some() && pending.come >= pending.questions;
        if self.pending.get(&number).is_some_and(whole)
            && let Some(Pending { record: Some((time, row, configuration)), answered, .. }) = self.pending.remove(&number)
        {
            self.bench.judge(&configuration, time, row, answered, out);
        }
    }
}

impl Logic for Judging {
    type In = Fed;
    type Out = Row;
    type Side = Aside;

    fn opened(&mut self) -> Result<(), Error> {
        let Bench { workshop, store, held, .. } = &mut self.bench;
        workshop.load()?;
        store.restore(held.borrow().map(), workshop.lists());
        self.timeline.restore(store.versions.iter());
        self.waiting.as_mut().map_or(Ok(()), Waiting::open)
    }

    #[inline]
    fn record(&mut self, record: Record<Fed>, out: &mut Outbox<Row, Aside>) -> Result<(), Error> {
        let time = record.time;
        match record.value {
            Fed::Row(row) => match &self.waiting {
                None => self.bench.judge(self.timeline.at(time), time, row, Vec::new(), out),
                Some(_) if time <= out.horizon().0 => {
                    self.metrics.late.add(1);
                    out.emit_side(time, Aside::Late(row));
                }
                Some(waiting) => waiting.wait(Record::new(time, row))?,
            },
            Fed::Asked { questions: 0, row, moment, .. } => self.bench.judge(self.timeline.at(moment), time, row, Vec::new(), out),
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
                let Bench { workshop, store, held, .. } = &mut self.bench;
                let settled = Settled { by_all: settled, here, lists: workshop.lists() };
                held.borrow_mut().change(|map| store.apply(map, &version, settled));
                self.timeline.accepted(&version)?;
            }
        }
        Ok(())
    }

    fn waits_until(&self) -> Option<i64> {
        self.waiting.as_ref().and_then(Waiting::latest)
    }

    fn watermark(&mut self, watermark: Watermark, out: &mut Outbox<Row, Aside>) -> Result<(), Error> {
        if let Some(waiting) = &self.waiting {
            for Record { time, value } in waiting.come(watermark)? {
                self.bench.judge(self.timeline.at(time), time, value, Vec::new(), out);
            }
        }
        let settled = self.settled(watermark);
        self.timeline.settle(settled);
        let Bench { workshop, store, held, .. } = &mut self.bench;
        store.reach(held.borrow().map(), settled, workshop.lists());
        Ok(())
    }
}
