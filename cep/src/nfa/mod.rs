//! The automaton a pattern is compiled to: states, and what an event may do in each.
//!
//! An edge is followed for an event if its guard holds. `Take` consumes the event, `Ignore` passes over it, and `Proceed` goes on to another state with
//! the same event. A guard is a conjunction of clauses over numbered conditions of the pattern, so each condition is evaluated at most once for the
//! same event and the same past.

mod compile;
mod guard;

use std::sync::Arc;

pub(crate) use guard::{Guard, Literal};

use crate::pattern::{AfterMatch, Condition, Invalid, Pattern};

/// The number of a state.
pub(crate) type StateId = u32;
/// The number of a step.
pub(crate) type StepId = u32;
/// The number of a condition.
pub(crate) type ConditionId = u32;

/// A compiled pattern. All keys share it.
#[derive(Clone, Debug)]
pub struct Nfa<C> {
    pub(crate) states: Vec<State>,
    pub(crate) start: StateId,
    pub(crate) conditions: Vec<C>,
    /// By condition: whether it looks at the events matched so far.
    pub(crate) iterative: Vec<bool>,
    /// By step: its name.
    pub(crate) names: Vec<Arc<str>>,
    /// By step: whether it may have events in a match.
    pub(crate) takes: Vec<bool>,
    /// The window of the pattern, in milliseconds.
    pub(crate) within: Option<i64>,
    pub(crate) after_match: AfterMatch,
    /// The step that a match skips to.
    pub(crate) target: Option<StepId>,
}

/// What a state is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Waits for events.
    Waiting,
    /// Waits for time to run out, which completes the match.
    Pending,
    /// The match is complete.
    Final,
    /// An event came that must be absent.
    Stop,
}

#[derive(Clone, Debug)]
pub(crate) struct State {
    pub kind: Kind,
    pub edges: Vec<Edge>,
    /// How long a partial match may wait here after its latest event, in milliseconds.
    pub within: Option<i64>,
    /// Whether what an event does here may depend on the events matched so far.
    pub iterative: bool,
    /// Whether a match may be complete once it reaches this state.
    pub ending: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Edge {
    pub action: Action,
    pub target: StateId,
    pub guard: Guard,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Takes the event for this step.
    Take(StepId),
    Ignore,
    Proceed,
}

impl<C: Condition> Nfa<C> {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// The pattern is not [valid](Pattern::validate), or its automaton would be too large.
    pub fn compile(pattern: Pattern<C>) -> Result<Self, Invalid> {
        pattern.validate()?;
        compile::compile(pattern)
    }
}

impl<C> Nfa<C> {
    pub(crate) fn state(&self, id: StateId) -> &State {
        &self.states[id as usize]
    }

    /// When a partial match of one event that waits in `state` runs out of time, in milliseconds; `i64::MAX` if never.
    pub(crate) fn deadline_of_one(&self, state: StateId, time: i64) -> i64 {
        let within = [self.state(state).within, self.within].into_iter().flatten().min();
        within.map_or(i64::MAX, |within| time.saturating_add(within))
    }

    /// The number of states.
    #[must_use]
    pub fn size(&self) -> usize {
        self.states.len()
    }

    /// The names of the steps that take events, in the order in which they are written.
    pub fn steps(&self) -> impl Iterator<Item = &str> {
        self.names.iter().zip(&self.takes).filter(|(_, takes)| **takes).map(|(name, _)| &**name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pattern::Misuse;

    impl Condition for bool {
        fn is_iterative(&self) -> bool {
            *self
        }
    }

    #[test]
    fn only_states_that_can_meet_an_iterative_condition_are_marked() {
        let pattern = Pattern::begin("a").when(false).next("b").when(false).followed_by("c").when(true).next("d").when(false);
        let nfa = Nfa::compile(pattern).unwrap();
        let waiting = nfa.states.iter().rev().filter(|state| state.kind == Kind::Waiting);
        assert_eq!(waiting.map(|state| state.iterative).collect::<Vec<_>>(), [false, false, true, false]);
    }

    #[test]
    fn only_steps_that_take_events_are_named_and_skipped_to() {
        let group = Pattern::<bool>::begin("b").next("c");
        let pattern = Pattern::begin("a").not_next("x").next_group("a", group).skip_to_first("a");
        let nfa = Nfa::compile(pattern).unwrap();
        assert_eq!(nfa.steps().collect::<Vec<_>>(), ["a", "b", "c"]);
        assert_eq!(nfa.target, Some(0));
    }

    #[test]
    fn repeated_repetitions_do_not_fill_the_memory() {
        let nested = (0..4).fold(Pattern::<bool>::begin("a").times(1_000), |inside, _| Pattern::begin_group("g", inside).times(1_000));
        assert_eq!(Nfa::compile(nested).unwrap_err(), Invalid(vec![Misuse::TooLarge(100_000)]));
    }
}
