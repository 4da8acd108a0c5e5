//! Streams of rows as the planner sees them: what is known about their rows, and the steps applied to each row.

pub(crate) mod appended;
pub(crate) mod arrange;
pub(crate) mod each;
pub(crate) mod expression;
pub(crate) mod failures;
pub(crate) mod key;
pub(crate) mod known;
pub(crate) mod open;
pub(crate) mod pipeline;
pub(crate) mod union;
pub(crate) mod updates;
