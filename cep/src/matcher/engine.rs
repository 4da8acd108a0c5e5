//! Which engine a pattern is run by, and why.

use std::collections::HashSet;
use std::fmt;

use crate::nfa::{Action, Kind, Nfa, StateId};
use crate::pattern::AfterMatch;

/// How partial matches are followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// All at once: the cost of an event depends neither on how many are open nor on the window.
    Shared,
    /// Each by itself: the cost grows with those that an event moves.
    Separate(Why),
}

/// Why partial matches must be followed each by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Conditions look at the events matched so far.
    Iterative,
    /// Steps have windows of their own.
    StepWindow,
    /// The pattern ends with the absence of an event: every match is certain at a time of its own.
    AbsenceAtEnd,
    /// What runs out of time is emitted.
    Timeouts,
    /// Partial matches are counted.
    Limit,
    /// A match drops those that began before one of its events.
    Skips,
    /// A match may have to wait for what became of another that began earlier.
    MayWait,
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shared => f.write_str("partial matches shared"),
            Self::Separate(why) => write!(f, "partial matches one by one: {why}"),
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Iterative => "conditions look at events matched before",
            Self::StepWindow => "steps have windows",
            Self::AbsenceAtEnd => "it ends with an absence",
            Self::Timeouts => "timeouts are emitted",
            Self::Limit => "they are limited",
            Self::Skips => "matches skip to a step or the next",
            Self::MayWait => "a match may wait for an earlier one",
        })
    }
}

/// Why the partial matches of a pattern can't be followed all at once.
pub(super) fn obstacle<C>(nfa: &Nfa<C>) -> Option<Why> {
    let any = |of: fn(Kind) -> bool| nfa.states.iter().any(|state| of(state.kind));
    let skips = !matches!(nfa.after_match, AfterMatch::NoSkip | AfterMatch::SkipPastLastEvent);
    let waits = nfa.after_match == AfterMatch::SkipPastLastEvent && !never_waits(nfa);
    [
        (nfa.iterative.contains(&true), Why::Iterative),
        (nfa.states.iter().any(|state| state.within.is_some()), Why::StepWindow),
        (any(|kind| kind == Kind::Pending), Why::AbsenceAtEnd),
        (skips, Why::Skips),
        (waits, Why::MayWait),
    ]
    .into_iter()
    .find_map(|(is, why)| is.then_some(why))
}

/// Is a match never complete before one that began earlier and is still open?
///
/// So it is where states follow each other in one line, each left only by taking an event or by staying. There a partial match is in one state, and never
/// behind one that began later, up to the first state in which it both takes an event and stays. From there on, it is in all the states in
/// which a later one is; as long as nothing ends it, for that would free a later one that is not there yet.
fn never_waits<C>(nfa: &Nfa<C>) -> bool {
    let (mut state, mut seen, mut forks, mut stops) = (nfa.start, HashSet::<StateId>::new(), false, false);
    while nfa.state(state).kind != Kind::Final {
        let edges = &nfa.state(state).edges;
        let takes: Vec<StateId> = edges.iter().filter(|edge| matches!(edge.action, Action::Take(_))).map(|edge| edge.target).collect();
        let Some(next) = takes.first().copied().filter(|next| takes.iter().all(|target| target == next)) else { return false };
        for edge in edges {
            match edge.action {
                Action::Take(_) => {}
                Action::Ignore if edge.target == state => forks |= edge.guard.is_always(),
                Action::Proceed if nfa.state(edge.target).kind == Kind::Stop => stops = true,
                Action::Ignore | Action::Proceed => return false,
            }
        }
        if !seen.insert(state) {
            return false;
        }
        state = next;
    }
    !(forks && stops)
}
