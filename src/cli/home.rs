//! The directory of a running job: one process at a time, and the way to reach it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use tidegate::jobs::plan::Durability;

/// The state directory of a job, held by this process. What is left of it in the end is removed.
pub struct Home {
    dir: PathBuf,
    lock: Option<File>,
    /// Was the directory above made by somebody else?
    found: bool,
}

impl Home {
    /// Takes the directory that a job's file names. A job that neither names one nor takes checkpoints has one of this process's own, as nothing of it is
    /// wanted by another.
    pub fn take(durability: &Durability) -> Result<Self> {
        let dir = durability.state.dir.clone();
        let found = durability.dir_given && dir.parent().is_some_and(Path::exists);
        if !durability.dir_given && durability.checkpoints.is_none() {
            let mut name = dir.file_name().unwrap_or_default().to_owned();
            name.push(format!(".{}", std::process::id()));
            return Ok(Self { dir: dir.with_file_name(name), lock: None, found });
        }
        let path = lock_path(&dir);
        let shown = dir.display();
        fs::create_dir_all(&dir).with_context(|| format!("the state directory `{shown}` can't be made"))?;
        let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let mut lock = open.with_context(|| format!("`{}` can't be opened", path.display()))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut owner = String::new();
                // Who it is makes a better message, and no more.
                let _ = lock.read_to_string(&mut owner);
                bail!(
                    "the job runs already: process {} holds its state directory `{shown}`; stop it, or give this job another name or `state.dir`",
                    owner.trim()
                );
            }
            Err(TryLockError::Error(e)) => return Err(e).with_context(|| format!("`{}` can't be locked", path.display())),
        }
        let own = || -> std::io::Result<()> {
            lock.set_len(0)?;
            lock.rewind()?;
            writeln!(lock, "{}", std::process::id())
        };
        let mut own = own;
        own().with_context(|| format!("`{}` can't be written", path.display()))?;
        Ok(Self { dir, lock: Some(lock), found })
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Can another process find it?
    pub fn shared(&self) -> bool {
        self.lock.is_some()
    }
}

fn lock_path(dir: &Path) -> PathBuf {
    dir.join("lock")
}

impl Drop for Home {
    fn drop(&mut self) {
        // What is not empty stays, and what can't be removed does no harm. The lock goes last.
        let _ = fs::remove_file(super::control::path(&self.dir));
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
