//! A file whose readers see only committed output.
//!
//! Output goes to segments in the writer's own directory, one per epoch, which become part of the checkpoint. When
//! the checkpoint is complete, its segment is appended to the file, at the length the file had. A restore does the
//! same with each segment of the snapshot, unless its bytes are already there. Anything after what the snapshot knows
//! of is cut off.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use tidegate_runtime::sink::{Committable, Committer};
use tidegate_runtime::{Epoch, Error};

use super::part::{Part, Place};
use crate::unique::unique;

/// How many bytes are compared at a time.
const BLOCK: usize = 64 << 10;

/// Checks that the file of `part`, at `path` and with this length, can be brought to the state that the part leaves
/// it in. Returns its length in that state.
pub(super) fn fits(path: &Path, part: &Part, length: Option<u64>, header: &[u8]) -> Result<Option<u64>, Error> {
    let shown = path.display();
    let short = |has: u64, wants: u64| {
        Error::user(format!(
            "`{shown}` has {has} bytes, and {wants} were written before the snapshot: put the file back, or give the sink another path"
        ))
    };
    match length {
        Some(length) if length < part.at => Err(short(length, part.at)),
        Some(length) => Ok(Some(length.max(part.end()))),
        // The file was moved away as a whole, with everything that was committed.
        None if part.bytes == 0 => Ok(None),
        // Nothing was committed before this part.
        None if part.at == header.len() as u64 => Ok(Some(part.end())),
        None => Err(Error::user(format!(
            "`{shown}` is not there, and the snapshot has {} bytes to append to it: put the file back, or give the sink another path, which \
             then begins with them",
            part.bytes
        ))),
    }
}

/// Brings the file of `part`, at `path`, to the state that the part leaves it in.
pub(super) fn recover(path: &Path, part: &Part, header: &[u8]) -> Result<(), Error> {
    let length = length(path)?;
    fits(path, part, length, header)?;
    let Some(segment) = &part.segment else { return Ok(()) };
    match length {
        None => begin(path, header)?,
        Some(_) if holds(path, part, segment)? => return Ok(()),
        Some(_) => {}
    }
    append(path, part.at, segment)
}

/// Starts the file at `path` with parts of the snapshot that were meant for files at other paths, and are missing
/// there. Those files are left alone, because another job may write them.
pub(super) fn carry(path: &Path, parts: &[&Part], header: &[u8]) -> Result<(), Error> {
    begin(path, header)?;
    let mut at = header.len() as u64;
    for part in parts {
        if let Some(segment) = &part.segment
            && !holds(part.place.absolute(), part, segment)?
        {
            append(path, at, segment)?;
            at += part.bytes;
        }
    }
    Ok(())
}

fn failed(path: &Path) -> impl Fn(io::Error) -> Error + '_ {
    |error| Error::external(format!("`{}` can't be written", path.display()), error)
}

/// The same for a segment, so that the message does not blame the output file.
fn segment_failed<'a>(segment: &'a Path, what: &'a str) -> impl Fn(io::Error) -> Error + 'a {
    move |error| {
        let shown = segment.display();
        Error::external(format!("`{shown}`, where the state directory keeps output until a checkpoint is complete, can't be {what}"), error)
    }
}

/// The length of a file, or `None` if it does not exist.
pub(super) fn length(path: &Path) -> Result<Option<u64>, Error> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(Some(metadata.len())),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::external(format!("`{}` can't be looked at", path.display()), e)),
    }
}

/// Whether the file at `path` contains the bytes of `part` at their place.
fn holds(path: &Path, part: &Part, segment: &Path) -> Result<bool, Error> {
    if length(path)?.is_none_or(|length| length < part.end()) {
        return Ok(false);
    }
    let mut segment = File::open(segment).map_err(segment_failed(segment, "read"))?;
    let mut compare = || -> io::Result<bool> {
        let mut there = File::open(path)?;
        there.seek(SeekFrom::Start(part.at))?;
        let (mut a, mut b) = (vec![0; BLOCK], vec![0; BLOCK]);
        loop {
            let read = segment.read(&mut a)?;
            let (a, b) = (&a[..read], &mut b[..read]);
            there.read_exact(b)?;
            if read == 0 || a != b {
                return Ok(read == 0);
            }
        }
    };
    compare().map_err(|e| Error::external(format!("`{}` can't be compared with the snapshot", path.display()), e))
}

