//! The keys of streams.

use crate::yaml::{Table, key};

pub(crate) static STREAM: Table = Table {
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
        key("parallelism", "count", "all workers", "on how many of the job's workers its keys lie"),
        key("indicators", "mapping", "none", "features over trailing spans"),
        key("rules", "mapping", "none", "scenarios and rules"),
    ],
};
