//! Tables to look records up in, by a key: the values of some of their fields, as a row.

mod file;
mod http;

pub use file::FileTable;
pub use http::HttpTable;
