//! The state directory of a running job. One process at a time holds it, and other processes find the job there.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use tidegate_jobs::plan::Durability;

use crate::error::HomeError;

/// The state directory of a job, held by this process. On drop, it is removed if it is empty.
pub(crate) struct Home {
    dir: PathBuf,
    lock: Option<File>,
    /// Whether the parent directory is to be kept: it existed before, and the job file names the directory.
    found: bool,
}

/// The control socket of the job with this state directory.
#[must_use]
pub fn control_path(dir: &Path) -> PathBuf {
    dir.join("control")
}

fn lock_path(dir: &Path) -> PathBuf {
    dir.join("lock")
}

impl Home {
    /// Takes the state directory that the job file names. A job that neither names one nor takes checkpoints gets a directory for this
    /// process alone: no other process needs it.
    pub(crate) fn take(durability: &Durability) -> Result<Self, HomeError> {
        let dir = durability.state.dir.clone();
        let found = durability.dir_given && dir.parent().is_some_and(Path::exists);
        if !durability.dir_given && durability.checkpoints.is_none() {
            let mut name = dir.file_name().unwrap_or_default().to_owned();
            name.push(format!(".{}", std::process::id()));
            return Ok(Self { dir: dir.with_file_name(name), lock: None, found });
        }
        fs::create_dir_all(&dir).map_err(|source| HomeError::Make { dir: dir.clone(), source })?;
        let lock = lock(&dir)?;
        Ok(Self { dir, lock: Some(lock), found })
    }

    /// The directory.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Whether another process can find the directory.
    pub(crate) fn shared(&self) -> bool {
        self.lock.is_some()
    }
}

/// Locks the directory and writes this process's id into the lock file.
fn lock(dir: &Path) -> Result<File, HomeError> {
    let path = lock_path(dir);
    let failed = |done| move |source| HomeError::Lock { path: lock_path(dir), done, source };
    let mut lock = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(failed("opened"))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut owner = String::new();
            // The owner's id only improves the message.
            let _ = lock.read_to_string(&mut owner);
            return Err(HomeError::Held { dir: dir.to_owned(), owner: owner.trim().to_owned() });
        }
        Err(TryLockError::Error(source)) => return Err(failed("locked")(source)),
    }
    sign(&mut lock).map_err(failed("written"))?;
    Ok(lock)
}

fn sign(lock: &mut File) -> io::Result<()> {
    lock.set_len(0)?;
    lock.rewind()?;
    writeln!(lock, "{}", std::process::id())
}

impl Drop for Home {
    fn drop(&mut self) {
        // A directory that is not empty stays, and one that can't be removed does no harm. The lock goes last.
        let _ = fs::remove_file(control_path(&self.dir));
        if self.lock.is_some() {
            let _ = fs::remove_file(lock_path(&self.dir));
        }
        if fs::remove_dir(&self.dir).is_ok()
            && !self.found
            && let Some(parent) = self.dir.parent()
        {
            let _ = fs::remove_dir(parent);
        }
    }
}
