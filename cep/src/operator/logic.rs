//! The keyed logic: orders the events of each key by time, runs the pattern over them as time comes, and forgets keys that have nothing open.

use std::cmp::Ordering;
use std::collections::VecDeque;
use std::hash::Hash;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tidegate_runtime::metrics::OperatorMetrics;
use tidegate_runtime::operator::{Context, Logic, Outbox};
use tidegate_runtime::state::{Handle, Keyed, Timers};
use tidegate_runtime::{Data, Error, Record, Watermark};

use super::condition::Judge;
use super::{Emitted, Match, Search};
use crate::matcher::{Candidate, Found, MatchError, Matcher, Runs, Sequence};

/// How events of one time are ordered.
pub type TieBreak<E> = Arc<dyn Fn(&E, &E) -> Ordering + Send + Sync>;

/// All that is remembered of one key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct KeyState<E> {
    /// Events whose time has not come, in order of time and then of arrival.
    waiting: VecDeque<(i64, E)>,
    runs: Runs<E>,
    /// The one timer of the key.
    timer: Option<i64>,
}

impl<E> Default for KeyState<E> {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), runs: Runs::default(), timer: None }
    }
}

impl<E> KeyState<E> {
    /// The open partial matches.
    #[must_use]
    pub fn runs(&self) -> &Runs<E> {
        &self.runs
    }

    /// The number of events whose time has not come.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    fn insert(&mut self, time: i64, event: E) {
        // Most events come in order.
        let at = match self.waiting.back() {
            Some((last, _)) if *last > time => self.waiting.partition_point(|(t, _)| *t <= time),
            _ => self.waiting.len(),
        };
        self.waiting.insert(at, (time, event));
    }

    /// When the key is next to be looked at.
    fn due(&self) -> Option<i64> {
        self.waiting.front().map(|(time, _)| *time).into_iter().chain(self.runs.deadline()).min()
    }
}

/// Finds a pattern in the events of each key. The main output has matches and timeouts, the side output late records.
pub struct CepLogic<K, E, C, F> {
    key: F,
    matcher: Matcher<C>,
    tie_break: Option<TieBreak<E>>,
    /// Are timeouts emitted?
    timeouts: bool,
    metrics: Arc<OperatorMetrics>,
    keys: Handle<Keyed<K, KeyState<E>>>,
    /// When to look at which key. They are never taken back: whoever is woken too early, or twice, sees so from the time it keeps itself.
    wakes: Handle<Timers<K>>,
    found: Vec<Found<E>>,
    /// Events of one time, while they are sorted.
    tied: Vec<E>,
}

