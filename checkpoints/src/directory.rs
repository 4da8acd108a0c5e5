//! The checkpoints of one job, in storage.
//!
//! ```text
//! <dir>/<job>/checkpoints/<epoch>/manifest.json   written last: a checkpoint without it does not exist
//! <dir>/<job>/checkpoints/<epoch>/<generation>-*  files of this checkpoint alone
//! <dir>/<job>/shared/<generation>-*               files that checkpoints share
//! <dir>/<job>/generations/<n>                     one per run of the job; only the highest may publish
//! ```

use std::collections::{BTreeSet, HashMap};

use crate::file_ref::is_name;
use crate::{Epoch, Kind, Manifest, ManifestError, Storage, StorageError, failpoint};

/// The directory of a job's checkpoints.
#[derive(Clone, Debug)]
pub struct Directory {
    storage: Storage,
}

/// A checkpoint in the directory, or something that should be one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its epoch, according to the name of its folder.
    pub epoch: Epoch,
    /// Its manifest, or why the manifest can't be read.
    pub manifest: Result<Manifest, ManifestError>,
}

/// A file that is missing, or not as long as its manifest says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Its path in the manifest.
    pub path: String,
    /// The length it should have, in bytes.
    pub expected: u64,
    /// The length it has, in bytes; `None` if it is missing.
    pub found: Option<u64>,
}

/// A checkpoint or savepoint that can't be restored from.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place} can't be restored from: {why}")]
pub struct Unusable {
    /// Its folder, as a path or URL.
    pub place: String,
    /// What is wrong with it.
    pub why: Damage,
}

/// What can be wrong with a checkpoint or savepoint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// Its manifest can't be read.
    #[error("its manifest.json {fault}: {0}", fault = fault_of(.0))]
    Manifest(#[from] ManifestError),
    /// Files are missing, or not as long as the manifest says. Never empty.
    #[error("{}", faults(.0))]
    Files(Vec<Fault>),
}

/// What is wrong with a manifest that is of another release is not damage.
fn fault_of(error: &ManifestError) -> &'static str {
    if matches!(error, ManifestError::Format { .. }) { "can't be read" } else { "is damaged" }
}

/// Why the directory of a job can't be used as asked.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// Storage fails.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The name of the job can't be the name of a folder.
    #[error("a job named {0:?} can't have a directory of checkpoints: its name must be neither empty, `.` nor `..`, and hold no slash")]
    Job(String),
    /// The manifest contradicts itself, or is of the wrong kind.
    #[error("the manifest of epoch {epoch} can't be published: {why}")]
    Manifest {
        /// Its epoch.
        epoch: Epoch,
        /// Why.
        why: ManifestError,
    },
    /// A later run of the job has taken over.
    #[error("run {own} of the job may not touch {place} any more: run {newer} has taken over")]
    Fenced {
        /// The directory.
        place: String,
        /// The generation of the run that asked.
        own: u64,
        /// The generation of the run that has taken over.
        newer: u64,
    },
    /// This run, or a later one, has already published another checkpoint of this epoch.
    #[error("checkpoint {epoch} is already in {place}, and holds something else")]
    Taken {
        /// The directory.
        place: String,
        /// The epoch.
        epoch: Epoch,
    },
    /// Another savepoint is there.
    #[error("{0} already holds a savepoint: name another directory, or delete it")]
    Occupied(String),
}

/// The folder of files that checkpoints share.
pub(crate) const SHARED: &str = "shared";
/// The folder of checkpoints.
pub(crate) const CHECKPOINTS: &str = "checkpoints";
const GENERATIONS: &str = "generations";

impl Directory {
    /// The directory of `job` in `storage`.
    ///
    /// # Errors
    /// The name of the job can't be the name of a folder.
    pub fn open(storage: &Storage, job: &str) -> Result<Self, DirectoryError> {
        if job.contains('/') || !is_name(job) {
            return Err(DirectoryError::Job(job.to_owned()));
        }
        Ok(Self { storage: storage.inside(job)? })
    }

    /// The directory at `storage` itself.
    pub(crate) fn at(storage: Storage) -> Self {
        Self { storage }
    }

    /// The storage that paths of files are relative to.
    #[must_use]
    pub fn storage(&self) -> &Storage {
        &self.storage
    }

