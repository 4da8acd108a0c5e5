//! The operator kinds of this crate, as savepoints record them. They are stored: once released, a kind must never be renamed.

use tidegate_runtime::Kind;

/// Declares the kinds that keep state, and a list of them.
macro_rules! keyed {
    ($($(#[$doc:meta])* $name:ident = $kind:literal),+ $(,)?) => {
        $($(#[$doc])* pub const $name: Kind = Kind::new($kind);)+

        /// All kinds that keep state.
        pub const KEYED: &[Kind] = &[$($name),+];
    };
}

keyed! {
    /// A running aggregate.
    AGGREGATE = "aggregate",
    /// A process function with a broadcast map.
    BROADCAST_PROCESS = "broadcast_process",
    /// A process function over two streams.
    CO_PROCESS = "co_process",
    /// Windows of a fixed number of records.
    COUNT_WINDOW = "count_window",
    /// One record per key and span of event time.
    DEDUPE = "dedupe",
    /// The parts of records that wait for the others.
    GATHER = "gather",
    /// Indicators: features over spans of time.
    INDICATORS = "indicators",
    /// A join of records that are close in event time.
    INTERVAL_JOIN = "interval_join",
    /// A process function.
    PROCESS = "process",
    /// Each record combined with the result so far of its key.
    REDUCE = "reduce",
    /// Rules that judge records.
    RULES = "rules",
    /// What asks for the features of rules.
    RULES_ASK = "rules_ask",
    /// Control records of rules.
    RULES_CONTROL = "rules_control",
    /// Indicators that are features of rules.
    RULES_INDICATORS = "rules_indicators",
    /// Patterns that are features of rules.
    RULES_PATTERNS = "rules_patterns",
    /// Uses of list entries.
    RULES_USES = "rules_uses",
    /// Sessions that fire once at their end.
    SESSION_WINDOW = "session_window",
    /// Windows that overlap and fire once at their end.
    SLIDING_WINDOW = "sliding_window",
    /// A join with a versioned table.
    TEMPORAL_JOIN = "temporal_join",
    /// The greatest records so far.
    TOP = "top",
    /// Windows that do not overlap and fire once at their end.
    TUMBLING_WINDOW = "tumbling_window",
    /// Windows with a trigger, an evictor or a function.
    WINDOW = "window",
}

pub(crate) const ASYNC_MAP: Kind = Kind::new("async_map");
pub(crate) const CONNECT: Kind = Kind::new("connect");
pub(crate) const FILTER: Kind = Kind::new("filter");
pub(crate) const FLAT_MAP: Kind = Kind::new("flat_map");
pub(crate) const LOOKUP_JOIN: Kind = Kind::new("lookup_join");
pub(crate) const MAP: Kind = Kind::new("map");
