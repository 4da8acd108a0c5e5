//! The keyed logic. It orders the events of each key by time, runs the pattern over them as event time advances, and forgets keys that have nothing
//! open. In processing time, it matches events as they come.

use std::cmp::Ordering;
use std::collections::VecDeque;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tidegate_runtime::metrics::OperatorMetrics;
use tidegate_runtime::operator::{Context, Logic, Outbox};
use tidegate_runtime::state::{Handle, Key, Keyed, Meaning, Stored, Wake, Wakes, Weight};
use tidegate_runtime::{Clock, Error, Record, Watermark};

use super::Search;
use super::condition::Judge;
use crate::matcher::{Candidate, Found, Limit, MatchError, Matcher, Overflow, Runs};

/// The most empty queues that are kept for reuse.
const MOST_SPARE: usize = 4_096;

/// One in this many events is weighed, to estimate what a key takes of its limit.
const WEIGHED: u64 = 64;

/// Orders events of one time.
pub type TieBreak<E> = Arc<dyn Fn(&E, &E) -> Ordering + Send + Sync>;

/// What is remembered of one key. It is small, because very many keys may have one partial match open.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct KeyState<E> {
    /// Events whose time has not come, by time and then by arrival.
    waiting: Option<Box<Waiting<E>>>,
    runs: Runs<E>,
    /// When the key is next processed.
    #[serde(rename = "timer", with = "stored_wake")]
    wake: Wake,
}

/// How a wake is stored: as its time, or `i64::MAX` for none.
mod stored_wake {
    use serde::{Deserialize, Deserializer, Serializer};
    use tidegate_runtime::state::Wake;

    pub(super) fn serialize<S: Serializer>(wake: &Wake, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(wake.time().unwrap_or(i64::MAX))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Wake, D::Error> {
        i64::deserialize(deserializer).map(|time| Some(time).filter(|time| *time < i64::MAX).into())
    }
}

impl<E: Stored> Stored for KeyState<E> {
    const SCHEMA: &'static str = "pattern.key/1";

    fn schema() -> String {
        Self::schema_of(&[E::schema()])
    }
}

/// Events with their times.
type Waiting<E> = VecDeque<(i64, E)>;

impl<E> Default for KeyState<E> {
    fn default() -> Self {
        Self { waiting: None, runs: Runs::default(), wake: Wake::default() }
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
        self.waiting.as_ref().map_or(0, |waiting| waiting.len())
    }

    #[allow(clippy::vec_box, reason = "a queue moves between keys by its box")]
    fn insert(&mut self, time: i64, event: E, spare: &mut Vec<Box<Waiting<E>>>) {
        let waiting = self.waiting.get_or_insert_with(|| spare.pop().unwrap_or_default());
        // Most events come in order.
        let at = match waiting.back() {
            Some((last, _)) if *last > time => waiting.partition_point(|(t, _)| *t <= time),
            _ => waiting.len(),
        };
        waiting.insert(at, (time, event));
    }

