//! What a source of rows yields: a record, or a line that could not be understood.

use serde::{Deserialize, Serialize};

/// A good record, or (under [`OnBad::Keep`]) a bad one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Entry<T> {
    /// A record that was understood.
    Good(T),
    /// One that was not.
    Bad(Box<BadRecord>),
}

impl<T> Entry<T> {
    /// The record, if it is a good one.
    #[must_use]
    pub fn good(self) -> Option<T> {
        if let Self::Good(value) = self { Some(value) } else { None }
    }
}

/// A line that could not be understood, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BadRecord {
    /// Where it came from: the path of a file, or `stdin`.
    pub source: String,
    /// Its line, from 1.
    pub line: u64,
    /// The line itself; what is not UTF-8 in it is replaced.
    pub text: String,
    /// What is wrong with it, in a sentence.
    pub error: String,
}

/// What to do about a record that can't be understood.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnBad {
    /// Count it, log a sample, go on.
    #[default]
    Skip,
    /// Fail the job.
    Fail,
    /// Count it and hand it on as [`Entry::Bad`].
    Keep,
}
