//! A file whose readers see what is committed, and nothing else.
//!
//! What is written goes to a pending file beside it, `.NAME.pending-RUN-N`, one for each epoch. At the seal that is brought to disk; when the checkpoint
//! is complete it is appended to the file, at the length the file had, and removed. Both can be done again: a restore finds each pending
//! file named in the checkpoint either still there, and appends it at its place once more, or gone, and then it has been appended. What a
//! checkpoint does not know of is cut off.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use tidegate_runtime::{Epoch, Error};

use crate::unique::unique;

/// What an epoch adds to a file; in checkpoints.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Part {
    /// The file.
    pub(super) path: PathBuf,
    /// The length of the file before.
    at: u64,
    /// The bytes added.
    bytes: u64,
    /// Where they lie until they are committed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pending: Option<PathBuf>,
}

impl Part {
    pub(super) fn read(json: &Json) -> Result<Self, Error> {
        serde_json::from_value(json.clone()).map_err(|e| Error::internal(format!("what a snapshot says of a file does not read: {e}")))
    }

    pub(super) fn write(&self) -> Json {
        // Paths come from text and can be written.
        serde_json::to_value(self).unwrap_or_default()
    }

    /// The file as this part leaves it.
    pub(super) fn committed(&self) -> Self {
        Self { path: self.path.clone(), at: self.end(), bytes: 0, pending: None }
    }

    /// The length of the file after.
    pub(super) fn end(&self) -> u64 {
        self.at + self.bytes
    }
}

/// Brings files to where a checkpoint has them. `parts` are sorted.
pub(super) fn recover(parts: &[Part]) -> Result<(), Error> {
    for part in parts {
        let failed = |e: io::Error| Error::external(format!("`{}` can't be brought to where the snapshot has it", part.path.display()), e);
        let length = match fs::metadata(&part.path) {
            Ok(metadata) => Some(metadata.len()),
            Err(e) if e.kind() == io::ErrorKind::NotFound => None,
            Err(e) => return Err(failed(e)),
        };
        let pending = part.pending.as_ref().filter(|pending| pending.exists());
        let missing = |has: u64| {
            let path = part.path.display();
            let wants = if pending.is_some() { part.at } else { part.end() };
            Error::user(format!(
                "`{path}` has {has} bytes, and {wants} were written before the snapshot: put the file back, or give the sink another path"
            ))
        };
        match (pending, length) {
            (Some(pending), length) if length.unwrap_or(0) >= part.at => append(part, pending).map_err(failed)?,
            (Some(_), length) => return Err(missing(length.unwrap_or(0))),
            (None, Some(length)) if length < part.end() => return Err(missing(length)),
            // It has been moved away as a whole, with all that was committed.
            (None, _) => {}
        }
    }
    Ok(())
}

/// Appends what is pending, at its place, and removes it.
fn append(part: &Part, pending: &Path) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(false).open(&part.path)?;
    file.set_len(part.at)?;
    file.seek(SeekFrom::Start(part.at))?;
    io::copy(&mut File::open(pending)?, &mut file)?;
    file.sync_data()?;
    tidegate_runtime::failpoint::hit("file-appended");
    fs::remove_file(pending)
}

/// A file that is written by one worker.
pub(super) struct Committed {
    path: PathBuf,
    /// The length of the file once everything sealed is committed.
    length: u64,
    target: Target,
}

enum Target {
    /// Everything is seen at once.
    Direct(File),
    /// Nothing is seen before it is committed.
    Pending {
        open: Option<(File, PathBuf)>,
        /// Bytes in it.
        bytes: u64,
        /// A name of this run alone: else what it leaves could be taken for what a checkpoint before it names.
        run: String,
        /// The number of the next one.
        next: u64,
        sealed: VecDeque<(Epoch, Part)>,
    },
}

