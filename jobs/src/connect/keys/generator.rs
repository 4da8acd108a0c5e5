//! The keys of generators.

use crate::yaml::{Table, key};

pub(crate) static SOURCE_GENERATOR: Table = Table {
    name: "source.generator",
    title: "A source with `connector: generator`",
    keys: &[
        key("rate", "number", "as fast as possible", "records per second"),
        key("count", "count", "without end", "how many records"),
        key("seed", "whole number", "1", "the same seed gives the same records"),
        key("fields", "mapping", "", "the fields, in order: a distribution each"),
    ],
};

pub(crate) static DISTRIBUTION: Table = Table {
    name: "distribution",
    title: "A field of a generator (one of)",
    keys: &[
        key("uniform", "[low, high]", "none", "whole numbers including both ends, or any number below high"),
        key("normal", "[mean, deviation]", "none", "numbers around a mean"),
        key("choice", "list", "none", "one of the values, all equally likely"),
        key("weighted", "mapping", "none", "one of the keys, as likely as its weight says"),
        key("zipf", "[n, exponent]", "none", "1 to n, small numbers far more often"),
        key("cycle", "list", "none", "the values in turn"),
        key("sequence", "[start, step]", "none", "numbers in even steps"),
        key("constant", "value", "none", "always the same value"),
        key("time", "mapping", "none", "timestamps in even steps"),
    ],
};

pub(crate) static TIME: Table = Table {
    name: "time",
    title: "A `time` of a generator",
    keys: &[
        key("start", "timestamp | now", "now", "the time of the first record"),
        key("step", "duration", "", "from one record to the next"),
        key("jitter", "duration", "0s", "each time is moved back by up to this much, so that records come out of order"),
    ],
};
