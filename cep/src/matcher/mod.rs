//! Runs a compiled pattern over the events of a key. Pure: facts in, matches out, nothing of dataflows.
//!
//! Give it the events of a key in order, each after [`advance`](Matcher::advance) to its time. What a key must remember is its [`Runs`]; a matcher
//! is shared by all keys. What an event does is found state by state where conditions look at the event alone, so that one that concerns no open run costs
//! the same however many there are; else it is a look-up for each run, and a little more for those it does something to.
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
    /// Has each state a bit of its own in a word?
    few_states: bool,
}

impl<C> Matcher<C> {
    /// A matcher of this pattern.
    #[must_use]
    pub fn new(nfa: Arc<Nfa<C>>, limit: Limit) -> Self {
        let decider = Decider::new(&nfa);
        let windowed_states = nfa.states.iter().any(|state| state.within.is_some());
        let few_states = nfa.states.len() <= 64;
        Self { nfa, limit, dropped: 0, decider, ranges: Vec::new(), spare: Vec::new(), windowed_states, few_states }
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
        self.set_deadline(runs, 0);
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
        let stay = match self.decide(runs, event, eval) {
            Ok(stay) => stay,
            Err(error) => {
                runs.unstore(event);
                return Err(error.into());
            }
        };
        let open = runs.open.len();
        if !stay {
            self.act(runs, event);
        } else if open == 0 {
            runs.occupied = 0;
        }
        let old = runs.open.len();
        self.begin(runs, event);
        runs.unstore(event);
        if stay && runs.open.len() == open && runs.held.is_empty() {
            return Ok(());
        }
        // Events need not come in order of time.
        let in_order = old == 0 || runs.open.get(old).is_none_or(|first| runs.open[old - 1].start < first.start);
        if !in_order {
            runs.open.sort_by_key(|run| run.start);
        }
        self.set_deadline(runs, if stay && in_order { open } else { 0 });
        self.hold_to_limit(runs)?;
        self.settle(runs, time, found)
    }

    /// Finds what the event does to each run, and last to the one that is always about to begin. Do all stay as they are? Then there is nothing to
    /// be found for them one by one.
    fn decide<E, X>(
        &mut self,
        runs: &Runs<E>,
        event: u32,
        eval: &mut impl FnMut(&C, &Candidate<'_, E>) -> Result<bool, X>,
    ) -> Result<bool, X> {
        self.ranges.clear();
        self.decider.begin();
        let Some(stored) = runs.stored(event) else { return Ok(true) };
        let subject = Subject { nfa: &self.nfa, runs, event: &stored.event, time: stored.origin.time };
        let stay = runs.open.is_empty() || (self.few_states && stay(&mut self.decider, &subject, eval)?);
        if !stay {
            for run in &runs.open {
                self.ranges.push(self.decider.decide(&subject, run.state, run.link, eval)?);
            }
        }
        self.ranges.push(self.decider.decide(&subject, self.nfa.start, NONE, eval)?);
        Ok(stay)
    }

    /// Does to each run what was found.
    fn act<E>(&mut self, runs: &mut Runs<E>, event: u32) {
        let Some(origin) = runs.stored(event).map(|stored| stored.origin) else { return };
        let mut before = std::mem::replace(&mut runs.open, std::mem::take(&mut self.spare));
        runs.occupied = 0;
        for (run, range) in before.drain(..).zip(self.ranges.iter().cloned()) {
            match self.decider.decisions(range) {
                [] => runs.release(run.link),
                [Decision::Move(state)] if *state == run.state => runs.enter(run),
                decisions => {
                    self.follow(runs, run, decisions, event, origin.time);
                    runs.release(run.link);
                }
            }
        }
        self.spare = before;
    }

    /// Begins the runs that the event begins.
    fn begin<E>(&self, runs: &mut Runs<E>, event: u32) {
        let origin = runs.stored(event).map(|stored| stored.origin);
        let (Some(origin), Some(range)) = (origin, self.ranges.last()) else { return };
        let fresh = Run { state: self.nfa.start, link: NONE, start: origin, previous: origin.time };
        for decision in self.decider.decisions(range.clone()) {
            if let Decision::Take { .. } = decision {
                self.follow(runs, fresh, std::slice::from_ref(decision), event, origin.time);
            }
        }
    }

    fn follow<E>(&self, runs: &mut Runs<E>, run: Run, decisions: &[Decision], event: u32, time: i64) {
        let stops = decisions.contains(&Decision::Stop);
        for decision in decisions {
            match *decision {
                Decision::Stop => {}
                Decision::Move(state) if self.nfa.state(state).kind == Kind::Final => self.complete(runs, run.link, run.start),
                Decision::Move(state) => {
                    if !stops {
                        runs.hold(run.link);
                        runs.enter(Run { state, ..run });
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
                        runs.enter(Run { state: target, link, previous: time, ..run });
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

    /// Brings the deadline up to date; the runs before `from` are as they were.
    fn set_deadline<E>(&self, runs: &mut Runs<E>, from: usize) {
        let known = if from == 0 { i64::MAX } else { runs.deadline };
        let changed = &runs.open[from..];
        let deadline = match (self.windowed_states, self.nfa.within) {
            (false, None) => None,
            // All that begins with an event does so at one time, and runs are in order of their starts.
            (false, Some(within)) => changed.first().map(|run| run.start.time.saturating_add(within)),
            (true, _) => changed.iter().filter_map(|run| self.expiry(run)).min(),
        };
        runs.deadline = deadline.map_or(known, |deadline| deadline.min(known));
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

/// Does the event leave every run as it is, whatever it has matched?
fn stay<C, E, X>(
    decider: &mut Decider,
    subject: &Subject<'_, C, E>,
    eval: &mut impl FnMut(&C, &Candidate<'_, E>) -> Result<bool, X>,
) -> Result<bool, X> {
    let mut occupied = subject.runs.occupied;
    while occupied != 0 {
        let state = occupied.trailing_zeros();
        occupied &= occupied - 1;
        if subject.nfa.state(state).iterative {
            return Ok(false);
        }
        let range = decider.decide(subject, state, NONE, eval)?;
        if *decider.decisions(range) != [Decision::Move(state)] {
            return Ok(false);
        }
    }
    Ok(true)
}
