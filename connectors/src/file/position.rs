//! The position of reading a file, as stored in checkpoints.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use tidegate_runtime::Error;

use super::input::compression;
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
}

impl Position {
    pub(super) fn new(file: &Path, at: lines::Position, newest: i64, ended: bool) -> Self {
        let file = if file.is_symlink() { resolved(file) } else { file.to_owned() };
        Self { file, bytes: at.offset, lines: at.line, newest, ended }
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

/// The positions of a snapshot, by the file's [`resolved`] path. If there are several for a file, the furthest one.
pub(super) fn read(restored: Option<&[Json]>) -> Result<BTreeMap<PathBuf, Position>, Error> {
    let mut positions: BTreeMap<PathBuf, Position> = BTreeMap::new();
    for json in restored.unwrap_or_default() {
        let position: Position = serde_json::from_value(json.clone())
            .map_err(|e| Error::user(format!("the snapshot was not taken of a file source: its position {json} does not read ({e})")))?;
        let file = resolved(&position.file);
        let further = positions.get(&file).is_none_or(|known| (known.ended, known.bytes) < (position.ended, position.bytes));
        if further {
            positions.insert(file, position);
        }
    }
    Ok(positions)
}
