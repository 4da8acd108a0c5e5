//! What planning must know about the world outside a job file. It is asked beforehand, so that planning itself touches nothing,
//! and a job can be planned where its files are not.

use std::collections::HashMap;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use tidegate_connectors::file::{Meaning, first_line, is_read};
use tidegate_connectors::path::{resolved, same_file};
use tidegate_connectors::sink::is_directory;

/// The world in which a job will run.
pub trait Outside {
    /// The text of a file.
    ///
    /// # Errors
    /// Why it can't be read.
    fn text(&self, path: &str) -> Result<String, String>;

    /// The first line of the first file that a source's path denotes, or an empty line if there is none.
    ///
    /// # Errors
    /// Why it can't be read, as a sentence.
    fn first_line(&self, path: &str) -> Result<Vec<u8>, String>;

    /// Whether a source's path denotes a single file, not a directory or a pattern.
    fn is_one_file(&self, path: &str) -> bool;

    /// Whether a source or table at `path` would read what the sink writes.
    fn is_read(&self, path: &str, written: &Written<'_>) -> bool;

    /// Whether two sinks would write to the same file.
    fn meet(&self, one: &Written<'_>, other: &Written<'_>) -> bool;

    /// Whether standard output is a terminal.
    fn is_terminal(&self) -> bool;
}

/// What a file sink writes.
#[derive(Clone, Copy, Debug)]
pub struct Written<'a> {
    /// The path of a file or directory.
    pub path: &'a str,
    /// The extension of files in its format.
    pub ending: &'a str,
}

/// This machine, as seen from the working directory.
#[derive(Clone, Copy, Debug, Default)]
pub struct Local;

impl Outside for Local {
    fn text(&self, path: &str) -> Result<String, String> {
        std::fs::read_to_string(path).map_err(|error| error.to_string())
    }

    fn first_line(&self, path: &str) -> Result<Vec<u8>, String> {
        first_line(path).map_err(|error| error.to_string())
    }

    fn is_one_file(&self, path: &str) -> bool {
        matches!(Meaning::of(path), Meaning::File(_))
    }

    fn is_read(&self, path: &str, written: &Written<'_>) -> bool {
        let (read, place) = (Meaning::of(path), Place::of(written));
        match (place.directory, &read) {
            (false, _) => read.has(&place.path) || is_read(path, &place.path),
            // It may be any of the parts.
            (true, Meaning::File(file)) => place.has_part(file),
            (true, _) => read.has(&place.path.join(format!("part-0.{}", written.ending))),
        }
    }

    fn meet(&self, one: &Written<'_>, other: &Written<'_>) -> bool {
        let (one, other) = (Place::of(one), Place::of(other));
        let within = |a: &Place, b: &Place| a.directory && !b.directory && a.has_part(&b.path);
        one.path == other.path || same_file(&one.path, &other.path) || within(&one, &other) || within(&other, &one)
    }

    fn is_terminal(&self) -> bool {
        std::io::stdout().is_terminal()
    }
}

/// The place on this machine that a sink writes to.
struct Place {
    path: PathBuf,
    directory: bool,
}

impl Place {
    fn of(written: &Written<'_>) -> Self {
        Self { path: resolved(Path::new(written.path)), directory: is_directory(written.path) }
    }

    fn has_part(&self, file: &Path) -> bool {
        let is_part = file.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"part-"));
        is_part && file.parent() == Some(&self.path)
    }
}

/// A question about the outside.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Ask {
    /// The text of the file at this path.
    Text(String),
    /// The first line of the first file that this path denotes.
    FirstLine(String),
    /// Whether this path denotes a single file.
    OneFile(String),
    /// Whether standard output is a terminal.
    Terminal,
}

/// The answers from the outside.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answers {
    texts: HashMap<String, Result<String, String>>,
    first_lines: HashMap<String, Result<Vec<u8>, String>>,
    one_file: HashMap<String, bool>,
    terminal: bool,
}

impl Answers {
    /// Asks the outside these questions.
    pub(crate) fn to(asks: impl IntoIterator<Item = Ask>, outside: &dyn Outside) -> Self {
        let mut answers = Self::default();
        for ask in asks {
            match ask {
                Ask::Text(path) => {
                    let text = outside.text(&path);
                    answers.texts.insert(path, text);
                }
                Ask::FirstLine(path) => {
                    let line = outside.first_line(&path);
                    answers.first_lines.insert(path, line);
                }
                Ask::OneFile(path) => {
                    let one = outside.is_one_file(&path);
                    answers.one_file.insert(path, one);
                }
                Ask::Terminal => answers.terminal = outside.is_terminal(),
            }
        }
        answers
    }

    /// The text of a file.
    pub(crate) fn text(&self, path: &str) -> Result<&str, &str> {
        self.texts.get(path).map_or(Err("nobody has asked for it"), |text| text.as_deref().map_err(String::as_str))
    }

    /// The first line of the first file that a path denotes.
    pub(crate) fn first_line(&self, path: &str) -> Result<&[u8], &str> {
        self.first_lines.get(path).map_or(Err("nobody has asked for its first line"), |line| line.as_deref().map_err(String::as_str))
    }

    /// Whether a path denotes a single file.
    pub(crate) fn is_one_file(&self, path: &str) -> bool {
        self.one_file.get(path).copied().unwrap_or_default()
    }

    /// Whether standard output is a terminal.
    pub(crate) fn is_terminal(&self) -> bool {
        self.terminal
    }
}
