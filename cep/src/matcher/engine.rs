//! Which engine a pattern is run by, and what of the pattern decides how.

use std::collections::HashSet;
use std::fmt;

use crate::nfa::{Action, Edge, Kind, Nfa, StateId};
use crate::pattern::AfterMatch;

/// How partial matches are followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// All at once: the cost of an event doesn't grow with the partial matches that are open.
    Shared,
    /// One by one, as conditions look at the events matched before: an event costs a step for each partial match it moves.
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
    /// The one that a pattern needs.
    #[must_use]
    pub fn of<C>(nfa: &Nfa<C>) -> Self {
        if nfa.iterative.contains(&true) { Self::Separate } else { Self::Shared }
    }
}

/// Is one match of a first event all that is ever emitted of it?
pub(super) fn emits_one_each<C>(nfa: &Nfa<C>) -> bool {
    match nfa.after_match {
        AfterMatch::NoSkip => false,
        AfterMatch::SkipToNext | AfterMatch::SkipPastLastEvent => true,
        // What began before the event it skips to is dropped: so is the match itself, unless it begins with that event or has none.
        AfterMatch::SkipToFirst(_) | AfterMatch::SkipToLast(_) => nfa.target.is_some_and(|target| {
            let takes = |edge: &Edge| edge.action == Action::Take(target);
            let begins = reached(nfa, |edge| edge.action == Action::Proceed).any(|state| nfa.state(state).edges.iter().any(takes));
            let is_end = |state: StateId| matches!(nfa.state(state).kind, Kind::Final | Kind::Pending);
            !begins && !reached(nfa, |edge| !takes(edge)).any(is_end)
        }),
    }
}

/// The states that edges of a kind lead to from the start, itself included.
fn reached<C>(nfa: &Nfa<C>, along: impl Fn(&Edge) -> bool) -> impl Iterator<Item = StateId> {
    let (mut seen, mut open) = (HashSet::from([nfa.start]), vec![nfa.start]);
    while let Some(state) = open.pop() {
        let targets = nfa.state(state).edges.iter().filter(|edge| along(edge)).map(|edge| edge.target);
        open.extend(targets.filter(|target| seen.insert(*target)));
    }
    seen.into_iter()
}

/// May a match be complete while one that began earlier is open, and so have to wait for it?
///
/// Not where states follow each other in one line, each left only by taking an event or by staying. There a partial match is in one state, and never
/// behind one that began later, up to the first state in which it both takes an event and stays. From there on, it is in all the states in
/// which a later one is; as long as nothing ends it, for that would free a later one that is not there yet, and as long as its own match ends it.
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

/// By state: does it matter when the latest event of a partial match in it came? So it does where the wait has a window of its own, and where it may
/// go over to such a wait.
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
