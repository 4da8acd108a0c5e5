//! What parts of a job need of the outside that another part could take from them.

use crate::text::{Span, Spanned};

/// The part of a job that needs something.
#[derive(Clone, Copy)]
pub(crate) struct Owner<'a> {
    /// The job's name.
    pub(crate) job: &'a str,
    pub(crate) name: &'a Spanned<String>,
    pub(crate) uid: Option<&'a Spanned<String>>,
}

/// Something outside that a part of a job needs.
pub(crate) enum Claim {
    /// It reads the files at this path.
    Reads(Spanned<String>),
    /// It writes a file, or files in a directory.
    Writes {
        path: Spanned<String>,
        /// How the names of files in its format end.
        ending: &'static str,
    },
    /// No other part may need the same.
    Alone {
        /// What it is: equal for parts that need the same.
        what: String,
        /// What in the job file is to blame; `None`: it follows from names that differ.
        at: Option<Span>,
        /// The message, given the name of the other part.
        clash: fn(&str) -> String,
    },
}
