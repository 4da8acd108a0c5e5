//! What can be told of a state in advance.

use crate::nfa::{Action, Edge, Kind, Nfa, State};

/// Marks what is told of states by the ways that lead from them.
pub(super) fn mark<C>(nfa: &mut Nfa<C>) {
    let asks = |edge: &Edge| edge.guard.conditions().any(|c| nfa.iterative[c as usize]);
    // Whether what is taken completes a match is decided with the same event, by the ways on from where it leads.
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

/// The least set of states that holds those with an edge for which `joins` says so of the set.
fn spread(states: &[State], joins: impl Fn(&Edge, &[bool]) -> bool) -> Vec<bool> {
    let mut set = vec![false; states.len()];
    let mut grown = true;
    // Sinks come first, so that this ends after very few rounds.
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
