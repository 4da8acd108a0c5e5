//! Finds what an event does to each run: once per event for states whose conditions look at the event alone, once per run for the others.

use std::ops::Range;

use super::runs::Chain;
use crate::matcher::candidate::{Candidate, Matched};
use crate::matcher::past::Past;
use crate::matcher::ways::{Decision, Ways};
use crate::nfa::{ConditionId, Nfa, StateId};

/// What has been found out so far. Nothing is ever cleared: an entry is valid if it was written under the number of this event, or of this run.
#[derive(Clone, Debug)]
pub(super) struct Decider {
    clock: u64,
    /// The number of the current event.
    event: u64,
    /// By condition: the number it was evaluated under, and the answer.
    facts: Vec<(u64, bool)>,
    /// By state: the number it was decided under, and its range of `decisions`.
    known: Vec<(u64, Range<usize>)>,
    decisions: Vec<Decision>,
    ways: Ways,
}

/// The current event, and what it is judged by.
pub(super) struct Subject<'a, C, E> {
    pub nfa: &'a Nfa<C>,
    pub past: Option<&'a Past<E>>,
    pub event: &'a E,
    pub time: i64,
}

impl Decider {
    pub fn new<C>(nfa: &Nfa<C>) -> Self {
        Self {
            clock: 0,
            event: 0,
            facts: vec![(0, false); nfa.conditions.len()],
            known: vec![(0, 0..0); nfa.states.len()],
            decisions: Vec::new(),
            ways: Ways::new(nfa),
        }
    }

    /// Starts with another event.
    pub fn begin(&mut self) {
        self.clock += 1;
        self.event = self.clock;
        self.decisions.clear();
    }

    pub fn decisions(&self, range: Range<usize>) -> &[Decision] {
        &self.decisions[range]
    }

    /// Finds what the event does to a run in `state` that has matched `chain`: a range of decisions.
    #[inline]
    pub fn decide<C, E, X>(
        &mut self,
        subject: &Subject<'_, C, E>,
        state: StateId,
        chain: Option<Chain>,
        eval: &mut impl FnMut(&C, &Candidate<'_, E>) -> Result<bool, X>,
    ) -> Result<Range<usize>, X> {
        let (number, range) = &self.known[state as usize];
        if *number == self.event {
            return Ok(range.clone());
        }
        let range = self.find(subject, state, chain, eval)?;
        if !subject.nfa.state(state).iterative {
            self.known[state as usize] = (self.event, range.clone());
        }
        Ok(range)
    }

    fn find<C, E, X>(
        &mut self,
        subject: &Subject<'_, C, E>,
        state: StateId,
        chain: Option<Chain>,
        eval: &mut impl FnMut(&C, &Candidate<'_, E>) -> Result<bool, X>,
    ) -> Result<Range<usize>, X> {
        self.clock += 1;
        let (nfa, first) = (subject.nfa, self.decisions.len());
        let (event, run, facts) = (self.event, self.clock, &mut self.facts);
        let mut ask = |condition: ConditionId| {
            let iterative = nfa.iterative[condition as usize];
            let number = if iterative { run } else { event };
            let fact = &mut facts[condition as usize];
            if fact.0 != number {
                let matched = match (subject.past, chain) {
                    (Some(past), Some(chain)) if iterative => Matched::of_chain(past, &nfa.names, chain),
                    _ => Matched::none(),
                };
                let candidate = Candidate { event: subject.event, time: subject.time, matched };
                *fact = (number, eval(&nfa.conditions[condition as usize], &candidate)?);
            }
            Ok(fact.1)
        };
        self.ways.find(nfa, state, &mut ask, &mut self.decisions)?;
        Ok(first..self.decisions.len())
    }
}
