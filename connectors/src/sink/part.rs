//! What an epoch adds to a file, as stored in checkpoints.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use tidegate_runtime::Error;
use tidegate_runtime::sink::Committable;

use crate::path::resolved;

/// A file that a sink writes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Place {
    /// The path as given in the job.
    pub(super) path: PathBuf,
    /// The absolute path.
    absolute: PathBuf,
}

impl Place {
    pub(super) fn new(path: PathBuf) -> Self {
        // Don't resolve the file itself: it may be a link whose target is yet to be created, which would change the
        // result.
        let absolute = match (path.parent(), path.file_name()) {
            (Some(parent), Some(name)) => resolved(if parent.as_os_str().is_empty() { Path::new(".") } else { parent }).join(name),
            _ => resolved(&path),
        };
        Self { path, absolute }
    }

    /// Whether both are the same file, even if the job's whole directory was moved.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.absolute == other.absolute || self.path == other.path
    }

    /// The file's absolute path when the snapshot was taken.
    pub(super) fn absolute(&self) -> &Path {
        &self.absolute
    }
}

/// What an epoch adds to a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Part {
    #[serde(flatten)]
    pub(super) place: Place,
    /// The length of the file before.
    pub(super) at: u64,
    /// The number of bytes added.
    pub(super) bytes: u64,
    /// The file with the uncommitted bytes: that of the committable. `None` if there are no bytes.
    #[serde(skip)]
    pub(super) segment: Option<PathBuf>,
}

impl Part {
    /// Reads a part from a snapshot, without its bytes.
    pub(super) fn told(value: &Json) -> Result<Self, Error> {
        Self::deserialize(value).map_err(|e| Error::user(format!("what a snapshot says of a file does not read: {e}")))
    }

    pub(super) fn read(committable: &Committable) -> Result<Self, Error> {
        let part = Self::told(&committable.value)?;
        if part.bytes > 0 && committable.file.is_none() {
            let (path, bytes) = (part.place.path.display(), part.bytes);
            return Err(Error::user(format!("the snapshot lacks the {bytes} bytes that it is to append to `{path}`")));
        }
        Ok(Self { segment: committable.file.clone(), ..part })
    }

    pub(super) fn write(&self) -> Committable {
        // Paths come from text, so they serialize.
        Committable { value: serde_json::to_value(self).unwrap_or_default(), file: self.segment.clone() }
    }

    /// The state of the file after this part: its length, with nothing to add.
    pub(super) fn committed(&self) -> Self {
        Self { place: self.place.clone(), at: self.end(), bytes: 0, segment: None }
    }

    /// The length of the file after.
    pub(super) fn end(&self) -> u64 {
        self.at + self.bytes
    }
}
