//! Runs a compiled pattern over the events of a key. Pure: facts in, matches out, nothing of dataflows.
//!
//! Give it the events of a key in order, each after [`advance`](Matcher::advance) to its time. What a key must remember is its [`Runs`]; a matcher
//! is shared by all keys. The cost of an event is a look-up for each open run, and a little more for those it does something to.
//!
//! An event whose condition fails is as if it had not come: no run has changed.

mod candidate;
mod complete;
mod decide;
mod runs;
mod slab;

use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use candidate::{Candidate, Matched};
pub use runs::Runs;

use crate::nfa::{Kind, Nfa};
use decide::{Decider, Decision, Subject};
use runs::{Complete, Origin, Run};
use slab::NONE;

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
}

/// Runs a compiled pattern.
#[derive(Clone, Debug)]
pub struct Matcher<C> {
    nfa: Arc<Nfa<C>>,
    limit: Limit,
    dropped: u64,
    decider: Decider,
    /// What the event does to each run.
    ranges: Vec<Range<usize>>,
    spare: Vec<Run>,
    /// Does any state have a window of its own?
    windowed_states: bool,
}

impl<C> Matcher<C> {
    /// A matcher of this pattern.
    #[must_use]
    pub fn new(nfa: Arc<Nfa<C>>, limit: Limit) -> Self {
        let decider = Decider::new(&nfa);
        let windowed_states = nfa.states.iter().any(|state| state.within.is_some());
        Self { nfa, limit, dropped: 0, decider, ranges: Vec::new(), spare: Vec::new(), windowed_states }
    }

    /// The pattern.
    #[must_use]
    pub fn nfa(&self) -> &Nfa<C> {
        &self.nfa
    }

    /// How many partial matches the limit has cost so far.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Time has come to `time`: what ran out of it goes, and what was waiting for that is found.
    ///
    /// # Errors
    /// A match can't skip to where it is told to.
    pub fn advance<E: Clone, X>(&self, runs: &mut Runs<E>, time: i64, found: &mut Vec<Found<E>>) -> Result<(), MatchError<X>> {
        if time < runs.deadline || runs.open.is_empty() {
            return Ok(());
        }
        let mut open = std::mem::take(&mut runs.open);
        open.retain(|run| {
            let Some(at) = self.expiry(run).filter(|at| *at <= time) else { return true };
            if self.nfa.state(run.state).kind == Kind::Pending {
                self.complete(runs, run.link, run.start);
            } else {
                found.push(Found::Timeout(self.sequence(runs, run.link, at)));
            }
            runs.release(run.link);
            false
        });
        runs.open = open;
        self.settle(runs, time, found)?;
        self.set_deadline(runs);
        Ok(())
    }

