//! The keys of streams.

use crate::yaml::{Table, key};

pub(crate) static STREAM: Table = Table {
    name: "stream",
    title: "A stream",
    keys: &[
        key("from", "name | [name, ...]", "", "the source or stream to read; a list is their union"),
        key(
            "key",
            "expression | [expression, ...]",
            "the whole stream",
            "what `aggregate`, `indicators`, `pattern`, `dedupe` and `top` group by, and `join` pairs by: fields, or expressions such as `user.lowerAscii()`",
        ),
        key("window", "mapping", "none", "the windows of `aggregate` or `top`; without windows there is one output per record"),
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
        key(
            "late_to",
            "name",
            "none",
            "names a stream of the records that are too late for their window, `pattern`, `join` or `indicators` in order of time",
        ),
        key("timeouts_to", "name", "none", "names a stream of the partial matches of `pattern` that ran out of time"),
        key("uid", "name", "its own name", "the name of its state in savepoints; set it to rename the stream and keep its state"),
        key("parallelism", "count", "all workers", "the number of the job's workers that share its keys"),
        key(
            "order",
            "arrival | time",
            "arrival",
            "when the records of `indicators` and `rules` go on: each at once, or in order of event time when the watermark has come to it",
        ),
        key("allowed_lateness", "duration", "0s", "how far behind the watermark `indicators` and `rules` are still exact for a record"),
        key("zone", "time zone", "UTC", "whose calendar `indicators` go by"),
        key("control", "name", "none", "the stream of control records that change `rules` while the job runs"),
        key("ledger", "name", "none", "names a stream of what became of control records"),
    ],
};
