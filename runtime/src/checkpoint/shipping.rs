//! Writes what was captured, and stores it: on one thread per worker, while the worker goes on.
//!
//! Everything of one snapshot is written before anything of the next, as messages keep their order. So RocksDB's files are linked when all of the
//! snapshot, and nothing later, is in them.

use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::Receiver;
use std::time::Instant;

use serde_json::Value as Json;
use tidegate_checkpoints::{Directory, Epoch, FileRef, RowWriter, Storage, failpoint};

use super::coordinator::{Member, Plan, Report};
use super::sealed::{Sealed, Stored};
use super::{Checkpoints, message, paths};
use crate::error::Error;
use crate::state::{Captured, Disk, Floor, Rows, read_files, wanted};

/// What a worker tells its shipping thread.
pub(crate) enum Message {
    /// A snapshot begins.
    Begin(Box<Shipment>),
    /// Some of it, and the disk that part of it is for, if any is.
    Chunk(Member, Captured, Option<Arc<Disk>>),
    /// That was all of it.
    Finish(Member, Finish),
    /// A member has restored these files of RocksDB: they lie in storage already.
    Restored(Member, Vec<FileRef>),
    /// A sink has sealed an epoch that is to be stored.
    Sealed(Box<Sealed>),
    /// A sink has committed these files.
    Committed(Member, Vec<PathBuf>),
}

/// What is known once all is captured.
pub(crate) struct Finish {
    /// What is known of the states as wholes.
    pub(crate) meta: Json,
    /// Has the member's input ended?
    pub(crate) last: bool,
    /// The disk, if the instance has needed it.
    pub(crate) disk: Option<Arc<Disk>>,
    /// Which namespaces are over, by state.
    pub(crate) floors: Vec<Floor>,
}

/// Tells the worker how far what it captured has come.
#[derive(Clone, Debug, Default)]
pub(crate) struct Arrival(Arc<Underway>);

#[derive(Debug, Default)]
struct Underway {
    arrived: AtomicBool,
    /// The bytes sent and not yet written.
    bytes: AtomicUsize,
}

impl Arrival {
    /// Can all of it be read back?
    pub(crate) fn arrived(&self) -> bool {
        self.0.arrived.load(SeqCst)
    }

    /// Is enough on its way for now?
    pub(crate) fn busy(&self) -> bool {
        self.0.bytes.load(SeqCst) > IN_FLIGHT
    }

    /// So many bytes are sent.
    pub(crate) fn sent(&self, bytes: usize) {
        self.0.bytes.fetch_add(bytes, SeqCst);
    }

    fn written(&self, bytes: usize) {
        self.0.bytes.fetch_sub(bytes, SeqCst);
    }

    fn arrive(&self) {
        self.0.arrived.store(true, SeqCst);
    }
}

/// The bytes of one snapshot that may be on their way to the disk at once.
const IN_FLIGHT: usize = 8 << 20;

/// A snapshot of one member on its way.
pub(crate) struct Shipment {
    pub(crate) member: Member,
    pub(crate) epoch: Epoch,
    pub(crate) plan: Plan,
    pub(crate) groups: Range<u16>,
    pub(crate) arrival: Arrival,
    pub(crate) since: Instant,
    rows: Option<(RowWriter, PathBuf)>,
    /// Has it come to nothing?
    lost: bool,
}

impl Shipment {
    pub(crate) fn new(member: Member, epoch: Epoch, plan: Plan, groups: Range<u16>, since: Instant) -> Self {
        Self { member, epoch, plan, groups, arrival: Arrival::default(), since, rows: None, lost: false }
    }
}

/// Why a snapshot could not be written or stored.
enum Trouble {
    /// The state on disk can't be relied on any more.
    Disk(Error),
    /// This checkpoint comes to nothing.
    Checkpoint(String),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Disk(error)
    }
}

/// Anything that goes wrong between here and storage costs the checkpoint, not the job.
fn trouble(error: impl std::error::Error + 'static) -> Trouble {
    Trouble::Checkpoint(message(&error))
}

/// What the thread of one worker remembers.
#[derive(Default)]
struct Ship {
    under_way: HashMap<Member, Shipment>,
    /// Files of each member's RocksDB that lie in storage, by their name in its directory.
    stored: HashMap<Member, HashMap<String, FileRef>>,
    /// What each writer of a sink has sealed and not committed.
    sealed: HashMap<Member, Stored>,
}

