//! Compile-time problems of an expression, and their locations.

use std::fmt;
use std::ops::Range;

/// A compile-time problem: where in the expression, what, and the nearest valid name if one is close.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The byte range of the source it is about.
    pub span: Range<usize>,
    /// One phrase, such as `expected bool, found int`.
    pub message: String,
    /// A valid name close to the unknown one.
    pub nearest: Option<String>,
    /// Whether this is a constant part that has no value, such as `1 / 0`. Such an expression is valid but fails for
    /// every record.
    pub constant: bool,
}

impl Problem {
    /// A problem without a suggestion.
    pub(super) fn new(span: Range<usize>, message: impl Into<String>) -> Self {
        Self { span, message: message.into(), nearest: None, constant: false }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.nearest {
            Some(name) => write!(f, "; did you mean `{name}`?"),
            None => Ok(()),
        }
    }
}
