//! The keys of windows, triggers and evictors.

use crate::yaml::{Table, key};

pub(crate) static WINDOW: Table = Table {
    name: "window",
    title: "window (one of tumbling, sliding, cumulative, session, count, global)",
    keys: &[
        key("tumbling", "duration", "none", "windows of this size, end to end"),
        key("sliding", "duration", "none", "windows of this size, one beginning at every `every`"),
        key("cumulative", "duration", "none", "windows that begin together every so often and grow by `every` up to this size"),
        key(
            "session",
            "duration | expression",
            "none",
            "windows ended by a gap of this length; an expression gives a duration or milliseconds",
        ),
        key("count", "count", "none", "windows of this many records of a key; fires when one is full"),
        key("global", "true", "none", "one window over everything; needs a `trigger`"),
        key("every", "duration | count", "the count", "how far apart sliding windows (or counts) begin; how cumulative ones grow"),
        key("offset", "duration", "0s", "moves the beginnings of tumbling, sliding and cumulative windows"),
        key("time", "event | processing", "event", "the clock that puts records into windows and ends these"),
        key("allowed_lateness", "duration", "0s", "how long a window that fired takes late records"),
        key("trigger", "trigger", "the end of the window", "when a window fires"),
        key("evictor", "mapping", "none", "which records a window drops when it fires; it keeps all of them until then"),
    ],
};

pub(crate) static TRIGGER: Table = Table {
    name: "trigger",
    title: "trigger (event_time, processing_time, or one of)",
    keys: &[
        key("count", "count", "none", "at every so many records"),
        key("every", "duration", "none", "at every interval of the window's clock, and at its end"),
        key(
            "delta",
            "expression",
            "none",
            "at a record whose value is more than `threshold` away from that of the record it last fired at",
        ),
        key("threshold", "number", "none", "of `delta`"),
        key("purging", "trigger", "none", "as the inner trigger, and the window is emptied"),
    ],
};

pub(crate) static EVICTOR: Table = Table {
    name: "evictor",
    title: "evictor (one of)",
    keys: &[
        key("count", "count", "none", "keeps the last so many records"),
        key("time", "duration", "none", "keeps the records that are less than this older than the newest"),
        key("delta", "expression", "none", "drops the records whose value is `threshold` or more away from that of the last"),
        key("threshold", "number", "none", "of `delta`"),
        key("after", "bool", "false", "whether it drops them after the window has fired"),
    ],
};
