//! Tells whether two paths denote the same file.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

/// The absolute path without links, `.` and `..`, of files that exist and of files yet to be created.
#[must_use]
pub fn resolved(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let there = absolute.ancestors().find_map(|ancestor| Some((ancestor.canonicalize().ok()?, absolute.strip_prefix(ancestor).ok()?)));
    let (mut resolved, rest) = there.unwrap_or((PathBuf::new(), &absolute));
    for part in rest.components() {
        if part == Component::ParentDir {
            resolved.pop();
        } else {
            resolved.push(part);
        }
    }
    resolved
}

/// Whether these denote one file, under any names, including hard links.
#[must_use]
pub fn same_file(a: &Path, b: &Path) -> bool {
    let identity = |path: &Path| path.metadata().ok().filter(Metadata::is_file).map(|file| (file.dev(), file.ino()));
    identity(a).is_some_and(|a| Some(a) == identity(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_file_has_one_path_however_it_is_spelt() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        std::fs::create_dir(root.join("a")).unwrap();
        std::os::unix::fs::symlink(root.join("a"), root.join("link")).unwrap();
        for spelt in ["a/x/y", "./a//x/./y", "a/../a/x/y", "link/x/y", "a/x/z/../y", "link/../a/x/y"] {
            assert_eq!(resolved(&root.join(spelt)), root.join("a/x/y"), "{spelt}");
        }
        assert_eq!(resolved(Path::new("x")), std::env::current_dir().unwrap().canonicalize().unwrap().join("x"));
    }
}
