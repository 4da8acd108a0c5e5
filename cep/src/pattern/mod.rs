//! The pattern language as plain data: what is looked for, not how.
//!
//! A pattern says nothing about its conditions but whether they are [iterative](Condition::is_iterative): typed jobs put functions there, job files
//! expressions. Build one with the methods on [`Pattern`], or field by field where it is read from a file, and [`validate`](Pattern::validate) it;
//! compiling does so in any case.

mod builder;
mod validate;

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use validate::{Invalid, Misuse};

/// What a pattern must know of its conditions.
pub trait Condition {
    /// Does it look at the events matched so far? One that looks only at the event in hand is evaluated once per event, for all open
    /// partial matches together.
    fn is_iterative(&self) -> bool {
        false
    }
}

/// A sequence of steps to be found in the events of one key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pattern<C> {
    /// The steps, in order.
    pub steps: Vec<Step<C>>,
    /// A match must be shorter than this, from its first event to its last.
    pub within: Option<Duration>,
    /// What a match does to the others that overlap it.
    pub after_match: AfterMatch,
    /// What the builder was told that no pattern can say; data read from elsewhere leaves it empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub misuse: Vec<Misuse>,
}

/// One step of a pattern.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step<C> {
    /// What its events are listed under in a match. A group's name appears nowhere.
    pub name: Arc<str>,
    /// What it takes.
    pub body: Body<C>,
    /// What may lie between the step before and its first event. Without meaning on the first step of a pattern.
    pub contiguity: Contiguity,
    /// How often; once if there is none.
    pub times: Option<Times>,
    /// May it be left out?
    pub optional: bool,
    /// Does it keep the events that fit from the step after it?
    pub greedy: bool,
    /// What may lie between its own events, or between the rounds of a group. Without meaning unless it is quantified.
    pub inner: Inner,
    /// An event that ends an open-ended loop.
    pub until: Option<C>,
    /// How long after the event before it its event may come. Without meaning on a quantified step: see [`Times::within`].
    pub within: Option<Duration>,
}

/// What a step takes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Body<C> {
    /// Events that fulfil a condition, or any.
    Event(Option<C>),
    /// Events that fulfil one of several conditions. An event that fulfils more is one of the first that it fulfils.
    AnyOf(Vec<Alternative<C>>),
    /// A sequence of steps.
    Group(Vec<Step<C>>),
}

/// One of several kinds of event that a step takes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alternative<C> {
    /// What its events are listed under in a match. The name of the step appears nowhere.
    pub name: Arc<str>,
    /// What they fulfil; any do, if there is none.
    pub condition: Option<C>,
}

/// What may lie between two steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Contiguity {
    /// Nothing.
    Next,
    /// Events that don't fit; the first that fits is taken.
    #[default]
    FollowedBy,
    /// Any events; each one that fits is taken by a match of its own.
    FollowedByAny,
    /// The very next event must not fit.
    NotNext,
    /// No event up to the next step may fit.
    NotFollowedBy,
}

/// What may lie between the events of one quantified step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Inner {
    /// Events that don't fit; each one that fits is taken.
    #[default]
    Relaxed,
    /// Nothing.
    Consecutive,
    /// Any events: every combination of those that fit is tried.
    AllowCombinations,
}

/// How often a step is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Times {
    /// At least.
    pub min: u32,
    /// At most; open-ended if there is none.
    #[serde(default)]
    pub max: Option<u32>,
    /// How long the wait for each event may last, counted from the one before. As in Flink it doesn't cover the last event of a closed range, nor those
    /// beyond the minimum of an open-ended one, nor a wait that leaving the step out is no longer open to.
    #[serde(default)]
    pub within: Option<Duration>,
}

/// What a match does to the others that overlap it (after-match skip strategy).
///
/// All but `NoSkip` emit matches in the order they began: one that is complete waits for those that began earlier.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AfterMatch {
    /// Nothing.
    #[default]
    NoSkip,
    /// Drops those with the same first event.
    SkipToNext,
    /// Drops those that began within the match.
    SkipPastLastEvent,
    /// Drops those that began before the first event of a step.
    SkipToFirst(SkipTo),
    /// Drops those that began before the last event of a step.
    SkipToLast(SkipTo),
}

/// The step a match skips to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SkipTo {
    /// Its name.
    pub step: Arc<str>,
    /// Is it an error if the step has no event in the match, or if its event is the first one? Otherwise nothing is dropped then.
    #[serde(default)]
    pub or_fail: bool,
}

impl Contiguity {
    /// Is it the absence of an event that is asked for?
    #[must_use]
    pub fn is_not(self) -> bool {
        matches!(self, Self::NotNext | Self::NotFollowedBy)
    }
}

impl<C> Step<C> {
    /// A step that takes one event of any kind.
    #[must_use]
    pub fn new(name: impl Into<Arc<str>>, contiguity: Contiguity) -> Self {
        Self::with_body(name, contiguity, Body::Event(None))
    }

    /// A step that takes a sequence of steps.
    #[must_use]
    pub fn group(name: impl Into<Arc<str>>, contiguity: Contiguity, steps: Vec<Self>) -> Self {
        Self::with_body(name, contiguity, Body::Group(steps))
    }

    fn with_body(name: impl Into<Arc<str>>, contiguity: Contiguity, body: Body<C>) -> Self {
        Self {
            name: name.into(),
            body,
            contiguity,
            times: None,
            optional: false,
            greedy: false,
            inner: Inner::Relaxed,
            until: None,
            within: None,
        }
    }

    /// The steps inside, if it is a group.
    #[must_use]
    pub fn inside(&self) -> Option<&[Self]> {
        match &self.body {
            Body::Group(steps) => Some(steps),
            Body::Event(_) | Body::AnyOf(_) => None,
        }
    }

    /// The names its events may be listed under; none of a group.
    pub fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        let (own, alternatives) = match &self.body {
            Body::Event(_) => (Some(&self.name), [].as_slice()),
            Body::AnyOf(alternatives) => (None, alternatives.as_slice()),
            Body::Group(_) => (None, [].as_slice()),
        };
        own.into_iter().chain(alternatives.iter().map(|alternative| &alternative.name))
    }

    /// May it be left out, by its own leave or since none at all are enough?
    #[must_use]
    pub fn may_be_left_out(&self) -> bool {
        self.optional || self.times.is_some_and(|t| t.min == 0)
    }

    /// May it be done without taking an event?
    pub(crate) fn may_be_empty(&self) -> bool {
        let inside = self.inside().is_some_and(|steps| steps.iter().all(Self::may_be_empty));
        inside || self.may_be_left_out() || self.contiguity.is_not()
    }
}

impl Times {
    /// Is there no upper bound?
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.max.is_none()
    }
}

impl AfterMatch {
    /// The step it skips to, where it names one.
    #[must_use]
    pub fn target(&self) -> Option<&SkipTo> {
        match self {
            Self::SkipToFirst(to) | Self::SkipToLast(to) => Some(to),
            Self::NoSkip | Self::SkipToNext | Self::SkipPastLastEvent => None,
        }
    }
}