/// Starts a new file.
fn begin(path: &Path, header: &[u8]) -> Result<(), Error> {
    let begin = || -> io::Result<()> {
        path.parent().map_or(Ok(()), fs::create_dir_all)?;
        fs::write(path, header)
    };
    begin().map_err(failed(path))
}

/// Appends a segment at its place, and syncs the file to disk.
fn append(path: &Path, at: u64, segment: &Path) -> Result<(), Error> {
    let mut segment = File::open(segment).map_err(segment_failed(segment, "read"))?;
    let mut append = || -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).open(path)?;
        file.set_len(at)?;
        file.seek(SeekFrom::Start(at))?;
        io::copy(&mut segment, &mut file)?;
        file.sync_data()
    };
    append().map_err(failed(path))?;
    tidegate_runtime::failpoint::Point::FileAppended.hit();
    Ok(())
}

/// A file written by one worker.
pub(super) struct Committed {
    place: Place,
    header: Vec<u8>,
    /// The length of the file once everything sealed is committed, including the parts that have been moved away.
    length: u64,
    target: Target,
}

enum Target {
    /// Output is visible immediately.
    Direct(File),
    /// Output is invisible until it is committed.
    Pending {
        /// The directory of segments.
        directory: PathBuf,
        /// A name that is unique to this run.
        run: String,
        /// The number of the next segment.
        next: u64,
        open: Option<(File, PathBuf)>,
        /// The number of bytes in the open segment.
        bytes: u64,
        /// The number of bytes moved away with files that were started anew. It wraps, because a new file may start
        /// with a longer header.
        gone: Arc<AtomicU64>,
    },
}

impl Committed {
    /// Opens the file, to continue at `length`, or to start anew with `header`. With a directory for segments, output
    /// is invisible until it is committed.
    pub(super) fn open(place: Place, length: Option<u64>, header: Vec<u8>, segments: Option<PathBuf>) -> Result<Self, Error> {
        let path = &place.path;
        let open = || -> io::Result<(u64, File)> {
            path.parent().map_or(Ok(()), fs::create_dir_all)?;
            let length = length.filter(|_| path.exists());
            // In append mode, a concurrent truncation leaves no gap.
            let mut file = OpenOptions::new().append(true).create(true).open(path)?;
            // Pipes and devices have no length.
            if file.metadata()?.is_file() {
                file.set_len(length.unwrap_or(0))?;
            }
            if length.is_none() {
                file.write_all(&header)?;
            }
            if segments.is_some() {
                file.sync_data()?;
            }
            Ok((length.unwrap_or(header.len() as u64), file))
        };
        let (length, file) = open().map_err(failed(path))?;
        let target = match segments {
            None => Target::Direct(file),
            Some(directory) => {
                fs::create_dir_all(&directory).map_err(segment_failed(&directory, "made"))?;
                Target::Pending { directory, run: unique(), next: 0, open: None, bytes: 0, gone: Arc::default() }
            }
        };
        Ok(Self { place, header, length, target })
    }

    pub(super) fn write(&mut self, data: &[u8]) -> Result<(), Error> {
        match &mut self.target {
            Target::Direct(file) => {
                file.write_all(data).map_err(failed(&self.place.path))?;
                self.length += data.len() as u64;
            }
            Target::Pending { directory, run, next, open, bytes, .. } => {
                let (file, path) = match open {
                    Some(open) => open,
                    None => {
                        // The extension tells the storage that the file can be linked.
                        let path = directory.join(format!("{run}-{next}.segment"));
                        *next += 1;
                        let file = File::create(&path).map_err(segment_failed(&path, "made"))?;
                        open.insert((file, path))
                    }
                };
                file.write_all(data).map_err(segment_failed(path, "written"))?;
                *bytes += data.len() as u64;
            }
        }
        Ok(())
    }

    /// Finishes an epoch. The checkpoint that stores the segment syncs it to disk.
    pub(super) fn seal(&mut self) -> Part {
        let (place, length) = (self.place.clone(), self.length);
        let Target::Pending { open, bytes, gone, .. } = &mut self.target else {
            return Part { place, at: length, bytes: 0, segment: None };
        };
        let bytes = std::mem::take(bytes);
        self.length += bytes;
        Part { place, at: length.wrapping_sub(gone.load(SeqCst)), bytes, segment: open.take().map(|(_, path)| path) }
    }

