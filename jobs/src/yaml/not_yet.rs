//! What job files may say but this version can't do yet: the one place to look when a feature lands.
//!
//! Names listed here are known, so that a missing feature is reported differently from a typo.

/// A table (or the kind of a value), a name in it, and how to describe it.
type Missing = (&'static str, &'static str, &'static str);

/// These are errors: a job that asks for them would not do what it says.
const MISSING: &[Missing] = &[
    ("source.connector", "http", "the http connector"),
    ("sink.connector", "socket", "the socket connector"),
    ("sink.connector", "http", "the http connector"),
];

/// The message for a name that is known but not supported yet.
pub(crate) fn missing(table: &str, name: &str) -> Option<String> {
    let line = MISSING.iter().find(|line| line.0 == table && line.1 == name);
    line.map(|(_, _, what)| format!("{what} is not in this version"))
}

/// The unsupported names of a table.
pub(crate) fn names(table: &'static str) -> impl Iterator<Item = &'static str> {
    MISSING.iter().filter(move |line| line.0 == table).map(|line| line.1)
}
