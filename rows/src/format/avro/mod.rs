//! Avro: octets that only their schema explains. Fields go by their names into the slots of a layout.
//!
//! | Avro | value |
//! | --- | --- |
//! | int, long, float, double, boolean, string, enum, array, map, record | as in JSON |
//! | bytes, fixed | bytes; for a field of type string, text |
//! | timestamp-*, local-timestamp-* (as UTC), date (its midnight in UTC) | timestamp; for a field of type int, the number as it stands |
//! | time-* | duration since midnight; for a field of type int, the number as it stands |
//! | decimal of up to 128 bits | double; exact for a field of type decimal (of up to 38 digits) or string |
//! | uuid | string |
//! | duration | duration, if it has no months |
//! | union | the value of its branch |
//!
//! Schemas are parsed by the crate `apache-avro`. Octets go straight into rows here, as that crate makes a tree of each record, with its names; what it reads
//! and writes is what tests compare with.

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
