//! Expectations kept in the repository, and how they are added to.

use std::fs;
use std::path::Path;

use super::{close, diff};

/// Whether missing files may be written.
pub fn update() -> bool {
    std::env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1")
}

/// The lines of a text, sorted, because workers write in no particular order.
pub fn sorted(text: &str) -> String {
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines.into_iter().map(|line| format!("{line}\n")).collect()
}

/// Whether these are the same lines. Doubles may differ in their last digits, which depend on the order in which parts are added up.
pub fn alike(a: &str, b: &str) -> bool {
    let same = |(a, b): (&str, &str)| match (serde_json::from_str(a), serde_json::from_str(b)) {
        (Ok(a), Ok(b)) => close(&a, &b),
        _ => a == b,
    };
    a.lines().count() == b.lines().count() && a.lines().zip(b.lines()).all(same)
}

/// Compares with a kept text. Writes it if it is missing and may be written.
pub fn compare(found: &str, path: &Path, what: &str) {
    if !path.exists() && update() {
        fs::create_dir_all(path.parent().expect("a file lies in a directory")).expect("directories can be made");
        fs::write(path, found).expect("a file can be written");
    }
    let expected = fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}; `UPDATE_GOLDEN=1` writes what is missing", path.display()));
    assert!(alike(found, &expected), "{what}:\n{}", diff(&expected, found));
}