    /// The path of a file that checkpoints share. Within one generation, a name must always have the same contents.
    #[must_use]
    pub fn shared_path(generation: u64, name: &str) -> String {
        format!("{SHARED}/{generation}-{name}")
    }

    /// The path of a file that only one checkpoint needs.
    #[must_use]
    pub fn own_path(generation: u64, epoch: Epoch, name: &str) -> String {
        format!("{CHECKPOINTS}/{epoch}/{generation}-{name}")
    }

    /// Takes over as the run of the job that may publish, and returns its generation. Call this before looking for a checkpoint to restore: then
    /// whatever an earlier run still publishes is either seen or refused.
    ///
    /// # Errors
    /// Storage fails.
    pub fn begin_generation(&self) -> Result<u64, DirectoryError> {
        // The manifests count, too, in case somebody has cleared the folder of generations.
        let published = self.list()?.into_iter().filter_map(|found| Some(found.manifest.ok()?.generation)).max().unwrap_or(0);
        let claimed = self.generations()?;
        let mut generation = published.max(claimed.last().copied().unwrap_or(0));
        loop {
            generation += 1;
            let by = format!("claimed by process {}\n", std::process::id());
            if self.storage.put_if_absent(&format!("{GENERATIONS}/{generation}"), by.as_bytes())? {
                break;
            }
        }
        for old in claimed {
            self.storage.delete(&format!("{GENERATIONS}/{old}"))?;
        }
        Ok(generation)
    }

    /// Makes a checkpoint exist, by writing its manifest. All its files must already be in storage.
    ///
    /// A checkpoint of the same epoch that an earlier run left on a time line nobody followed is replaced. Publishing the same checkpoint again is fine.
    ///
    /// # Errors
    /// A later run has taken over: the checkpoint may exist or not, and the caller must not act on it. Or storage fails.
    pub fn publish(&self, manifest: &Manifest) -> Result<(), DirectoryError> {
        let Manifest { epoch, generation, .. } = *manifest;
        let json = to_json(manifest, Kind::Checkpoint)?;
        self.check_fence(generation)?;
        failpoint::Point::PublishBeforeManifest.hit();
        let name = Self::manifest_path(epoch);
        if !self.storage.put_if_absent(&name, &json)? {
            match self.storage.get(&name)? {
                Some(there) if there == json => {}
                Some(there) if Manifest::from_json(&there).is_ok_and(|there| there.generation >= generation) => {
                    return Err(DirectoryError::Taken { place: self.storage.root().to_owned(), epoch });
                }
                _ => self.storage.put(&name, &json)?,
            }
        }
        failpoint::Point::PublishAfterManifest.hit();
        // A run that has taken over since the first check may have missed this checkpoint. A run that takes over from here on will see it.
        self.check_fence(generation)
    }

    /// Makes `manifest`, a checkpoint of an earlier run, the newest. Run `generation` must do this first if it was restored from a checkpoint that is not
    /// the latest. Otherwise the run after it would go on from a checkpoint that this one left behind.
    ///
    /// # Errors
    /// As for [`Directory::publish`].
    pub fn adopt(&self, manifest: &Manifest, generation: u64) -> Result<(), DirectoryError> {
        self.publish(&Manifest { generation, ..manifest.clone() })
    }

    /// All checkpoints, newest first: those of later runs before those of earlier ones, then by epoch. Those that can't be read come before all others.
    ///
    /// # Errors
    /// Storage fails.
    pub fn list(&self) -> Result<Vec<Found>, DirectoryError> {
        let mut all = Vec::new();
        for name in self.storage.list(CHECKPOINTS)? {
            let Some(epoch) = epoch_of(&name) else { continue };
            // Retention may have deleted it by now.
            let Some(json) = self.storage.get(&name)? else { continue };
            let manifest = Manifest::from_json(&json).and_then(|manifest| match manifest.epoch == epoch {
                true => Ok(manifest),
                false => {
                    Err(ManifestError::Impossible(format!("it is of epoch {} but lies in the folder of epoch {epoch}", manifest.epoch)))
                }
            });
            all.push(Found { epoch, manifest });
        }
        all.sort_by_key(|found| std::cmp::Reverse((found.manifest.as_ref().map_or(u64::MAX, |m| m.generation), found.epoch)));
        Ok(all)
    }

