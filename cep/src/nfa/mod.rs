//! The automaton a pattern is compiled to: states, and what an event may do in each.
//!
//! An edge is followed for an event that its guard holds for. `Take` uses the event up, `Ignore` passes over it, `Proceed` looks on from another state
//! with the same event. A guard is a conjunction of clauses over the pattern's conditions, so that each condition has one number, and is evaluated at
//! most once for the same event and the same past.

mod compile;
mod guard;

use std::sync::Arc;

pub(crate) use guard::{Guard, Literal};

use crate::pattern::{AfterMatch, Condition, Invalid, Pattern};

/// A state's number.
pub(crate) type StateId = u32;
/// A step's number.
pub(crate) type StepId = u32;
/// A condition's number.
pub(crate) type ConditionId = u32;

/// A compiled pattern. Cheap to share, the same for all keys.
#[derive(Clone, Debug)]
pub struct Nfa<C> {
    pub(crate) states: Vec<State>,
    pub(crate) start: StateId,
    pub(crate) conditions: Vec<C>,
    /// By condition.
    pub(crate) iterative: Vec<bool>,
    /// By step.
    pub(crate) names: Vec<Arc<str>>,
    /// Milliseconds.
    pub(crate) within: Option<i64>,
    pub(crate) after_match: AfterMatch,
    /// The step skipped to.
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
    /// Something came that must not.
    Stop,
}

#[derive(Clone, Debug)]
pub(crate) struct State {
    pub kind: Kind,
    pub edges: Vec<Edge>,
    /// How long after the event before it may wait, in milliseconds.
    pub within: Option<i64>,
    /// May what an event does here depend on the events matched so far?
    pub iterative: bool,
    /// May a match be complete once this state is reached?
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
    /// The event becomes one of this step.
    Take(StepId),
    Ignore,
    Proceed,
}

impl<C: Condition> Nfa<C> {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// The pattern is not [valid](Pattern::validate), or too large.
    pub fn compile(pattern: Pattern<C>) -> Result<Self, Invalid> {
        pattern.validate()?;
        compile::compile(pattern)
    }
}

impl<C> Nfa<C> {
    pub(crate) fn state(&self, id: StateId) -> &State {
        &self.states[id as usize]
    }

    /// The number of states.
    #[must_use]
    pub fn size(&self) -> usize {
        self.states.len()
    }

    /// May an open partial match run out of time?
    #[must_use]
    pub fn has_window(&self) -> bool {
        self.within.is_some() || self.states.iter().any(|state| state.within.is_some())
    }

    /// The names of the steps that take events, in the order they are written.
    pub fn steps(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(|name| &**name)
    }
}