/// Ships until the worker has ended.
pub(super) fn ship(checkpoints: &Checkpoints, messages: &Receiver<Message>) {
    let mut ship = Ship::default();
    for message in messages {
        let (member, last, result) = match message {
            Message::Begin(shipment) => {
                ship.under_way.insert(shipment.member, *shipment);
                continue;
            }
            Message::Restored(member, files) => {
                checkpoints.uses(member, paths(&files));
                ship.stored.insert(member, files.into_iter().map(|file| (file.name.clone(), file)).collect());
                continue;
            }
            Message::Sealed(sealed) => {
                ship.store_sealed(checkpoints, *sealed);
                continue;
            }
            Message::Committed(member, files) => {
                ship.remove(member, &files);
                continue;
            }
            Message::Chunk(member, captured, disk) => {
                let bytes = captured.bytes();
                let result = ship.chunk(checkpoints, member, captured, disk.as_deref());
                if let Some(shipment) = ship.under_way.get(&member) {
                    shipment.arrival.written(bytes);
                }
                (member, false, result)
            }
            Message::Finish(member, finish) => (member, finish.last, ship.finish(checkpoints, member, &finish)),
        };
        match result {
            Ok(()) => {}
            Err(Trouble::Disk(error)) => checkpoints.fatal(member, error),
            Err(Trouble::Checkpoint(why)) => ship.give_up(checkpoints, member, &why, last),
        }
    }
}

impl Ship {
    fn chunk(&mut self, checkpoints: &Checkpoints, member: Member, mut captured: Captured, disk: Option<&Disk>) -> Result<(), Trouble> {
        if let Some(disk) = disk
            && !captured.disk.is_empty()
        {
            captured.disk.sort();
            disk.write(&captured.disk)?;
        }
        let Some(shipment) = self.under_way.get_mut(&member).filter(|shipment| !shipment.lost) else { return Ok(()) };
        if captured.full.is_empty() { Ok(()) } else { push(checkpoints, shipment, &captured.full) }
    }

    /// Links, stores and reports.
    fn finish(&mut self, checkpoints: &Checkpoints, member: Member, finish: &Finish) -> Result<(), Trouble> {
        let Some(mut shipment) = self.under_way.remove(&member) else { return Ok(()) };
        let name = format!("{}-{}-{}", member.node.0, member.worker, shipment.epoch);
        let link = checkpoints.scratch().join("links").join(&name);
        let linked = match &finish.disk {
            Some(disk) if !shipment.lost => make_room(&link).and_then(|()| disk.link(&link).map_err(trouble)),
            _ => Ok(()),
        };
        // What comes later may be written from now on.
        shipment.arrival.arrive();
        failpoint::hit("snapshot-linked");
        if shipment.lost {
            return Ok(());
        }
        let link_dir = finish.disk.is_some().then_some(link.as_path());
        let stored = linked.and_then(|()| match shipment.plan.clone() {
            Plan::Checkpoint => store(checkpoints, &mut shipment, link_dir, self.stored.entry(member).or_default()),
            Plan::Savepoint(to) => save(checkpoints, &mut shipment, link_dir, finish, &to),
        });
        // Another will be linked elsewhere; what is left of this one is cleared when the job ends.
        let _ = std::fs::remove_dir_all(&link);
        match stored {
            Ok(report) => {
                failpoint::hit("snapshot-stored");
                let report = Report { list: vec![finish.meta.clone()], took: shipment.since.elapsed(), ..report };
                checkpoints.report(member, shipment.epoch, report, finish.last);
                Ok(())
            }
            Err(trouble) => {
                self.under_way.insert(member, shipment);
                Err(trouble)
            }
        }
    }

    fn store_sealed(&mut self, checkpoints: &Checkpoints, sealed: Sealed) {
        let (member, epoch, last) = (sealed.member, sealed.epoch, sealed.last);
        match sealed.store(checkpoints, self.sealed.entry(member).or_default()) {
            Ok(report) => checkpoints.report(member, epoch, report, last),
            Err(why) => checkpoints.declined(epoch, &format!("operator `{}`: {why}", checkpoints.operator(member.node)), last),
        }
    }

    /// Checkpoints that need these files have links or copies of their own by now: they were asked for before.
    fn remove(&mut self, member: Member, files: &[PathBuf]) {
        for file in files {
            self.sealed.entry(member).or_default().remove(file);
            // What stays is removed with the directory.
            let _ = std::fs::remove_file(file);
        }
    }

    /// The snapshot comes to nothing; what is yet to come of it is still written to disk.
    fn give_up(&mut self, checkpoints: &Checkpoints, member: Member, why: &str, last: bool) {
        if let Some(shipment) = self.under_way.get_mut(&member) {
            shipment.lost = true;
            checkpoints.declined(shipment.epoch, &format!("operator `{}`: {why}", checkpoints.operator(member.node)), last);
        }
    }
}

fn make_room(dir: &Path) -> Result<(), Trouble> {
    let failed = |e: std::io::Error| Trouble::Checkpoint(format!("`{}` can't be made: {e}", dir.display()));
    match std::fs::remove_dir_all(dir) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(failed(e)),
        _ => {}
    }
    dir.parent().map_or(Ok(()), std::fs::create_dir_all).map_err(failed)
}

