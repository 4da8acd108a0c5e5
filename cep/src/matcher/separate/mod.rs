//! Keeps every partial match by itself: whatever a pattern may ask for, at a cost that grows with those that an event moves.

mod complete;
mod convert;
mod decide;
mod runs;
mod slab;

use std::ops::Range;
use std::sync::Arc;

pub(crate) use runs::Separate;
pub(crate) use slab::NONE;

use super::candidate::Candidate;
use super::runs::{One, State};
use super::ways::Decision;
use super::{Found, Limit, MatchError, Overflow};
use crate::nfa::{Kind, Nfa, StateId, StepId};
use decide::{Decider, Subject};
use runs::{Complete, Origin, Run};

/// Runs a compiled pattern, partial match by partial match.
#[derive(Clone, Debug)]
pub(super) struct SeparateEngine<C> {
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

impl<C> SeparateEngine<C> {
    pub fn new(nfa: Arc<Nfa<C>>, limit: Limit) -> Self {
        let decider = Decider::new(&nfa);
        let windowed_states = nfa.states.iter().any(|state| state.within.is_some());
        let few_states = nfa.states.len() <= 64;
        Self { nfa, limit, dropped: 0, decider, ranges: Vec::new(), spare: Vec::new(), windowed_states, few_states }
    }

    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Time has come to `time`. Has anything changed?
    pub fn advance<E: Clone, X>(&self, state: &mut State<E>, time: i64, found: &mut Vec<Found<E>>) -> Result<bool, MatchError<X>> {
        self.take_over(state)?;
        if state.deadline().is_none_or(|deadline| time < deadline) {
            return Ok(false);
        }
        let mut held = self.of_its_own(state);
        let runs = &mut *held;
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
        let result = self.settle(runs, time, found);
        self.set_deadline(runs, 0);
        *state = State::Separate(held);
        state.tidy();
        result.map(|()| true)
    }

    /// An event came. Has anything changed?
    pub fn event<E: Clone, X>(
        &mut self,
        state: &mut State<E>,
        event: E,
        time: i64,
        eval: &mut impl FnMut(&C, &Candidate<'_, E>) -> Result<bool, X>,
        found: &mut Vec<Found<E>>,
    ) -> Result<bool, MatchError<X>> {
        self.take_over(state)?;
        if let State::One(_) = state {
            *state = State::Separate(self.of_its_own(state));
        }
        let before = if let State::Separate(runs) = &*state { Some(&**runs) } else { None };
        let stay = self.decide(before, &event, time, eval)?;
        let begins = self.begins().count();
        if stay && begins == 0 {
            return Ok(false);
        }
        if before.is_none()
            && let Some((waits, step)) = self.begins_one()
        {
            let origin = Origin { time, arrival: 0 };
            let run = Run { state: waits, link: NONE, start: origin, previous: time };
            let deadline = self.expiry(&run).unwrap_or(i64::MAX);
            *state = State::One(Box::new(One { event, time, deadline, state: waits, step }));
            return Ok(true);
        }
        let mut runs = self.of_its_own(state);
        let result = self.apply(&mut runs, event, time, stay, found);
        *state = State::Separate(runs);
        state.tidy();
        result.map(|()| true)
    }

    /// Goes on from what the other engine wrote, if they are not more than may be open.
    fn take_over<E, X>(&self, state: &mut State<E>) -> Result<(), MatchError<X>> {
        let State::Shared(sets) = state else { return Ok(()) };
        if sets.open() > self.limit.runs {
            return Err(MatchError::TooManyRuns(self.limit.runs));
        }
        *state = State::Separate(self.of_its_own(state));
        Ok(())
    }

    /// Takes a key's state in the form of this engine.
    fn of_its_own<E>(&self, state: &mut State<E>) -> Box<Separate<E>> {
        let foreign = !matches!(state, State::Separate(_));
        let mut runs = std::mem::take(state).into_separate();
        if foreign {
            self.set_deadline(&mut runs, 0);
        }
        runs
    }

    /// What begins with the event.
    fn begins(&self) -> impl Iterator<Item = Decision> {
        let range = self.ranges.last().cloned().unwrap_or_default();
        self.decider.decisions(range).iter().copied().filter(|decision| matches!(decision, Decision::Take { .. }))
    }

    /// The state and the step of what begins, if that is one partial match and nothing else.
    fn begins_one(&self) -> Option<(StateId, StepId)> {
        let mut begins = self.begins();
        match (begins.next(), begins.next()) {
            (Some(Decision::Take { step, target, completes: false }), None) if self.limit.runs > 0 => Some((target, step)),
            _ => None,
        }
    }

    /// Does what was decided.
    fn apply<E: Clone, X>(
        &mut self,
        runs: &mut Separate<E>,
        event: E,
        time: i64,
        stay: bool,
        found: &mut Vec<Found<E>>,
    ) -> Result<(), MatchError<X>> {
        let origin = runs.arrive(time);
        let event = runs.store(event, origin);
        let open = runs.open.len();
        if !stay {
            self.act(runs, event, origin);
        } else if open == 0 {
            runs.occupied = 0;
        }
        let old = runs.open.len();
        self.begin(runs, event, origin);
        runs.unstore(event);
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
        runs: Option<&Separate<E>>,
        event: &E,
        time: i64,
        eval: &mut impl FnMut(&C, &Candidate<'_, E>) -> Result<bool, X>,
    ) -> Result<bool, X> {
        self.ranges.clear();
        self.decider.begin();
        let subject = Subject { nfa: &self.nfa, runs, event, time };
        let mut stays = true;
        if let Some(runs) = runs.filter(|runs| !runs.open.is_empty()) {
            stays = self.few_states && stay(&mut self.decider, &subject, runs.occupied, eval)?;
            if !stays {
                stays = true;
                for run in &runs.open {
                    let range = self.decider.decide(&subject, run.state, run.link, eval)?;
                    stays &= *self.decider.decisions(range.clone()) == [Decision::Move(run.state)];
                    self.ranges.push(range);
                }
            }
        }
        self.ranges.push(self.decider.decide(&subject, self.nfa.start, NONE, eval)?);
        Ok(stays)
    }

    /// Does to each run what was found.
    fn act<E>(&mut self, runs: &mut Separate<E>, event: u32, origin: Origin) {
        // What a key keeps is of its own size.
        let mut before = std::mem::take(&mut self.spare);
        before.append(&mut runs.open);
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
    fn begin<E>(&self, runs: &mut Separate<E>, event: u32, origin: Origin) {
        let fresh = Run { state: self.nfa.start, link: NONE, start: origin, previous: origin.time };
        for decision in self.begins() {
            self.follow(runs, fresh, &[decision], event, origin.time);
        }
    }

    fn follow<E>(&self, runs: &mut Separate<E>, run: Run, decisions: &[Decision], event: u32, time: i64) {
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

    fn complete<E>(&self, runs: &mut Separate<E>, link: u32, start: Origin) {
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
    fn set_deadline<E>(&self, runs: &mut Separate<E>, from: usize) {
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

    fn hold_to_limit<E, X>(&mut self, runs: &mut Separate<E>) -> Result<(), MatchError<X>> {
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
    mut occupied: u64,
    eval: &mut impl FnMut(&C, &Candidate<'_, E>) -> Result<bool, X>,
) -> Result<bool, X> {
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
