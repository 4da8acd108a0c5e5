//! A checkpoint or savepoint to restore from, or to look into, wherever it is stored.

use std::path::Path;

use crate::directory::{CHECKPOINTS, missing};
use crate::{Damage, Directory, DirectoryError, FileError, FileRef, Kind, Manifest, Storage, StorageError, Unusable, verify};

/// A checkpoint or savepoint whose files are all there.
#[derive(Clone, Debug)]
pub struct Snapshot {
    manifest: Manifest,
    place: String,
    /// What the paths of its files are relative to.
    storage: Storage,
    passed_over: Vec<Unusable>,
}

/// Why there is nothing to restore from.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// Storage fails.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The directory of a job can't be read.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// There is nothing at this place.
    #[error(
        "there is nothing at {0}: name a savepoint, a checkpoint (<dir>/<job>/checkpoints/<epoch>) or the directory of a job (<dir>/<job>)"
    )]
    Absent(String),
    /// There is something at this place, but it was never completed, or is something else.
    #[error("{0} has no manifest.json: it is incomplete, or neither a savepoint, a checkpoint nor the directory of a job")]
    Incomplete(String),
    /// It is damaged.
    #[error(transparent)]
    Unusable(#[from] Unusable),
    /// The directory of a job has checkpoints, but all are damaged.
    #[error("none of the checkpoints in {place} can be restored from: {}", list(.all))]
    NoneLeft {
        /// The directory of the job.
        place: String,
        /// Its checkpoints.
        all: Vec<Unusable>,
    },
    /// A checkpoint was moved to where its files can't be found.
    #[error(
        "{0} holds a checkpoint that was moved: its files lie in the directory of its job, so it must be read as <dir>/<job>/checkpoints/<epoch>"
    )]
    Moved(String),
    /// A file is not what was written.
    #[error(transparent)]
    File(#[from] FileError),
}

impl Snapshot {
    /// Opens a path or URL: a savepoint, a checkpoint `<dir>/<job>/checkpoints/<epoch>`, the `manifest.json` of either, or the directory of a job. For the
    /// directory of a job, this opens the newest checkpoint with all its files.
    ///
    /// # Errors
    /// There is nothing, or it is incomplete or damaged, or storage fails.
    pub fn open(location: &str) -> Result<Self, SnapshotError> {
        Self::open_with(location, &Storage::open)
    }

    /// Opens like [`Snapshot::open`], with storage that `open` opens.
    ///
    /// # Errors
    /// As for [`Snapshot::open`].
    pub fn open_with(location: &str, open: &dyn Fn(&str) -> Result<Storage, StorageError>) -> Result<Self, SnapshotError> {
        let location = location.trim_end_matches('/');
        let location = match location.rsplit_once('/') {
            Some((folder, Manifest::FILE)) => folder,
            None if location == Manifest::FILE => ".",
            _ => location,
        };
        // The files of a checkpoint are looked for two levels up, where links and `..` would lead to the wrong place.
        let resolved = match location.contains("://") {
            true => None,
            false => std::fs::canonicalize(location).ok().and_then(|path| path.into_os_string().into_string().ok()),
        };
        let place = resolved.as_deref().unwrap_or(location).trim_end_matches('/');
        let storage = open(if place.is_empty() { "/" } else { place })?;
        let Some(json) = storage.get(Manifest::FILE)? else { return Self::latest(storage) };
        let unusable = |why: Damage| Unusable { place: storage.root().to_owned(), why };
        let manifest = Manifest::from_json(&json).map_err(|why| unusable(why.into()))?;
        let base = match manifest.kind {
            Kind::Savepoint => storage.clone(),
            Kind::Checkpoint => {
                let epoch = format!("/{CHECKPOINTS}/{}", manifest.epoch);
                open(place.strip_suffix(&epoch).ok_or_else(|| SnapshotError::Moved(storage.root().to_owned()))?)?
            }
        };
        match missing(&base, &manifest)? {
            faults if faults.is_empty() => Ok(Self { manifest, place: storage.root().to_owned(), storage: base, passed_over: Vec::new() }),
            faults => Err(unusable(Damage::Files(faults)).into()),
        }
    }

    /// Opens the newest checkpoint of the job whose directory is `storage`.
    fn latest(storage: Storage) -> Result<Self, SnapshotError> {
        let place = storage.root().to_owned();
        let mut passed_over = Vec::new();
        let latest = Directory::at(storage.clone()).latest_valid(&mut |unusable| passed_over.push(unusable.clone()));
        match latest? {
            Some(manifest) => Ok(Self { place: format!("{place}/{CHECKPOINTS}/{}", manifest.epoch), manifest, storage, passed_over }),
            None if !passed_over.is_empty() => Err(SnapshotError::NoneLeft { place, all: passed_over }),
            None if storage.is_absent()? => Err(SnapshotError::Absent(place)),
            None => Err(SnapshotError::Incomplete(place)),
        }
    }

    /// The manifest: what the snapshot holds.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The folder of its manifest, as a path or URL.
    #[must_use]
    pub fn place(&self) -> &str {
        &self.place
    }

    /// If the newest checkpoint of a job was opened: newer ones that can't be restored from.
    #[must_use]
    pub fn passed_over(&self) -> &[Unusable] {
        &self.passed_over
    }

    /// Checks that its files are what was written, if they are in a directory. Files in a bucket are checked when they are downloaded.
    ///
    /// # Errors
    /// A file is damaged, or can't be read.
    pub fn verify(&self) -> Result<(), SnapshotError> {
        let root = Path::new(self.storage.root());
        let files = self.manifest.files().map(|file| (file, root.join(&file.path)));
        files.filter(|(_, local)| local.exists()).try_for_each(|(file, local)| Ok(verify(file, &local)?))
    }

    /// Downloads one of its files to `local`, and checks that it is what was written. See [`Storage::download`].
    ///
    /// # Errors
    /// Storage fails, or the file is damaged.
    pub fn download(&self, file: &FileRef, local: &Path) -> Result<(), SnapshotError> {
        self.storage.download(&file.path, local)?;
        Ok(verify(file, local)?)
    }

    /// Downloads files into `folder`, each under its own name: a RocksDB directory, for example.
    ///
    /// # Errors
    /// As for [`Snapshot::download`].
    pub fn download_all(&self, files: &[FileRef], folder: &Path) -> Result<(), SnapshotError> {
        files.iter().try_for_each(|file| self.download(file, &folder.join(&file.name)))
    }
}

fn list(all: &[Unusable]) -> String {
    all.iter().map(Unusable::to_string).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests;