impl Committed {
    /// Opens the file: to go on at `length`, or else anew, with `header`.
    pub(super) fn open(path: &Path, length: Option<u64>, header: &[u8], transactional: bool) -> Result<Self, Error> {
        let open = || -> io::Result<Self> {
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent)?;
            }
            let length = length.filter(|_| path.exists());
            let mut file = OpenOptions::new().write(true).create(true).truncate(length.is_none()).open(path)?;
            let length = match length {
                Some(length) => {
                    file.set_len(length)?;
                    file.seek(SeekFrom::Start(length))?
                }
                None => {
                    file.write_all(header)?;
                    header.len() as u64
                }
            };
            // What was pending and belongs to the snapshot has been appended by now.
            remove_pending(path)?;
            let target = if transactional {
                file.sync_data()?;
                Target::Pending { open: None, bytes: 0, run: unique(), next: 0, sealed: VecDeque::new() }
            } else {
                Target::Direct(file)
            };
            Ok(Self { path: path.to_owned(), length, target })
        };
        open().map_err(|e| Error::external(format!("`{}` can't be written", path.display()), e))
    }

    pub(super) fn write(&mut self, data: &[u8]) -> io::Result<()> {
        match &mut self.target {
            Target::Direct(file) => {
                file.write_all(data)?;
                self.length += data.len() as u64;
            }
            Target::Pending { open, bytes, run, next, .. } => {
                let (file, _) = match open {
                    Some(open) => open,
                    None => {
                        let path = pending_path(&self.path, run, *next);
                        *next += 1;
                        open.insert((File::create(&path)?, path))
                    }
                };
                file.write_all(data)?;
                *bytes += data.len() as u64;
            }
        }
        Ok(())
    }

    /// Everything of `epoch` has been written. What that added is on disk when this returns.
    pub(super) fn seal(&mut self, epoch: Epoch) -> io::Result<Part> {
        let at = self.length;
        match &mut self.target {
            Target::Direct(_) => Ok(Part { path: self.path.clone(), at, bytes: 0, pending: None }),
            Target::Pending { open, bytes, sealed, .. } => {
                let pending = open.take();
                if let Some((file, _)) = &pending {
                    file.sync_data()?;
                }
                let part = Part { path: self.path.clone(), at, bytes: std::mem::take(bytes), pending: pending.map(|(_, path)| path) };
                self.length = part.end();
                sealed.push_back((epoch, part.clone()));
                Ok(part)
            }
        }
    }

    /// What was sealed up to and including `epoch` is to be seen.
    pub(super) fn commit(&mut self, epoch: Epoch) -> io::Result<()> {
        let Target::Pending { sealed, .. } = &mut self.target else { return Ok(()) };
        while let Some((sealed_in, part)) = sealed.front()
            && *sealed_in <= epoch
        {
            if let Some(pending) = &part.pending {
                append(part, pending)?;
            }
            sealed.pop_front();
        }
        Ok(())
    }
}

fn pending_prefix(path: &Path) -> OsString {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".pending-");
    name
}

fn pending_path(path: &Path, run: &str, number: u64) -> PathBuf {
    let mut name = pending_prefix(path);
    name.push(format!("{run}-{number}"));
    path.with_file_name(name)
}

/// Removes what no snapshot names any more.
fn remove_pending(path: &Path) -> io::Result<()> {
    let prefix = pending_prefix(path);
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_name().as_encoded_bytes().starts_with(prefix.as_encoded_bytes()) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The parts that the last complete checkpoint names, and the epoch it is of.
    type Checkpoint = Option<(u32, Vec<Part>)>;

    /// Goes on from the checkpoint, to the end or until it dies after so many steps.
    fn run_of(path: &Path, checkpoint: &mut Checkpoint, dies_after: usize) {
        let mut restored = None;
        if let Some((_, parts)) = &checkpoint {
            recover(parts).unwrap();
            restored = parts.iter().map(Part::end).max();
        }
        let first = checkpoint.as_ref().map_or(0, |(epoch, _)| epoch + 1);
        let mut file = Committed::open(path, restored, b"head\n", true).unwrap();
        let (mut uncommitted, mut steps) = (Vec::new(), 0);
        let mut dies = || {
            steps += 1;
            steps > dies_after
        };
        for epoch in first..3 {
            for piece in ["line ", &format!("{epoch}\n")] {
                if dies() {
                    return;
                }
                file.write(piece.as_bytes()).unwrap();
            }
            if dies() {
                return;
            }
            uncommitted.push(file.seal(Epoch(epoch)).unwrap());
            if dies() {
                return;
            }
            *checkpoint = Some((epoch, uncommitted.clone()));
            if dies() {
                return;
            }
            let seen = fs::read_to_string(path).unwrap();
            assert!(!seen.contains(&format!("line {epoch}")), "{seen}");
            file.commit(Epoch(epoch)).unwrap();
            uncommitted.clear();
        }
    }

    /// Writes epochs and dies twice, at every step of the way; whatever a restore finds, readers see each byte once.
    #[test]
    fn every_byte_is_seen_once_wherever_it_stops() {
        for (first, second) in (0..16).flat_map(|first| (0..6).map(move |second| (first, second))) {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("out.txt");
            let mut checkpoint = None;
            for dies_after in [first, second, usize::MAX] {
                run_of(&path, &mut checkpoint, dies_after);
            }
            assert_eq!(fs::read_to_string(&path).unwrap(), "head\nline 0\nline 1\nline 2\n", "died after {first} and {second}");
            assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left pending");
        }
    }

    #[test]
    fn a_file_that_was_cut_short_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out.txt");
        fs::write(&path, "abc").unwrap();
        let error = recover(&[Part { path: path.clone(), at: 4, bytes: 2, pending: None }]).unwrap_err().to_string();
        assert!(error.contains("out.txt") && error.contains("3 bytes") && error.contains('6'), "{error}");
    }
}
