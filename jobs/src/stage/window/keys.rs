//! The keys of windows, triggers and evictors.

use crate::yaml::{Table, key};

pub(crate) static WINDOW: Table = Table {
    name: "window",
    title: "window (one of tumbling, sliding, cumulative, session, count, global)",
    keys: &[
        key("tumbling", "duration", "none", "windows of this size, end to end"),
        key("sliding", "duration", "none", "windows of this size, one starting every `every`"),
        key("cumulative", "duration", "none", "windows that start together and grow by `every` up to this size"),
        key(
            "session",
            "duration | expression",
            "none",
            "windows ended by a gap of this length; an expression gives a duration or milliseconds",
        ),
        key("count", "count", "none", "windows of this many records of a key; fires when one is full"),
        key("global", "true", "none", "one window over everything; needs a `trigger`"),
        key(
            "every",
            "duration | count",
            "the count",
            "the step between the starts of sliding windows (or counts); the step by which cumulative ones grow",
        ),
        key("offset", "duration", "0s", "shifts the starts of tumbling, sliding and cumulative windows"),
        key("time", "event | processing", "event", "the clock that assigns records to windows and ends the windows"),
        key("allowed_lateness", "duration", "0s", "how long after its end a window accepts late records and fires again"),
        key("trigger", "trigger", "the end of the window", "when a window fires"),
        key("evictor", "mapping", "none", "which records a window drops when it fires; it keeps all of them until then"),
    ],
};

pub(crate) static TRIGGER: Table = Table {
    name: "trigger",
    title: "trigger (event_time, processing_time, or one of)",
    keys: &[
        key("count", "count", "none", "every time this many records have come"),
        key("every", "duration", "none", "at every interval of the window's clock, and at its end"),
        key(
            "delta",
            "expression",
            "none",
            "at a record whose value differs by more than `threshold` from that of the record at which it last fired",
        ),
        key("threshold", "number", "none", "of `delta`"),
        key("purging", "trigger", "none", "like the inner trigger, and empties the window"),
    ],
};

pub(crate) static EVICTOR: Table = Table {
    name: "evictor",
    title: "evictor (one of)",
    keys: &[
        key("count", "count", "none", "keeps the last records, this many"),
        key("time", "duration", "none", "keeps the records that are older than the newest by less than this"),
        key("delta", "expression", "none", "drops the records whose value differs by `threshold` or more from that of the last"),
        key("threshold", "number", "none", "of `delta`"),
        key("after", "bool", "false", "whether records are dropped after the window has fired rather than before"),
    ],
};
