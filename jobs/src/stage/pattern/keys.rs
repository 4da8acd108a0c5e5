//! The keys of patterns.

use crate::yaml::{Table, key};

pub(crate) static PATTERN: Table = Table {
    name: "pattern",
    title: "pattern",
    keys: &[
        key("steps", "[step, ...]", "", "the events to look for, in order"),
        key("within", "duration", "none", "the time from the first event of a match to its last must be shorter than this"),
        key(
            "after_match",
            "no_skip | skip_to_next | skip_past_last_event | { skip_to_first: step } | { skip_to_last: step }",
            "no_skip",
            "which of the matches that overlap an emitted one are dropped",
        ),
        key("tie_break", "field", "[order](#order)", "orders events with equal times"),
        key("time", "event | processing", "event", "processing: events are matched as they come, at the time of the wall clock"),
        key("limit", "mapping", "128MiB, then drop_oldest", "how much memory the partial matches of a key may take"),
    ],
};

pub(crate) static LIMIT: Table = Table {
    name: "limit",
    title: "limit",
    keys: &[
        key("memory", "size", "128MiB", "how much memory the partial matches of a key may take, as estimated from a sample of events"),
        key(
            "overflow",
            "drop_oldest | drop_newest | fail",
            "drop_oldest",
            "what happens beyond the limit: the half of the partial matches that began first, or last, is dropped and counted, or the job fails",
        ),
    ],
};

pub(crate) static STEP: Table = Table {
    name: "step",
    title: "A step of a pattern, or a group of steps",
    keys: &[
        key("name", "text", "", "the name of the list of its events; a group or `any_of` needs none"),
        key("where", "expression", "any event", "which events fit; the name of a step is the list of its events so far"),
        key("any_of", "[{ name, where }, ...]", "none", "matches one of several kinds of event; instead of `name` and `where`"),
        key("group", "[step, ...]", "none", "a sequence of steps, matched as one step"),
        key("steps", "[step, ...]", "none", "the same as `group`"),
        key(
            "contiguity",
            "next | followed_by | followed_by_any | not_next | not_followed_by",
            "followed_by",
            "which events may lie between the step before and this one",
        ),
        key("times", "count | mapping", "1", "how many times the step matches"),
        key(
            "inner",
            "relaxed | consecutive | allow_combinations",
            "relaxed",
            "which events may lie between the events of a step that matches several times",
        ),
        key("optional", "bool", "false", "whether the step may be missing"),
        key("greedy", "bool", "false", "whether a loop keeps events from the step after it"),
        key("until", "expression", "none", "the event that ends a loop without `max`; it is not part of the match"),
        key("within", "duration", "none", "how long after the event before it the step's event may come"),
    ],
};

pub(crate) static ANY_OF: Table = Table {
    name: "any_of",
    title: "any_of",
    keys: &[
        key("name", "text", "", "the name of the list of events of this kind"),
        key("where", "expression", "any event", "which events are of this kind; an event that fits several is of the first"),
    ],
};

pub(crate) static TIMES: Table = Table {
    name: "times",
    title: "times",
    keys: &[
        key("min", "count", "", "at least this many times; 0: the step may be missing"),
        key("max", "count", "any number", "at most"),
        key("within", "duration", "none", "how long after the one before each event may come"),
    ],
};

pub(crate) static AFTER_MATCH: Table = Table {
    name: "after_match",
    title: "after_match (one of skip_to_first, skip_to_last)",
    keys: &[
        key("skip_to_first", "step", "none", "drops the matches that began before the first event of this step"),
        key("skip_to_last", "step", "none", "drops the matches that began before the last event of this step"),
        key("throw", "bool", "false", "whether the job fails where the step has no event, or the first one of the match"),
    ],
};
