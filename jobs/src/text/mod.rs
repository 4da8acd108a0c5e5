//! Locations in a text, and problems at them.
//!
//! Nothing here knows what kind of text it is: a job file, the argument of `--set`, later SQL.

mod problem;
mod span;

pub use problem::{Problem, Problems, Severity};
pub(crate) use span::{Source, Style};
pub use span::{Span, Spanned};

/// Text without a location in a file, for tests of what is compiled from it.
#[cfg(test)]
pub(crate) fn spanned_text(text: &str) -> Spanned<String> {
    Spanned::new(text.to_owned(), Source::new(None, text).span(0..text.len()))
}