    /// The newest checkpoint whose files are all there, with the right lengths. Calls `report` for those passed over.
    ///
    /// The contents of files are checked when they are downloaded.
    ///
    /// # Errors
    /// Storage fails.
    pub fn latest_valid(&self, report: &mut impl FnMut(&Unusable)) -> Result<Option<Manifest>, DirectoryError> {
        for Found { epoch, manifest } in self.list()? {
            let why = match manifest {
                Ok(manifest) => match missing(&self.storage, &manifest)? {
                    faults if faults.is_empty() => return Ok(Some(manifest)),
                    faults => Damage::Files(faults),
                },
                Err(why) => Damage::Manifest(why),
            };
            report(&Unusable { place: format!("{}/{CHECKPOINTS}/{epoch}", self.storage.root()), why });
        }
        Ok(None)
    }

    /// Checks that no later run has taken over from run `own`.
    ///
    /// # Errors
    /// One has, or storage fails.
    pub fn check_fence(&self, own: u64) -> Result<(), DirectoryError> {
        match self.generations()?.last() {
            Some(&newer) if newer > own => Err(DirectoryError::Fenced { place: self.storage.root().to_owned(), own, newer }),
            _ => Ok(()),
        }
    }

    pub(crate) fn manifest_path(epoch: Epoch) -> String {
        format!("{CHECKPOINTS}/{epoch}/{}", Manifest::FILE)
    }

    fn generations(&self) -> Result<Vec<u64>, DirectoryError> {
        let names = self.storage.list(GENERATIONS)?;
        let mut numbers: Vec<u64> = names.iter().filter_map(|name| name.rsplit('/').next()?.parse().ok()).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }
}

impl Fault {
    fn describe(&self) -> String {
        match self.found {
            None => format!("{} is missing", self.path),
            Some(found) => format!("{} has {found} bytes but should have {}", self.path, self.expected),
        }
    }
}

/// The JSON of a manifest that is to be published as a `kind`.
pub(crate) fn to_json(manifest: &Manifest, kind: Kind) -> Result<Vec<u8>, DirectoryError> {
    let json = match manifest.kind == kind {
        true => manifest.to_json(),
        false => Err(ManifestError::Impossible(format!("it is a {}, and would be published as a {kind}", manifest.kind))),
    };
    json.map_err(|why| DirectoryError::Manifest { epoch: manifest.epoch, why })
}

/// The files of `manifest` that are missing from `storage` or have the wrong length.
pub(crate) fn missing(storage: &Storage, manifest: &Manifest) -> Result<Vec<Fault>, StorageError> {
    // Listing a folder costs as much as a request for a few files, however many it holds.
    let folders: BTreeSet<&str> = manifest.files().map(|file| file.path.rsplit_once('/').map_or("", |(folder, _)| folder)).collect();
    let mut lengths = HashMap::new();
    for folder in folders {
        lengths.extend(storage.entries(folder)?.into_iter().map(|stored| (stored.name, stored.bytes)));
    }
    let mut seen = BTreeSet::new();
    let files = manifest.files().filter(|file| seen.insert(&file.path));
    let faults = files.map(|file| Fault { path: file.path.clone(), expected: file.bytes, found: lengths.get(&file.path).copied() });
    Ok(faults.filter(|fault| fault.found != Some(fault.expected)).collect())
}

/// The epoch of `checkpoints/<epoch>/manifest.json`.
fn epoch_of(name: &str) -> Option<Epoch> {
    let epoch = name.strip_prefix(CHECKPOINTS)?.strip_prefix('/')?.strip_suffix(Manifest::FILE)?.strip_suffix('/')?;
    epoch.parse().ok().map(Epoch)
}

fn faults(faults: &[Fault]) -> String {
    const SHOWN: usize = 3;
    let mut text: Vec<String> = faults.iter().take(SHOWN).map(Fault::describe).collect();
    if faults.len() > SHOWN {
        text.push(format!("and {} more files", faults.len() - SHOWN));
    }
    text.join(", ")
}

#[cfg(test)]
mod tests;
