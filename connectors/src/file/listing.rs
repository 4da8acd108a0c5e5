//! Resolves a path to the files it denotes.
//!
//! A file is identified by its device and inode. If it has several names, by symbolic or hard links, it is read under
//! the first in order, and the other names are skipped. The same holds for a directory that is reached again, such as
//! through a link to one of its parents.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};
use tidegate_runtime::Error;

use crate::path::resolved;

/// How names are matched against a pattern.
const OPTIONS: glob::MatchOptions =
    glob::MatchOptions { case_sensitive: true, require_literal_leading_dot: true, require_literal_separator: true };

/// What a path denotes, independent of what exists now.
pub enum Meaning {
    /// A single file.
    File(PathBuf),
    /// The files in this directory.
    Directory(PathBuf),
    /// The files below this directory whose relative paths match.
    Matching(PathBuf, glob::Pattern),
}

impl Meaning {
    /// What a source with this path reads.
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

    /// Whether this file, a path made by [`resolved`], is one of them if it exists.
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

/// A file to be read.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Listed {
    /// Its first name.
    #[serde(with = "any_path")]
    pub(crate) path: PathBuf,
    /// The same path made by [`resolved`].
    #[serde(with = "any_path")]
    pub(crate) resolved: PathBuf,
}

/// Paths in their raw form, which need not be UTF-8.
mod any_path {
    use std::ffi::{OsStr, OsString};
    use std::path::{Path, PathBuf};

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
        OsStr::serialize(path.as_os_str(), serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
        OsString::deserialize(deserializer).map(PathBuf::from)
    }
}

impl Listed {
    fn new(path: PathBuf) -> Self {
        let resolved = resolved(&path);
        Self { path, resolved }
    }
}

/// The files that a path denotes, ordered by name, each under the first of its names.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Listing {
    pub(crate) files: Vec<Listed>,
    /// Other names of files and directories with their first names, for display.
    passed_over: Vec<(String, String)>,
}

/// The identity of a file or directory, independent of its name.
type Identity = (u64, u64);

fn identity(metadata: &fs::Metadata) -> Identity {
    (metadata.dev(), metadata.ino())
}

impl Listing {
    /// Resolves `path`: the file itself, the regular files in a directory (not its subdirectories, no hidden files),
    /// or the files that match a pattern.
    pub(crate) fn of(path: &str) -> Result<Self, Error> {
        let plain = Path::new(path);
        match fs::metadata(plain) {
            Ok(found) if found.is_dir() => {
                let mut found = Found::default();
                found.matching(plain, &[Part::Matching(any())])?;
                found.listing().ok_or_else(|| Error::user(format!("the directory `{path}` holds no files")))
            }
            // Not only regular files: a named pipe can be read too.
            Ok(_) => Ok(Self { files: vec![Listed::new(plain.to_owned())], passed_over: Vec::new() }),
            Err(e) if e.kind() == io::ErrorKind::NotFound && path.contains(['*', '?', '[']) => {
                let mut found = Found::default();
                let (base, parts) = parts(path)?;
                found.visit(base, &parts)?;
                found.listing().ok_or_else(|| Error::user(format!("no file matches `{path}`")))
            }
            Err(e) => Err(unreadable(plain, &e)),
        }
    }

    /// Describes what was skipped, if anything was.
    pub(crate) fn remark(&self) -> Option<String> {
        const NAMED: usize = 3;
        let (named, more) = self.passed_over.split_at(self.passed_over.len().min(NAMED));
        let same = |(other, first): &(String, String)| format!("`{other}` (the same as `{first}`)");
        let mut names: Vec<String> = named.iter().map(same).collect();
        if !more.is_empty() {
            names.push(format!("{} more", more.len()));
        }
        (!names.is_empty()).then(|| format!("passed over {}", names.join(", ")))
    }
}

/// Another name of a file and its first name, for display.
fn shown(other: &Path, first: &Path) -> (String, String) {
    (other.display().to_string(), first.display().to_string())
}

/// A component of a path pattern.
#[derive(Debug)]
enum Part {
    /// Exactly this name.
    Name(PathBuf),
    /// Names that match.
    Matching(glob::Pattern),
    /// `**`: any number of directories.
    Directories,
}

