//! The items of a source of rows: records, and lines that can't be decoded.

use serde::{Deserialize, Serialize};

/// A good record, or (under [`OnBad::Keep`]) a bad one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Entry<T> {
    /// A decoded record.
    Good(T),
    /// A record that could not be decoded.
    Bad(Box<BadRecord>),
}

impl<T> Entry<T> {
    /// The record, if it is a good one.
    #[must_use]
    pub fn good(self) -> Option<T> {
        if let Self::Good(value) = self { Some(value) } else { None }
    }
}

/// A line that could not be decoded, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BadRecord {
    /// Where it came from: a file path, or `stdin`.
    pub source: String,
    /// Its line number, from 1.
    pub line: u64,
    /// The line itself, with invalid UTF-8 replaced.
    pub text: String,
    /// What is wrong with it, as a sentence.
    pub error: String,
}

/// What to do about a record that can't be decoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnBad {
    /// Count it, log a sample, and go on.
    #[default]
    Skip,
    /// Fail the job.
    Fail,
    /// Count it and pass it on as [`Entry::Bad`].
    Keep,
}
