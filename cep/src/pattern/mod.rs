//! The pattern language as plain data: what to look for, not how.
//!
//! All that a pattern knows of its conditions is whether they are [iterative](Condition::is_iterative). Jobs in Rust put functions there, job files
//! expressions. Build a pattern with the methods of [`Pattern`], or field by field when reading it from a file. [`validate`](Pattern::validate)
//! reports what is wrong with it; compiling does so in any case.

mod builder;
mod validate;

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use validate::{Invalid, Misuse};

/// What a pattern must know about its conditions.
pub trait Condition {
    /// Whether the condition looks at the events matched so far. One that looks only at the current event is evaluated once per event, for all open
    /// partial matches together.
    fn is_iterative(&self) -> bool {
        false
    }
}

/// A sequence of steps to find in the events of one key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pattern<C> {
    /// The steps, in order.
    pub steps: Vec<Step<C>>,
    /// The window: a match must be shorter than this, from its first event to its last.
    pub within: Option<Duration>,
    /// What a match does to others that overlap it.
    pub after_match: AfterMatch,
    /// Mistakes that the builder noticed and that the other fields can't express. Leave it empty in a pattern read from a file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub misuse: Vec<Misuse>,
}

/// One step of a pattern.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step<C> {
    /// The name under which a match lists the events of this step. The name of a group appears nowhere.
    pub name: Arc<str>,
    /// What the step takes.
    pub body: Body<C>,
    /// What may lie between the step before and the first event of this one. Ignored on the first step of a pattern.
    pub contiguity: Contiguity,
    /// How often the step is taken; `None` means once.
    pub times: Option<Times>,
    /// Whether the step may be left out.
    pub optional: bool,
    /// Whether the loop keeps events that fit it from the step after it.
    pub greedy: bool,
    /// What may lie between the events of this step, or between the rounds of a group. Ignored unless the step is quantified.
    pub inner: Inner,
    /// The condition on an event that ends an open-ended loop. The loop does not take that event.
    pub until: Option<C>,
    /// How long after the event before it the event of this step may come. Ignored on a quantified step: see [`Times::within`].
    pub within: Option<Duration>,
}

/// What a step takes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Body<C> {
    /// Events that fulfil the condition; any event if there is none.
    Event(Option<C>),
    /// Events that fulfil one of several conditions. An event that fulfils several belongs to the first of them.
    AnyOf(Vec<Alternative<C>>),
    /// A sequence of steps.
    Group(Vec<Step<C>>),
}

/// One of several kinds of event that a step takes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alternative<C> {
    /// The name under which a match lists these events. The name of the step appears nowhere.
    pub name: Arc<str>,
    /// The condition they fulfil; any event does if there is none.
    pub condition: Option<C>,
}

/// What may lie between two steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Contiguity {
    /// No event.
    Next,
    /// Events that don't fit. The first event that fits is taken.
    #[default]
    FollowedBy,
    /// Any events. Each event that fits makes a match of its own.
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
    /// Events that don't fit. Each event that fits is taken.
    #[default]
    Relaxed,
    /// No event.
    Consecutive,
    /// Any events. Every combination of those that fit is tried.
    AllowCombinations,
}

/// How often a step is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Times {
    /// The minimum.
    pub min: u32,
    /// The maximum; `None` means open-ended.
    #[serde(default)]
    pub max: Option<u32>,
    /// How long the wait for each event may last, counted from the event before. As in Flink, this does not cover the last event of a closed range,
    /// nor those beyond the minimum of an open-ended one, nor a wait in which the step can no longer be left out.
    #[serde(default)]
    pub within: Option<Duration>,
}

/// What a match does to the others that overlap it (after-match skip strategy).
///
/// All except `NoSkip` emit matches in the order in which they began: a complete match waits for open ones that began earlier.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AfterMatch {
    /// Drops nothing.
    #[default]
    NoSkip,
    /// Drops matches with the same first event.
    SkipToNext,
    /// Drops matches that began within this one.
    SkipPastLastEvent,
    /// Drops matches that began before the first event of a step.
    SkipToFirst(SkipTo),
    /// Drops matches that began before the last event of a step.
    SkipToLast(SkipTo),
}

/// The step that a match skips to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SkipTo {
    /// The name of the step.
    pub step: Arc<str>,
    /// Whether it is an error if the step has no event in the match, or if its event is the first of the match. If false, nothing is dropped then.
    #[serde(default)]
    pub or_fail: bool,
}

impl Contiguity {
    /// Whether the step asks for the absence of an event.
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

    /// A group: a step that takes a sequence of steps.
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

    /// The steps of a group; `None` for other steps.
    #[must_use]
    pub fn inside(&self) -> Option<&[Self]> {
        match &self.body {
            Body::Group(steps) => Some(steps),
            Body::Event(_) | Body::AnyOf(_) => None,
        }
    }

    /// The names under which its events may be listed; none for a group.
    pub fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        let (own, alternatives) = match &self.body {
            Body::Event(_) => (Some(&self.name), [].as_slice()),
            Body::AnyOf(alternatives) => (None, alternatives.as_slice()),
            Body::Group(_) => (None, [].as_slice()),
        };
        own.into_iter().chain(alternatives.iter().map(|alternative| &alternative.name))
    }

    /// Whether it may be left out: because it is optional, or because its minimum is zero.
    #[must_use]
    pub fn may_be_left_out(&self) -> bool {
        self.optional || self.times.is_some_and(|t| t.min == 0)
    }

    /// Whether it can be satisfied without taking an event.
    pub(crate) fn may_be_empty(&self) -> bool {
        let inside = self.inside().is_some_and(|steps| steps.iter().all(Self::may_be_empty));
        inside || self.may_be_left_out() || self.contiguity.is_not()
    }
}

impl Times {
    /// Whether there is no maximum.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.max.is_none()
    }
}

impl AfterMatch {
    /// The step it skips to, if it names one.
    #[must_use]
    pub fn target(&self) -> Option<&SkipTo> {
        match self {
            Self::SkipToFirst(to) | Self::SkipToLast(to) => Some(to),
            Self::NoSkip | Self::SkipToNext | Self::SkipPastLastEvent => None,
        }
    }
}