/// Splits a pattern into its parts and the directory where the search starts.
fn parts(path: &str) -> Result<(PathBuf, Vec<Part>), Error> {
    let (mut base, mut parts) = (PathBuf::new(), Vec::new());
    for component in Path::new(path).components() {
        match component {
            Component::Prefix(_) | Component::RootDir => base.push(component),
            Component::CurDir => {}
            Component::ParentDir => parts.push(Part::Name(PathBuf::from(".."))),
            Component::Normal(name) => match name.to_str() {
                Some("**") if matches!(parts.last(), Some(Part::Directories)) => {}
                Some("**") => parts.push(Part::Directories),
                Some(name) if name.contains(['*', '?', '[']) => parts.push(Part::Matching(
                    glob::Pattern::new(name).map_err(|e| Error::user(format!("`{path}` is not a pattern of file names: {e}")))?,
                )),
                _ => parts.push(Part::Name(PathBuf::from(name))),
            },
        }
    }
    // As the last part, it matches files at any depth.
    if matches!(parts.last(), Some(Part::Directories)) {
        parts.push(Part::Matching(any()));
    }
    Ok((base, parts))
}

fn any() -> glob::Pattern {
    glob::Pattern::new("*").unwrap_or_default()
}

/// The results of a search so far.
#[derive(Default)]
struct Found {
    names: Vec<(PathBuf, Identity)>,
    /// The directories already visited, with the number of pattern parts left to match there, and the name each was
    /// reached by.
    directories: BTreeMap<(Identity, usize), PathBuf>,
    again: Vec<(PathBuf, PathBuf)>,
}

impl Found {
    /// Adds a matching file, or searches a directory.
    fn visit(&mut self, path: PathBuf, parts: &[Part]) -> Result<(), Error> {
        let here: &Path = if path.as_os_str().is_empty() { Path::new(".") } else { &path };
        // Ignore broken links and links to themselves.
        let Ok(metadata) = fs::metadata(here) else { return Ok(()) };
        if parts.is_empty() {
            if metadata.is_file() {
                self.names.push((path, identity(&metadata)));
            }
        } else if metadata.is_dir() {
            match self.directories.entry((identity(&metadata), parts.len())) {
                Entry::Occupied(first) if *first.get() != path => self.again.push((path, first.get().clone())),
                Entry::Occupied(_) => {}
                Entry::Vacant(vacant) => {
                    vacant.insert(path.clone());
                    return self.matching(&path, parts);
                }
            }
        }
        Ok(())
    }

    /// Searches a directory for matches.
    fn matching(&mut self, directory: &Path, parts: &[Part]) -> Result<(), Error> {
        let Some((part, rest)) = parts.split_first() else { return Ok(()) };
        match part {
            Part::Name(name) => self.visit(directory.join(name), rest),
            Part::Matching(pattern) => {
                let matches = |name: &OsString| pattern.matches_with(&name.to_string_lossy(), OPTIONS);
                entries(directory)?.into_iter().filter(matches).try_for_each(|name| self.visit(directory.join(name), rest))
            }
            Part::Directories => {
                self.matching(directory, rest)?;
                let visible = |name: &OsString| !name.as_encoded_bytes().starts_with(b".");
                entries(directory)?.into_iter().filter(visible).try_for_each(|name| self.visit(directory.join(name), parts))
            }
        }
    }

    /// The files found, or `None` if there are none.
    fn listing(mut self) -> Option<Listing> {
        self.names.sort();
        let mut first: BTreeMap<Identity, PathBuf> = BTreeMap::new();
        let mut listing = Listing { files: Vec::new(), passed_over: self.again.iter().map(|(other, first)| shown(other, first)).collect() };
        for (path, identity) in self.names {
            match first.get(&identity) {
                // A pattern may match a name in two ways.
                Some(first) if *first == path => {}
                Some(first) => listing.passed_over.push(shown(&path, first)),
                None => {
                    first.insert(identity, path.clone());
                    listing.files.push(Listed::new(path));
                }
            }
        }
        (!listing.files.is_empty()).then_some(listing)
    }
}

/// The names in a directory, sorted.
fn entries(directory: &Path) -> Result<Vec<OsString>, Error> {
    let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    let names = fs::read_dir(directory).and_then(|entries| entries.map(|entry| entry.map(|entry| entry.file_name())).collect());
    let mut names: Vec<OsString> = names.map_err(|e| unreadable(directory, &e))?;
    names.sort();
    Ok(names)
}

/// The error for a file that can't be opened.
pub(crate) fn unreadable(path: &Path, error: &io::Error) -> Error {
    let path = path.display();
    Error::user(match error.kind() {
        io::ErrorKind::NotFound => format!("`{path}` does not exist"),
        io::ErrorKind::PermissionDenied => format!("`{path}` can't be read: permission denied"),
        _ => format!("`{path}` can't be read: {error}"),
    })
}
