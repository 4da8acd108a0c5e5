//! What job files may say and this version cannot do yet: the one place to look when a feature lands.
//!
//! A name listed here is known, so that a missing feature reads differently from a typo.

/// A table (or the kind of a value), a name in it, and what to call it.
type Missing = (&'static str, &'static str, &'static str);

/// Errors: a job that asks for these would not do what it says.
const MISSING: &[Missing] = &[
    ("stream", "indicators", "`indicators`"),
    ("stream", "rules", "`rules`"),
    ("source.connector", "http", "the http connector"),
    ("sink.connector", "socket", "the socket connector"),
    ("sink.connector", "http", "the http connector"),
];

/// The message for a name that is known but missing.
pub(crate) fn missing(table: &str, name: &str) -> Option<String> {
    let line = MISSING.iter().find(|line| line.0 == table && line.1 == name);
    line.map(|(_, _, what)| format!("{what} is not in this version"))
}

/// The missing names of a table.
pub(crate) fn names(table: &'static str) -> impl Iterator<Item = &'static str> {
    MISSING.iter().filter(move |line| line.0 == table).map(|line| line.1)
}
