//! The typed DataStream API: what users write jobs with in Rust, and what job files are compiled to.
//!
//! This crate holds [`Stream`] and [`KeyedStream`], one operator per file, [`Window`]s and [`Aggregate`] functions. Every operator takes
//! the name under which it appears in the graph, in metrics and in savepoints.
//!
//! Time, progress and routing belong to `tidegate-runtime`. Nothing here knows where data comes from.
//!
//! ```
//! use std::time::Duration;
//! use tidegate_connectors::local::{collect, records};
//! use tidegate_operators::{Count, Window};
//!
//! // Failed logins of each user in tumbling windows of a minute.
//! let failures = collect(|flow| {
//!     records(flow, "logins", [(1_000, (7, false)), (2_000, (8, true)), (3_000, (7, false))])
//!         .filter("failed", |(_, ok): &(u64, bool)| !ok)
//!         .key_by(|(user, _): &(u64, bool)| *user)
//!         .window(Window::tumbling(Duration::from_secs(60), 0).unwrap())
//!         .aggregate("failures", Count)
//! })?;
//! let (time, result) = &failures[0];
//! assert_eq!((*time, result.key, result.value), (59_999, 7, 2));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod aggregate;
mod aggregating;
mod asynchronous;
mod broadcast;
#[cfg(test)]
mod conformance;
mod connect;
mod dedupe;
mod either;
pub mod indicator;
pub mod join;
mod keyed;
pub mod kinds;
mod latest;
pub mod lookup;
mod process;
mod queue;
mod reduce;
mod running;
pub mod stored;
mod stream;
mod ties;
mod top;
pub mod window;

pub use aggregate::{Aggregate, Average, Count, Fold, IntegerSum, Max, Mean, Min, Number, Sliding, Sum, Whole};
pub use aggregating::AggregatingState;
pub use asynchronous::{AsyncFunction, AsyncOptions, Order, Retries};
pub use broadcast::{BroadcastConnectedStreams, BroadcastContext, BroadcastProcessFunction};
pub use connect::{CoProcessFunction, ConnectedStreams};
pub use dedupe::Keep;
pub use keyed::KeyedStream;
pub use latest::Latest;
pub use process::{ProcessContext, ProcessFunction, Timer};
pub use queue::{Queue, Waits};
pub use stream::{DataflowExt, Stream};
pub use ties::Ties;
pub use top::{Measured, Top};
pub use window::{Window, WindowResult, WindowedStream};
