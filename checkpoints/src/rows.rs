//! A portable file of state rows. It does not depend on the backend that the rows came from.
//!
//! ```text
//! "tgrows" version:u16 | block ... | footer | length of the footer:u64  checksum of the footer:u64  "tgrowend"
//! block   rows of one key group, as one zstd frame; a row is state:u8 key-length:varint value-length:varint key value
//! footer  group:u16 rows:u32 offset:u64 stored:u32 raw:u32 checksum:u64 of each block, by group; then state:u8 rows:u64 of each state;
//!         then the numbers of both as u64
//! ```
//! Numbers are little-endian, checksums are XXH3. Reading a damaged file gives either an error or what was written, never something else.

mod block;
mod footer;
mod reader;
mod writer;

#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};

pub use reader::{RowReader, Rows};
pub use writer::{Finished, RowWriter};

/// An entry of keyed state.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Row {
    /// The key group.
    pub group: u16,
    /// The number of the state within its operator.
    pub state: u8,
    /// The key, as the state table wrote it.
    pub key: Vec<u8>,
    /// The value, as the state table wrote it.
    pub value: Vec<u8>,
}

/// Why a file of rows can't be written or read.
#[derive(Debug, thiserror::Error)]
pub enum RowsError {
    /// The file system failed.
    #[error("can't {action} the state file {}: {source}", path.display())]
    Io {
        /// `write` or `read`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is not what was written.
    #[error("the state file {} is damaged: {what}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The file has a version that this release can't read.
    #[error("the state file {} has version {found}, but this release reads version {VERSION}: use the release that wrote it, or a newer one", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u16,
    },
    /// A row is larger than the format allows.
    #[error("a row of {bytes} bytes (key group {group}, state {state}) doesn't fit the state file {}: at most {MAX_ROW} bytes do", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The key group.
        group: u16,
        /// The state.
        state: u8,
        /// The size of key and value together.
        bytes: usize,
    },
}

const MAGIC: &[u8; 6] = b"tgrows";
const VERSION: u16 = 1;
const HEADER: usize = MAGIC.len() + 2;
const END: &[u8; 8] = b"tgrowend";
/// Footer length, footer checksum, [`END`].
const TRAILER: usize = 24;

/// The largest size of key and value together, in bytes.
const MAX_ROW: usize = 1 << 30;

impl RowsError {
    fn io(action: &'static str, path: &Path) -> impl Fn(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Io { action, path: path.clone(), source }
    }

    fn damaged(path: &Path, what: impl Into<String>) -> Self {
        Self::Damaged { path: path.to_owned(), what: what.into() }
    }
}
