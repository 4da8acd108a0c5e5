//! Stores and reports what was written, on one thread per worker, behind the thread that writes.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use serde_json::Value as Json;
use tidegate_checkpoints::{Directory, FileRef, Storage, explain, failpoint};

use super::coordinator::{Member, Plan, Report};
use super::sealed::{self, Sealed};
use super::shipping::Shipment;
use super::{Checkpoints, paths};
use crate::error::Error;
use crate::state::{Floor, read_files, wanted};

/// Something to store, or news about what is stored.
pub(super) enum Parcel {
    /// A snapshot of an operator that keeps state.
    Snapshot(Box<Written>),
    /// A member has restored these RocksDB files, which are already in storage.
    Restored(Member, Vec<FileRef>),
    /// A sink has sealed an epoch.
    Sealed(Box<Sealed>),
    /// A sink has committed these files.
    Committed(Member, Vec<PathBuf>),
}

/// A snapshot that is completely in files.
pub(super) struct Written {
    pub(super) shipment: Shipment,
    /// The metadata of the states.
    pub(super) meta: Json,
    /// The floors of the states that have namespaces.
    pub(super) floors: Vec<Floor>,
    /// Where RocksDB's files are linked, if the disk was needed.
    pub(super) link: Option<PathBuf>,
}

/// What the thread of one worker remembers.
#[derive(Default)]
struct Store {
    /// The RocksDB files of each member that are in storage, by their name in its directory.
    stored: HashMap<Member, HashMap<String, FileRef>>,
    /// The stored files of each sink's writer, for what it has sealed but not committed.
    sealed: HashMap<Member, sealed::Stored>,
}

/// Stores parcels until no more come.
pub(super) fn store(checkpoints: &Arc<Checkpoints>, parcels: &Receiver<Parcel>) {
    let mut store = Store::default();
    for parcel in parcels {
        match parcel {
            Parcel::Snapshot(written) => store.snapshot(checkpoints, *written),
            Parcel::Restored(member, files) => {
                checkpoints.uses(member, paths(&files));
                store.stored.insert(member, files.into_iter().map(|file| (file.name.clone(), file)).collect());
            }
            Parcel::Sealed(sealed) => store.sealed(checkpoints, *sealed),
            Parcel::Committed(member, files) => store.remove(member, &files),
        }
    }
}

impl Store {
    /// Stores and reports a snapshot, if anyone still waits for it.
    fn snapshot(&mut self, checkpoints: &Arc<Checkpoints>, mut written: Written) {
        let Shipment { member, epoch, last, since, .. } = written.shipment;
        if checkpoints.awaited(epoch, last) {
            let report = match written.shipment.plan.clone() {
                Plan::Checkpoint => checkpoint(checkpoints, &mut written, self.stored.entry(member).or_default()),
                Plan::Savepoint(to) => savepoint(checkpoints, &mut written, &to),
            };
            match report {
                Ok(report) => {
                    failpoint::Point::SnapshotStored.hit();
                    let report = Report { list: vec![written.meta], took: since.elapsed(), ..report };
                    checkpoints.report(member, epoch, report, last);
                }
                Err(why) => checkpoints.lost(member, epoch, &why, last),
            }
        }
        // Nothing else will be linked there. Whatever is left is removed when the job ends.
        if let Some(link) = &written.link {
            let _ = std::fs::remove_dir_all(link);
        }
    }

    fn sealed(&mut self, checkpoints: &Arc<Checkpoints>, sealed: Sealed) {
        let (member, epoch, last) = (sealed.member, sealed.epoch, sealed.last);
        if checkpoints.awaited(epoch, last) {
            match sealed.store(checkpoints, self.sealed.entry(member).or_default()) {
                Ok(report) => checkpoints.report(member, epoch, report, last),
                Err(why) => checkpoints.lost(member, epoch, &why, last),
            }
        }
    }

    /// Removes committed files. Checkpoints that need them have links or copies by now, because they were stored earlier.
    fn remove(&mut self, member: Member, files: &[PathBuf]) {
        for file in files {
            self.sealed.entry(member).or_default().remove(file);
            // Whatever is left is removed with the directory.
            let _ = std::fs::remove_file(file);
        }
    }
}

