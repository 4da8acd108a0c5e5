//! Follows every partial match by itself. This runs any pattern; an event costs a step for each partial match that it moves.

mod chains;
mod complete;
mod convert;
mod decide;
mod runs;

use std::ops::Range;
use std::sync::Arc;

pub(crate) use runs::{Chain, Separate};

use smallvec::SmallVec;

use super::candidate::Candidate;
use super::limit::{Limit, Overflow};
use super::listing::Listing;
use super::past::{NONE, Sweep};
use super::runs::{One, State};
use super::ways::Decision;
use super::{Found, MatchError, Sequence};
use crate::nfa::{Kind, Nfa, StateId, StepId};
use chains::Appended;
use decide::{Decider, Subject};
use runs::{Complete, Run};

/// Runs a compiled pattern, one partial match after the other.
#[derive(Clone, Debug)]
pub(super) struct SeparateEngine<C> {
    nfa: Arc<Nfa<C>>,
    limit: Limit,
    /// About how many bytes an event takes.
    event_bytes: usize,
    dropped: u64,
    decider: Decider,
    /// What the current event does to each run, and last to the one that begins.
    ranges: Vec<Range<usize>>,
    spare: Vec<Run>,
    appended: Appended,
    listing: Listing,
    sweep: Sweep,
    /// Whether any state has a window of its own.
    windowed_states: bool,
    /// Whether there are few enough states for each to have its bit in a word.
    few_states: bool,
}

impl<C> SeparateEngine<C> {
    pub fn new(nfa: Arc<Nfa<C>>, limit: Limit) -> Self {
        let decider = Decider::new(&nfa);
        let windowed_states = nfa.states.iter().any(|state| state.within.is_some());
        let few_states = nfa.states.len() <= 64;
        Self {
            nfa,
            limit,
            event_bytes: 0,
            dropped: 0,
            decider,
            ranges: Vec::new(),
            spare: Vec::new(),
            appended: Appended::default(),
            listing: Listing::default(),
            sweep: Sweep::default(),
            windowed_states,
            few_states,
        }
    }

    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    pub fn weigh_events(&mut self, bytes: usize) {
        self.event_bytes = bytes;
    }

