//! Marks the states whose edges make them special, once, when a pattern is compiled.

use crate::nfa::{Action, Edge, Kind, Nfa, State};

/// Sets `iterative` and `ending` of each state from the paths that lead on from it.
pub(super) fn mark<C>(nfa: &mut Nfa<C>) {
    let asks = |edge: &Edge| edge.guard.conditions().any(|c| nfa.iterative[c as usize]);
    // Whether taking an event completes a match is decided with the same event, by the paths on from the edge's target.
    let onward = spread(&nfa.states, |edge, onward| edge.action == Action::Proceed && (asks(edge) || onward[edge.target as usize]));
    let marked = spread(&nfa.states, |edge, marked| match edge.action {
        Action::Take(_) => asks(edge) || onward[edge.target as usize],
        Action::Ignore => asks(edge),
        Action::Proceed => asks(edge) || marked[edge.target as usize],
    });
    let finals: Vec<bool> = nfa.states.iter().map(|state| state.kind == Kind::Final).collect();
    let ending = spread(&nfa.states, |edge, ending| {
        edge.action == Action::Proceed && (finals[edge.target as usize] || ending[edge.target as usize])
    });
    for (state, (marked, ending)) in nfa.states.iter_mut().zip(marked.into_iter().zip(ending)) {
        state.iterative = marked;
        state.ending = ending;
    }
}

/// The least set that contains every state with an edge for which `joins`, given the set, is true.
fn spread(states: &[State], joins: impl Fn(&Edge, &[bool]) -> bool) -> Vec<bool> {
    let mut set = vec![false; states.len()];
    let mut grown = true;
    // Sinks come first, so this ends after very few rounds.
    while std::mem::take(&mut grown) {
        for (i, state) in states.iter().enumerate() {
            if !set[i] && state.edges.iter().any(|edge| joins(edge, &set)) {
                set[i] = true;
                grown = true;
            }
        }
    }
    set
}
