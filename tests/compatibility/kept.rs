//! The savepoints and expectations kept in the repository.

use std::fs;
use std::path::{Path, PathBuf};

use crate::harness::project;

/// The path of a kept file or directory.
pub fn kept(name: &str) -> PathBuf {
    project().join("tests/compatibility").join(name)
}

/// The kept savepoints, by the names of their directories.
pub fn cases() -> Vec<String> {
    let names = files(&kept("data"));
    assert!(!names.is_empty(), "`tests/compatibility/data` has the kept savepoints");
    names
}

/// The names of the files in a directory, sorted, or none if it does not exist.
pub fn files(dir: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("a name in UTF-8")).collect();
    names.sort();
    names
}

/// Copies a directory and everything in it.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("directories can be made");
    for name in files(from) {
        let (from, to) = (from.join(&name), to.join(&name));
        if from.is_dir() {
            copy(&from, &to);
        } else {
            fs::copy(&from, &to).expect("a file can be copied");
        }
    }
}
