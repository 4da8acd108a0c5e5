//! Patterns on keyed streams.
//!
//! Time is event time. An event is looked at when the watermark has come to its time; what comes later than that goes to the late stream. Events of one time
//! keep their order of arrival unless a tie-break orders them. A match has the event time at which it was emitted, which is that of its completing event
//! unless it was held back; a timeout, the time at which it was over. Or time is processing time: events are looked at as they come.

mod condition;
mod logic;

use std::cmp::Ordering;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use tidegate_operators::{KeyedStream, Stream};
use tidegate_runtime::operator::keyed;
use tidegate_runtime::state::{Key, Stored};
use tidegate_runtime::{Kind, OperatorSpec};

pub use condition::{Judge, Where};
pub use logic::{CepLogic, KeyState, TieBreak};

use crate::matcher::{Engine, Found, Limit};
use crate::nfa::Nfa;
use crate::pattern::{Condition, Invalid, Pattern};

/// The kind of pattern operators, as savepoints know it.
pub const PATTERN: Kind = Kind::new("pattern");

/// The events of a match, or of a partial one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Match<K, E> {
    /// The key.
    pub key: K,
    /// By step, in the order matched; steps without events are left out.
    pub steps: Vec<(Arc<str>, Vec<E>)>,
    /// The time of the first event.
    pub start: i64,
    /// The time of the last event.
    pub end: i64,
}

impl<K: Stored, E: Stored> Stored for Match<K, E> {
    const SCHEMA: &'static str = "pattern.match/1";

    fn schema() -> String {
        Self::schema_of(&[K::schema(), E::schema()])
    }
}

impl<K, E> Match<K, E> {
    /// The events of a step.
    #[must_use]
    pub fn events(&self, step: &str) -> &[E] {
        self.steps.iter().find(|(name, _)| **name == *step).map_or(&[], |(_, events)| events)
    }
}

/// What a pattern operator emits, unless it is told to emit something else.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Emitted<K, E> {
    /// A match.
    Match(Match<K, E>),
    /// A partial match that ran out of time.
    Timeout(Match<K, E>),
}

impl<K: Clone, E: Clone> Emitted<K, E> {
    /// The events of what was found, copied out of the state of its key.
    #[must_use]
    pub fn of(key: &K, found: &Found<'_, E>) -> Self {
        let (Found::Match(sequence) | Found::Timeout(sequence)) = found;
        let of_key = Match { key: key.clone(), steps: sequence.by_step(), start: sequence.start(), end: sequence.end() };
        if let Found::Match(_) = found { Self::Match(of_key) } else { Self::Timeout(of_key) }
    }
}

/// Shows the time in milliseconds since 1970.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// A compiled pattern, and what is not of it but of how it is run. Make it once, outside the job's closure: it is shared by all workers.
pub struct Search<E, C = Where<E>> {
    nfa: Arc<Nfa<C>>,
    limit: Limit,
    tie_break: Option<TieBreak<E>>,
    timeouts: bool,
    clock: Option<Clock>,
}

impl<E, C> Clone for Search<E, C> {
    fn clone(&self) -> Self {
        let Self { nfa, limit, tie_break, timeouts, clock } = self;
        Self { nfa: Arc::clone(nfa), limit: *limit, tie_break: tie_break.clone(), timeouts: *timeouts, clock: clock.clone() }
    }
}

impl<E, C: Condition> Search<E, C> {
    /// Looks for a pattern.
    ///
    /// # Errors
    /// All that is wrong with the pattern.
    pub fn new(pattern: Pattern<C>) -> Result<Self, Invalid> {
        Ok(Self { nfa: Arc::new(Nfa::compile(pattern)?), limit: Limit::default(), tie_break: None, timeouts: true, clock: None })
    }

    /// How much memory the partial matches of a key may take, and what happens beyond.
    #[must_use]
    pub fn limit(mut self, limit: Limit) -> Self {
        self.limit = limit;
        self
    }

    /// Takes events as they come, at the time the wall clock shows then. What the pattern emits has no event time.
    #[must_use]
    pub fn processing_time(self) -> Self {
        self.processing_time_by(|| {
            SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX))
        })
    }

    /// The same with another clock. Timers go by the wall clock.
    #[must_use]
    pub fn processing_time_by(mut self, clock: impl Fn() -> i64 + Send + Sync + 'static) -> Self {
        self.clock = Some(Arc::new(clock));
        self
    }

    /// Lets go of partial matches that run out of time without a word.
    #[must_use]
    pub fn without_timeouts(mut self) -> Self {
        self.timeouts = false;
        self
    }

    /// In which order events of one time are looked at; equal ones keep their order of arrival.
    #[must_use]
    pub fn tie_break(mut self, order: impl Fn(&E, &E) -> Ordering + Send + Sync + 'static) -> Self {
        self.tie_break = Some(Arc::new(order));
        self
    }
}

impl<E, C> Search<E, C> {
    /// How partial matches are followed.
    #[must_use]
    pub fn engine(&self) -> Engine {
        Engine::of(&self.nfa)
    }
}

/// What a pattern makes of a stream.
pub struct Matches<'s, K: 'static, E: 'static> {
    /// Matches.
    pub matches: Stream<'s, Match<K, E>>,
    /// Partial matches that ran out of time.
    pub timeouts: Stream<'s, Match<K, E>>,
    /// Records that came too late.
    pub late: Stream<'s, E>,
}

/// Patterns as a method of keyed streams.
pub trait CepExt<'s, E: Stored, F> {
    /// Looks for a pattern in the events of each key.
    #[must_use]
    fn pattern<K, C>(self, name: &str, search: Search<E, C>) -> Matches<'s, K, E>
    where
        K: Key,
        C: Judge<E> + 'static,
        F: Fn(&E) -> K + Clone + 'static;
}

impl<'s, E: Stored, F> CepExt<'s, E, F> for KeyedStream<'s, E, F> {
    fn pattern<K, C>(self, name: &str, search: Search<E, C>) -> Matches<'s, K, E>
    where
        K: Key,
        C: Judge<E> + 'static,
        F: Fn(&E) -> K + Clone + 'static,
    {
        let (edge, key) = self.into_parts();
        let of_record = key.clone();
        let label = format!("pattern: {}; {}", search.nfa.steps().collect::<Vec<_>>().join(", "), search.engine());
        let spec = OperatorSpec::new(PATTERN).labelled(label);
        let (main, side) = keyed(edge, name, spec, Some("late"), key, |context| CepLogic::new(of_record, search, Emitted::of, context));
        let emitted = Stream::from_edge(main);
        let matches = emitted.clone().flat_map(&format!("{name}/matches"), |emitted| match emitted {
            Emitted::Match(found) => Some(found),
            Emitted::Timeout(_) => None,
        });
        let timeouts = emitted.flat_map(&format!("{name}/timeouts"), |emitted| match emitted {
            Emitted::Match(_) => None,
            Emitted::Timeout(found) => Some(found),
        });
        Matches { matches, timeouts, late: Stream::from_edge(side) }
    }
}
