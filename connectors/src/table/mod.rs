//! Lookup tables: rows found by a key, which is itself a row of field values.

mod file;
mod http;

pub use file::FileTable;
pub use http::HttpTable;
