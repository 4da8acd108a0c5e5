//! What an event does in a state: found once per event for a state whose conditions look at the event alone, once per run for the others.

use std::ops::Range;

use super::candidate::{Candidate, Matched};
use super::runs::Runs;
use super::slab::NONE;
use crate::nfa::{Action, ConditionId, Kind, Nfa, StateId, StepId};

/// One thing that happens to a run; it may be several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// It takes the event and goes on to this state. Is it complete, too?
    Take { step: StepId, target: StateId, completes: bool },
    /// It passes over the event.
    Move(StateId),
    /// It ends, whatever else happens to it.
    Stop,
}

/// What has been found out so far. Numbers tell what still holds, so that nothing has to be wiped: an entry is valid if it was written under the number of
/// this event, or of this run.
#[derive(Clone, Debug)]
pub(super) struct Decider {
    clock: u64,
    /// The number of this event.
    event: u64,
    /// By condition.
    facts: Vec<(u64, bool)>,
    /// By state.
    known: Vec<(u64, Range<usize>)>,
    decisions: Vec<Decision>,
    walk: Walk,
    onward: Walk,
}

/// A search along the ways on from a state.
#[derive(Clone, Debug, Default)]
struct Walk {
    open: Vec<StateId>,
    seen: Vec<u64>,
    number: u64,
}

impl Walk {
    fn start(&mut self, from: StateId) {
        self.number += 1;
        self.open.clear();
        self.visit(from);
    }

    fn visit(&mut self, state: StateId) {
        if std::mem::replace(&mut self.seen[state as usize], self.number) != self.number {
            self.open.push(state);
        }
    }
}

/// An event in hand.
pub(super) struct Subject<'a, C, E> {
    pub nfa: &'a Nfa<C>,
    pub runs: &'a Runs<E>,
    pub event: &'a E,
    pub time: i64,
}

impl Decider {
    pub fn new<C>(nfa: &Nfa<C>) -> Self {
        let walk = Walk { seen: vec![0; nfa.states.len()], ..Walk::default() };
        Self {
            clock: 0,
            event: 0,
            facts: vec![(0, false); nfa.conditions.len()],
            known: vec![(0, 0..0); nfa.states.len()],
            decisions: Vec::new(),
            walk: walk.clone(),
            onward: walk,
        }
    }

    /// Begins with another event.
    pub fn begin(&mut self) {
        self.clock += 1;
        self.event = self.clock;
        self.decisions.clear();
    }

    pub fn decisions(&self, range: Range<usize>) -> &[Decision] {
        &self.decisions[range]
    }

    /// What the event does to a run in `state` whose latest link is `link`.
    #[inline]
    pub fn decide<C, E, X>(
        &mut self,
        subject: &Subject<'_, C, E>,
        state: StateId,
        link: u32,
        eval: &mut impl FnMut(&C, &Candidate<'_, E>) -> Result<bool, X>,
    ) -> Result<Range<usize>, X> {
        let (number, range) = &self.known[state as usize];
        if *number == self.event {
            return Ok(range.clone());
        }
        let range = self.find(subject, state, link, eval)?;
        if !subject.nfa.state(state).iterative {
            self.known[state as usize] = (self.event, range.clone());
        }
        Ok(range)
    }

    fn find<C, E, X>(
        &mut self,
        subject: &Subject<'_, C, E>,
        state: StateId,
        link: u32,
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
                let matched = Matched { runs: subject.runs, names: &nfa.names, link: if iterative { link } else { NONE } };
                let candidate = Candidate { event: subject.event, time: subject.time, matched };
                *fact = (number, eval(&nfa.conditions[condition as usize], &candidate)?);
            }
            Ok(fact.1)
        };
        self.walk.start(state);
        while let Some(state) = self.walk.open.pop() {
            for edge in &nfa.state(state).edges {
                if !edge.guard.holds(&mut ask)? {
                    continue;
                }
                match edge.action {
                    Action::Proceed if nfa.state(edge.target).kind == Kind::Stop => self.decisions.push(Decision::Stop),
                    Action::Proceed => self.walk.visit(edge.target),
                    Action::Ignore => self.decisions.push(Decision::Move(edge.target)),
                    Action::Take(step) => {
                        let completes = completes(nfa, edge.target, &mut self.onward, &mut ask)?;
                        self.decisions.push(Decision::Take { step, target: edge.target, completes });
                    }
                }
            }
        }
        Ok(first..self.decisions.len())
    }
}

/// Is a match complete that has come to `state` with this event?
fn completes<C, X>(nfa: &Nfa<C>, state: StateId, walk: &mut Walk, ask: &mut impl FnMut(ConditionId) -> Result<bool, X>) -> Result<bool, X> {
    if nfa.state(state).kind == Kind::Final {
        return Ok(true);
    }
    if !nfa.state(state).ending {
        return Ok(false);
    }
    walk.start(state);
    while let Some(state) = walk.open.pop() {
        for edge in nfa.state(state).edges.iter().filter(|edge| edge.action == Action::Proceed) {
            if edge.guard.holds(&mut *ask)? {
                if nfa.state(edge.target).kind == Kind::Final {
                    return Ok(true);
                }
                walk.visit(edge.target);
            }
        }
    }
    Ok(false)
}
