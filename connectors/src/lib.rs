//! Connectors and formats: how records enter and leave a job.

mod bad;
pub mod entry;
pub mod file;
pub mod format;
mod handover;
mod lines;
pub mod row;
mod split;
pub mod stdin;
