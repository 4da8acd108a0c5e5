//! Connectors and formats: how records enter and leave a job.

pub mod entry;
pub mod format;
pub mod row;
