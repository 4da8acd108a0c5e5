//! Windows: which records belong together, when their result is emitted, and what it is.
//!
//! A window is `[start, end)` in milliseconds of event time or of the wall clock. By default it fires once its last millisecond, `end - 1`,
//! has passed. That millisecond is also the event time of its results. In event time the window fires again for every late record within
//! the allowed lateness. A record is late if no window accepts it any more. Other triggers, evictors and functions go through the general
//! operator in `operator.rs`, which has Flink's semantics.

mod aligned;
mod assigner;
mod bounds;
mod contents;
pub(crate) mod counts;
mod domain;
mod evictor;
mod function;
mod operator;
mod panes;
mod running;
pub(crate) mod sessions;
mod slices;
mod stream;
mod trigger;
mod triggers;

use serde::{Deserialize, Serialize};
use tidegate_runtime::state::Stored;

pub use assigner::{Assigner, DynamicSession, InvalidWindow, Window};
pub use bounds::Bounds;
pub use contents::{Admit, Aggregated, Anew, AsResult, Collected, Contents, Every};
pub use counts::CountWindow;
pub use domain::TimeDomain;
pub use evictor::{CountEvictor, DeltaEvictor, EvictAfter, Evictor, KeepAll, TimeEvictor};
pub use function::{WindowContext, WindowFunction};
pub use operator::{WindowLogic, WindowSpec};
pub use panes::KeyWindows;
pub use stream::{CountedStream, EvictingStream, WindowedStream};
pub use trigger::{Decision, Trigger, TriggerContext, WindowTimers};
pub use triggers::{DeltaTrigger, StandardState, StandardTrigger};

/// The result of a window of one key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowResult<K, V> {
    /// The key.
    pub key: K,
    /// The window's first millisecond; the beginning of time of the global window.
    pub start: i64,
    /// The first millisecond after the window; the end of time of the global window.
    pub end: i64,
    /// The result of the aggregate function.
    pub value: V,
}

impl<K: Stored, V: Stored> Stored for WindowResult<K, V> {
    const SCHEMA: &'static str = "window.result/1";

    fn schema() -> String {
        Self::schema_of(&[K::schema(), V::schema()])
    }
}

#[cfg(test)]
mod tests;
