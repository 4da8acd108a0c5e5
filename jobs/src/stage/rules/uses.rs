//! The operator that counts the uses of list entries. It is on one worker, and sees only the records that meet an entry with a limit.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tidegate_operators::Queue;
use tidegate_rows::{Row, Value};
use tidegate_rules::{Judge, Looks, Use, Versions};
use tidegate_runtime::operator::{Context, Logic, Outbox};
use tidegate_runtime::state::{Handle, Keyed, Meaning, Part, Stored};
use tidegate_runtime::{Error, Record, Watermark};

use super::build::InFlow;
use super::control::{Accepted, DESK};
use super::timeline::{Timeline, Workshop};

/// What comes to the operator.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Fed {
    /// A record, and what its checks have found.
    Limited(Limited),
    /// A version.
    Version(Accepted),
}

/// A record, what its checks have found, and what has been answered about its features.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Limited {
    pub(super) row: Row,
    pub(super) looks: Looks,
    pub(super) answered: Vec<(u64, Value)>,
}

impl Stored for Limited {
    const SCHEMA: &'static str = "rules.limited/2";
}

/// How often an entry was used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Used {
    /// What made the entry.
    by: (u64, u32),
    pub(super) times: u64,
}

impl Stored for Used {
    const SCHEMA: &'static str = "rules.used/1";
}

/// A list and a key of it.
type OfList = (String, Vec<u8>);

pub(super) struct Uses {
    workshop: Arc<Workshop>,
    timeline: Timeline,
    versions: Handle<Keyed<u64, Versions>>,
    used: Handle<Keyed<Part<u64, OfList>, Used>>,
    queue: Option<Queue<u64, Record<Limited>>>,
    lateness: i64,
    judge: Judge,
    out: Vec<Row>,
}

impl Uses {
    pub(super) fn new(workshop: Arc<Workshop>, flow: InFlow, context: &mut Context) -> Result<Self, Error> {
        let versions = context.states.keyed("versions", Meaning::of_type())?;
        let used = context.states.keyed("used", Meaning::of_type())?;
        let by_value = crate::stage::keyed::by_value();
        let settled = flow.settled;
        let ties: tidegate_operators::Ties<Limited> =
            Box::new(move |a, b| if settled { std::cmp::Ordering::Equal } else { by_value(&a.row, &b.row) });
        let queue = if flow.in_time { Some(Queue::new(ties, context)?) } else { None };
        let timeline = Timeline::new(Arc::clone(&workshop));
        Ok(Self { workshop, timeline, versions, used, queue, lateness: flow.lateness, judge: Judge::default(), out: Vec::new() })
    }

    fn judge(&mut self, time: i64, Limited { row, looks, answered }: Limited, out: &mut Outbox<Row, ()>) -> Result<(), Error> {
        let configuration = self.timeline.at(time);
        let rules = &configuration.rules;
        let row = if configuration.features.is_empty() { row } else { configuration.features.put(row, &answered) };
        let (mut used, lists) = (self.used.borrow_mut(), self.workshop.lists());
        let mut failed = None;
        let mut take = |wanted: Use<'_>| {
            let name = lists.get(wanted.list).map(|list| list.name.clone()).unwrap_or_default();
            let key = Part { key: DESK, part: (name, wanted.found.stored.to_vec()) };
            match used.get_or_insert_with(&key, Used::default) {
                Err(error) => {
                    failed = Some(error);
                    false
                }
                Ok(used) => {
                    if used.by != wanted.found.by {
                        *used = Used { by: wanted.found.by, times: 0 };
                    }
                    let left = used.times < wanted.most;
                    used.times += u64::from(left);
                    left
                }
            }
        };
        self.judge.decide_with(rules, row, time, &looks, &mut take, &mut self.out);
        if let Some(error) = failed {
            return Err(error);
        }
        self.out.drain(..).for_each(|row| out.emit(time, row));
        Ok(())
    }
}

impl Logic for Uses {
    type In = Fed;
    type Out = Row;
    type Side = ();

    fn opened(&mut self) -> Result<(), Error> {
        if let Some(versions) = self.versions.borrow_mut().get(&DESK)? {
            self.timeline.restore(versions.iter());
        }
        Ok(())
    }

    fn record(&mut self, record: Record<Fed>, out: &mut Outbox<Row, ()>) -> Result<(), Error> {
        match record.value {
            Fed::Limited(limited) => match &self.queue {
                None => self.judge(record.time, limited, out),
                Some(queue) => queue.wait(DESK, Record::new(record.time, limited)),
            },
            Fed::Version(Accepted { version, settled }) => {
                self.timeline.accepted(&version)?;
                self.versions.borrow_mut().get_or_insert_with(&DESK, Versions::default)?.add(version, settled);
                Ok(())
            }
        }
    }

    fn waits_until(&self) -> Option<i64> {
        self.queue.as_ref().and_then(Queue::latest)
    }

    fn watermark(&mut self, watermark: Watermark, out: &mut Outbox<Row, ()>) -> Result<(), Error> {
        if let Some(queue) = &self.queue {
            let come = queue.come(watermark.0)?;
            come.into_iter().try_for_each(|record| self.judge(record.time, record.value, out))?;
        }
        self.timeline.settle(watermark.0.saturating_sub(self.lateness));
        Ok(())
    }
}