    /// An event came. `eval` judges a condition; it must always judge alike.
    ///
    /// # Errors
    /// What `eval` returns, a match that can't skip to where it is told to, or too many partial matches.
    pub fn event<E: Clone, X>(
        &mut self,
        runs: &mut Runs<E>,
        event: E,
        time: i64,
        eval: &mut impl FnMut(&C, &Candidate<'_, E>) -> Result<bool, X>,
        found: &mut Vec<Found<E>>,
    ) -> Result<(), MatchError<X>> {
        let event = runs.store(event, time);
        if let Err(error) = self.decide(runs, event, eval) {
            runs.unstore(event);
            return Err(error.into());
        }
        self.act(runs, event);
        runs.unstore(event);
        self.hold_to_limit(runs)?;
        self.settle(runs, time, found)?;
        self.set_deadline(runs);
        Ok(())
    }

    /// Finds what the event does to each run, and last to the one that is always about to begin.
    fn decide<E, X>(
        &mut self,
        runs: &Runs<E>,
        event: u32,
        eval: &mut impl FnMut(&C, &Candidate<'_, E>) -> Result<bool, X>,
    ) -> Result<(), X> {
        self.ranges.clear();
        self.decider.begin();
        let Some(stored) = runs.stored(event) else { return Ok(()) };
        let subject = Subject { nfa: &self.nfa, runs, event: &stored.event, time: stored.origin.time };
        for run in &runs.open {
            self.ranges.push(self.decider.decide(&subject, run.state, run.link, eval)?);
        }
        self.ranges.push(self.decider.decide(&subject, self.nfa.start, NONE, eval)?);
        Ok(())
    }

    /// Does it.
    fn act<E: Clone>(&mut self, runs: &mut Runs<E>, event: u32) {
        let Some(origin) = runs.stored(event).map(|stored| stored.origin) else { return };
        let mut before = std::mem::replace(&mut runs.open, std::mem::take(&mut self.spare));
        let mut ranges = self.ranges.iter().cloned();
        for (run, range) in before.drain(..).zip(&mut ranges) {
            match self.decider.decisions(range) {
                [] => runs.release(run.link),
                [Decision::Move(state)] if *state == run.state => runs.open.push(run),
                decisions => {
                    self.follow(runs, run, decisions, event, origin.time);
                    runs.release(run.link);
                }
            }
        }
        let earlier = runs.open.len();
        if let Some(range) = ranges.next() {
            let fresh = Run { state: self.nfa.start, link: NONE, start: origin, previous: origin.time };
            let taken = |decision: &&Decision| matches!(decision, Decision::Take { .. });
            for decision in self.decider.decisions(range).iter().filter(taken) {
                self.follow(runs, fresh, std::slice::from_ref(decision), event, origin.time);
            }
        }
        // Events need not come in order of time.
        if earlier > 0 && earlier < runs.open.len() && runs.open[earlier].start < runs.open[earlier - 1].start {
            runs.open.sort_by_key(|run| run.start);
        }
        self.spare = before;
    }

    fn follow<E: Clone>(&self, runs: &mut Runs<E>, run: Run, decisions: &[Decision], event: u32, time: i64) {
        let stops = decisions.contains(&Decision::Stop);
        for decision in decisions {
            match *decision {
                Decision::Stop => {}
                Decision::Move(state) if self.nfa.state(state).kind == Kind::Final => self.complete(runs, run.link, run.start),
                Decision::Move(state) => {
                    if !stops {
                        runs.hold(run.link);
                        runs.open.push(Run { state, ..run });
                    }
                }
                Decision::Take { step, target, completes } => {
                    let goes_on = !stops && self.nfa.state(target).kind != Kind::Final;
                    if !goes_on && !completes {
                        continue;
                    }
                    let link = runs.add_link(step, event, run.link);
                    if completes {
                        self.complete(runs, link, run.start);
                    }
                    if goes_on {
                        runs.hold(link);
                        runs.open.push(Run { state: target, link, previous: time, ..run });
                    }
                }
            }
        }
    }

    fn complete<E>(&self, runs: &mut Runs<E>, link: u32, start: Origin) {
        runs.hold(link);
        let depth = runs.link(link).map_or(0, |link| link.depth);
        let arrival = runs.arrivals;
        runs.held.push_back(Complete { link, start, arrival, depth });
    }

    /// When a run's time is over.
    fn expiry(&self, run: &Run) -> Option<i64> {
        let by_step = self.nfa.state(run.state).within.map(|within| run.previous.saturating_add(within));
        let by_pattern = self.nfa.within.map(|within| run.start.time.saturating_add(within));
        by_step.into_iter().chain(by_pattern).min()
    }

    fn set_deadline<E>(&self, runs: &mut Runs<E>) {
        let deadline = match (self.windowed_states, self.nfa.within) {
            (false, None) => None,
            // Runs are in order of their starts.
            (false, Some(within)) => runs.open.first().map(|run| run.start.time.saturating_add(within)),
            (true, _) => runs.open.iter().filter_map(|run| self.expiry(run)).min(),
        };
        runs.deadline = deadline.unwrap_or(i64::MAX);
    }

    fn hold_to_limit<E, X>(&mut self, runs: &mut Runs<E>) -> Result<(), MatchError<X>> {
        let Some(excess) = runs.open.len().checked_sub(self.limit.runs).filter(|excess| *excess > 0) else { return Ok(()) };
        let range = match self.limit.overflow {
            Overflow::Fail => return Err(MatchError::TooManyRuns(self.limit.runs)),
            Overflow::DropOldest => 0..excess,
            Overflow::DropNewest => self.limit.runs..runs.open.len(),
        };
        self.dropped += excess as u64;
        let dropped: Vec<u32> = runs.open.drain(range).map(|run| run.link).collect();
        dropped.into_iter().for_each(|link| runs.release(link));
        Ok(())
    }
}
