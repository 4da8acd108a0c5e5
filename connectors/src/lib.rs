//! Connectors and formats: how records enter and leave a job.
//!
//! **Here:** the sources and sinks a job names under `connector:` ([`file`](mod@file), [`stdin`], [`generator`], [`kafka`], [`sink`]), the formats that turn lines
//! into records and back ([`format`](mod@format)), and the record of job files ([`row`]). A source of rows yields an [`Entry`](entry::Entry): a
//! row, or a line that could not be understood, as [`OnBad`](entry::OnBad) has it. Tables to look records up in are in [`table`].
//!
//! **Not here:** how sources are driven, timed and held back, and what a sink's records have to do with checkpoints: that is the business of
//! the runtime, which knows a connector only by the traits `Source` and `Sink`. Nor what a job file calls all this.
//!
//! To add a connector: give it a file; implement `Source` (a reader that never blocks: `handover` gives it a thread and a queue) or `Sink`;
//! take a [`Format`](format::Format) or an [`Encoder`](format::Encoder) rather than bytes of your own; say in the header what it promises; test
//! it in `tests/`, driven by hand. A format is a [`Decoder`](format::Decoder) and an encoder, in a file each.
//!
//! ```
//! use tidegate_connectors::file::FileSource;
//! use tidegate_connectors::format::{Conversion, CsvFormat, Layout, TimeUnit};
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
pub mod format;
pub mod generator;
mod handover;
mod http;
pub mod kafka;
pub mod kinds;
mod lines;
pub mod path;
pub mod row;
pub mod sink;
mod split;
pub mod stdin;
pub mod table;
mod unique;
