//! What sources and sinks become.

mod avro;
mod first_time;
pub(crate) mod kafka;
mod look;
pub(crate) mod sinks;
pub(crate) mod sources;

pub(crate) use look::Look;
