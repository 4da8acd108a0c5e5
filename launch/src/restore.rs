//! Finds, verifies and judges the snapshot that a run starts from, before anything runs.

use std::sync::Arc;

use tidegate_checkpoints::{Directory, Manifest, Snapshot, SnapshotError, Storage};
use tidegate_jobs::plan::Checkpoints;
use tidegate_runtime::checkpoint::{CheckpointConfig, Restore, verdict};

use crate::choice::{Damaged, choose};
use crate::error::{RestoreError, RunError};
use crate::event::Event;
use crate::fence;
use crate::launch::{Launch, Start};

type Tell<'a> = dyn FnMut(Event<'_>) + 'a;

impl Launch {
    /// The snapshot that the first run starts from; `None` for a fresh start.
    pub(crate) fn find(&self, tell: &mut Tell<'_>) -> Result<Option<Arc<Restore>>, RestoreError> {
        let snapshot = match &self.start {
            Start::Fresh => None,
            Start::From(place) => Some(whole(place)?),
            Start::Latest => self.latest(tell)?,
        };
        let Some(snapshot) = snapshot else { return Ok(None) };
        for unusable in snapshot.passed_over() {
            tell(Event::CheckpointSkipped { why: unusable.to_string() });
        }
        self.judged(snapshot, tell).map(Some)
    }

    /// Prepares a restore of the snapshot if it fits the job.
    pub(crate) fn judged(&self, snapshot: Snapshot, tell: &mut Tell<'_>) -> Result<Arc<Restore>, RestoreError> {
        let verdict = verdict(self.job.graph(), snapshot.manifest(), self.allow_dropped_state);
        if !verdict.can_go_on() {
            return Err(RestoreError::Refused { place: snapshot.place().to_owned(), verdict: Box::new(verdict) });
        }
        verdict.remarks().for_each(|text| tell(Event::Remark { text }));
        Ok(Arc::new(Restore::new(snapshot)))
    }

    fn latest(&self, tell: &mut Tell<'_>) -> Result<Option<Snapshot>, RestoreError> {
        let checkpoints = self.durability.checkpoints.as_ref().ok_or(RestoreError::NoCheckpoints)?;
        let directory = Directory::open(&Storage::open(&checkpoints.dir)?, &self.name)?;
        let newest = newest(&directory, 0, &[], None, tell)?;
        if newest.is_none() {
            tell(Event::NoCheckpoint { directory: directory.storage().root() });
        }
        Ok(newest)
    }
}

/// Opens the savepoint or checkpoint at a path or URL and verifies its files.
///
/// # Errors
/// There is no snapshot, it is damaged, or storage fails.
pub fn whole(place: &str) -> Result<Snapshot, SnapshotError> {
    let snapshot = Snapshot::open(place)?;
    snapshot.verify()?;
    Ok(snapshot)
}

/// The newest intact checkpoint of generation `since` or a later one, except those known to be `damaged`. The files of the one that was
/// `verified` before are not read again. Reports the ones it skips.
pub(crate) fn newest(
    directory: &Directory,
    since: u64,
    damaged: &[Damaged],
    verified: Option<&Manifest>,
    tell: &mut Tell<'_>,
) -> Result<Option<Snapshot>, RestoreError> {
    let choice = choose(&directory.list()?, since, damaged);
    for epoch in &choice.candidates {
        let place = format!("{}/checkpoints/{epoch}", directory.storage().root());
        let snapshot = Snapshot::open(&place).and_then(|snapshot| {
            if verified != Some(snapshot.manifest()) {
                snapshot.verify()?;
            }
            Ok(snapshot)
        });
        match snapshot {
            Ok(snapshot) => return Ok(Some(snapshot)),
            Err(error) => tell(Event::CheckpointSkipped { why: error.to_string() }),
        }
    }
    if choice.known_damaged || !choice.candidates.is_empty() {
        return Err(RestoreError::NoneLeft { place: directory.storage().root().to_owned() });
    }
    Ok(None)
}

/// The checkpoint found to be the latest of generation `since` and later ones, except those known to be damaged.
pub(crate) struct Latest<'a> {
    pub(crate) since: u64,
    pub(crate) damaged: &'a [Damaged],
    pub(crate) found: Option<&'a Restore>,
}

/// Opens the job's checkpoint directory and takes over as the run that may publish there. Fails if `latest`, where given, is no longer the
/// latest.
pub(crate) fn take_over(
    name: &str,
    checkpoints: &Checkpoints,
    restore: Option<&Restore>,
    latest: Option<Latest<'_>>,
) -> Result<CheckpointConfig, RunError> {
    let failed = |source| RunError::Checkpoints { dir: checkpoints.dir.clone(), source };
    let storage = Storage::open(&checkpoints.dir).map_err(|error| failed(error.into()))?;
    let directory = Directory::open(&storage, name).map_err(failed)?;
    let generation = directory.begin_generation().map_err(failed)?;
    // Only from here on can no other run complete a checkpoint.
    if let Some(Latest { since, damaged, found }) = latest {
        // The skipped checkpoints were reported when `found` was chosen.
        let found = found.map(manifest);
        let now = newest(&directory, since, damaged, found, &mut |_| {})?;
        if fence::overtaken(found, now.as_ref().map(Snapshot::manifest)) {
            return Err(RunError::Overtaken { place: directory.storage().root().to_owned() });
        }
    }
    if let Some(restored) = restore.map(manifest)
        && fence::must_adopt(name, restored, &directory.list().map_err(failed)?)
    {
        directory.adopt(restored, generation).map_err(failed)?;
    }
    let mut config = CheckpointConfig::new(directory, generation, checkpoints.every);
    config.keep = checkpoints.keep;
    Ok(config)
}

fn manifest(restore: &Restore) -> &Manifest {
    restore.snapshot().manifest()
}
