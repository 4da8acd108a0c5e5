//! Runs a compiled pattern over the events of a key. Pure: facts in, matches out, nothing of dataflows.
//!
//! Give it the events of a key in order, each after [`advance`](Matcher::advance) to its time. What a key must remember is its [`Runs`]; a matcher
//! is shared by all keys. There are two [engines](Engine), which find the same: one follows all partial matches of a key at once, at a cost that doesn't
//! grow with them, and the other, for what can't be done so, each by itself.
//!
//! An event whose condition fails is as if it had not come: no run has changed.

mod candidate;
mod engine;
mod limit;
mod listing;
mod past;
mod runs;
mod separate;
mod sequence;
mod shared;
mod ways;

use std::sync::Arc;

pub use candidate::{Candidate, Matched};
pub use engine::Engine;
pub use limit::{Limit, Overflow};
pub use runs::Runs;
pub use sequence::Sequence;

use crate::nfa::Nfa;
use crate::pattern::SkipTo;
use separate::SeparateEngine;
use shared::SharedEngine;

/// A match, or a partial match that ran out of time.
#[derive(Clone, Copy, Debug)]
pub enum Found<'a, E> {
    /// A match.
    Match(Sequence<'a, E>),
    /// A partial match that ran out of time.
    Timeout(Sequence<'a, E>),
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
    #[error(
        "the open partial matches of a key take more than the {0} bytes of its limit: give the pattern a window, let matches skip, raise the limit, or let it drop the oldest"
    )]
    TooMuch(usize),
    /// What is complete can't be listed within the limit.
    #[error(
        "the matches that are complete at one moment take more than the {0} bytes of the limit of a key: ask for fewer combinations, let matches skip, or raise the limit"
    )]
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
    /// A matcher by the [engine](Engine::of) that the pattern needs. Does anyone want to know what runs out of time?
    #[must_use]
    pub fn new(nfa: Arc<Nfa<C>>, limit: Limit, timeouts: bool) -> Self {
        Self(match Engine::of(&nfa) {
            Engine::Shared => Inside::Shared(SharedEngine::new(nfa, limit, timeouts)),
            Engine::Separate => Inside::Separate(SeparateEngine::new(nfa, limit)),
        })
    }

    /// A matcher that follows each partial match by itself, whatever the pattern, and tells which run out of time. Slow, and simple enough to compare
    /// others with.
    #[must_use]
    pub fn one_by_one(nfa: Arc<Nfa<C>>, limit: Limit) -> Self {
        Self(Inside::Separate(SeparateEngine::new(nfa, limit)))
    }

    /// How many matches the limit has cost so far, partial and complete. Where they are shared, those with one first event count once.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        match &self.0 {
            Inside::Shared(engine) => engine.dropped(),
            Inside::Separate(engine) => engine.dropped(),
        }
    }

    /// Says about how many bytes an event takes in memory, for the limit.
    pub fn weigh_events(&mut self, bytes: usize) {
        match &mut self.0 {
            Inside::Shared(engine) => engine.weigh_events(bytes),
            Inside::Separate(engine) => engine.weigh_events(bytes),
        }
    }

    /// Time has come to `time`: what ran out of it goes, and what was waiting for that is found. Has anything changed?
    ///
    /// # Errors
    /// A match can't skip to where it is told to, or there are too many matches.
    pub fn advance<E, X>(&mut self, runs: &mut Runs<E>, time: i64, found: &mut impl FnMut(Found<'_, E>)) -> Result<bool, MatchError<X>> {
        match &mut self.0 {
            Inside::Shared(engine) => engine.advance(&mut runs.0, time, found),
            Inside::Separate(engine) => engine.advance(&mut runs.0, time, found),
        }
    }

    /// An event came. `eval` judges a condition; it must always judge alike. Has anything changed, so that it must be stored anew?
    ///
    /// # Errors
    /// What `eval` returns, a match that can't skip to where it is told to, or too many partial matches where the limit says so.
    #[inline]
    pub fn event<E, X>(
        &mut self,
        runs: &mut Runs<E>,
        event: E,
        time: i64,
        eval: &mut impl FnMut(&C, &Candidate<'_, E>) -> Result<bool, X>,
        found: &mut impl FnMut(Found<'_, E>),
    ) -> Result<bool, MatchError<X>> {
        match &mut self.0 {
            Inside::Shared(engine) => engine.event(&mut runs.0, event, time, eval, found),
            Inside::Separate(engine) => engine.event(&mut runs.0, event, time, eval, found),
        }
    }
}

/// May a match skip to this event? `first` is the first of the match.
fn check_target<X>(to: &SkipTo, target: Option<u32>, first: u32) -> Result<(), MatchError<X>> {
    match target {
        None if to.or_fail => Err(MatchError::SkipTargetMissing(Arc::clone(&to.step))),
        Some(target) if to.or_fail && target == first => Err(MatchError::SkipToStart(Arc::clone(&to.step))),
        _ => Ok(()),
    }
}