    /// Advances the time of a key. Returns whether its state has changed.
    pub fn advance<E, X>(&mut self, state: &mut State<E>, time: i64, found: &mut impl FnMut(Found<'_, E>)) -> Result<bool, MatchError<X>> {
        if let State::Shared(_) = state {
            *state = State::Separate(self.of_its_own(state));
        }
        if state.deadline().is_none_or(|deadline| time < deadline) {
            return Ok(false);
        }
        let mut runs = self.of_its_own(state);
        let mut open = std::mem::take(&mut runs.open);
        open.retain(|run| {
            let Some(at) = self.expiry(&runs, run).filter(|at| *at <= time) else { return true };
            if self.nfa.state(run.state).kind == Kind::Pending {
                complete(&mut runs, run.chain);
            } else {
                let first = self.list(&runs.past, run.chain);
                found(Found::Timeout(Sequence::new(&self.nfa.names, &runs.past, &self.listing, first, at)));
            }
            false
        });
        runs.open = open;
        runs.arrivals += 1;
        let result = self.settle(&mut runs, time, found);
        self.set_deadline(&mut runs, 0);
        if runs.past.wants_sweep() || runs.open.is_empty() {
            runs.sweep(&mut self.sweep);
        }
        *state = State::Separate(runs);
        state.tidy();
        result.map(|()| true)
    }

    /// Processes an event. Returns whether the state of the key has changed.
    pub fn event<E, X>(
        &mut self,
        state: &mut State<E>,
        event: E,
        time: i64,
        eval: &mut impl FnMut(&C, &Candidate<'_, E>) -> Result<bool, X>,
        found: &mut impl FnMut(Found<'_, E>),
    ) -> Result<bool, MatchError<X>> {
        if let State::One(_) | State::Shared(_) = state {
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
            let deadline = self.nfa.deadline_of_one(waits, time);
            *state = State::One(Box::new(One { event, time, deadline, state: waits, step }));
            return Ok(true);
        }
        let mut runs = self.of_its_own(state);
        let result = self.apply(&mut runs, event, time, stay, found);
        *state = State::Separate(runs);
        state.tidy();
        result.map(|()| true)
    }

    /// Takes the state of a key, in the form of this engine.
    fn of_its_own<E>(&self, state: &mut State<E>) -> Box<Separate<E>> {
        let foreign = !matches!(state, State::Separate(_));
        let mut runs = std::mem::take(state).into_separate();
        if foreign {
            self.set_deadline(&mut runs, 0);
        }
        runs
    }

    /// The decisions by which a partial match begins with the event.
    fn begins(&self) -> impl Iterator<Item = Decision> {
        let range = self.ranges.last().cloned().unwrap_or_default();
        self.decider.decisions(range).iter().copied().filter(|decision| matches!(decision, Decision::Take { .. }))
    }

    /// If exactly one partial match begins and nothing is complete, its state and step.
    fn begins_one(&self) -> Option<(StateId, StepId)> {
        let mut begins = self.begins();
        match (begins.next(), begins.next()) {
            (Some(Decision::Take { step, target, completes: false }), None) => Some((target, step)),
            _ => None,
        }
    }

    /// Carries out what was decided.
    fn apply<E, X>(
        &mut self,
        runs: &mut Separate<E>,
        event: E,
        time: i64,
        stay: bool,
        found: &mut impl FnMut(Found<'_, E>),
    ) -> Result<(), MatchError<X>> {
        let event = runs.past.store(event, time);
        self.appended.start(event);
        let (open, nodes) = (runs.open.len(), runs.past.nodes.len());
        if !stay {
            self.act(runs);
        } else if open == 0 {
            runs.occupied = 0;
        }
        let decisions: Vec<Decision> = self.begins().collect();
        for decision in decisions {
            self.follow(runs, None, &[decision]);
        }
        if runs.past.nodes.len() == nodes {
            // No run has taken the event.
            runs.past.events.pop();
        }
        runs.arrivals += 1;
        self.set_deadline(runs, if stay { open } else { 0 });
        self.hold_to_limit(runs)?;
        let result = self.settle(runs, time, found);
        if runs.past.wants_sweep() {
            runs.sweep(&mut self.sweep);
        }
        result
    }

    /// Finds what the event does to each run, and last to the one that is always about to begin. Returns whether all runs stay as they are; then nothing is
    /// found for each of them.
    fn decide<E, X>(
        &mut self,
        runs: Option<&Separate<E>>,
        event: &E,
        time: i64,
        eval: &mut impl FnMut(&C, &Candidate<'_, E>) -> Result<bool, X>,
    ) -> Result<bool, X> {
        self.ranges.clear();
        self.decider.begin();
        let subject = Subject { nfa: &self.nfa, past: runs.map(|runs| &runs.past), event, time };
        let mut stays = true;
        if let Some(runs) = runs.filter(|runs| !runs.open.is_empty()) {
            stays = self.few_states && stay(&mut self.decider, &subject, runs.occupied, eval)?;
            if !stays {
                stays = true;
                for run in &runs.open {
                    let range = self.decider.decide(&subject, run.state, Some(run.chain), eval)?;
                    stays &= *self.decider.decisions(range.clone()) == [Decision::Move(run.state)];
                    self.ranges.push(range);
                }
            }
        }
        self.ranges.push(self.decider.decide(&subject, self.nfa.start, None, eval)?);
        Ok(stays)
    }

    /// Carries out for each run what was found.
    fn act<E>(&mut self, runs: &mut Separate<E>) {
        // The key gets a vector of its own size; the spare one keeps its capacity.
        let mut before = std::mem::take(&mut self.spare);
        before.append(&mut runs.open);
        runs.occupied = 0;
        for (at, run) in before.drain(..).enumerate() {
            let range = self.ranges[at].clone();
            match self.decider.decisions(range.clone()) {
                [] => {}
                [Decision::Move(state)] if *state == run.state => runs.enter(run),
                _ => {
                    let decisions: SmallVec<[Decision; 4]> = self.decider.decisions(range).into();
                    self.follow(runs, Some(run), &decisions);
                }
            }
        }
        self.spare = before;
    }

    /// Carries out decisions for a run, or for the one that is about to begin.
    fn follow<E>(&mut self, runs: &mut Separate<E>, run: Option<Run>, decisions: &[Decision]) {
        let stops = decisions.contains(&Decision::Stop);
        for decision in decisions {
            match (*decision, run) {
                (Decision::Move(state), Some(run)) if self.nfa.state(state).kind == Kind::Final => complete(runs, run.chain),
                (Decision::Move(state), Some(run)) if !stops => runs.enter(Run { state, ..run }),
                (Decision::Take { step, target, completes }, _) => {
                    let goes_on = !stops && self.nfa.state(target).kind != Kind::Final;
                    if !goes_on && !completes {
                        continue;
                    }
                    let chain = self.appended.append(&mut runs.past, run.map(|run| run.chain), step);
                    if completes {
                        complete(runs, chain);
                    }
                    if goes_on {
                        runs.enter(Run { state: target, chain });
                    }
                }
                _ => {}
            }
        }
    }

    /// When a run runs out of time; `None` if never.
    fn expiry<E>(&self, runs: &Separate<E>, run: &Run) -> Option<i64> {
        let by_step = self.nfa.state(run.state).within.map(|within| runs.latest(run.chain).saturating_add(within));
        let by_pattern = self.nfa.within.map(|within| runs.past.time(run.chain.first).saturating_add(within));
        by_step.into_iter().chain(by_pattern).min()
    }

    /// Updates the deadline. The runs before `from` have not changed.
    fn set_deadline<E>(&self, runs: &mut Separate<E>, from: usize) {
        let known = if from == 0 { i64::MAX } else { runs.deadline };
        let changed = &runs.open[from..];
        let deadline = match (self.windowed_states, self.nfa.within) {
            (false, None) => None,
            // What begins with one event begins at one time, and runs are in the order of their first events.
            (false, Some(within)) => changed.first().map(|run| runs.past.time(run.chain.first).saturating_add(within)),
            (true, _) => changed.iter().filter_map(|run| self.expiry(runs, run)).min(),
        };
        runs.deadline = deadline.map_or(known, |deadline| deadline.min(known));
    }

    /// Drops what exceeds the limit.
    fn hold_to_limit<E, X>(&mut self, runs: &mut Separate<E>) -> Result<(), MatchError<X>> {
        while runs.bytes(self.event_bytes) > self.limit.memory && !runs.open.is_empty() {
            runs.sweep(&mut self.sweep);
            if runs.bytes(self.event_bytes) <= self.limit.memory {
                break;
            }
            let half = runs.open.len() / 2;
            let range = match self.limit.overflow {
                Overflow::Fail => return Err(MatchError::TooMuch(self.limit.memory)),
                Overflow::DropOldest => 0..runs.open.len() - half,
                Overflow::DropNewest => half..runs.open.len(),
            };
            self.dropped += range.len() as u64;
            runs.open.drain(range);
            runs.open.shrink_to_fit();
            runs.sweep(&mut self.sweep);
        }
        Ok(())
    }
}

fn complete<E>(runs: &mut Separate<E>, chain: Chain) {
    runs.held.push_back(Complete { chain, arrival: runs.arrivals });
}

/// True if the event leaves every run as it is, whatever the run has matched.
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
        let range = decider.decide(subject, state, None, eval)?;
        if *decider.decisions(range) != [Decision::Move(state)] {
            return Ok(false);
        }
    }
    Ok(true)
}
