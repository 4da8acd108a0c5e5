//! Runs a compiled pattern over the events of a key. Pure: facts in, matches out, nothing of dataflows.
//!
//! Give it the events of a key in order, each after [`advance`](Matcher::advance) to its time. What a key must remember is its [`Runs`]; a matcher
//! is shared by all keys. There are two [engines](Engine), which find the same: one follows all partial matches of a key at once, at a cost that doesn't
//! grow with them, and the other, for what can't be done so, each by itself.
//!
//! An event whose condition fails is as if it had not come: no run has changed.

mod candidate;
mod engine;
mod runs;
mod separate;
mod shared;
mod ways;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use candidate::{Candidate, Matched};
pub use engine::{Engine, Why};
pub use runs::Runs;

use crate::nfa::{Nfa, StepId};
use separate::SeparateEngine;
use shared::SharedEngine;

/// A match, or a partial match that ran out of time.
#[derive(Clone, Debug, PartialEq)]
pub enum Found<E> {
    /// A match.
    Match(Sequence<E>),
    /// A partial match that ran out of time.
    Timeout(Sequence<E>),
}

/// The events of a match.
#[derive(Clone, Debug, PartialEq)]
pub struct Sequence<E> {
    /// By step, in the order matched; steps without events are left out.
    pub steps: Vec<(Arc<str>, Vec<E>)>,
    /// The time of the first event.
    pub start: i64,
    /// The time of the last event.
    pub end: i64,
    /// Of a match, when it was emitted, which is the time of the completing event unless it was held back; of a timeout, when time ran out.
    pub time: i64,
}

/// How many partial matches a key may have open, and what happens at the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// The most.
    pub runs: usize,
    /// What happens beyond.
    pub overflow: Overflow,
}

/// What happens to the partial matches beyond the limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overflow {
    /// It is an error.
    #[default]
    Fail,
    /// Those that began first are dropped, and counted.
    DropOldest,
    /// Those that began last are dropped, and counted.
    DropNewest,
}

impl Default for Limit {
    /// 100,000 partial matches, then an error: a pattern without a window would otherwise fill the memory before anyone notices.
    fn default() -> Self {
        Self { runs: 100_000, overflow: Overflow::Fail }
    }
}

/// Why an event could not be matched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MatchError<X> {
    /// A condition failed.
    #[error(transparent)]
    Condition(#[from] X),
    /// The step to skip to has no event.
    #[error("a match can't skip to step `{0}`: the step has no event in it")]
    SkipTargetMissing(Arc<str>),
    /// The step to skip to is where the match began.
    #[error("a match can't skip to step `{0}`: its event is the first one of the match")]
    SkipToStart(Arc<str>),
    /// The limit is reached.
    #[error("a key has more than {0} open partial matches: give the pattern a window, let matches skip, or raise the limit")]
    TooManyRuns(usize),
    /// A key holds more events than it may.
    #[error("a key holds more than {0} events of open partial matches: give the pattern a window, let matches skip, or set a limit")]
    TooManyEvents(usize),
    /// An event completes more matches than can be listed.
    #[error("an event completes more than {0} matches: ask for fewer combinations, or let matches skip")]
    TooManyMatches(usize),
}

/// Runs a compiled pattern.
#[derive(Clone, Debug)]
pub struct Matcher<C>(Inside<C>);

#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant, reason = "one for each operator")]
enum Inside<C> {
    Shared(SharedEngine<C>),
    Separate(SeparateEngine<C>),
}

impl<C> Matcher<C> {
    /// A matcher that follows each partial match by itself, and finds those that run out of time, too.
    #[must_use]
    pub fn new(nfa: Arc<Nfa<C>>, limit: Limit) -> Self {
        Self(Inside::Separate(SeparateEngine::new(nfa, limit)))
    }

    /// A matcher that follows all partial matches at once. It doesn't tell which run out of time.
    ///
    /// # Errors
    /// Why it can't be done for this pattern.
    pub fn shared(nfa: Arc<Nfa<C>>) -> Result<Self, Why> {
        engine::obstacle(&nfa).map_or_else(|| Ok(Self(Inside::Shared(SharedEngine::new(nfa)))), Err)
    }

    /// How many partial matches the limit has cost so far.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        match &self.0 {
            Inside::Shared(_) => 0,
            Inside::Separate(engine) => engine.dropped(),
        }
    }

    /// Time has come to `time`: what ran out of it goes, and what was waiting for that is found. Has anything changed?
    ///
    /// # Errors
    /// A match can't skip to where it is told to.
    pub fn advance<E: Clone, X>(&self, runs: &mut Runs<E>, time: i64, found: &mut Vec<Found<E>>) -> Result<bool, MatchError<X>> {
        match &self.0 {
            Inside::Shared(engine) => Ok(engine.advance(&mut runs.0, time)),
            Inside::Separate(engine) => engine.advance(&mut runs.0, time, found),
        }
    }

    /// An event came. `eval` judges a condition; it must always judge alike. Has anything changed, so that it must be written down?
    ///
    /// # Errors
    /// What `eval` returns, a match that can't skip to where it is told to, or too many partial matches.
    #[inline]
    pub fn event<E: Clone, X>(
        &mut self,
        runs: &mut Runs<E>,
        event: E,
        time: i64,
        eval: &mut impl FnMut(&C, &Candidate<'_, E>) -> Result<bool, X>,
        found: &mut Vec<Found<E>>,
    ) -> Result<bool, MatchError<X>> {
        match &mut self.0 {
            Inside::Shared(engine) => engine.event(&mut runs.0, event, time, eval, found),
            Inside::Separate(engine) => engine.event(&mut runs.0, event, time, eval, found),
        }
    }
}

/// Events under the names of their steps.
fn listed<'e, E: Clone + 'e>(names: &[Arc<str>], events: impl Iterator<Item = (StepId, &'e E, i64)>, time: i64) -> Sequence<E> {
    let mut by_step: Vec<(StepId, Vec<E>)> = Vec::new();
    let (mut start, mut end) = (None, time);
    for (step, event, at) in events {
        start = start.or(Some(at));
        end = at;
        // The latest steps are at the end.
        match by_step.iter_mut().rev().find(|(known, _)| *known == step) {
            Some((_, events)) => events.push(event.clone()),
            None => by_step.push((step, vec![event.clone()])),
        }
    }
    let steps = by_step.into_iter().map(|(step, events)| (Arc::clone(&names[step as usize]), events)).collect();
    Sequence { steps, start: start.unwrap_or(time), end, time }
}
