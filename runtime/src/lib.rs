//! The dataflow runtime: turns a graph of named operators into workers that run it.
//!
//! This crate holds [`Time`] and [`Progress`], the contracts of [`source`]s and [`sink`]s, the operator harnesses, timers, keyed state,
//! flow control, the [`Graph`], and the [`Job`] that runs it. Operators are written against the harnesses in [`operator`] and never see a
//! frontier, a capability or a timely type.
//!
//! What operators compute lives in `tidegate-operators`; where data comes from lives in `tidegate-connectors`.
//!
//! ```
//! use std::sync::{Arc, Mutex};
//! use tidegate_runtime::operator::{sink, source, stateless};
//! use tidegate_runtime::sink::{Sink, SinkContext, Writer};
//! use tidegate_runtime::source::{Batch, Poll, Reader, Source, SourceContext, SplitId};
//! use tidegate_runtime::watermarks::WatermarkStrategy;
//! use tidegate_runtime::{Error, Job, Kind, Record, RunConfig};
//!
//! /// Ten numbers, read by the first worker.
//! struct Numbers;
//! struct Rest(Vec<Record<i64>>);
//!
//! impl Source<i64> for Numbers {
//!     fn open(&self, context: SourceContext) -> Result<Box<dyn Reader<i64>>, Error> {
//!         let last = if context.worker == 0 { 10 } else { 0 };
//!         Ok(Box::new(Rest((0..last).map(|n| Record::new(n, n)).collect())))
//!     }
//! }
//!
//! impl Reader<i64> for Rest {
//!     fn poll(&mut self) -> Result<Poll<i64>, Error> {
//!         let records = std::mem::take(&mut self.0);
//!         Ok(if records.is_empty() { Poll::Finished } else { Poll::Batch(Batch::new(SplitId(0), records)) })
//!     }
//! }
//!
//! #[derive(Clone, Default)]
//! struct Sum(Arc<Mutex<i64>>);
//!
//! impl Sink<i64> for Sum {
//!     fn open(&self, _: SinkContext) -> Result<Box<dyn Writer<i64>>, Error> {
//!         Ok(Box::new(self.clone()))
//!     }
//! }
//!
//! impl Writer<i64> for Sum {
//!     fn write(&mut self, records: &mut Vec<Record<i64>>) -> Result<(), Error> {
//!         *self.0.lock().unwrap() += records.drain(..).map(|record| record.value).sum::<i64>();
//!         Ok(())
//!     }
//!
//!     fn flush(&mut self) -> Result<(), Error> {
//!         Ok(())
//!     }
//! }
//!
//! let sum = Sum::default();
//! let to = sum.clone();
//! let job = Job::new(move |flow| {
//!     let numbers = source(flow, "numbers", "ten numbers", Numbers, WatermarkStrategy::default());
//!     let even = stateless(numbers, "even", Kind::new("filter"), |_| {
//!         |records: &mut Vec<Record<i64>>, out: &mut Vec<Record<i64>>| {
//!             out.extend(records.drain(..).filter(|record| record.value % 2 == 0));
//!             Ok(())
//!         }
//!     });
//!     sink(even, "sum", "sum", to.clone());
//! })?;
//! job.run(RunConfig::workers(2))?;
//! assert_eq!(*sum.0.lock().unwrap(), 20);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

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
