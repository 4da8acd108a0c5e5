//! Avro messages, unframed or in Confluent's wire format.
//!
//! In Confluent's wire format, a message consists of a zero byte, the id of the writer's schema (32 bits, big-endian)
//! and the value. Each schema is fetched from the [`Registry`] once per process. Unframed messages all have the same
//! schema. The encoding of values is implemented in `tidegate_rows::format::avro`.

mod decode;
mod encode;
mod registry;

pub use decode::{AvroDecoder, AvroFormat};
pub use encode::AvroEncoder;
pub use registry::{Registry, Subject};

/// The first byte of a message in Confluent's wire format.
const MAGIC: u8 = 0;
