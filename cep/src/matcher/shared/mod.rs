//! Follows all partial matches of a key at once. The cost of an event depends neither on how many are open nor on the window.
//!
//! After Bucchi, Grez, Quintana, Riveros and Vansummeren, *CORE: a Complex Event Recognition Engine* (PVLDB 15, 2022): an automaton that is made
//! deterministic as needed, and sets of matches that share what they have in common. Three things differ. A key is in a set of states of the pattern's
//! automaton, each with a set of matches, so that the same events in the same steps are found as often as the pattern says. First events whose partial
//! matches wait in the same states form classes, which tell what a complete match has to wait for. And dead branches are cut out in sweeps.

mod automaton;
mod convert;
mod held;
mod longest;
mod reach;
mod sets;
mod settle;
mod starts;
mod time;
mod waits;

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

pub(crate) use sets::Shared;

use super::candidate::{Candidate, Matched};
use super::engine;
use super::limit::{Limit, Overflow};
use super::listing::Listing;
use super::past::{NONE, Past};
use super::runs::{One, State};
use super::{Found, MatchError, Sequence};
use crate::nfa::{Kind, Nfa, StateId};
use crate::pattern::AfterMatch;
use automaton::Automaton;
use reach::Reach;
use sets::Scratch;
use starts::Fate;
use waits::Waits;

/// Runs a compiled pattern over sets of partial matches.
#[derive(Clone, Debug)]
pub(super) struct SharedEngine<C> {
    nfa: Arc<Nfa<C>>,
    limit: Limit,
    /// About how many bytes an event takes.
    event_bytes: usize,
    /// Whether partial matches that run out of time are reported.
    timeouts: bool,
    /// Whether a match may have to wait for one that began earlier.
    may_wait: bool,
    /// Whether any state has a window of its own.
    windowed_states: bool,
    /// Whether running out of time must be noticed at once.
    eager: bool,
    fate: Fate,
    automaton: Automaton,
    scratch: Scratch,
    listing: Listing,
    states: Vec<StateId>,
    dropped: u64,
}

impl<C> SharedEngine<C> {
    pub fn new(nfa: Arc<Nfa<C>>, limit: Limit, timeouts: bool) -> Self {
        let may_wait = engine::may_wait(&nfa);
        let pending = nfa.states.iter().any(|state| state.kind == Kind::Pending);
        Self {
            limit,
            event_bytes: 0,
            timeouts,
            may_wait,
            eager: timeouts || may_wait || pending,
            fate: Fate { by_latest: engine::by_latest(&nfa), one_each: engine::emits_one_each(&nfa) },
            automaton: Automaton::new(&nfa),
            windowed_states: nfa.states.iter().any(|state| state.within.is_some()),
            nfa,
            scratch: Scratch::default(),
            listing: Listing::default(),
            states: Vec::new(),
            dropped: 0,
        }
    }

    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    pub fn weigh_events(&mut self, bytes: usize) {
        self.event_bytes = bytes;
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
        self.take_over(state);
        self.states.clear();
        match state {
            State::One(one) => self.states.push(one.state),
            State::Shared(sets) => self.states.extend(sets.waits.iter().map(|waits| waits.state)),
            _ => {}
        }
        let Self { nfa, automaton, scratch, fate, .. } = self;
        let (nfa, may_wait) = (&**nfa, self.may_wait);
        let mut ask =
            |condition: u32| eval(&nfa.conditions[condition as usize], &Candidate { event: &event, time, matched: Matched::none() });
        let program = automaton.program(nfa, &self.states, &mut ask)?;
        let is_held = matches!(state, State::Shared(sets) if !sets.held.is_empty());
        if program.is_idle() {
            return Ok(false);
        }
        if program.ends_all() && !is_held {
            *state = State::Nothing;
            return Ok(true);
        }
        if let (State::Nothing, Some((waits, step))) = (&*state, program.begins_one()) {
            let deadline = nfa.deadline_of_one(waits, time);
            *state = State::One(Box::new(One { event, time, deadline, state: waits, step }));
            return Ok(true);
        }
        let mut sets = open(std::mem::take(state), may_wait, fate);
        let at = sets.take(program, event, time, scratch);
        let complete = sets.complete(program, scratch);
        sets.follow(program, scratch);
        let firsts = may_wait.then(|| sets.starts.follow(program, &self.states, at, fate));
        let result = self.go_on(&mut sets, complete, firsts, time, found);
        *state = State::Shared(sets);
        state.tidy();
        result.map(|()| true)
    }

