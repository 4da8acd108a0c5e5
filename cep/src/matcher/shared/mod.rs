//! Follows all partial matches of a key at once, at a cost per event that depends neither on how many are open nor on the window.
//!
//! After Bucchi, Grez, Quintana, Riveros and Vansummeren, *CORE: a Complex Event Recognition Engine* (PVLDB 15, 2022): an automaton that is made
//! deterministic as it is needed, and sets of matches that share what they have in common. What differs: a key is in a set of states of the pattern's
//! automaton, each with a set of matches, so that the same events in the same steps may be found as often as the pattern says; and dead branches
//! are cut out when they are met, instead of being kept away from by order, which costs as much in the long run.

mod automaton;
mod best;
mod convert;
mod sets;

use std::sync::Arc;

pub(crate) use sets::Shared;

use super::candidate::{Candidate, Matched};
use super::runs::{One, Path, State};
use super::separate::NONE;
use super::{Found, MatchError};
use crate::nfa::{Nfa, StateId};
use crate::pattern::AfterMatch;
use automaton::Automaton;
use best::Best;
use sets::Scratch;

/// The most events a key may hold.
const MOST_EVENTS: usize = 1_000_000;

/// The most matches an event may complete.
const MOST_MATCHES: usize = 1_000_000;

/// Runs a compiled pattern over sets of partial matches.
#[derive(Clone, Debug)]
pub(super) struct SharedEngine<C> {
    nfa: Arc<Nfa<C>>,
    automaton: Automaton,
    scratch: Scratch,
    best: Best,
    paths: Vec<Path>,
    states: Vec<StateId>,
}

impl<C> SharedEngine<C> {
    pub fn new(nfa: Arc<Nfa<C>>) -> Self {
        let automaton = Automaton::new(&nfa);
        Self { nfa, automaton, scratch: Scratch::default(), best: Best::default(), paths: Vec::new(), states: Vec::new() }
    }

    /// Time has come to `time`. Has anything changed?
    pub fn advance<E>(&self, state: &mut State<E>, time: i64) -> bool {
        if let State::Separate(_) = state {
            *state = State::Shared(std::mem::take(state).into_shared());
        }
        let changed = match (&mut *state, self.nfa.within) {
            (State::One(one), _) if time >= one.deadline => {
                *state = State::Nothing;
                true
            }
            (State::Shared(sets), Some(within)) => sets.expire(time, within),
            _ => false,
        };
        state.tidy();
        changed
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
        self.states.clear();
        if let State::Separate(_) = state {
            *state = State::Shared(std::mem::take(state).into_shared());
        }
        match state {
            State::One(one) => self.states.push(one.state),
            State::Shared(sets) => self.states.extend(sets.states()),
            _ => {}
        }
        let nfa = &*self.nfa;
        let mut ask = |condition: u32| {
            let matched = Matched { runs: None, names: &nfa.names, link: NONE };
            eval(&nfa.conditions[condition as usize], &Candidate { event: &event, time, matched })
        };
        let program = self.automaton.program(nfa, &self.states, &mut ask)?;
        if program.is_idle() {
            return Ok(false);
        }
        if program.ends_all() {
            *state = State::Nothing;
            return Ok(true);
        }
        if let (State::Nothing, Some((waits, step))) = (&*state, program.begins_one()) {
            let deadline = nfa.within.map_or(i64::MAX, |within| time.saturating_add(within));
            *state = State::One(Box::new(One { event, time, deadline, state: waits, step }));
            return Ok(true);
        }
        let (mut sets, scratch) = (std::mem::take(state).into_shared(), &mut self.scratch);
        sets.take(program, event, time, scratch);
        if !program.matches.is_empty() {
            self.paths.clear();
            if nfa.after_match == AfterMatch::NoSkip {
                if !sets.paths(program, MOST_MATCHES, scratch, &mut self.paths) {
                    *state = State::Shared(sets);
                    return Err(MatchError::TooManyMatches(MOST_MATCHES));
                }
            } else {
                self.best.of(&sets, program, scratch, &mut self.paths);
            }
            found.extend(self.paths.iter().map(|path| Found::Match(sets.sequence(&nfa.names, path, time))));
            if nfa.after_match != AfterMatch::NoSkip {
                // All that is open began before the match ended.
                return Ok(true);
            }
        }
        sets.follow(program, nfa.within, scratch);
        if sets.events() > MOST_EVENTS {
            sets.sweep(scratch);
        }
        let too_many = sets.events() > MOST_EVENTS;
        *state = State::Shared(sets);
        state.tidy();
        if too_many { Err(MatchError::TooManyEvents(MOST_EVENTS)) } else { Ok(true) }
    }
}
