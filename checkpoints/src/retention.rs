//! Decides which checkpoints are deleted, and which files with them.

use std::collections::HashSet;

use crate::directory::{CHECKPOINTS, SHARED};
use crate::{Directory, DirectoryError, Epoch, Kind, Manifest, ManifestError, Stored};

/// What checkpoints in flight, which are not complete yet, rely on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InFlight {
    /// Paths of all files that their manifests will name, whether they upload them or not.
    pub files: HashSet<String>,
    /// When the oldest upload under way began, or the current time if there is none, in milliseconds since 1970. Nothing stored since then is deleted.
    pub since_ms: i64,
}

/// What is to be deleted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Removal {
    /// Checkpoints, by epoch.
    pub checkpoints: Vec<Epoch>,
    /// The paths of files, sorted.
    pub files: Vec<String>,
}

/// How far apart the clocks of this machine and of storage may be: S3 refuses requests from machines that are further off.
const CLOCKS_APART_MS: i64 = 15 * 60 * 1_000;

/// Decides what to delete if the newest `keep` checkpoints stay (at least one does).
///
/// `manifests` are those of all checkpoints, newest first; `stored` are all files except manifests. Savepoints stay, and don't count. A file stays if
/// a manifest that stays names it, if a checkpoint in flight does, or if it was stored since the oldest upload under way began. Files that no manifest
/// names were left behind by a run that died. They are deleted once they are too old, by any clock, to be part of an upload.
#[must_use]
pub fn plan(manifests: &[Manifest], keep: usize, stored: &[Stored], in_flight: &InFlight) -> Removal {
    let mut kept = 0;
    let (stay, go): (Vec<&Manifest>, Vec<&Manifest>) = manifests.iter().partition(|manifest| {
        let counts = manifest.kind == Kind::Checkpoint;
        kept += usize::from(counts);
        !counts || kept <= keep.max(1)
    });
    let paths = |manifests: &[&Manifest]| -> HashSet<String> { manifests.iter().flat_map(|m| m.files()).map(|f| f.path.clone()).collect() };
    let (used, released) = (paths(&stay), paths(&go));
    let goes = |file: &&Stored| {
        let grace = if released.contains(&file.name) { 0 } else { CLOCKS_APART_MS };
        let old = file.stored_ms.saturating_add(grace) < in_flight.since_ms;
        old && !used.contains(&file.name) && !in_flight.files.contains(&file.name)
    };
    let mut files: Vec<String> = stored.iter().filter(goes).map(|file| file.name.clone()).collect();
    files.sort();
    Removal { checkpoints: go.iter().map(|manifest| manifest.epoch).collect(), files }
}

/// Deletes what run `generation` of the job need not keep. Manifests go first, so whatever happens in between, a checkpoint that exists is whole.
///
/// A manifest that can't be read is left for a person to look at. If a newer release wrote it, all files are left, because it might name any of them.
///
/// # Errors
/// A later run has taken over, or storage fails.
pub fn retain(directory: &Directory, generation: u64, keep: usize, in_flight: &InFlight) -> Result<Removal, DirectoryError> {
    let storage = directory.storage();
    // Files are listed before manifests, so that a file whose manifest is put in between is not taken for unused. The fence is checked last: a run
    // that takes over later can't have stored any of these files.
    let mut stored = storage.entries(SHARED)?;
    stored.extend(storage.entries(CHECKPOINTS)?.into_iter().filter(|file| !is_manifest(&file.name)));
    let found = directory.list()?;
    directory.check_fence(generation)?;
    if found.iter().any(|found| matches!(found.manifest, Err(ManifestError::Format { .. }))) {
        stored.clear();
    }
    let manifests: Vec<Manifest> = found.into_iter().filter_map(|found| found.manifest.ok()).collect();
    let removal = plan(&manifests, keep, &stored, in_flight);
    for epoch in &removal.checkpoints {
        storage.delete(&Directory::manifest_path(*epoch))?;
    }
    for file in &removal.files {
        storage.delete(file)?;
    }
    Ok(removal)
}

fn is_manifest(name: &str) -> bool {
    name.rsplit('/').next() == Some(Manifest::FILE)
}

#[cfg(test)]
mod tests;