    /// When the key must next be processed, if ever.
    fn due(&self) -> Option<i64> {
        let first = self.waiting.as_ref().and_then(|waiting| waiting.front()).map(|(time, _)| *time);
        first.into_iter().chain(self.runs.deadline()).min()
    }
}

/// Finds a pattern in the events of each key. The main output has what `tell` makes of matches and timeouts; the side output has late records.
pub struct CepLogic<K, E, C, F, T> {
    key: F,
    tell: T,
    matcher: Matcher<C>,
    limit: Limit,
    /// The estimated weight of events, and how many have come.
    weight: (Weight, u64),
    tie_break: Option<TieBreak<E>>,
    /// Whether timeouts are emitted.
    timeouts: bool,
    metrics: Arc<OperatorMetrics>,
    keys: Handle<Keyed<K, KeyState<E>>>,
    /// When to process which key.
    wakes: Wakes<K>,
    /// Empty queues of keys that have nothing waiting any more, for reuse.
    #[allow(clippy::vec_box, reason = "a queue moves between keys by its box")]
    spare: Vec<Box<Waiting<E>>>,
    /// In processing time: the job's clock, and the latest it has shown.
    clock: Option<(Clock, i64)>,
    /// How many dropped partial matches the metrics count already.
    dropped: u64,
    /// Scratch space: events of one time, while they are sorted.
    tied: Vec<E>,
}

impl<K, E, C, F, T, O> CepLogic<K, E, C, F, T>
where
    K: Key,
    E: Stored,
    C: Judge<E>,
    T: FnMut(&K, &Found<'_, E>) -> O,
    O: Clone + 'static,
{
    /// Runs `search`, and emits what `tell` makes of each match and timeout. The events lie in the state of the key; `tell` copies what it needs of
    /// them. [`Emitted::of`](super::Emitted::of) copies all.
    ///
    /// # Errors
    /// The operator has states of these names already.
    pub fn new(key: F, search: Search<E, C>, tell: T, context: &mut Context) -> Result<Self, Error> {
        let Search { nfa, limit, tie_break, timeouts, processing_time } = search;
        Ok(Self {
            key,
            tell,
            matcher: Matcher::new(nfa, limit, timeouts),
            limit,
            weight: (Weight::of_values::<E>(), 0),
            tie_break,
            timeouts,
            metrics: Arc::clone(&context.metrics),
            keys: context.states.keyed("partial_matches", Meaning::of_type())?,
            wakes: context.states.wakes("wakes")?,
            spare: Vec::new(),
            clock: processing_time.then(|| (context.clock().clone(), i64::MIN)),
            dropped: 0,
            tied: Vec::new(),
        })
    }

    /// All keys, each with what is remembered of it.
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

    /// Puts in what another instance remembered of a key.
    ///
    /// # Errors
    /// The disk failed.
    pub fn restore(&mut self, key: K, mut state: KeyState<E>) -> Result<(), Error> {
        if let Some(time) = std::mem::take(&mut state.wake).time() {
            self.wakes.by(time, &mut state.wake, || key.clone());
        }
        self.keys.borrow_mut().insert(&key, state)
    }

    /// The number of timers set. Some may be obsolete, because an earlier timer of the same key replaced them.
    #[must_use]
    pub fn timers(&self) -> usize {
        self.wakes.entries()
    }

    /// How many partial matches the limit has dropped so far.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.matcher.dropped()
    }

    /// Processes a key whose timer fired.
    fn fire(&mut self, key: &K, now: i64, out: &mut Outbox<O, E>) -> Result<(), Error> {
        let mut keys = self.keys.borrow_mut();
        if keys.get(key)?.is_none_or(|state| !state.wake.is_at(now)) {
            return Ok(());
        }
        let Some(state) = keys.get_mut(key)? else { return Ok(()) };
        state.wake.woken(now);
        let mut eval = |condition: &C, candidate: &Candidate<'_, E>| condition.holds(candidate);
        let untimed = self.clock.is_some();
        let mut found = emit(key, &mut self.tell, self.timeouts, untimed, out);
        if let Some(mut waiting) = state.waiting.take() {
            while let Some(time) = waiting.front().map(|(time, _)| *time).filter(|time| *time <= now) {
                self.matcher.advance(&mut state.runs, time, &mut found).map_err(MatchError::into_error)?;
                let tied = waiting.partition_point(|(t, _)| *t <= time);
                self.tied.extend(waiting.drain(..tied).map(|(_, event)| event));
                if let Some(order) = &self.tie_break {
                    self.tied.sort_by(|a, b| order(a, b));
                }
                for event in self.tied.drain(..) {
                    self.matcher.event(&mut state.runs, event, time, &mut eval, &mut found).map_err(MatchError::into_error)?;
                }
            }
            if waiting.is_empty() && self.spare.len() < MOST_SPARE {
                self.spare.push(waiting);
            } else if !waiting.is_empty() {
                state.waiting = Some(waiting);
            }
        }
        self.matcher.advance(&mut state.runs, now, &mut found).map_err(MatchError::into_error)?;
        if let Some(due) = state.due() {
            self.wakes.by(due, &mut state.wake, || key.clone());
        } else if state.runs.is_empty() {
            keys.remove(key)?;
        }
        drop(keys);
        drop(found);
        self.count_dropped();
        Ok(())
    }

    /// Matches an event at once, at the time the clock shows.
    fn look(&mut self, key: &K, event: E, out: &mut Outbox<O, E>) -> Result<(), Error> {
        let Some((clock, latest)) = &mut self.clock else { return Ok(()) };
        // The clock may be set back.
        *latest = clock.now().max(*latest);
        let now = *latest;
        let mut eval = |condition: &C, candidate: &Candidate<'_, E>| condition.holds(candidate);
        let mut found = emit(key, &mut self.tell, self.timeouts, true, out);
        let mut keys = self.keys.borrow_mut();
        let state = keys.get_or_insert_with(key, KeyState::default)?;
        self.matcher.advance(&mut state.runs, now, &mut found).map_err(MatchError::into_error)?;
        self.matcher.event(&mut state.runs, event, now, &mut eval, &mut found).map_err(MatchError::into_error)?;
        if let Some(due) = state.due() {
            self.wakes.by(due, &mut state.wake, || key.clone());
        } else if state.runs.is_empty() {
            keys.remove(key)?;
        }
        drop(keys);
        drop(found);
        self.count_dropped();
        Ok(())
    }

    fn count_dropped(&mut self) {
        let dropped = self.matcher.dropped();
        if self.dropped == 0 && dropped > 0 {
            let which = if self.limit.overflow == Overflow::DropNewest { "last" } else { "first" };
            tracing::warn!(
                "the partial matches of a key take more than its limit of {} MiB: those that began {which} are dropped. A window, or matches that skip, keep \
                 fewer of them open; `limit` says what a key may take",
                self.limit.memory.div_ceil(1 << 20)
            );
        }
        self.metrics.dropped.add(dropped - std::mem::replace(&mut self.dropped, dropped));
    }

    /// Weighs a sample of the events.
    fn weigh(&mut self, event: &E) -> Result<(), Error> {
        let (weight, come) = &mut self.weight;
        if come.is_multiple_of(WEIGHED) {
            weight.measure(event)?;
            self.matcher.weigh_events(size_of::<E>() + weight.bytes());
        }
        *come += 1;
        Ok(())
    }
}

/// Returns the callback that emits what is found for a key.
fn emit<'a, K, E, T, O>(
    key: &'a K,
    tell: &'a mut T,
    timeouts: bool,
    untimed: bool,
    out: &'a mut Outbox<O, E>,
) -> impl FnMut(Found<'_, E>) + use<'a, K, E, T, O>
where
    T: FnMut(&K, &Found<'_, E>) -> O,
    O: Clone + 'static,
    E: Stored,
{
    move |found| {
        let (Found::Match(sequence) | Found::Timeout(sequence)) = &found;
        if timeouts || matches!(found, Found::Match(_)) {
            let time = if untimed { Record::UNTIMED } else { sequence.time };
            out.emit(time, tell(key, &found));
        }
    }
}

impl MatchError<Error> {
    /// The error that fails a job.
    #[must_use]
    pub fn into_error(self) -> Error {
        match self {
            Self::Condition(error) => error,
            other => Error::user(other.to_string()),
        }
    }
}

impl<K, E, C, F, T, O> Logic for CepLogic<K, E, C, F, T>
where
    K: Key,
    E: Stored,
    C: Judge<E> + 'static,
    F: Fn(&E) -> K + 'static,
    T: FnMut(&K, &Found<'_, E>) -> O + 'static,
    O: Clone + 'static,
{
    type In = E;
    type Out = O;
    type Side = E;

    fn record(&mut self, record: Record<E>, out: &mut Outbox<Self::Out, E>) -> Result<(), Error> {
        self.weigh(&record.value)?;
        if self.clock.is_some() {
            let key = (self.key)(&record.value);
            return self.look(&key, record.value, out);
        }
        if record.time == Record::UNTIMED {
            return Err(Error::user("a record without an event time came to a pattern: give its source an event time"));
        }
        if record.time <= out.horizon().0 {
            self.metrics.late.add(1);
            out.emit_side(record.time, record.value);
            return Ok(());
        }
        let key = (self.key)(&record.value);
        let mut keys = self.keys.borrow_mut();
        let state = keys.get_or_insert_with(&key, KeyState::default)?;
        let time = record.time;
        self.wakes.foresee(time);
        state.insert(time, record.value, &mut self.spare);
        self.wakes.by(time, &mut state.wake, || key);
        Ok(())
    }

    fn waits_until(&self) -> Option<i64> {
        if self.clock.is_some() { None } else { self.wakes.latest() }
    }

    fn watermark(&mut self, watermark: Watermark, out: &mut Outbox<Self::Out, E>) -> Result<(), Error> {
        // In processing time, the end of the input is not the end of time.
        if self.clock.is_some() {
            return Ok(());
        }
        let wakes = self.wakes.clone();
        wakes.fire(watermark.0, |now, key| self.fire(&key, now, out))
    }

    fn clock(&mut self, now: i64, out: &mut Outbox<Self::Out, E>) -> Result<Option<i64>, Error> {
        let Some((_, latest)) = &mut self.clock else { return Ok(None) };
        *latest = now.max(*latest);
        let now = *latest;
        let wakes = self.wakes.clone();
        wakes.fire(now, |time, key| self.fire(&key, time, out))?;
        Ok(self.wakes.next())
    }
}
