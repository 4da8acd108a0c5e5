//! Finds what an event does in a state, given which conditions hold for it.

use crate::nfa::{Action, ConditionId, Kind, Nfa, StateId, StepId};

/// One thing that happens to a run. Several may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// It takes the event and goes on to this state. With `completes`, it is also a complete match.
    Take { step: StepId, target: StateId, completes: bool },
    /// It passes over the event, and is then in this state.
    Move(StateId),
    /// It ends, whatever else happens to it.
    Stop,
}

/// Follows the paths on from a state.
#[derive(Clone, Debug)]
pub(super) struct Ways {
    walk: Walk,
    onward: Walk,
}

/// A search along the paths on from a state.
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

impl Ways {
    pub fn new<C>(nfa: &Nfa<C>) -> Self {
        let walk = Walk { seen: vec![0; nfa.states.len()], ..Walk::default() };
        Self { walk: walk.clone(), onward: walk }
    }

    /// Adds to `decisions` what the event does to a run in `state`. `ask` tells whether a condition holds.
    pub fn find<C, X>(
        &mut self,
        nfa: &Nfa<C>,
        state: StateId,
        ask: &mut impl FnMut(ConditionId) -> Result<bool, X>,
        decisions: &mut Vec<Decision>,
    ) -> Result<(), X> {
        self.walk.start(state);
        while let Some(state) = self.walk.open.pop() {
            for edge in &nfa.state(state).edges {
                if !edge.guard.holds(&mut *ask)? {
                    continue;
                }
                match edge.action {
                    Action::Proceed if nfa.state(edge.target).kind == Kind::Stop => decisions.push(Decision::Stop),
                    Action::Proceed => self.walk.visit(edge.target),
                    Action::Ignore => decisions.push(Decision::Move(edge.target)),
                    Action::Take(step) => {
                        let completes = completes(nfa, edge.target, &mut self.onward, ask)?;
                        decisions.push(Decision::Take { step, target: edge.target, completes });
                    }
                }
            }
        }
        Ok(())
    }
}

/// True if a match that has come to `state` with this event is complete.
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