/// Finishes the file of rows and stores it under `path`.
fn rows(shipment: &mut Shipment, storage: &Storage, path: String) -> Result<Report, String> {
    let Some((writer, local)) = shipment.rows.take() else { return Ok(Report::default()) };
    let finished = writer.finish().map_err(|e| explain(&e))?;
    storage.upload(&local, &path).map_err(|e| explain(&e))?;
    // Whatever is left is removed when the job ends.
    let _ = std::fs::remove_file(&local);
    let name = path.rsplit('/').next().unwrap_or(&path).to_owned();
    let file = FileRef { path, name, bytes: finished.bytes, checksum: finished.checksum };
    Ok(Report { stored: file.bytes, rows: vec![file], entries: finished.rows, ..Report::default() })
}

/// Stores a checkpoint: RocksDB's linked files as they are. Tables already in storage are only named.
fn checkpoint(checkpoints: &Checkpoints, written: &mut Written, stored: &mut HashMap<String, FileRef>) -> Result<Report, String> {
    let config = checkpoints.config.as_ref().ok_or("checkpoints have no directory")?;
    let storage = config.directory.storage();
    let Written { shipment, link, .. } = written;
    let (Member { node, worker }, epoch, generation) = (shipment.member, shipment.epoch, config.generation);
    let mut report = rows(shipment, storage, Directory::own_path(generation, epoch, &format!("{}-{worker}.rows", node.0)))?;
    let mut kept = HashMap::new();
    for (name, local) in link.as_deref().map(files_in).transpose()?.unwrap_or_default() {
        // Tables never change, and their numbers are never reused.
        let shared = name.ends_with(".sst");
        if shared && let Some(file) = stored.get(&name) {
            kept.insert(name, file.clone());
            continue;
        }
        let own = format!("{}-{worker}-{name}", node.0);
        let path = if shared { Directory::shared_path(generation, &own) } else { Directory::own_path(generation, epoch, &own) };
        let file = FileRef::describe(&local, path, &name).map_err(|e| explain(&e))?;
        storage.upload(&local, &file.path).map_err(|e| explain(&e))?;
        failpoint::Point::FileStored.hit();
        report.stored += file.bytes;
        kept.insert(name, file);
    }
    report.db = kept.values().cloned().collect();
    report.db.sort_by(|a, b| a.name.cmp(&b.name));
    checkpoints.uses(shipment.member, paths(&report.db).chain(paths(&report.rows)));
    kept.retain(|name, _| name.ends_with(".sst"));
    *stored = kept;
    Ok(report)
}

/// Stores a savepoint: all rows, in the format that does not depend on the backend.
fn savepoint(checkpoints: &Checkpoints, written: &mut Written, to: &str) -> Result<Report, String> {
    let Written { shipment, floors, link, .. } = written;
    let (member, epoch) = (shipment.member, shipment.epoch);
    if let Some(link) = link {
        let states = checkpoints.ids(member.node);
        let groups = shipment.groups.clone();
        let writer = shipment.writer(checkpoints)?;
        read_files(link, groups, |key, value| {
            let row = crate::state::Row { key, value: Some(value) };
            let (group, state, rest) = row.address()?;
            // RocksDB files that were restored as they are may hold more.
            if !wanted(floors, key) || !states.contains(&state) {
                return Ok(());
            }
            writer.push(group, state, rest, value).map_err(|e| Error::external("rows can't be written", e))
        })
        .map_err(|e| explain(&e))?;
    }
    let storage = Storage::open(to).map_err(|e| explain(&e))?;
    rows(shipment, &storage, checkpoints.savepoint_file(epoch, &format!("{}-{}.rows", member.node.0, member.worker)))
}

fn files_in(dir: &Path) -> Result<Vec<(String, PathBuf)>, String> {
    let failed = |e: std::io::Error| format!("`{}` can't be read: {e}", dir.display());
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if let Some(name) = path.file_name().and_then(|name| name.to_str()) {
            files.push((name.to_owned(), path.clone()));
        }
    }
    files.sort();
    Ok(files)
}
