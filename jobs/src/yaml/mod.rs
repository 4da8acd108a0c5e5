//! YAML as used by job files: a tree that knows the location of every node, and readers that turn parts of it into
//! values or problems.
//!
//! Nothing here knows what a job is.

mod cut;
pub(crate) mod foreign;
mod keys;
mod not_yet;
mod read;
mod tree;
mod values;

pub(crate) use keys::{Key, Table, key, key_of, reference};
pub(crate) use read::{Broken, Fields, Reader, scalar};
pub(crate) use tree::{Entry, MAX_DEPTH, Node, Value, parse};
pub use values::{Literal, duration_text, parse_duration, parse_size};
pub(crate) use values::{MAX_JOB_NAME, is_job_name, is_name, millis, unsigned};
