//! Conditions as Rust functions.

use std::fmt;
use std::sync::Arc;

use tidegate_runtime::Error;

use crate::matcher::{Candidate, Matched};
use crate::pattern::{Condition, Pattern};

/// A condition that can be evaluated for events of type `E`.
pub trait Judge<E>: Condition {
    /// True if the condition holds for this event.
    ///
    /// # Errors
    /// The condition can't be evaluated. The job fails with this error.
    fn holds(&self, candidate: &Candidate<'_, E>) -> Result<bool, Error>;
}

type Simple<E> = dyn Fn(&E) -> bool + Send + Sync;
type Iterative<E> = dyn Fn(&E, &Matched<'_, E>) -> bool + Send + Sync;

/// A condition in Rust. It must be a pure function: it may be called in any order, or not at all.
pub enum Where<E> {
    /// Looks at the event alone.
    Event(Arc<Simple<E>>),
    /// Looks at the event and at the events matched so far.
    Iterative(Arc<Iterative<E>>),
}

impl<E> Where<E> {
    /// Makes a condition on the event alone.
    pub fn event(f: impl Fn(&E) -> bool + Send + Sync + 'static) -> Self {
        Self::Event(Arc::new(f))
    }

    /// Makes a condition on the event and the events matched so far.
    pub fn iterative(f: impl Fn(&E, &Matched<'_, E>) -> bool + Send + Sync + 'static) -> Self {
        Self::Iterative(Arc::new(f))
    }
}

impl<E> Clone for Where<E> {
    fn clone(&self) -> Self {
        match self {
            Self::Event(f) => Self::Event(Arc::clone(f)),
            Self::Iterative(f) => Self::Iterative(Arc::clone(f)),
        }
    }
}

impl<E> fmt::Debug for Where<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_iterative() { "an iterative condition" } else { "a condition" })
    }
}

impl<E> Condition for Where<E> {
    fn is_iterative(&self) -> bool {
        matches!(self, Self::Iterative(_))
    }
}

impl<E> Judge<E> for Where<E> {
    fn holds(&self, candidate: &Candidate<'_, E>) -> Result<bool, Error> {
        Ok(match self {
            Self::Event(f) => f(candidate.event),
            Self::Iterative(f) => f(candidate.event, &candidate.matched),
        })
    }
}

impl<E> Pattern<Where<E>> {
    /// Sets the condition that the events of the last step must fulfil.
    #[must_use]
    pub fn filter(self, f: impl Fn(&E) -> bool + Send + Sync + 'static) -> Self {
        self.when(Where::event(f))
    }

    /// Sets the condition that the events of the last step must fulfil, given the events matched so far.
    #[must_use]
    pub fn filter_with(self, f: impl Fn(&E, &Matched<'_, E>) -> bool + Send + Sync + 'static) -> Self {
        self.when(Where::iterative(f))
    }
}
