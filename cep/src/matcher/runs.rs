//! What is remembered of a key, in the smallest form that can hold it.

use serde::{Deserialize, Serialize};

use super::separate::Separate;
use super::shared::Shared;
use crate::nfa::{StateId, StepId};

/// A partial match: the numbers of its events and their steps, first to last.
pub(super) type Path = Vec<(u32, StepId)>;

/// The common form, to which engines convert their own, and from it.
pub(super) struct Open<E> {
    /// The events with their times, in order.
    pub events: Vec<(E, i64)>,
    /// Partial matches, with the states they wait in.
    pub waiting: Vec<(StateId, Path)>,
    /// Complete matches that wait for others, numbered in the order in which they were completed.
    pub held: Vec<(u64, Path)>,
}

/// The open partial matches of one key. Plain data, to be stored with the key. A [`Matcher`](super::Matcher) of the same pattern understands it, in this
/// process or in another.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Runs<E>(pub(super) State<E>);

/// The forms. They are stored by name, so that new forms can be added.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) enum State<E> {
    /// Nothing is open.
    #[default]
    Nothing,
    /// One partial match of one event: what most keys have, if they have anything.
    One(Box<One<E>>),
    Separate(Box<Separate<E>>),
    Shared(Box<Shared<E>>),
}

/// A partial match of one event.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct One<E> {
    pub event: E,
    pub time: i64,
    /// When it runs out of time; `i64::MAX` if never.
    pub deadline: i64,
    /// The state it waits in.
    pub state: StateId,
    /// The step that took the event.
    pub step: StepId,
}

impl<E> Default for Runs<E> {
    fn default() -> Self {
        Self(State::Nothing)
    }
}

impl<E> Runs<E> {
    /// The number of partial matches that have an event and may still take another.
    #[must_use]
    pub fn open(&self) -> usize {
        match &self.0 {
            State::Nothing => 0,
            State::One(_) => 1,
            State::Separate(runs) => runs.open.len(),
            State::Shared(sets) => sets.open(),
        }
    }

    /// Whether a complete match waits for partial ones that began earlier.
    #[must_use]
    pub fn holds_matches(&self) -> bool {
        match &self.0 {
            State::Nothing | State::One(_) => false,
            State::Separate(runs) => !runs.held.is_empty(),
            State::Shared(sets) => sets.holds_matches(),
        }
    }

    /// The number of events in partial matches and in complete ones that wait. Counting visits all of them, so do not call this for every event.
    #[must_use]
    pub fn events(&self) -> usize {
        match &self.0 {
            State::Nothing => 0,
            State::One(_) => 1,
            State::Separate(runs) => runs.events(),
            State::Shared(sets) => sets.events(),
        }
    }

    /// True if there is nothing to remember.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        matches!(self.0, State::Nothing)
    }

    /// The time, in milliseconds, at which [`advance`](super::Matcher::advance) must be called at the latest if no event comes; `None` if never.
    #[must_use]
    pub fn deadline(&self) -> Option<i64> {
        self.0.deadline()
    }
}

impl<E> State<E> {
    pub fn deadline(&self) -> Option<i64> {
        match self {
            Self::Nothing => None,
            Self::One(one) => Some(one.deadline).filter(|deadline| *deadline < i64::MAX),
            Self::Separate(runs) => runs.deadline(),
            Self::Shared(sets) => sets.deadline(),
        }
    }

    /// Becomes `Nothing` if the form holds nothing.
    pub fn tidy(&mut self) {
        let empty = match self {
            Self::Nothing | Self::One(_) => false,
            Self::Separate(runs) => runs.open.is_empty() && runs.held.is_empty(),
            Self::Shared(sets) => sets.is_empty(),
        };
        if empty {
            *self = Self::Nothing;
        }
    }

    /// Converts to the form in which every partial match stands by itself.
    pub fn into_separate(self) -> Box<Separate<E>> {
        match self {
            Self::Nothing => Box::default(),
            Self::One(one) => Box::new(Separate::from(*one)),
            Self::Shared(sets) => Box::new(Separate::from(*sets)),
            Self::Separate(runs) => runs,
        }
    }

    /// Converts to the form in which partial matches share what they have in common.
    pub fn into_shared(self) -> Box<Shared<E>> {
        match self {
            Self::Nothing => Box::default(),
            Self::One(one) => Box::new(Shared::from(*one)),
            Self::Separate(runs) => Box::new(Shared::from(*runs)),
            Self::Shared(sets) => sets,
        }
    }
}
