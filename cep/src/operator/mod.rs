//! Patterns on keyed streams.
//!
//! In event time, an event is matched once the watermark has come to its time; what comes later goes to the late stream. Events of one time keep
//! their order of arrival unless a tie-break orders them. The event time of a match is the time at which it was emitted: that of its completing
//! event, unless the match was held back. The event time of a timeout is the time at which it was over. In processing time, events are matched as
//! they come.

mod condition;
mod logic;

use std::cmp::Ordering;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tidegate_operators::{KeyedStream, Stream};
use tidegate_runtime::operator::keyed;
use tidegate_runtime::state::{Key, Stored};
use tidegate_runtime::{Kind, OperatorSpec};

pub use condition::{Judge, Where};
pub use logic::{CepLogic, KeyState, TieBreak};

use crate::matcher::{Engine, Found, Limit, Matcher};
use crate::nfa::Nfa;
use crate::pattern::{Condition, Invalid, Pattern};

/// The kind of pattern operators, as savepoints know it.
pub const PATTERN: Kind = Kind::new("pattern");

/// A match, or a partial match, with its events copied.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Match<K, E> {
    /// The key.
    pub key: K,
    /// The events by step, in the order matched; steps without events are left out.
    pub steps: Vec<(Arc<str>, Vec<E>)>,
    /// The time of the first event, in milliseconds since 1970.
    pub start: i64,
    /// The time of the last event, in milliseconds since 1970.
    pub end: i64,
}

impl<K: Stored, E: Stored> Stored for Match<K, E> {
    const SCHEMA: &'static str = "pattern.match/1";

    fn schema() -> String {
        Self::schema_of(&[K::schema(), E::schema()])
    }
}

impl<K, E> Match<K, E> {
    /// The events of a step, in order; empty if the step has none.
    #[must_use]
    pub fn events(&self, step: &str) -> &[E] {
        self.steps.iter().find(|(name, _)| **name == *step).map_or(&[], |(_, events)| events)
    }
}

/// What a pattern operator emits by default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Emitted<K, E> {
    /// A match.
    Match(Match<K, E>),
    /// A partial match that ran out of time.
    Timeout(Match<K, E>),
}

impl<K: Clone, E: Clone> Emitted<K, E> {
    /// Copies all events of what was found out of the state of its key.
    #[must_use]
    pub fn of(key: &K, found: &Found<'_, E>) -> Self {
        let (Found::Match(sequence) | Found::Timeout(sequence)) = found;
        let of_key = Match { key: key.clone(), steps: sequence.by_step(), start: sequence.start(), end: sequence.end() };
        if let Found::Match(_) = found { Self::Match(of_key) } else { Self::Timeout(of_key) }
    }
}

/// A compiled pattern, with options for how it is run. Make it once, outside the job's closure: all workers share it.
pub struct Search<E, C = Where<E>> {
    nfa: Arc<Nfa<C>>,
    limit: Limit,
    tie_break: Option<TieBreak<E>>,
    timeouts: bool,
    processing_time: bool,
}

impl<E, C> Clone for Search<E, C> {
    fn clone(&self) -> Self {
        let Self { nfa, limit, tie_break, timeouts, processing_time } = self;
        Self { nfa: Arc::clone(nfa), limit: *limit, tie_break: tie_break.clone(), timeouts: *timeouts, processing_time: *processing_time }
    }
}

impl<E, C: Condition> Search<E, C> {
    /// Compiles a pattern, to run it in event time with the default [`Limit`].
    ///
    /// # Errors
    /// The pattern is invalid; the error lists everything that is wrong with it.
    pub fn new(pattern: Pattern<C>) -> Result<Self, Invalid> {
        Ok(Self { nfa: Arc::new(Nfa::compile(pattern)?), limit: Limit::default(), tie_break: None, timeouts: true, processing_time: false })
    }

    /// Limits the memory that the partial matches of a key may take, and says what happens beyond.
    #[must_use]
    pub fn limit(mut self, limit: Limit) -> Self {
        self.limit = limit;
        self
    }

    /// Takes events as they come, at the time the job's clock shows then. What the pattern emits has no event time.
    #[must_use]
    pub fn processing_time(mut self) -> Self {
        self.processing_time = true;
        self
    }

    /// Drops partial matches that run out of time, without emitting them.
    #[must_use]
    pub fn without_timeouts(mut self) -> Self {
        self.timeouts = false;
        self
    }

    /// Orders events of one time; events that compare as equal keep their order of arrival.
    #[must_use]
    pub fn tie_break(mut self, order: impl Fn(&E, &E) -> Ordering + Send + Sync + 'static) -> Self {
        self.tie_break = Some(Arc::new(order));
        self
    }
}

impl<E, C> Search<E, C> {
    /// A matcher for this pattern, for use without the operator. It tells of no partial match that runs out of time.
    #[must_use]
    pub fn matcher(&self) -> Matcher<C> {
        Matcher::new(Arc::clone(&self.nfa), self.limit, false)
    }

    /// The engine that the pattern needs: how partial matches are followed.
    #[must_use]
    pub fn engine(&self) -> Engine {
        Engine::of(&self.nfa)
    }
}

/// The streams that a pattern operator emits.
pub struct Matches<'s, K: 'static, E: 'static> {
    /// Matches.
    pub matches: Stream<'s, Match<K, E>>,
    /// Partial matches that ran out of time.
    pub timeouts: Stream<'s, Match<K, E>>,
    /// Records that came too late.
    pub late: Stream<'s, E>,
}

/// Adds patterns to keyed streams.
pub trait CepExt<'s, E: Stored, F> {
    /// Looks for a pattern in the events of each key. The operator's state is kept under `name`. The [front page](crate) has an example.
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
