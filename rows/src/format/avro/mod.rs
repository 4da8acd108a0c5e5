//! Avro: bytes that only their schema explains. Fields are matched by name to the slots of a layout.
//!
//! | Avro | value |
//! | --- | --- |
//! | int, long, float, double, boolean, string, enum, array, map, record | as in JSON |
//! | bytes, fixed | bytes; for a field of type string, text |
//! | timestamp-*, local-timestamp-* (as UTC), date (its midnight in UTC) | timestamp; for a field of type int, the raw number |
//! | time-* | duration since midnight; for a field of type int, the raw number |
//! | decimal of up to 128 bits | double; exact for a field of type decimal (of up to 38 digits) or string |
//! | uuid | string |
//! | duration | duration, if it has no months |
//! | union | the value of its branch |
//!
//! The `apache-avro` crate parses schemas. Bytes are decoded straight into rows here, because that crate builds a
//! tree with field names for each record. Tests compare against what it reads and writes.

mod cursor;
mod decimal;
mod derive;
mod read;
mod reader;
mod schema;
mod shape;
mod write;
mod writer;

pub use reader::RecordReader;
pub use schema::AvroSchema;
pub use writer::RecordWriter;
