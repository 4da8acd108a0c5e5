//! Messages in Avro, by themselves or in Confluent's framing.
//!
//! In Confluent's framing a message is a zero, the id of its writer's schema (32 bits, the highest octet first) and the value. The schema is asked of the
//! [`Registry`] once in the life of the process; without framing all messages are of one schema. What the octets mean is the business of `tidegate_rows::format::avro`.

mod decode;
mod encode;
mod registry;

pub use decode::{AvroDecoder, AvroFormat};
pub use encode::AvroEncoder;
pub use registry::{Registry, Subject};

/// What a message in Confluent's framing begins with.
const MAGIC: u8 = 0;
