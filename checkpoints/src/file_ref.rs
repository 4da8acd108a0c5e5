//! A file of a checkpoint, and how to check that it is still what was written.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

/// A file that a checkpoint or savepoint needs.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileRef {
    /// Its path, relative to the directory of the job, or of the savepoint.
    pub path: String,
    /// Its name where it is used, for example in a RocksDB directory.
    pub name: String,
    /// Its length in bytes.
    pub bytes: u64,
    /// Its XXH3 hash; in JSON, 16 hexadecimal digits.
    #[serde(with = "hex")]
    pub checksum: u64,
}

/// Why a file is not the one that was written.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It can't be read.
    #[error("can't read {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It has another length.
    #[error("{} (stored as {stored}) has {found} bytes but should have {expected}: it is damaged", path.display())]
    Length {
        /// The file.
        path: PathBuf,
        /// Its place in the checkpoint.
        stored: String,
        /// Its length in bytes.
        found: u64,
        /// The length when it was written.
        expected: u64,
    },
    /// It has other contents.
    #[error("{} (stored as {stored}) has checksum {found:016x} but should have {expected:016x}: it is damaged", path.display())]
    Checksum {
        /// The file.
        path: PathBuf,
        /// Its place in the checkpoint.
        stored: String,
        /// Its checksum.
        found: u64,
        /// The checksum when it was written.
        expected: u64,
    },
}

impl FileRef {
    /// Describes the file at `local`, to be stored at `path` under the name `name`.
    ///
    /// # Errors
    /// It can't be read.
    pub fn describe(local: &Path, path: impl Into<String>, name: impl Into<String>) -> Result<Self, FileError> {
        let (bytes, checksum) = digest(local)?;
        Ok(Self { path: path.into(), name: name.into(), bytes, checksum })
    }

    /// True if its path and name stay inside the directories they are put in.
    pub(crate) fn is_inside(&self) -> bool {
        is_name(&self.path) && is_name(&self.name)
    }
}

/// Checks that the file at `local` is the one `file` describes.
///
/// # Errors
/// It can't be read, or has another length or checksum.
pub fn verify(file: &FileRef, local: &Path) -> Result<(), FileError> {
    let (found, checksum) = digest(local)?;
    let (path, stored) = (local.to_owned(), file.path.clone());
    if found != file.bytes {
        return Err(FileError::Length { path, stored, found, expected: file.bytes });
    }
    if checksum != file.checksum {
        return Err(FileError::Checksum { path, stored, found: checksum, expected: file.checksum });
    }
    Ok(())
}

/// True if `name` is a relative path of plain components.
pub(crate) fn is_name(name: &str) -> bool {
    !name.contains(['\\', '\0']) && name.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

/// The length and XXH3 hash of a file.
fn digest(path: &Path) -> Result<(u64, u64), FileError> {
    let unreadable = |source| FileError::Unreadable { path: path.to_owned(), source };
    let mut file = File::open(path).map_err(unreadable)?;
    let mut hasher = Xxh3::new();
    let mut buffer = vec![0; 256 << 10];
    let mut bytes = 0;
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok((bytes, hasher.digest())),
            Ok(read) => {
                bytes += read as u64;
                hasher.update(buffer.get(..read).unwrap_or_default());
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(unreadable(e)),
        }
    }
}

/// JSON numbers beyond 2^53 don't survive most tools.
mod hex {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
    pub fn serialize<S: Serializer>(checksum: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{checksum:016x}"))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        let text = String::deserialize(deserializer)?;
        let whole = text.len() == 16 && text.bytes().all(|b| b.is_ascii_hexdigit());
        let checksum = whole.then(|| u64::from_str_radix(&text, 16).ok()).flatten();
        checksum.ok_or_else(|| D::Error::custom(format_args!("{text:?} is no checksum: 16 hexadecimal digits")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_told_from_any_other() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        std::fs::write(&path, b"hello").unwrap();
        let file = FileRef::describe(&path, "shared/1", "a").unwrap();
        // The checksum is that of the reference implementation (`xxhsum -H3`), so people can check files by hand.
        assert_eq!((file.bytes, file.checksum), (5, 0x9555_e855_5c62_dcfd));
        verify(&file, &path).unwrap();
        std::fs::write(&path, b"hellp").unwrap();
        let error = verify(&file, &path).unwrap_err().to_string();
        assert!(error.contains("shared/1") && error.contains("checksum"), "{error}");
        std::fs::write(&path, b"hell").unwrap();
        let error = verify(&file, &path).unwrap_err().to_string();
        assert!(error.contains("4 bytes but should have 5"), "{error}");
        let error = verify(&file, &dir.path().join("b")).unwrap_err().to_string();
        assert!(error.contains("can't read") && error.contains("/b"), "{error}");
    }

    #[test]
    fn names_stay_inside() {
        for good in ["a", "shared/1-000012.sst", ".tmp", "a b/ü"] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["", "/a", "a/", "a//b", "../a", "a/..", "./a", "a\\b", "a\0"] {
            assert!(!is_name(bad), "{bad}");
        }
    }
}
