//! The dataflow runtime: turns a graph of named operators into workers that run it.
//!
//! This crate holds [`Time`] and [`Progress`], the contracts of [`source`]s and [`sink`]s, the operator harnesses, timers, keyed state,
//! flow control, the [`Graph`], and the [`Job`] that runs it. Operators are written against the harnesses in [`operator`] and never see a
//! frontier, a capability or a timely type.
//!
//! What operators compute lives in `tidegate-operators`; where data comes from lives in `tidegate-connectors`.

mod align;
mod bell;
pub mod board;
mod budget;
pub mod checkpoint;
mod clock;
mod config;
mod control;
mod dataflow;
mod error;
mod flow;
mod graph;
mod ingestion;
mod job;
mod kind;
pub mod metrics;
pub mod operator;
mod progress;
mod record;
mod sampled;
pub mod sink;
pub mod source;
pub mod state;
mod time;
pub mod watermarks;

pub use align::Mode;
pub use budget::Budget;
pub use clock::Clock;
pub use config::{Backend, RunConfig, StateConfig};
pub use dataflow::{Dataflow, Edge};
pub use error::{Domain, Error, GraphError, JobError};
pub use graph::{About, Graph, Input, Judge, Node, NodeId, Role, Route};
pub use job::{Job, Running, Stopper};
pub use kind::{Kind, OperatorSpec};
pub use progress::Progress;
pub use record::{Data, Record};
pub use sampled::Sampled;
pub use tidegate_checkpoints::{Basis, Epoch, Field, KeyGroup, KeyGroups, failpoint, stable_hash};
pub use time::{Time, Watermark};
