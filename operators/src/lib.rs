//! The typed DataStream API: what users write jobs with in Rust, and what job files are compiled to.
//!
//! This crate holds [`Stream`] and [`KeyedStream`], one operator per file, [`Window`]s and [`Aggregate`] functions. Every operator takes
//! the name under which it appears in the graph, in metrics and in savepoints.
//!
//! Time, progress and routing belong to `tidegate-runtime`. Nothing here knows where data comes from.

mod aggregate;
mod aggregating;
mod asynchronous;
mod broadcast;
#[cfg(test)]
mod conformance;
mod connect;
mod dedupe;
mod either;
pub mod join;
mod keyed;
pub mod kinds;
mod latest;
pub mod lookup;
mod process;
mod reduce;
mod running;
pub mod stored;
mod stream;
mod ties;
mod top;
pub mod window;

pub use aggregate::{Aggregate, Average, Count, Fold, IntegerSum, Max, Min, Sliding, Sum};
pub use aggregating::AggregatingState;
pub use asynchronous::{AsyncFunction, AsyncOptions, Order, Retries};
pub use broadcast::{BroadcastConnectedStreams, BroadcastContext, BroadcastProcessFunction};
pub use connect::{CoProcessFunction, ConnectedStreams};
pub use dedupe::Keep;
pub use keyed::KeyedStream;
pub use latest::Latest;
pub use process::{ProcessContext, ProcessFunction, Timer};
pub use stream::{DataflowExt, Stream};
pub use ties::Ties;
pub use top::{Measured, Top};
pub use window::{Window, WindowResult, WindowedStream};
