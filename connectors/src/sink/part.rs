//! What an epoch adds to a file, as checkpoints keep it.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use tidegate_runtime::Error;
use tidegate_runtime::sink::Committable;

use crate::path::resolved;

/// A file that a sink writes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Place {
    /// As the job has it.
    pub(super) path: PathBuf,
    /// The same from the root on.
    absolute: PathBuf,
}

impl Place {
    pub(super) fn new(path: PathBuf) -> Self {
        // The file itself may be a link to one that is yet to be made, which would change what it resolves to.
        let absolute = match (path.parent(), path.file_name()) {
            (Some(parent), Some(name)) => resolved(if parent.as_os_str().is_empty() { Path::new(".") } else { parent }).join(name),
            _ => resolved(&path),
        };
        Self { path, absolute }
    }

    /// Are both one file? Also if all of the job's directory was moved.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.absolute == other.absolute || self.path == other.path
    }

    /// Where it was when the snapshot was taken.
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
    /// The bytes added.
    pub(super) bytes: u64,
    /// Where they lie until they are committed: the file of the committable. None if there are no bytes.
    #[serde(skip)]
    pub(super) segment: Option<PathBuf>,
}

impl Part {
    /// What a snapshot says of it, without the bytes.
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
        // Paths come from text and can be written.
        Committable { value: serde_json::to_value(self).unwrap_or_default(), file: self.segment.clone() }
    }

    /// The file as this part leaves it.
    pub(super) fn committed(&self) -> Self {
        Self { place: self.place.clone(), at: self.end(), bytes: 0, segment: None }
    }

    /// The length of the file after.
    pub(super) fn end(&self) -> u64 {
        self.at + self.bytes
    }
}
