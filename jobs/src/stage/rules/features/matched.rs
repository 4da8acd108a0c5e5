//! Patterns of rules: the partial matches of each key. A pattern whose conditions have changed goes on with them; one with other steps or times begins
//! anew.

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tidegate_cep::{Candidate, Found, Judge, MatchError, Matcher, Runs};
use tidegate_operators::{Queue, Ties};
use tidegate_rows::{Row, Value};
use tidegate_runtime::metrics::OperatorMetrics;
use tidegate_runtime::operator::{Context, Logic, Outbox};
use tidegate_runtime::state::{Handle, Keyed, Meaning, Stored, Wake, Wakes, Weight};
use tidegate_runtime::{Error, Record, Watermark};

use super::super::build::InFlow;
use super::known::Known;
use super::{Answer, FeatureShop, Group, GroupKey, Question, ToOwner};
use crate::stage::pattern::Judged;

/// One in this many rows is weighed, to estimate what a key takes of its limit.
const WEIGHED: u64 = 64;

/// What is remembered of a key.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct OfKey {
    runs: Runs<Row>,
    /// The time of the newest row. An older one that comes after it is matched as if it came then.
    newest: i64,
    /// From when on there has been a pattern of these steps.
    since: i64,
    wake: Wake,
}

impl Stored for OfKey {
    const SCHEMA: &'static str = "rules.matches/1";
}

/// The matcher of one definition of a pattern.
struct Sought {
    group: Group,
    matcher: Matcher<Judged>,
}

pub(in super::super) struct Matching {
    shop: Arc<FeatureShop>,
    known: Known,
    /// By the number of the feature.
    sought: HashMap<u64, Sought>,
    /// The number of the feature that a set of features has for a group, and from when on there has been one.
    of_set: HashMap<(u64, Group), (u64, i64)>,
    keys: Handle<Keyed<GroupKey, OfKey>>,
    wakes: Wakes<GroupKey>,
    queue: Option<Queue<GroupKey, Record<ToOwner>>>,
    lateness: i64,
    weight: (Weight, u64),
    metrics: Arc<OperatorMetrics>,
}

impl Matching {
    pub(in super::super) fn new(shop: &Arc<FeatureShop>, flow: InFlow, workers: usize, context: &mut Context) -> Result<Self, Error> {
        let ties: Ties<ToOwner> = Box::new(|a, b| a.tie().cmp(&b.tie()));
        Ok(Self {
            shop: Arc::clone(shop),
            known: Known::new(shop, workers, context)?,
            sought: HashMap::new(),
            of_set: HashMap::new(),
            keys: context.states.keyed("partial_matches", Meaning::of_type())?,
            wakes: context.states.wakes("wakes")?,
            queue: if flow.in_time { Some(Queue::new(ties, context)?) } else { None },
            lateness: flow.lateness,
            weight: (Weight::of_values::<Row>(), 0),
            metrics: Arc::clone(&context.metrics),
        })
    }

    /// Prepares all patterns that are still asked for.
    fn regroup(&mut self) -> Result<(), Error> {
        let mut old = std::mem::take(&mut self.sought);
        self.of_set.clear();
        for set in self.known.sets() {
            for pattern in &set.matched {
                self.of_set.insert((set.number, pattern.key.group), (pattern.id, pattern.since));
                if self.sought.contains_key(&pattern.id) {
                    continue;
                }
                let known = old.remove(&pattern.id);
                let make = || {
                    let search = pattern.sought.search(self.shop.failures(), Arc::clone(&self.metrics));
                    search.map(|search| Sought { group: pattern.key.group, matcher: search.matcher() })
                };
                let made = known.map_or_else(make, Ok).map_err(|invalid| Error::internal(invalid.to_string()))?;
                self.sought.insert(pattern.id, made);
            }
        }
        if old.values().any(|old| self.is_gone(old.group)) { self.forget() } else { Ok(()) }
    }

    /// Whether nothing asks for a group any longer.
    fn is_gone(&self, group: Group) -> bool {
        self.sought.values().all(|sought| sought.group != group)
    }

    /// Forgets the partial matches of groups that nothing asks for.
    fn forget(&self) -> Result<(), Error> {
        let mut keys = self.keys.borrow_mut();
        let mut gone = Vec::new();
        keys.for_each(|key, _| {
            if self.is_gone(key.0) {
                gone.push(key.clone());
            }
            Ok(())
        })?;
        for key in &gone {
            keys.remove(key)?;
        }
        if !gone.is_empty() {
            tracing::info!("the partial matches of {} keys of a pattern that has changed or gone are dropped", gone.len());
        }
        Ok(())
    }