    /// The appender that commits segments to the file in the order they were sealed, or `None` if output is written
    /// directly.
    pub(super) fn appender(&self) -> Option<Appender> {
        let Target::Pending { gone, .. } = &self.target else { return None };
        Some(Appender { path: self.place.path.clone(), header: self.header.clone(), length: self.length, gone: Arc::clone(gone) })
    }
}

/// Appends segments to a file once they are committed.
pub(super) struct Appender {
    path: PathBuf,
    header: Vec<u8>,
    /// The length of the file.
    length: u64,
    /// Tells the writer about files that were moved away.
    gone: Arc<AtomicU64>,
}

impl Appender {
    fn append(&mut self, segment: &Path, bytes: u64) -> Result<(), Error> {
        let path = &self.path;
        match length(path)? {
            Some(length) if length >= self.length => {}
            Some(length) => {
                let (path, written) = (path.display(), self.length);
                return Err(Error::user(format!(
                    "`{path}` has {length} bytes, and {written} were written: who cuts it off while the job runs takes what was committed; move it away \
                     as a whole instead"
                )));
            }
            // The file was moved away as a whole, as logrotate does.
            None => {
                begin(path, &self.header)?;
                let before = std::mem::replace(&mut self.length, self.header.len() as u64);
                self.gone.fetch_add(before.wrapping_sub(self.length), SeqCst);
            }
        }
        append(path, self.length, segment)?;
        self.length += bytes;
        Ok(())
    }
}

impl Committer for Appender {
    fn commit(&mut self, _: Epoch, committables: Vec<Committable>) -> Result<(), Error> {
        for part in committables.iter().map(Part::read) {
            // Parts of other files have no segment for this one.
            if let Part { segment: Some(segment), bytes, .. } = part? {
                self.append(&segment, bytes)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The epoch of the last complete checkpoint and the parts it names. It has copies of their segments.
    type Checkpoint = Option<(u32, Vec<Part>)>;

    const HEADER: &[u8] = b"head\n";

    fn place(path: &Path) -> Place {
        Place::new(path.to_owned())
    }

    fn segment(dir: &Path, text: &str) -> Option<PathBuf> {
        let path = dir.join("kept.segment");
        fs::write(&path, text).unwrap();
        Some(path)
    }

    fn commit(appender: &mut Appender, parts: &[Part]) -> Result<(), Error> {
        appender.commit(Epoch(0), parts.iter().map(Part::write).collect())
    }

    /// Continues from the checkpoint, to the end or until it dies after this many steps.
    fn run_of(dir: &Path, checkpoint: &mut Checkpoint, dies_after: usize) {
        let path = dir.join("out.txt");
        let mut restored = None;
        // Anything that is not part of a checkpoint is gone.
        let _ = fs::remove_dir_all(dir.join("scratch"));
        if let Some((_, parts)) = &checkpoint {
            parts.iter().for_each(|part| recover(&path, part, HEADER).unwrap());
            restored = parts.iter().map(Part::end).max();
        }
        let first = checkpoint.as_ref().map_or(0, |(epoch, _)| epoch + 1);
        let mut file = Committed::open(place(&path), restored, HEADER.to_vec(), Some(dir.join("scratch"))).unwrap();
        let mut appender = file.appender().unwrap();
        let mut steps = 0;
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
            let part = file.seal();
            let kept = dir.join(format!("kept-{epoch}.segment"));
            fs::copy(part.segment.as_ref().unwrap(), &kept).unwrap();
            if dies() {
                return;
            }
            *checkpoint = Some((epoch, vec![Part { segment: Some(kept), ..part.clone() }]));
            if dies() {
                return;
            }
            let seen = fs::read_to_string(&path).unwrap();
            assert!(!seen.contains(&format!("line {epoch}")), "{seen}");
            commit(&mut appender, &[part]).unwrap();
        }
    }

    /// Writes epochs and dies twice, at every step of the way. Whatever a restore finds, readers see each byte once.
    #[test]
    fn every_byte_is_seen_once_wherever_it_stops() {
        for (first, second) in (0..16).flat_map(|first| (0..6).map(move |second| (first, second))) {
            let dir = tempfile::tempdir().unwrap();
            let mut checkpoint = None;
            for dies_after in [first, second, usize::MAX] {
                run_of(dir.path(), &mut checkpoint, dies_after);
            }
            let seen = fs::read_to_string(dir.path().join("out.txt")).unwrap();
            assert_eq!(seen, "head\nline 0\nline 1\nline 2\n", "died after {first} and {second}");
        }
    }

    #[test]
    fn a_file_that_was_cut_short_or_is_gone_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out.txt");
        let part = |at, text: &str| Part {
            place: place(&path),
            at,
            bytes: text.len() as u64,
            segment: segment(dir.path(), text).filter(|_| !text.is_empty()),
        };
        let gone = recover(&path, &part(8, "xy"), b"").unwrap_err().to_string();
        assert!(gone.contains("out.txt") && gone.contains("not there") && gone.contains("2 bytes"), "{gone}");
        fs::write(&path, "abc").unwrap();
        for (part, wants) in [(part(6, ""), '6'), (part(4, "xy"), '4')] {
            let error = recover(&path, &part, b"").unwrap_err().to_string();
            assert!(error.contains("out.txt") && error.contains("3 bytes") && error.contains(wants), "{error}");
        }
        // A file to which nothing was committed is not missed.
        fs::remove_file(&path).unwrap();
        recover(&path, &part(5, "xy"), HEADER).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "head\nxy");
    }

