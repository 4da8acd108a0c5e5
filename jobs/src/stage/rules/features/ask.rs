//! The operator that asks for the features of rows. Every worker asks for its own.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tidegate_rows::Row;
use tidegate_runtime::metrics::OperatorMetrics;
use tidegate_runtime::operator::{Context, Logic, Outbox};
use tidegate_runtime::{Error, Record, Watermark, stable_hash};

use super::super::build::InFlow;
use super::super::control::Accepted;
use super::super::judge::Fed;
use super::super::store::KeptVersions;
use super::super::timeline::Timeline;
use super::super::waiting::Waiting;
use super::{FeatureShop, FeatureTexts, KeyOf, Question, ToOwner};
use crate::relation::failures::Failures;

/// What comes to the operator.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in super::super) enum ToAsk {
    /// A row.
    Row(Row),
    /// A version, for one worker.
    Version(usize, Accepted),
}

/// What goes out beside what goes to the judge.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in super::super) enum Aside {
    /// A row that is too late.
    Late(Row),
    /// For the owners of keys of indicators.
    Counted(ToOwner),
    /// For the owners of keys of patterns.
    Matched(ToOwner),
}

pub(in super::super) struct Asking {
    timeline: Timeline<FeatureShop>,
    versions: KeptVersions,
    waiting: Option<Waiting>,
    /// Whether rows come in the same order in every run.
    settled: bool,
    lateness: i64,
    worker: usize,
    workers: usize,
    next: u64,
    failures: Failures,
    metrics: Arc<OperatorMetrics>,
}

impl Asking {
    pub(in super::super) fn new(shop: &Arc<FeatureShop>, flow: InFlow, (worker, workers): (usize, usize), context: &mut Context) -> Result<Self, Error> {
        let versions = KeptVersions::new(context)?;
        Ok(Self {
            timeline: Timeline::new(Arc::clone(shop)),
            versions,
            waiting: Waiting::new(flow, context)?,
            settled: flow.settled,
            lateness: flow.lateness,
            worker,
            workers,
            next: 0,
            failures: shop.failures(),
            metrics: Arc::clone(&context.metrics),
        })
    }

    fn ask(&mut self, time: i64, row: Row, out: &mut Outbox<Fed, Aside>) -> Result<(), Error> {
        // Of the past before that, nothing is known any longer.
        let moment = time.max(self.timeline.begins());
        let set = Arc::clone(self.timeline.at(moment));
        self.next = self.next.wrapping_add(1);
        let questions = set.counted.len() + set.matched.len();
        if questions > 0 {
            let tie = if self.settled { 0 } else { stable_hash(&row) };
            let shared = Arc::new(row.clone());
            let (worker, number) = (self.worker, self.next);
            let mut question = |key: &KeyOf| {
                let (key, known) = key.of(&shared, &mut self.failures)?;
                Ok::<_, Error>(ToOwner::Question(Question { worker, number, set: set.number, key, known, tie, row: Arc::clone(&shared) }))
            };
            for group in &set.counted {
                out.emit_side(time, Aside::Counted(question(&group.key)?));
            }
            for pattern in &set.matched {
                out.emit_side(time, Aside::Matched(question(&pattern.key)?));
            }
        }
        out.emit(time, Fed::Asked { number: self.next, moment, questions, row });
        Ok(())
    }

    /// A version goes on to the judge of this worker, and if it is about features, to all owners of keys.
    fn version(&mut self, time: i64, worker: usize, accepted: Accepted, out: &mut Outbox<Fed, Aside>) -> Result<(), Error> {
        let mut of_features = accepted.clone();
        of_features.version.changes.retain(|change| change.path().is_some_and(FeatureTexts::has_path));
        if !of_features.version.changes.is_empty() {
            self.timeline.accepted(&of_features.version)?;
            self.versions.add(&of_features);
            for worker in 0..self.workers {
                out.emit_side(time, Aside::Counted(ToOwner::Version(worker, of_features.clone())));
                out.emit_side(time, Aside::Matched(ToOwner::Version(worker, of_features.clone())));
            }
        }
        out.emit(time, Fed::Version(worker, accepted));
        Ok(())
    }
}

impl Logic for Asking {
    type In = ToAsk;
    type Out = Fed;
    type Side = Aside;

    fn opened(&mut self) -> Result<(), Error> {
        self.versions.restore(&mut self.timeline);
        self.waiting.as_mut().map_or(Ok(()), Waiting::open)
    }

    fn record(&mut self, record: Record<ToAsk>, out: &mut Outbox<Fed, Aside>) -> Result<(), Error> {
        let time = record.time;
        match record.value {
            ToAsk::Version(worker, accepted) => self.version(time, worker, accepted, out),
            ToAsk::Row(row) => match &self.waiting {
                None => self.ask(time, row, out),
                Some(_) if time <= out.horizon().0 => {
                    self.metrics.late.add(1);
                    out.emit_side(time, Aside::Late(row));
                    Ok(())
                }
                Some(waiting) => waiting.wait(Record::new(time, row)),
            },
        }
    }

    fn waits_until(&self) -> Option<i64> {
        self.waiting.as_ref().and_then(Waiting::latest)
    }

    fn watermark(&mut self, watermark: Watermark, out: &mut Outbox<Fed, Aside>) -> Result<(), Error> {
        if let Some(waiting) = &self.waiting {
            waiting.come(watermark)?.into_iter().try_for_each(|record| self.ask(record.time, record.value, out))?;
        }
        self.timeline.settle(watermark.0.saturating_sub(self.lateness));
        Ok(())
    }
}
