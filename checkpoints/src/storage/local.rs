//! Storage in a directory.

use std::fs::{self, File, Metadata, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use tempfile::{Builder, NamedTempFile};

use super::{Cause, Stored};

/// How the names of files begin until the files are whole.
const TEMPORARY: &str = ".tmp-";
/// The extensions of large files that nobody writes to once they are whole. Only these share their bytes with a running job.
const NEVER_WRITTEN_AGAIN: &[&str] = &["sst", "blob", "rows", "segment"];

#[derive(Clone, Debug)]
pub(super) struct Local {
    root: PathBuf,
}

/// True if an interrupted write left this file behind.
pub(super) fn is_temporary(name: &str) -> bool {
    name.rsplit('/').next().is_some_and(|file| file.starts_with(TEMPORARY))
}

impl Local {
    pub(super) fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    pub(super) fn inside(&self, folder: &str) -> Self {
        Self { root: self.root.join(folder) }
    }

    pub(super) fn put(&self, name: &str, bytes: &[u8], replace: bool) -> Result<bool, Cause> {
        let target = Target::at(self.root.join(name));
        let mut file = target.temporary()?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        let placed = if replace { file.persist(&target.path) } else { file.persist_noclobber(&target.path) };
        match placed {
            Ok(_) => target.sync_folder().map(|()| true),
            Err(e) if !replace && e.error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(e) => Err(e.error.into()),
        }
    }

    pub(super) fn get(&self, name: &str) -> Result<Option<Vec<u8>>, Cause> {
        present(fs::read(self.root.join(name)))
    }

    pub(super) fn len(&self, name: &str) -> Result<Option<u64>, Cause> {
        Ok(present(fs::metadata(self.root.join(name)))?.filter(Metadata::is_file).map(|file| file.len()))
    }

    pub(super) fn upload(&self, local: &Path, name: &str) -> Result<(), Cause> {
        let target = Target::at(self.root.join(name));
        let source = File::open(local)?;
        source.sync_all()?;
        let same = |there: Metadata, here: Metadata| (there.dev(), there.ino()) == (here.dev(), here.ino());
        if present(fs::metadata(&target.path))?.is_some_and(|there| source.metadata().is_ok_and(|here| same(there, here))) {
            return target.sync_folder();
        }
        match target.link(local) {
            Ok(()) => {}
            Err(_) => target.copy(source, true)?,
        }
        target.sync_folder()
    }

    pub(super) fn download(&self, name: &str, local: &Path) -> Result<(), Cause> {
        let stored = self.root.join(name);
        let source = File::open(&stored)?;
        let target = Target::at(local.to_owned());
        let sharable = local.extension().is_some_and(|ending| NEVER_WRITTEN_AGAIN.iter().any(|known| *known == ending));
        match sharable.then(|| target.link(&stored)) {
            Some(Ok(())) => Ok(()),
            // After a crash, the job can be restored again, so this copy need not be durable.
            Some(Err(_)) | None => target.copy(source, false),
        }
    }

    pub(super) fn delete(&self, name: &str) -> Result<(), Cause> {
        let path = self.root.join(name);
        present(fs::remove_file(&path))?;
        // As in a bucket, a folder goes with its last file. Folders at the top stay, because another process may be about to store a file there.
        let nested = path.parent().filter(|folder| folder.parent().is_some_and(|above| above != self.root && *folder != self.root));
        match nested.map(fs::remove_dir) {
            Some(Err(e)) if !matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::DirectoryNotEmpty) => Err(e.into()),
            _ => Ok(()),
        }
    }

    pub(super) fn entries(&self, folder: &str) -> Result<Vec<Stored>, Cause> {
        let mut files = Vec::new();
        let mut folders = vec![folder.to_owned()];
        while let Some(folder) = folders.pop() {
            let Some(entries) = present(fs::read_dir(self.root.join(&folder)))? else { continue };
            for entry in entries {
                let entry = entry?;
                // Our names are valid UTF-8, so other files are not ours.
                let Ok(name) = entry.file_name().into_string() else { continue };
                let name = super::join(&folder, &name);
                // Another process may have deleted it by now.
                let Some(metadata) = present(fs::metadata(entry.path()))? else { continue };
                if metadata.is_dir() {
                    folders.push(name);
                } else {
                    files.push(Stored { name, bytes: metadata.len(), stored_ms: stored_ms(&metadata)? });
                }
            }
        }
        Ok(files)
    }

    /// Creates the directory, and checks that files can be created in it.
    pub(super) fn prepare(&self) -> io::Result<()> {
        Target::at(self.root.join(TEMPORARY)).temporary().map(drop)
    }

    pub(super) fn exists(&self) -> bool {
        self.root.exists()
    }
}

