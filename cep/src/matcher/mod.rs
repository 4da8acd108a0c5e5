//! Runs a compiled pattern over the events of a key. Pure: events in, matches out, no dataflow.
//!
//! Give it the events of a key in order, each after a call of [`advance`](Matcher::advance) to its time. What a key must remember is its [`Runs`]; all
//! keys share one matcher. There are two [engines](Engine), which find the same matches. One follows all partial matches of a key at once, at a cost
//! that does not grow with their number. The other follows each by itself, for patterns that need that.
//!
//! If a condition fails on an event, the event is as if it had not come: no run has changed.

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

/// What a matcher reports: a match, or a partial match that ran out of time.
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
    /// The evaluation of a condition failed.
    #[error(transparent)]
    Condition(#[from] X),
    /// The step to skip to has no event in the match.
    #[error("a match can't skip to step `{0}`: the step has no event in it")]
    SkipTargetMissing(Arc<str>),
    /// The match would skip to its own first event.
    #[error("a match can't skip to step `{0}`: its event is the first one of the match")]
    SkipToStart(Arc<str>),
    /// The open partial matches of a key exceed the limit (in bytes), and [`Overflow::Fail`] makes that an error.
    #[error(
        "the open partial matches of a key take more than the {0} bytes of its limit: give the pattern a window, let matches skip, raise the limit, or let it drop the oldest"
    )]
    TooMuch(usize),
    /// The matches that are complete at one moment exceed the limit (in bytes), and [`Overflow::Fail`] makes that an error.
    #[error(
        "the matches that are complete at one moment take more than the {0} bytes of the limit of a key: ask for fewer combinations, let matches skip, or raise the limit"
    )]
    TooManyMatches(usize),
}

/// Runs a compiled pattern, for all keys.
#[derive(Clone, Debug)]
pub struct Matcher<C>(Inside<C>);

#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant, reason = "one for each operator")]
enum Inside<C> {
    Shared(SharedEngine<C>),
    Separate(SeparateEngine<C>),
}

impl<C> Matcher<C> {
    /// Makes a matcher with the [engine](Engine::of) that the pattern needs. With `timeouts`, it reports every partial match that runs out of time.
    #[must_use]
    pub fn new(nfa: Arc<Nfa<C>>, limit: Limit, timeouts: bool) -> Self {
        Self(match Engine::of(&nfa) {
            Engine::Shared => Inside::Shared(SharedEngine::new(nfa, limit, timeouts)),
            Engine::Separate => Inside::Separate(SeparateEngine::new(nfa, limit)),
        })
    }

    /// Makes a matcher that follows each partial match by itself, whatever the pattern, and reports those that run out of time. It is slow, and simple
    /// enough to compare others with.
    #[must_use]
    pub fn one_by_one(nfa: Arc<Nfa<C>>, limit: Limit) -> Self {
        Self(Inside::Separate(SeparateEngine::new(nfa, limit)))
    }

    /// How many matches, partial and complete, the limit has dropped so far. The shared engine counts those with one first event once.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        match &self.0 {
            Inside::Shared(engine) => engine.dropped(),
            Inside::Separate(engine) => engine.dropped(),
        }
    }

    /// Tells about how many bytes an event takes in memory, for the limit.
    pub fn weigh_events(&mut self, bytes: usize) {
        match &mut self.0 {
            Inside::Shared(engine) => engine.weigh_events(bytes),
            Inside::Separate(engine) => engine.weigh_events(bytes),
        }
    }

    /// Advances the time of a key to `time` (milliseconds): drops what has run out of time, and reports the matches that waited for that. Returns whether
    /// `runs` has changed.
    ///
    /// # Errors
    /// A match can't skip to the step it should, or there are too many matches.
    pub fn advance<E, X>(&mut self, runs: &mut Runs<E>, time: i64, found: &mut impl FnMut(Found<'_, E>)) -> Result<bool, MatchError<X>> {
        match &mut self.0 {
            Inside::Shared(engine) => engine.advance(&mut runs.0, time, found),
            Inside::Separate(engine) => engine.advance(&mut runs.0, time, found),
        }
    }

    /// Processes an event. `eval` evaluates a condition; it must always give the same answer. Returns whether `runs` has changed and must be stored anew.
    ///
    /// # Errors
    /// The error that `eval` returned, a match can't skip to the step it should, or the limit makes too many partial matches an error.
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

/// Checks that a match may skip to this event. `first` is the first event of the match.
fn check_target<X>(to: &SkipTo, target: Option<u32>, first: u32) -> Result<(), MatchError<X>> {
    match target {
        None if to.or_fail => Err(MatchError::SkipTargetMissing(Arc::clone(&to.step))),
        Some(target) if to.or_fail && target == first => Err(MatchError::SkipToStart(Arc::clone(&to.step))),
        _ => Ok(()),
    }
}
