//! The keys of tables.

use crate::yaml::{Table, key};

pub(crate) static TABLE: Table = Table {
    name: "table",
    title: "A table",
    keys: &[
        key("connector", "file | http", "", "where the rows are"),
        key("schema", "mapping", "", "the fields of a row, in order: a type or a time format each"),
    ],
};

pub(crate) static TABLE_FILE: Table = Table {
    name: "table.file",
    title: "A table with `connector: file`",
    keys: &[
        key("path", "path", "", "one file, held in memory"),
        key("format", "json | csv", "csv for a path in .csv, else json", "how a row is read from a line; one that is no row fails the job"),
        key("header", "bool", "true", "csv: whether the first line names the fields"),
        key("delimiter", "character", "`,`", "csv: what stands between fields"),
        key("reload", "duration", "10s", "how often it is looked whether the file has changed"),
    ],
};

pub(crate) static TABLE_HTTP: Table = Table {
    name: "table.http",
    title: "A table with `connector: http`",
    keys: &[
        key("url", "template", "", "what is asked for with GET, such as 'http://host/users/{user}'; values are percent-encoded"),
        key("headers", "mapping", "none", "headers of the request: name: text"),
        key("timeout", "duration", "10s", "how long an answer may take, with all tries; then the job fails"),
        key("retries", "count", "3", "how often a request is made again that no answer came to, or 429 or 5xx"),
        key("cache", "mapping", "none", "answers that are kept, for all workers together"),
    ],
};

pub(crate) static CACHE: Table = Table {
    name: "cache",
    title: "cache",
    keys: &[key("entries", "count", "10,000", "of how many keys"), key("ttl", "duration", "1m", "for how long")],
};
