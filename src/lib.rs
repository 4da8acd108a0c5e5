//! Tidegate is a stream processor for real-time risk control: named operators over keyed streams, event time with watermarks, windows, and
//! job files that need no code, on timely dataflow, in one binary.
//!
//! This crate is the entry point: [`prelude`] has what a job written in Rust needs, and the other modules are the crates behind it. A job
//! is a closure that builds the same operators on every worker:
//!
//! ```
//! use std::time::Duration;
//! use tidegate::prelude::*;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // Word count: one output per word, with its count so far.
//! let lines = ["to be or not", "to be"];
//! let counts = CollectSink::new();
//! let sink = counts.clone();
//! let job = Job::new(move |flow| {
//!     let lines = FnSource::new(move |i| Record::new(i as i64 * 1_000, lines[i as usize].to_owned())).with_count(2);
//!     flow.source("lines", lines, WatermarkStrategy::bounded(Duration::ZERO))
//!         .flat_map("words", |line: String| line.split(' ').map(str::to_owned).collect::<Vec<_>>())
//!         .key_by(|word: &String| word.clone())
//!         .aggregate("counts", Count)
//!         .sink("out", sink.clone());
//! })?;
//! job.run(RunConfig::workers(2))?;
//! let mut counts: Vec<_> = counts.take().into_iter().map(|r| r.value).collect();
//! counts.sort();
//! assert_eq!(counts.iter().filter(|(word, _)| word == "be").map(|(_, n)| *n).collect::<Vec<_>>(), [1, 2]);
//!
//! // A keyed window: how often each user failed to log in within five minutes.
//! let alerts = CollectSink::new();
//! let sink = alerts.clone();
//! let job = Job::new(move |flow| {
//!     // (user, success) at one login a second; user 7 never gets it right.
//!     let logins = FnSource::new(|i| Record::new(i as i64 * 1_000, (i % 10, i % 10 != 7))).with_count(600);
//!     let five_minutes = Window::tumbling(Duration::from_secs(300), 0).expect("five minutes are a window");
//!     flow.source("logins", logins, WatermarkStrategy::bounded(Duration::from_secs(1)))
//!         .filter("fails", |(_, success): &(u64, bool)| !success)
//!         .key_by(|(user, _): &(u64, bool)| *user)
//!         .window(five_minutes)
//!         .aggregate("per_user", Count)
//!         .filter("often", |w: &WindowResult<u64, u64>| w.value >= 10)
//!         .sink("alerts", sink.clone());
//! })?;
//! job.run(RunConfig::workers(2))?;
//! let alerts: Vec<_> = alerts.take().into_iter().map(|r| (r.value.key, r.value.start, r.value.value)).collect();
//! assert_eq!(alerts.len(), 2);
//! assert!(alerts.contains(&(7, 0, 30)) && alerts.contains(&(7, 300_000, 30)));
//! # Ok(())
//! # }
//! ```
//!
//! Job files do the same without Rust: see the README, and [`jobs`].

pub use tidegate_cep as cep;
pub use tidegate_checkpoints as checkpoints;
pub use tidegate_connectors as connectors;
pub use tidegate_expr as expr;
pub use tidegate_jobs as jobs;
pub use tidegate_launch as launch;
pub use tidegate_operators as operators;
pub use tidegate_rows as rows;
pub use tidegate_runtime as runtime;

/// What a job written in Rust needs.
pub mod prelude {
    pub use tidegate_cep::{CepExt, Match, Pattern, Search};
    pub use tidegate_connectors::file::FileSource;
    pub use tidegate_connectors::generator::FnSource;
    pub use tidegate_connectors::sink::{CollectSink, FileSink, FnSink, StdoutSink};
    pub use tidegate_operators::{
        Aggregate, AggregatingState, AsyncFunction, AsyncOptions, Average, BroadcastContext, BroadcastProcessFunction, CoProcessFunction,
        Count, DataflowExt, Fold, KeyedStream, Max, Min, ProcessContext, ProcessFunction, Retries, Stream, Sum, Timer, Window,
        WindowResult, WindowedStream,
    };
    pub use tidegate_rows::format::{JsonLines, JsonLinesEncoder};
    pub use tidegate_runtime::sink::{Sink, Writer};
    pub use tidegate_runtime::source::{Reader, Source};
    pub use tidegate_runtime::state::{ListState, MapState, ReducingState, SharedMap, States, Stored, Ttl, ValueState};
    pub use tidegate_runtime::watermarks::WatermarkStrategy;
    pub use tidegate_runtime::{Dataflow, Error, Job, JobError, Record, RunConfig, Watermark};
}