impl<K, E, C, F> CepLogic<K, E, C, F>
where
    K: Data + Eq + Hash,
    E: Data,
    C: Judge<E>,
{
    /// Does what `search` says.
    ///
    /// # Errors
    /// The operator has states of these names already.
    pub fn new(key: F, search: Search<E, C>, context: &mut Context) -> Result<Self, Error> {
        let Search { nfa, limit, tie_break, timeouts } = search;
        let matcher = Matcher::new(nfa, limit);
        let keys = context.states.keyed("keys", None)?;
        let wakes = context.states.timers("wakes")?;
        let metrics = Arc::clone(&context.metrics);
        Ok(Self { key, matcher, tie_break, timeouts, metrics, keys, wakes, found: Vec::new(), tied: Vec::new() })
    }

    /// What is remembered, key by key.
    ///
    /// # Errors
    /// The disk failed.
    pub fn keys(&self) -> Result<Vec<(K, KeyState<E>)>, Error> {
        let mut keys = Vec::new();
        self.keys.borrow().for_each(|key, state| {
            keys.push((key.clone(), state.clone()));
            Ok(())
        })?;
        Ok(keys)
    }

    /// Takes back what another instance remembered of a key.
    ///
    /// # Errors
    /// The disk failed.
    pub fn restore(&mut self, key: K, state: KeyState<E>) -> Result<(), Error> {
        if let Some(timer) = state.timer {
            self.wakes.borrow_mut().set(timer, key.clone());
        }
        self.keys.borrow_mut().insert(&key, state)
    }

    /// The number of timers set; some may have been overtaken by earlier ones.
    #[must_use]
    pub fn timers(&self) -> usize {
        self.wakes.borrow().entries()
    }

    /// How many partial matches the limit has cost so far.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.matcher.dropped()
    }

    /// Looks at a key whose timer fired.
    fn fire(&mut self, key: &K, now: i64, out: &mut Outbox<Emitted<K, E>, E>) -> Result<(), Error> {
        // A later timer may have been overtaken by an earlier one.
        let mut keys = self.keys.borrow_mut();
        if keys.get(key)?.is_none_or(|state| state.timer != Some(now)) {
            return Ok(());
        }
        let Some(state) = keys.get_mut(key)? else { return Ok(()) };
        let mut eval = |condition: &C, candidate: &Candidate<'_, E>| condition.holds(candidate);
        while let Some(time) = state.waiting.front().map(|(time, _)| *time).filter(|time| *time <= now) {
            self.matcher.advance(&mut state.runs, time, &mut self.found).map_err(failed)?;
            let tied = state.waiting.partition_point(|(t, _)| *t <= time);
            self.tied.extend(state.waiting.drain(..tied).map(|(_, event)| event));
            if let Some(order) = &self.tie_break {
                self.tied.sort_by(|a, b| order(a, b));
            }
            for event in self.tied.drain(..) {
                self.matcher.event(&mut state.runs, event, time, &mut eval, &mut self.found).map_err(failed)?;
            }
        }
        self.matcher.advance(&mut state.runs, now, &mut self.found).map_err(failed)?;
        state.timer = state.due();
        if let Some(timer) = state.timer {
            self.wakes.borrow_mut().set(timer, key.clone());
        } else if state.runs.is_empty() {
            keys.remove(key)?;
        }
        for found in self.found.drain(..) {
            match found {
                Found::Match(sequence) => out.emit(sequence.time, Emitted::Match(of_key(key, sequence))),
                Found::Timeout(sequence) if self.timeouts => out.emit(sequence.time, Emitted::Timeout(of_key(key, sequence))),
                Found::Timeout(_) => {}
            }
        }
        Ok(())
    }
}

fn of_key<K: Clone, E>(key: &K, sequence: Sequence<E>) -> Match<K, E> {
    Match { key: key.clone(), steps: sequence.steps, start: sequence.start, end: sequence.end }
}

fn failed(error: MatchError<Error>) -> Error {
    match error {
        MatchError::Condition(error) => error,
        other => Error::user(other.to_string()),
    }
}

impl<K, E, C, F> Logic for CepLogic<K, E, C, F>
where
    K: Data + Eq + Hash,
    E: Data,
    C: Judge<E> + 'static,
    F: Fn(&E) -> K + 'static,
{
    type In = E;
    type Out = Emitted<K, E>;
    type Side = E;

    fn prefetch(&mut self, records: &[Record<E>]) -> Result<(), Error> {
        let keys: Vec<K> = records.iter().map(|record| (self.key)(&record.value)).collect();
        self.keys.borrow_mut().prefetch(keys.iter())
    }

    fn record(&mut self, record: Record<E>, out: &mut Outbox<Self::Out, E>) -> Result<(), Error> {
        if record.time == Record::UNTIMED {
            return Err(Error::user("a record without an event time came to a pattern: give its source an event time"));
        }
        if record.time <= out.watermark().0 {
            self.metrics.late.add(1);
            out.emit_side(record.time, record.value);
            return Ok(());
        }
        let key = (self.key)(&record.value);
        let mut keys = self.keys.borrow_mut();
        let state = keys.get_or_insert_with(&key, KeyState::default)?;
        let time = record.time;
        state.insert(time, record.value);
        if state.timer.is_none_or(|timer| time < timer) {
            state.timer = Some(time);
            self.wakes.borrow_mut().set(time, key);
        }
        Ok(())
    }

    fn watermark(&mut self, watermark: Watermark, out: &mut Outbox<Self::Out, E>) -> Result<(), Error> {
        loop {
            let due = self.wakes.borrow_mut().take_due(watermark.0);
            let Some((now, keys)) = due else { return Ok(()) };
            for key in keys {
                self.fire(&key, now, out)?;
            }
        }
    }
}
