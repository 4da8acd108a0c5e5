//! Errors in one line.

use std::error::Error;
use std::iter::successors;

/// An error and its causes in one line, without repeating what a message says already. HTTP clients, for example, say only in the last cause
/// that a connection was refused.
#[must_use]
pub fn explain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    for cause in successors(error.source(), |cause| (**cause).source()) {
        let cause = cause.to_string();
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}
