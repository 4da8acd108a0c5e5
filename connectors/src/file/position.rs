//! The position of reading a file, as stored in checkpoints.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use tidegate_runtime::Error;

use super::input::compression;
use super::lane::Lane;
use super::listing::unreadable;
use crate::lines;
use crate::path::resolved;

/// A position in a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Position {
    /// The path as it was listed. For a symbolic link it is the resolved path, because the link may lead to another
    /// file next time.
    pub(super) file: PathBuf,
    /// Decompressed bytes read.
    pub(super) bytes: u64,
    /// The number of lines read.
    pub(super) lines: u64,
    /// The greatest event time so far, in milliseconds since 1970.
    pub(super) newest: i64,
    /// Whether the whole file has been read.
    pub(super) ended: bool,
    /// The lane that has been read so far, if not the whole file is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) lane: Option<Lane>,
}

/// A file by its [`resolved`] path, and the lane of it.
pub(super) type Key = (PathBuf, Option<Lane>);

/// The positions of a snapshot.
pub(super) type Positions = BTreeMap<Key, Position>;

impl Position {
    pub(super) fn new(file: &Path, lane: Option<Lane>, at: lines::Position, newest: i64, ended: bool) -> Self {
        let file = if file.is_symlink() { resolved(file) } else { file.to_owned() };
        Self { file, bytes: at.offset, lines: at.line, newest, ended, lane }
    }

    /// Compares the position with the file as it is now. A file that was read to its end may have grown.
    pub(super) fn meet(&mut self, path: &Path) -> Result<(), Error> {
        let metadata = path.metadata().map_err(|e| unreadable(path, &e))?;
        if compression(path).is_some() || !metadata.is_file() {
            return Ok(());
        }
        if metadata.len() < self.bytes {
            let (path, has) = (path.display(), metadata.len());
            return Err(Error::user(format!(
                "`{path}` is shorter than it was: it has {has} bytes, and the snapshot has read {}: was it replaced by another file?",
                self.bytes
            )));
        }
        self.ended &= metadata.len() == self.bytes;
        Ok(())
    }

    pub(super) fn at(&self) -> lines::Position {
        lines::Position { line: self.lines, offset: self.bytes }
    }

    pub(super) fn to_json(&self) -> Json {
        // A listed path is text.
        serde_json::to_value(self).unwrap_or_default()
    }
}

/// The positions of a snapshot. If there are several for a file or a lane, the furthest one.
pub(super) fn read(restored: Option<&[Json]>) -> Result<Positions, Error> {
    let mut positions = Positions::new();
    for json in restored.unwrap_or_default() {
        let position: Position = serde_json::from_value(json.clone())
            .map_err(|e| Error::user(format!("the snapshot was not taken of a file source: its position {json} does not read ({e})")))?;
        let key = (resolved(&position.file), position.lane);
        let further = positions.get(&key).is_none_or(|known| (known.ended, known.bytes) < (position.ended, position.bytes));
        if further {
            positions.insert(key, position);
        }
    }
    Ok(positions)
}
