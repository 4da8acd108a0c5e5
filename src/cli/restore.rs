//! What a run goes on from: found, and judged before anything runs.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::Args;
use tidegate::checkpoints::{Directory, Epoch, Kind, Manifest, Snapshot, SnapshotError, Storage, Verdict};
use tidegate::jobs::plan::{Checkpoints, Plan};
use tidegate::runtime::Job;
use tidegate::runtime::checkpoint::{CheckpointConfig, Restore, verdict};

use super::log::note;

/// What to go on from.
#[derive(Args, Default)]
pub struct RestoreArgs {
    /// Go on from a savepoint or a checkpoint: its directory or URL
    #[arg(long, value_name = "PATH", conflicts_with = "resume")]
    from: Option<String>,
    /// Go on from the job's latest checkpoint; without one, start afresh
    #[arg(long)]
    pub resume: bool,
    /// Leave state behind that no operator of the job claims, and drop what of it is not what it was: see `check --against`
    #[arg(long)]
    allow_dropped_state: bool,
}

/// The job can't go on from what it was given.
pub enum Refused {
    /// It can't be read.
    Unreadable(anyhow::Error),
    /// It does not fit the job.
    Judged(Box<Verdict>, String),
}

impl Refused {
    /// Why, where the job has run before.
    pub fn into_error(self) -> anyhow::Error {
        match self {
            Self::Unreadable(error) => error,
            Self::Judged(verdict, place) => anyhow::anyhow!("the job can't go on from {place}:\n{verdict}"),
        }
    }

    /// Prints why, and gives the exit code.
    pub fn tell(&self) -> ExitCode {
        match self {
            Self::Unreadable(error) => super::fail(error, super::RESTORE),
            Self::Judged(verdict, place) => {
                note(&verdict.to_string());
                let why = anyhow::anyhow!("the job can't go on from {place}: see above; nothing was started");
                super::fail(&why, super::RESTORE)
            }
        }
    }
}

impl RestoreArgs {
    /// Finds and judges what to go on from. `None`: a fresh start.
    pub fn find(&self, plan: &Plan, job: &Job) -> Result<Option<Arc<Restore>>, Refused> {
        let snapshot = match (&self.from, self.resume) {
            (Some(from), _) => Some(whole(from).map_err(|e| Refused::Unreadable(e.into()))?),
            (None, true) => latest(plan).map_err(Refused::Unreadable)?,
            (None, false) => None,
        };
        let Some(snapshot) = snapshot else { return Ok(None) };
        for unusable in snapshot.passed_over() {
            note(&format!("checkpoint passed over: {unusable}"));
        }
        let (restore, verdict) = self.judged(snapshot, job)?;
        verdict.remarks().for_each(|remark| note(&remark));
        Ok(Some(restore))
    }

    /// Goes on from a snapshot, if it fits the job.
    pub fn judged(&self, snapshot: Snapshot, job: &Job) -> Result<(Arc<Restore>, Verdict), Refused> {
        let verdict = verdict(job.graph(), snapshot.manifest(), self.allow_dropped_state);
        if !verdict.can_go_on() {
            return Err(Refused::Judged(Box::new(verdict), snapshot.place().to_owned()));
        }
        Ok((Arc::new(Restore::new(snapshot)), verdict))
    }
}

/// The savepoint or checkpoint at a place, with its files as they were written.
pub fn whole(place: &str) -> Result<Snapshot, SnapshotError> {
    let snapshot = Snapshot::open(place)?;
    snapshot.verify()?;
    Ok(snapshot)
}

fn latest(plan: &Plan) -> Result<Option<Snapshot>> {
    let Some(checkpoints) = &plan.durability.checkpoints else {
        anyhow::bail!("the job takes no checkpoints: `--resume` needs `checkpoints` in the job file, or name a savepoint by `--from`");
    };
    let directory = Directory::open(&Storage::open(&checkpoints.dir)?, &plan.name)?;
    let newest = newest(&directory, 0, &[])?;
    if newest.is_none() {
        note(&format!("there is no checkpoint in {} yet: starting afresh", directory.storage().root()));
    }
    Ok(newest)
}

/// A checkpoint of which damage was found when a run began to go on from it: in a bucket that is the first look into its files.
#[derive(Clone, Copy)]
pub struct Damaged {
    pub epoch: Epoch,
    /// The run that found it. What later ones have published under the same epoch is another.
    pub generation: u64,
}

/// The newest checkpoint of this generation or a later one that is whole, and none of those that are known to be `damaged`. Those passed over are named.
pub fn newest(directory: &Directory, generation: u64, known: &[Damaged]) -> Result<Option<Snapshot>> {
    let mut damaged = 0;
    for found in directory.list()? {
        let is = |test: &dyn Fn(&Manifest) -> bool| found.manifest.as_ref().is_ok_and(test);
        if is(&|manifest| manifest.generation < generation) {
            continue;
        }
        if known.iter().any(|damaged| damaged.epoch == found.epoch && is(&|manifest| manifest.generation <= damaged.generation)) {
            damaged += 1;
            continue;
        }
        let place = format!("{}/checkpoints/{}", directory.storage().root(), found.epoch);
        match whole(&place) {
            Ok(snapshot) => return Ok(Some(snapshot)),
            Err(error) => {
                damaged += 1;
                note(&format!("checkpoint passed over: {error}"));
            }
        }
    }
    if damaged > 0 {
        anyhow::bail!("none of the checkpoints in {} can be restored", directory.storage().root());
    }
    Ok(None)
}

/// What was found to be the latest checkpoint of a run or those after it, without those that are damaged.
pub struct Latest<'a> {
    pub since: u64,
    pub damaged: &'a [Damaged],
    pub found: Option<&'a Restore>,
}

/// Opens the job's directory of checkpoints, and takes over as the run that may write there: if `latest` still is, where that matters.
pub fn open(name: &str, checkpoints: &Checkpoints, restore: Option<&Restore>, latest: Option<Latest<'_>>) -> Result<CheckpointConfig> {
    let place = || format!("checkpoints can't be kept in `{}`", checkpoints.dir);
    let directory = Storage::open(&checkpoints.dir).with_context(place)?;
    let directory = Directory::open(&directory, name).with_context(place)?;
    let generation = directory.begin_generation().with_context(place)?;
    // Only from here on nobody else completes one.
    if let Some(Latest { since, damaged, found }) = latest
        && newest(&directory, since, damaged)?.as_ref().map(Snapshot::manifest) != found.map(|found| found.snapshot().manifest())
    {
        anyhow::bail!("another run of the job has completed a checkpoint in {} just now: is it still running?", directory.storage().root());
    }
    // An older checkpoint that was chosen is the latest from now on, whatever came after it.
    if let Some(manifest) = restore.map(|restore| restore.snapshot().manifest()).filter(|m| m.kind == Kind::Checkpoint && m.job == name)
        && directory.list().with_context(place)?.iter().any(|found| found.manifest.as_ref().is_ok_and(|m| m == manifest))
    {
        directory.adopt(manifest, generation).with_context(place)?;
    }
    let mut config = CheckpointConfig::new(directory, generation, checkpoints.every);
    config.keep = checkpoints.keep;
    Ok(config)
}
