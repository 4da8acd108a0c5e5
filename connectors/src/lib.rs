//! Connectors: how records enter and leave a job.
//!
//! **Here:** the sources and sinks that a job names under `connector:` ([`file`](mod@file), [`stdin`], [`generator`],
//! [`kafka`], [`sink`]), and message formats, which may have to ask a server what the bytes mean ([`message`]). A
//! source of rows yields an [`Entry`](entry::Entry): a row, or a line that can't be parsed, as
//! [`OnBad`](entry::OnBad) says. Lookup tables are in [`table`].
//!
//! **Not here:** rows and line formats (`tidegate-rows`). How sources are driven, timed and throttled, and how a
//! sink's records relate to checkpoints, is the business of the runtime, which knows a connector only by the traits
//! `Source` and `Sink`. The syntax of job files is not here either.
//!
//! To add a connector: give it a file; implement `Source` (with a reader that never blocks: `handover` provides a
//! thread and a queue) or `Sink`; take a [`Format`](tidegate_rows::format::Format) or an
//! [`Encoder`](tidegate_rows::format::Encoder) rather than raw bytes; state its guarantees in the module header; test
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
mod counted;
pub mod entry;
pub mod file;
pub mod generator;
mod handover;
mod http;
#[cfg(feature = "kafka")]
pub mod kafka;
pub mod kinds;
mod lines;
pub mod local;
pub mod message;
pub mod path;
pub mod sink;
pub mod socket;
mod split;
pub mod stdin;
pub mod table;
mod unique;
