//! Conformance cases kept elsewhere: those in the directory that `TIDEGATE_CONFORMANCE` names.

use std::path::PathBuf;

/// The lines of every file `KIND*.jsonl` in that directory, each with its place. None without the variable.
///
/// # Panics
/// The directory can't be read.
pub fn elsewhere(kind: &str) -> Vec<(String, String)> {
    let Some(dir) = std::env::var_os("TIDEGATE_CONFORMANCE").map(PathBuf::from) else { return Vec::new() };
    let entries = std::fs::read_dir(&dir).unwrap_or_else(|e| panic!("TIDEGATE_CONFORMANCE={}: {e}", dir.display()));
    let named =
        |path: &PathBuf| path.file_name().and_then(|name| name.to_str()).is_some_and(|n| n.starts_with(kind) && n.ends_with(".jsonl"));
    let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).filter(named).collect();
    files.sort();
    let lines = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let placed = move |(number, line): (usize, &str)| (format!("{}:{}", path.display(), number + 1), line.to_owned());
        text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()).map(placed).collect::<Vec<_>>()
    };
    files.into_iter().flat_map(lines).collect()
}
