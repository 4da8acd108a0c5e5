//! The keys of streams, but for windows and patterns.

use super::{Table, key};

pub(in crate::file) static STREAM: Table = Table {
    name: "stream",
    title: "A stream",
    keys: &[
        key("from", "name | [name, ...]", "", "what it reads; a list is the union"),
        key(
            "key",
            "expression | [expression, ...]",
            "the whole stream",
            "what `aggregate`, `pattern`, `dedupe` and `top` group by, and `join` pairs by: fields, or expressions such as `user.lowerAscii()`",
        ),
        key("window", "mapping", "none", "the windows `aggregate` or `top` is over; without it one output per record"),
        key("aggregate", "mapping", "none", "new fields: name: count(), or { value: sum(x), where: y > 3 }"),
        key(
            "where",
            "expression",
            "none",
            "drops records for which it is not true; applies to the output of `aggregate`, `pattern` and `join`",
        ),
        key("select", "mapping", "none", "the output's fields: name: expression; `\"*\": true` keeps all"),
        key(
            "flat_map",
            "expression | { name: expression }",
            "none",
            "one record per element of a list, added as field `value` or as `name`",
        ),
        key("on_error", "skip | fail", "skip", "what an error in an expression does at run time"),
        key("late_to", "name", "none", "names a stream of the records too late for their window, `pattern` or `join`"),
        key("timeouts_to", "name", "none", "names a stream of the partial matches of `pattern` that ran out of time"),
        key("uid", "name", "its own name", "the name its state is kept under in savepoints: it stays when the stream is renamed"),
        key("pattern", "mapping", "none", "what to look for in the events of each key; instead of `aggregate`"),
        key("join", "mapping", "none", "pairs its records with those of another stream; instead of `aggregate`"),
        key("lookup", "mapping", "none", "adds the fields of a row that a table has for each record; instead of `aggregate`"),
        key("dedupe", "mapping", "none", "lets one record of each key through within a span of time; instead of `aggregate`"),
        key("top", "mapping", "none", "the greatest records of each key, in all or per `window`; instead of `aggregate`"),
        key("indicators", "mapping", "none", "features over trailing spans"),
        key("rules", "mapping", "none", "scenarios and rules"),
    ],
};

pub(in crate::file) static AGGREGATE: Table = Table {
    name: "aggregate",
    title: "An aggregate in long form",
    keys: &[
        key("value", "aggregate", "", "such as count() or sum(amount)"),
        key("where", "expression", "none", "which records it is over"),
    ],
};

pub(in crate::file) static JOIN: Table = Table {
    name: "join",
    title: "join",
    keys: &[
        key("with", "name", "", "the other stream, the right side"),
        key(
            "on",
            "equality | [equality, ...]",
            "the stream's `key`",
            "what must be equal: `a.id == b.id`, a and b being this stream and the other, or their names",
        ),
        key(
            "within",
            "[duration, duration] | duration",
            "none",
            "how long after a record of the left one of the right may be; one duration: before or after",
        ),
        key("window", "mapping", "none", "pairs what is in the same window, instead"),
        key("temporal", "true", "none", "the right is a table: each record of the left with the version of its time, instead"),
        key("deleted", "expression", "none", "of `temporal`: a record of the right for which it is true ends a version and begins none"),
        key("type", "inner | left | right | full", "inner", "which side's records stay without a partner, with nulls for the other"),
    ],
};

pub(in crate::file) static DEDUPE: Table = Table {
    name: "dedupe",
    title: "dedupe",
    keys: &[
        key("keep", "first | last", "first", "the first, or the last when the time is over"),
        key("ttl", "duration", "", "how long after a key's first record its others count as the same, in event time"),
    ],
};

pub(in crate::file) static TOP: Table = Table {
    name: "top",
    title: "top",
    keys: &[
        key("n", "count", "", "how many"),
        key("by", "expression", "", "the greatest by this; equal ones by the other fields, the least first"),
    ],
};