    /// Whether a row completes a match of the pattern with this number, which there has been since a time.
    fn is_match(&mut self, question: &Question, time: i64, (id, since): (u64, i64)) -> Result<bool, Error> {
        let Some(sought) = self.sought.get_mut(&id) else { return Ok(false) };
        let (weight, come) = &mut self.weight;
        if come.is_multiple_of(WEIGHED) {
            weight.measure(&*question.row)?;
            sought.matcher.weigh_events(size_of::<Row>() + weight.bytes());
        }
        *come += 1;
        let before = sought.matcher.dropped();
        let mut keys = self.keys.borrow_mut();
        let state = keys.get_or_insert_with(&question.key, || OfKey { since, newest: time, ..OfKey::default() })?;
        if state.since < since {
            // The pattern was gone in between.
            *state = OfKey { since, wake: std::mem::take(&mut state.wake), ..OfKey::default() };
        }
        state.newest = time.max(state.newest);
        let time = state.newest;
        let mut matches = 0;
        let mut found = |found: Found<'_, Row>| matches += u64::from(matches!(found, Found::Match(_)));
        let mut eval = |condition: &Judged, candidate: &Candidate<'_, Row>| condition.holds(candidate);
        sought.matcher.advance(&mut state.runs, time, &mut found).map_err(MatchError::into_error)?;
        sought.matcher.event(&mut state.runs, Row::clone(&question.row), time, &mut eval, &mut found).map_err(MatchError::into_error)?;
        if let Some(due) = state.runs.deadline() {
            self.wakes.by(due.saturating_add(self.lateness), &mut state.wake, || question.key.clone());
        } else if state.runs.is_empty() {
            keys.remove(&question.key)?;
        }
        self.metrics.dropped.add(sought.matcher.dropped() - before);
        Ok(matches > 0)
    }

    fn answer(&mut self, time: i64, horizon: i64, question: &Question, out: &mut Outbox<Answer, ()>) -> Result<(), Error> {
        let Some((id, since)) = self.of_set.get(&(question.set, question.key.0)).copied() else {
            return Err(Error::internal("a question came for a pattern that is not known"));
        };
        // Without a key a row has no history.
        let is_match = question.known && self.is_match(question, time.max(horizon), (id, since))?;
        out.emit(time, Answer { worker: question.worker, number: question.number, values: vec![(id, Value::Bool(is_match))] });
        Ok(())
    }

    /// Drops the partial matches of a key that have run out of time.
    fn expire(&mut self, key: &GroupKey, time: i64) -> Result<(), Error> {
        let mut keys = self.keys.borrow_mut();
        let Some(state) = keys.get_mut(key)? else { return Ok(()) };
        if !state.wake.woken(time) {
            return Ok(());
        }
        let Some(sought) = self.sought.values_mut().find(|sought| sought.group == key.0) else {
            // The job file has changed.
            keys.remove(key)?;
            return Ok(());
        };
        sought.matcher.advance::<Row, Error>(&mut state.runs, time.saturating_sub(self.lateness), &mut |_| {}).map_err(MatchError::into_error)?;
        match state.runs.deadline() {
            Some(due) => self.wakes.by(due.saturating_add(self.lateness).max(time.saturating_add(1)), &mut state.wake, || key.clone()),
            None if state.runs.is_empty() => _ = keys.remove(key)?,
            None => {}
        }
        Ok(())
    }
}

impl Logic for Matching {
    type In = ToOwner;
    type Out = Answer;
    type Side = ();

    fn opened(&mut self) -> Result<(), Error> {
        self.known.restore();
        self.regroup()?;
        if let Some(queue) = &self.queue {
            // At least once, a checkpoint may hold questions that nobody waits for any longer.
            queue.come(i64::MAX)?;
        }
        Ok(())
    }

    fn record(&mut self, record: Record<ToOwner>, out: &mut Outbox<Answer, ()>) -> Result<(), Error> {
        match &record.value {
            ToOwner::Version(_, accepted) => {
                if self.known.learn(accepted)? {
                    self.regroup()?;
                }
                Ok(())
            }
            ToOwner::Question(question) => match &self.queue {
                Some(queue) => queue.wait(question.key.clone(), record),
                None => {
                    let horizon = out.horizon().0.saturating_sub(self.lateness);
                    self.answer(record.time, horizon, question, out)
                }
            },
        }
    }

    fn waits_until(&self) -> Option<i64> {
        self.queue.as_ref().and_then(Queue::latest)
    }

    fn watermark(&mut self, watermark: Watermark, out: &mut Outbox<Answer, ()>) -> Result<(), Error> {
        if let Some(queue) = &self.queue {
            for Record { time, value } in queue.come(watermark.0)? {
                if let ToOwner::Question(question) = &value {
                    self.answer(time, i64::MIN, question, out)?;
                }
            }
        }
        // At the end of the input nothing is over: another run may go on from here.
        if watermark == Watermark::END {
            return Ok(());
        }
        if self.known.settle(watermark.0.saturating_sub(self.lateness)) {
            self.regroup()?;
        }
        let wakes = self.wakes.clone();
        wakes.fire(watermark.0, |time, key| self.expire(&key, time))
    }
}
