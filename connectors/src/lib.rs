//! Connectors: how records enter and leave a job.
//!
//! **Here:** the sources and sinks a job names under `connector:` ([`file`](mod@file), [`stdin`], [`generator`], [`kafka`], [`sink`]), and formats
//! of messages, which may have to ask a server what the octets mean ([`message`]). A source of rows yields an [`Entry`](entry::Entry): a
//! row, or a line that can't be parsed, as [`OnBad`](entry::OnBad) says. Tables to look records up in are in [`table`].
//!
//! **Not here:** rows and the formats of lines (`tidegate-rows`); how sources are driven, timed and held back, and what a sink's records have to do with checkpoints: that is the business of
//! the runtime, which knows a connector only by the traits `Source` and `Sink`. Nor what a job file calls all this.
//!
//! To add a connector: give it a file; implement `Source` (a reader that never blocks: `handover` gives it a thread and a queue) or `Sink`;
//! take a [`Format`](tidegate_rows::format::Format) or an [`Encoder`](tidegate_rows::format::Encoder) rather than bytes of your own; say in the header what it promises; test
//! it in `tests/`, driven by hand.
//!
//! ```
//! use tidegate_connectors::file::FileSource;
//! use tidegate_rows::format::{Conversion, CsvFormat, Layout, TimeUnit};
//!
//! let layout = Layout::new([("user", Conversion::Int), ("ip", Conversion::String), ("ts", Conversion::TimestampIn(TimeUnit::Seconds))])
//!     .with_event_time("ts", TimeUnit::Millis)?;
//! let logins = FileSource::new("data/logins/*.csv.gz", CsvFormat::new(layout).with_header(false));
//! # let _ = logins;
//! # Ok::<(), String>(())
//! ```

mod bad;
pub mod entry;
pub mod file;
pub mod generator;
mod handover;
mod http;
#[cfg(feature = "kafka")]
pub mod kafka;
mod lines;
pub mod message;
pub mod path;
pub mod sink;
pub mod socket;
mod split;
pub mod stdin;
pub mod table;
mod unique;
