//! The dataflow runtime: what turns a graph of operators into running workers.
pub mod error;
pub mod metrics;
pub mod progress;
pub mod record;
pub mod sink;
pub mod source;
pub mod time;
pub use progress::Progress;
