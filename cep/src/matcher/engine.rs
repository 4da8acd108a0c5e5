//! Which engine runs a pattern, and the properties of patterns that engines depend on.

use std::collections::HashSet;
use std::fmt;

use crate::nfa::{Action, Edge, Kind, Nfa, StateId};
use crate::pattern::AfterMatch;

/// How partial matches are followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// All at once: the cost of an event does not grow with the number of open partial matches.
    Shared,
    /// One by one, because conditions look at events matched before: an event costs a step for each partial match that it moves.
    Separate,
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Shared => "linear, partial matches are shared",
            Self::Separate => "partial matches one by one, as conditions look at earlier events",
        })
    }
}

impl Engine {
    /// The engine that a pattern needs.
    #[must_use]
    pub fn of<C>(nfa: &Nfa<C>) -> Self {
        if nfa.iterative.contains(&true) { Self::Separate } else { Self::Shared }
    }
}

/// True if at most one match is emitted for each first event.
pub(super) fn emits_one_each<C>(nfa: &Nfa<C>) -> bool {
    match nfa.after_match {
        AfterMatch::NoSkip => false,
        AfterMatch::SkipToNext | AfterMatch::SkipPastLastEvent => true,
        // A match drops what began before the event that it skips to. That includes the other matches of its own first event, unless it begins with
        // the event it skips to, or the step has none.
        AfterMatch::SkipToFirst(_) | AfterMatch::SkipToLast(_) => nfa.target.is_some_and(|target| {
            let takes = |edge: &Edge| edge.action == Action::Take(target);
            let begins = reached(nfa, |edge| edge.action == Action::Proceed).any(|state| nfa.state(state).edges.iter().any(takes));
            let is_end = |state: StateId| matches!(nfa.state(state).kind, Kind::Final | Kind::Pending);
            !begins && !reached(nfa, |edge| !takes(edge)).any(is_end)
        }),
    }
}

/// The states that lead from the start along edges of a kind, including the start.
fn reached<C>(nfa: &Nfa<C>, along: impl Fn(&Edge) -> bool) -> impl Iterator<Item = StateId> {
    let (mut seen, mut open) = (HashSet::from([nfa.start]), vec![nfa.start]);
    while let Some(state) = open.pop() {
        let targets = nfa.state(state).edges.iter().filter(|edge| along(edge)).map(|edge| edge.target);
        open.extend(targets.filter(|target| seen.insert(*target)));
    }
    seen.into_iter()
}

/// True if a match may be complete while one that began earlier is open, and so has to wait for it.
///
/// That can't happen where states follow each other in one line and are left only by taking an event. There a partial match is in one state, never
/// behind one that began later, up to the first state in which it both takes an event and stays (a fork). From there on it is in every state in which
/// a later one is. This needs two more things: nothing may end it early, because that would free a later one that is not there yet; and its own match
/// must end it.
pub(super) fn may_wait<C>(nfa: &Nfa<C>) -> bool {
    if nfa.after_match == AfterMatch::NoSkip {
        return false;
    }
    let (mut state, mut seen, mut forks, mut ends) = (nfa.start, HashSet::<StateId>::new(), false, false);
    while !matches!(nfa.state(state).kind, Kind::Final | Kind::Pending) {
        let edges = &nfa.state(state).edges;
        let takes: Vec<StateId> = edges.iter().filter(|edge| matches!(edge.action, Action::Take(_))).map(|edge| edge.target).collect();
        let Some(next) = takes.first().copied().filter(|next| takes.iter().all(|target| target == next)) else { return true };
        ends |= nfa.state(state).within.is_some();
        for edge in edges {
            match edge.action {
                Action::Take(_) => {}
                Action::Ignore if edge.target == state => forks |= edge.guard.is_always(),
                Action::Proceed if nfa.state(edge.target).kind == Kind::Stop => ends = true,
                Action::Ignore | Action::Proceed => return true,
            }
        }
        if !seen.insert(state) {
            return true;
        }
        state = next;
    }
    ends |= nfa.state(state).kind == Kind::Pending;
    forks && (ends || !emits_one_each(nfa))
}

/// By state: whether it matters when the latest event of a partial match in it came. It does where the wait has a window of its own, and where the
/// wait may go over to such a wait.
pub(super) fn by_latest<C>(nfa: &Nfa<C>) -> Vec<bool> {
    let mut matters: Vec<bool> = nfa.states.iter().map(|state| state.within.is_some()).collect();
    let mut grown = matters.contains(&true);
    while std::mem::take(&mut grown) {
        for (at, state) in nfa.states.iter().enumerate() {
            let leads = |edge: &Edge| matches!(edge.action, Action::Ignore | Action::Proceed) && matters[edge.target as usize];
            if !matters[at] && state.edges.iter().any(leads) {
                matters[at] = true;
                grown = true;
            }
        }
    }
    matters
}