/// The file that rows go to which are part of the snapshot in full.
fn writer<'a>(checkpoints: &Checkpoints, shipment: &'a mut Shipment) -> Result<&'a mut (RowWriter, PathBuf), Trouble> {
    if shipment.rows.is_none() {
        let dir = checkpoints.scratch().join("rows");
        std::fs::create_dir_all(&dir).map_err(|e| Trouble::Checkpoint(format!("`{}` can't be made: {e}", dir.display())))?;
        let path = dir.join(format!("{}-{}.rows", shipment.member.node.0, shipment.member.worker));
        shipment.rows = Some((RowWriter::create(&path).map_err(trouble)?, path));
    }
    shipment.rows.as_mut().ok_or_else(|| Trouble::Disk(Error::internal("a file that was just made is gone")))
}

fn push(checkpoints: &Checkpoints, shipment: &mut Shipment, rows: &Rows) -> Result<(), Trouble> {
    let (writer, _) = writer(checkpoints, shipment)?;
    for row in rows.iter() {
        let (group, state, key) = row.address()?;
        writer.push(group, state, key, row.value.unwrap_or_default()).map_err(trouble)?;
    }
    Ok(())
}

/// Ends the file of rows and stores it under `path`.
fn end_rows(shipment: &mut Shipment, storage: &Storage, path: String) -> Result<(Vec<FileRef>, u64), Trouble> {
    let Some((writer, local)) = shipment.rows.take() else { return Ok((Vec::new(), 0)) };
    let finished = writer.finish().map_err(trouble)?;
    storage.upload(&local, &path).map_err(trouble)?;
    // If it can't be removed, the next snapshot empties it.
    let _ = std::fs::remove_file(&local);
    let name = path.rsplit('/').next().unwrap_or(&path).to_owned();
    Ok((vec![FileRef { path, name, bytes: finished.bytes, checksum: finished.checksum }], finished.rows))
}

/// Stores a checkpoint: the linked files of RocksDB as they are, those that lie in storage already only by name.
fn store(
    checkpoints: &Checkpoints,
    shipment: &mut Shipment,
    link: Option<&Path>,
    stored: &mut HashMap<String, FileRef>,
) -> Result<Report, Trouble> {
    let config = checkpoints.config().ok_or_else(|| Trouble::Checkpoint("checkpoints have no directory".to_owned()))?;
    let storage = config.directory.storage();
    let (Member { node, worker }, epoch, generation) = (shipment.member, shipment.epoch, config.generation);
    let path = Directory::own_path(generation, epoch, &format!("{}-{worker}.rows", node.0));
    let (rows, entries) = end_rows(shipment, storage, path)?;
    let mut report = Report { stored: rows.iter().map(|file| file.bytes).sum(), rows, entries, ..Report::default() };
    let mut kept = HashMap::new();
    for (name, local) in link.map(files_in).transpose()?.unwrap_or_default() {
        // Tables are never changed, and their numbers are never used again.
        let shared = name.ends_with(".sst");
        if shared && let Some(file) = stored.get(&name) {
            kept.insert(name, file.clone());
            continue;
        }
        let own = format!("{}-{worker}-{name}", node.0);
        let path = if shared { Directory::shared_path(generation, &own) } else { Directory::own_path(generation, epoch, &own) };
        let file = FileRef::describe(&local, path, &name).map_err(trouble)?;
        storage.upload(&local, &file.path).map_err(trouble)?;
        failpoint::hit("file-stored");
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

/// Stores a savepoint: all rows in the form that does not depend on the backend.
fn save(checkpoints: &Checkpoints, shipment: &mut Shipment, link: Option<&Path>, finish: &Finish, to: &str) -> Result<Report, Trouble> {
    if let Some(link) = link {
        let groups = shipment.groups.clone();
        let (writer, _) = writer(checkpoints, shipment)?;
        let mut failed = None;
        let read = read_files(link, groups, |key, value| {
            if !wanted(&finish.floors, key) {
                return Ok(());
            }
            let row = crate::state::Row { key, value: Some(value) };
            let (group, state, rest) = row.address()?;
            writer.push(group, state, rest, value).map_err(|error| {
                let text = error.to_string();
                failed = Some(trouble(error));
                Error::internal(text)
            })
        });
        if let Some(trouble) = failed {
            return Err(trouble);
        }
        read?;
    }
    let storage = Storage::open(to).map_err(trouble)?;
    let Member { node, worker } = shipment.member;
    let (rows, entries) = end_rows(shipment, &storage, format!("{}-{worker}.rows", node.0))?;
    Ok(Report { stored: rows.iter().map(|file| file.bytes).sum(), rows, entries, ..Report::default() })
}

fn files_in(dir: &Path) -> Result<Vec<(String, PathBuf)>, Trouble> {
    let failed = |e: std::io::Error| Trouble::Checkpoint(format!("`{}` can't be read: {e}", dir.display()));
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