/// A file to be put in place atomically.
struct Target {
    path: PathBuf,
    folder: PathBuf,
}

impl Target {
    fn at(path: PathBuf) -> Self {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned();
        Self { path, folder }
    }

    /// A new file beside the target, with the permissions that the umask leaves.
    fn temporary(&self) -> io::Result<NamedTempFile> {
        self.in_folder(|| Builder::new().prefix(TEMPORARY).permissions(Permissions::from_mode(0o666)).tempfile_in(&self.folder))
    }

    /// Makes the target another name of `file`.
    fn link(&self, file: &Path) -> io::Result<()> {
        // A link can't replace a file, but a rename can.
        let link = self.in_folder(|| Builder::new().prefix(TEMPORARY).make_in(&self.folder, |link| fs::hard_link(file, link)))?;
        Ok(link.persist(&self.path)?)
    }

    /// Creates something in the folder of the target, and the folder if need be. Tries again if a process that deletes the last file removes the folder in
    /// between.
    fn in_folder<T>(&self, create: impl Fn() -> io::Result<T>) -> io::Result<T> {
        let mut tries_left = 50;
        loop {
            match make_folder(&self.folder).and_then(|()| create()) {
                Err(e) if tries_left > 0 && matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::AlreadyExists) => tries_left -= 1,
                created => return created,
            }
        }
    }

    fn copy(&self, mut source: File, durable: bool) -> Result<(), Cause> {
        let mut copy = self.temporary()?;
        io::copy(&mut source, copy.as_file_mut())?;
        if durable {
            copy.as_file().sync_all()?;
        }
        copy.persist(&self.path)?;
        Ok(())
    }

    /// Syncs the folder: a name is only durable when its folder is.
    fn sync_folder(&self) -> Result<(), Cause> {
        Ok(File::open(&self.folder)?.sync_all()?)
    }
}

/// Creates a folder and those above it, durably.
fn make_folder(folder: &Path) -> io::Result<()> {
    match make_one(folder) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            make_folder(folder.parent().filter(|parent| !parent.as_os_str().is_empty()).ok_or(e)?)?;
            // Some parents, such as /proc, exist and still report that the folder is not found.
            make_one(folder)
        }
        made => made,
    }
}

/// Creates a folder in an existing one, unless it exists.
fn make_one(folder: &Path) -> io::Result<()> {
    match fs::create_dir(folder) {
        Ok(()) => match folder.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            Some(parent) => File::open(parent)?.sync_all(),
            None => Ok(()),
        },
        Err(_) if folder.is_dir() => Ok(()),
        Err(e) => Err(e),
    }
}

/// When a file was stored. Linking a file keeps the time at which its contents were written, but updates the time of the last change to its names.
fn stored_ms(metadata: &Metadata) -> Result<i64, Cause> {
    let written = metadata.modified()?.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64);
    Ok(written.max(metadata.ctime() * 1_000 + metadata.ctime_nsec() / 1_000_000))
}

/// Makes a missing file `None`, and a file where a folder is, and a missing folder.
fn present<T>(result: io::Result<T>) -> Result<Option<T>, Cause> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory) => Ok(None),
        Err(e) => Err(e.into()),
    }
}
