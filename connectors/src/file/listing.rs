//! Which files a path means.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tidegate_runtime::Error;

use crate::path::resolved;

/// How names are compared with a pattern.
const OPTIONS: glob::MatchOptions =
    glob::MatchOptions { case_sensitive: true, require_literal_leading_dot: true, require_literal_separator: true };

/// What a path means, whatever is there now.
pub enum Meaning {
    /// This file.
    File(PathBuf),
    /// The files in this directory.
    Directory(PathBuf),
    /// Those below this directory whose paths from there match.
    Matching(PathBuf, glob::Pattern),
}

impl Meaning {
    /// What a source reads that is given this path.
    #[must_use]
    pub fn of(path: &str) -> Self {
        let plain = Path::new(path);
        let special = path.find(['*', '?', '[']).filter(|_| !plain.exists());
        let pattern = special.and_then(|at| {
            let base = path.get(..at)?.rfind('/').map_or(0, |slash| slash + 1);
            let (base, rest) = path.split_at(base);
            let base = if base.is_empty() { "." } else { base };
            Some(Self::Matching(resolved(Path::new(base)), glob::Pattern::new(rest).ok()?))
        });
        pattern.unwrap_or_else(|| {
            if path.ends_with('/') || plain.is_dir() { Self::Directory(resolved(plain)) } else { Self::File(resolved(plain)) }
        })
    }

    /// Is this file, as [`resolved`] has it, among them, if it is there?
    #[must_use]
    pub fn has(&self, file: &Path) -> bool {
        match self {
            Self::File(path) => path == file,
            Self::Directory(directory) => {
                let hidden = file.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
                !hidden && file.parent() == Some(directory)
            }
            Self::Matching(base, pattern) => file.strip_prefix(base).is_ok_and(|rest| pattern.matches_path_with(rest, OPTIONS)),
        }
    }
}

/// The files that `path` means, sorted by name: the file itself, the regular files in a directory (not below it, none that are hidden), or
/// those that match a pattern.
pub(crate) fn files(path: &str) -> Result<Vec<PathBuf>, Error> {
    let plain = Path::new(path);
    match fs::metadata(plain) {
        Ok(found) if found.is_dir() => directory(path),
        // Not only regular files: a named pipe can be read too.
        Ok(_) => Ok(vec![plain.to_owned()]),
        Err(e) if e.kind() == io::ErrorKind::NotFound && path.contains(['*', '?', '[']) => pattern(path),
        Err(e) => Err(unreadable(plain, &e)),
    }
}

/// The error of a file that can't be opened.
pub(crate) fn unreadable(path: &Path, error: &io::Error) -> Error {
    let path = path.display();
    Error::user(match error.kind() {
        io::ErrorKind::NotFound => format!("`{path}` does not exist"),
        io::ErrorKind::PermissionDenied => format!("`{path}` can't be read: permission denied"),
        _ => format!("`{path}` can't be read: {error}"),
    })
}

fn directory(path: &str) -> Result<Vec<PathBuf>, Error> {
    let failed = |e: io::Error| unreadable(Path::new(path), &e);
    let mut files = Vec::new();
    for entry in fs::read_dir(path).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        if !hidden && is_file(&entry.path()) {
            files.push(entry.path());
        }
    }
    files.sort();
    if files.is_empty() {
        return Err(Error::user(format!("the directory `{path}` holds no files")));
    }
    Ok(files)
}

fn pattern(path: &str) -> Result<Vec<PathBuf>, Error> {
    let found = glob::glob_with(path, OPTIONS).map_err(|e| Error::user(format!("`{path}` is not a pattern of file names: {e}")))?;
    let mut files = Vec::new();
    for file in found {
        let file = file.map_err(|e| unreadable(e.path(), e.error()))?;
        if is_file(&file) {
            files.push(file);
        }
    }
    files.sort();
    if files.is_empty() {
        return Err(Error::user(format!("no file matches `{path}`")));
    }
    Ok(files)
}

/// Is this a regular file, or a link to one? A link to nowhere is none.
fn is_file(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|m| m.is_file())
}
