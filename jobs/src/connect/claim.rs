//! Resources outside the job that its parts use, and that two parts could take from each other.

use crate::text::{Span, Spanned};

/// The part of a job that makes a claim.
#[derive(Clone, Copy)]
pub(crate) struct Owner<'a> {
    /// The job's name.
    pub(crate) job: &'a str,
    pub(crate) name: &'a Spanned<String>,
    pub(crate) uid: Option<&'a Spanned<String>>,
}

/// A resource outside the job that a part of it uses.
pub(crate) enum Claim {
    /// The part reads the files at this path.
    Reads(Spanned<String>),
    /// The part writes a file, or files in a directory.
    Writes {
        path: Spanned<String>,
        /// The extension of files in its format.
        ending: &'static str,
    },
    /// The part needs something for itself alone.
    Alone {
        /// What it needs: equal for parts that need the same thing.
        what: String,
        /// The key in the job file to point at, or `None` if the claim follows from the part's name.
        at: Option<Span>,
        /// The message, given the name of the other part.
        clash: fn(&str) -> String,
    },
}
