//! What is remembered of a key, in the smallest form that holds it.

use serde::{Deserialize, Serialize};

use super::separate::Separate;
use super::shared::Shared;
use crate::nfa::{StateId, StepId};

/// A partial match: the places of its events, and their steps, first to last.
pub(super) type Path = Vec<(u32, StepId)>;

/// What every form can be made of.
pub(super) struct Open<E> {
    /// With their times, in order.
    pub events: Vec<(E, i64)>,
    /// Partial matches with the states they wait in.
    pub waiting: Vec<(StateId, Path)>,
    /// Complete matches that wait for others, with the order in which they were completed.
    pub held: Vec<(u64, Path)>,
}

/// The open partial matches of one key. Plain data, to be kept beside the key; a [`Matcher`](super::Matcher) of the same pattern knows what it means,
/// in this process or in another.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Runs<E>(pub(super) State<E>);

/// The forms. They are told apart by name where they are written, so that others can join them.
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
    /// When it is out of time; at the end of time if never.
    pub deadline: i64,
    /// Where it waits.
    pub state: StateId,
    /// What the event was taken by.
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

    /// Does a complete match wait for partial ones that began earlier?
    #[must_use]
    pub fn holds_matches(&self) -> bool {
        match &self.0 {
            State::Nothing | State::One(_) => false,
            State::Separate(runs) => !runs.held.is_empty(),
            State::Shared(sets) => sets.holds_matches(),
        }
    }

    /// The number of events that partial matches, and complete ones that wait, have. It is counted: not for every event.
    #[must_use]
    pub fn events(&self) -> usize {
        match &self.0 {
            State::Nothing => 0,
            State::One(_) => 1,
            State::Separate(runs) => runs.events(),
            State::Shared(sets) => sets.events(),
        }
    }

    /// Is there nothing to remember?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        matches!(self.0, State::Nothing)
    }

    /// When [`advance`](super::Matcher::advance) must be called at the latest, if no event comes.
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

    /// Lets go of a form that holds nothing.
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

    /// The form in which every partial match stands by itself.
    pub fn into_separate(self) -> Box<Separate<E>> {
        match self {
            Self::Nothing => Box::default(),
            Self::One(one) => Box::new(Separate::from(*one)),
            Self::Shared(sets) => Box::new(Separate::from(*sets)),
            Self::Separate(runs) => runs,
        }
    }

    /// The form in which partial matches share what they have in common.
    pub fn into_shared(self) -> Box<Shared<E>> {
        match self {
            Self::Nothing => Box::default(),
            Self::One(one) => Box::new(Shared::from(*one)),
            Self::Separate(runs) => Box::new(Shared::from(*runs)),
            Self::Shared(sets) => sets,
        }
    }
}