    /// The bytes in the file are from another run, which continued from an older checkpoint.
    #[test]
    fn what_stands_where_a_segment_belongs_is_replaced_by_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out.txt");
        fs::write(&path, "abcdefgh").unwrap();
        let part = Part { place: place(&path), at: 3, bytes: 2, segment: segment(dir.path(), "xy") };
        recover(&path, &part, b"").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "abcxy");
    }

    #[test]
    fn another_path_begins_with_what_the_former_file_lacks_which_stays_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let (old, new) = (dir.path().join("old.txt"), dir.path().join("deep/new.txt"));
        let part = Part { place: place(&old), at: 3, bytes: 2, segment: segment(dir.path(), "xy") };
        for (there, carried) in [(None, "head\nxy"), (Some("abc"), "head\nxy"), (Some("abcxz"), "head\nxy"), (Some("abcxyz"), "head\n")] {
            if let Some(there) = there {
                fs::write(&old, there).unwrap();
            }
            carry(&new, &[&part], HEADER).unwrap();
            assert_eq!(fs::read_to_string(&new).unwrap(), carried, "{there:?}");
            assert_eq!(fs::read_to_string(&old).ok().as_deref(), there);
        }
    }

    /// A file with one epoch committed and two sealed.
    fn under_way(dir: &Path) -> (PathBuf, Committed, Appender, Vec<Part>) {
        let path = dir.join("out.txt");
        let mut file = Committed::open(place(&path), None, HEADER.to_vec(), Some(dir.join("scratch"))).unwrap();
        let mut appender = file.appender().unwrap();
        let mut seal = |epoch: u32| {
            file.write(format!("line {epoch}\n").as_bytes()).unwrap();
            file.seal()
        };
        let (first, sealed) = (seal(0), vec![seal(1), seal(2)]);
        commit(&mut appender, &[first]).unwrap();
        (path, file, appender, sealed)
    }

    #[test]
    fn a_file_that_is_moved_away_is_begun_anew() {
        let dir = tempfile::tempdir().unwrap();
        let (path, mut file, mut appender, sealed) = under_way(dir.path());
        fs::rename(&path, dir.path().join("out.txt.1")).unwrap();
        commit(&mut appender, &sealed).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "head\nline 1\nline 2\n");
        file.write(b"line 3\n").unwrap();
        let part = file.seal();
        assert_eq!((part.at, part.end()), (19, 26), "what is sealed later belongs to the new file");
        commit(&mut appender, &[part]).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "head\nline 1\nline 2\nline 3\n");
    }

    #[test]
    fn a_state_directory_that_is_removed_is_named_and_not_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let (path, mut file, mut appender, sealed) = under_way(dir.path());
        fs::remove_dir_all(dir.path().join("scratch")).unwrap();
        for error in [commit(&mut appender, &sealed).unwrap_err(), file.write(b"line 3\n").unwrap_err()] {
            let error = error.to_string();
            assert!(error.contains("scratch") && error.contains("the state directory") && !error.contains("out.txt"), "{error}");
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), "head\nline 0\n");
    }

    #[test]
    fn a_file_that_is_cut_off_is_an_error_that_names_it() {
        let dir = tempfile::tempdir().unwrap();
        let (path, _, mut appender, sealed) = under_way(dir.path());
        fs::write(&path, "he").unwrap();
        let error = commit(&mut appender, &sealed).unwrap_err().to_string();
        assert!(error.contains("out.txt") && error.contains("2 bytes") && error.contains("12"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "he", "nothing is filled in");
    }
}
