//! Connectors and formats: how records enter and leave a job.

pub mod row;