    /// Finishes whatever happened to a key: emits or holds what is complete, and drops what exceeds the limit.
    fn go_on<E, X>(
        &mut self,
        sets: &mut Shared<E>,
        complete: u32,
        firsts: Option<BTreeSet<u32>>,
        time: i64,
        found: &mut impl FnMut(Found<'_, E>),
    ) -> Result<(), MatchError<X>> {
        if complete != NONE {
            self.complete(sets, complete, sets.floor..NONE, firsts, time, found)?;
        }
        self.settle(sets, time, found)?;
        if self.may_wait {
            let Shared { waits, starts, .. } = sets;
            waits.retain(|waits| starts.occupies(waits.state));
        }
        if sets.past.wants_sweep() {
            sets.sweep(&mut self.scratch.sweep);
        }
        self.hold_to_limit(sets, time, found)?;
        self.set_deadline(sets);
        Ok(())
    }

    /// Emits what is complete and begins in `range`, or holds it until [`settle`](Self::settle) may emit it.
    fn complete<E, X>(
        &mut self,
        sets: &mut Shared<E>,
        complete: u32,
        range: Range<u32>,
        firsts: Option<BTreeSet<u32>>,
        time: i64,
        found: &mut impl FnMut(Found<'_, E>),
    ) -> Result<(), MatchError<X>> {
        if self.nfa.after_match == AfterMatch::NoSkip {
            self.listing.clear();
            self.list(&sets.past, complete, range)?;
            self.listing.sort();
            for first in &self.listing.firsts {
                found(Found::Match(Sequence::new(&self.nfa.names, &sets.past, &self.listing, *first, time)));
            }
            return Ok(());
        }
        let firsts = firsts.unwrap_or_else(|| {
            let mut firsts = BTreeSet::new();
            Reach::new(&sets.past, range).firsts(complete, &mut firsts);
            firsts
        });
        sets.held.add(complete, firsts);
        Ok(())
    }

    /// Adds the chains of a set that begin in `range` to the listing.
    fn list<E, X>(&mut self, past: &Past<E>, root: u32, range: Range<u32>) -> Result<(), MatchError<X>> {
        let most = self.limit.entries();
        let (listed, mut reach) = (self.listing.firsts.len(), Reach::new(past, range.clone()));
        if self.listing.add_chains(past, root, |node| reach.find(node), most) {
            return Ok(());
        }
        if self.limit.overflow == Overflow::Fail {
            return Err(MatchError::TooManyMatches(self.limit.memory));
        }
        let all = past.count(std::iter::once(root), &range);
        self.dropped = self.dropped.saturating_add((all - (self.listing.firsts.len() - listed)) as u64);
        Ok(())
    }

    /// Converts the state of a key that the other engine wrote.
    fn take_over<E>(&self, state: &mut State<E>) {
        if let State::Separate(_) = state {
            *state = State::Shared(open(std::mem::take(state), self.may_wait, &self.fate));
        }
    }

    /// Drops what exceeds the limit.
    fn hold_to_limit<E, X>(&mut self, sets: &mut Shared<E>, time: i64, found: &mut impl FnMut(Found<'_, E>)) -> Result<(), MatchError<X>> {
        while sets.past.bytes(self.event_bytes) > self.limit.memory {
            sets.sweep(&mut self.scratch.sweep);
            if sets.past.bytes(self.event_bytes) <= self.limit.memory {
                break;
            }
            let mut firsts = BTreeSet::new();
            let mut reach = Reach::new(&sets.past, sets.floor..NONE);
            sets.waits.iter().flat_map(Waits::roots).for_each(|root| reach.firsts(root, &mut firsts));
            let half = firsts.len() / 2;
            self.dropped += (firsts.len() - half) as u64;
            match self.limit.overflow {
                Overflow::Fail => return Err(MatchError::TooMuch(self.limit.memory)),
                Overflow::DropOldest => {
                    let kept = half.checked_sub(1).and_then(|at| firsts.iter().nth_back(at).copied());
                    sets.close_before(kept.unwrap_or(sets.past.next_event()));
                    // Complete matches that waited for those need not wait any more.
                    self.settle(sets, time, found)?;
                    sets.sweep(&mut self.scratch.sweep);
                }
                Overflow::DropNewest => {
                    let dropped = firsts.iter().nth(half).copied().unwrap_or(sets.floor);
                    self.dropped += sets.drop_from(dropped, &mut self.scratch.sweep) as u64;
                }
            }
            if sets.is_empty() {
                break;
            }
        }
        Ok(())
    }
}

/// Converts the state of a key to the form of this engine.
fn open<E>(state: State<E>, may_wait: bool, fate: &Fate) -> Box<Shared<E>> {
    let is_foreign = !matches!(state, State::Shared(_));
    let mut sets = state.into_shared();
    if is_foreign && may_wait {
        sets.count_starts(fate);
    }
    sets
}
