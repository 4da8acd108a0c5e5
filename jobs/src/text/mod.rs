//! Places in a text, and what is wrong there.
//!
//! Nothing here knows what the text says: a job file, the argument of `--set`, later SQL.

mod problem;
mod span;

pub use problem::{Problem, Problems, Severity};
pub(crate) use span::{Source, Style};
pub use span::{Span, Spanned};

/// Text that stands nowhere, for tests of what is compiled from it.
#[cfg(test)]
pub(crate) fn spanned_text(text: &str) -> Spanned<String> {
    Spanned::new(text.to_owned(), Source::new(None, text).span(0..text.len()))
}
