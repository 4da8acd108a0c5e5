//! Writes what was captured, on one thread per worker, while the worker goes on. Another thread stores it, so that slow storage delays
//! nobody.
//!
//! Messages keep their order, so everything of one snapshot is written before anything of the next. When RocksDB's files are linked, they
//! hold all of the snapshot and nothing later.

use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Instant;

use serde_json::Value as Json;
use tidegate_checkpoints::{Epoch, FileRef, RowWriter, explain, failpoint};

use super::Checkpoints;
use super::coordinator::{Member, Plan};
use super::sealed::Sealed;
use super::storing::{self, Parcel, Written};
use super::threads::spawn;
use crate::error::Error;
use crate::state::{Captured, Disk, Floor, Rows};

/// A message from a worker to its shipping thread.
pub(crate) enum Message {
    /// A snapshot begins.
    Begin(Box<Shipment>),
    /// A piece of it, and the disk for the rows that go to disk, if there are any.
    Chunk(Member, Captured, Option<Arc<Disk>>),
    /// All of it has been sent.
    Finish(Member, Finish),
    /// A member has restored these RocksDB files, which are already in storage.
    Restored(Member, Vec<FileRef>),
    /// A sink has sealed an epoch that must be stored.
    Sealed(Box<Sealed>),
    /// A sink has committed these files.
    Committed(Member, Vec<PathBuf>),
}

/// What is known once everything is captured.
pub(crate) struct Finish {
    /// The metadata of the states.
    pub(crate) meta: Json,
    /// The disk, if the instance has opened it.
    pub(crate) disk: Option<Arc<Disk>>,
    /// The floors of the states that have namespaces.
    pub(crate) floors: Vec<Floor>,
}

/// Tells the worker whether what it captured has arrived.
#[derive(Clone, Debug, Default)]
pub(crate) struct Arrival(Arc<Underway>);

#[derive(Debug, Default)]
struct Underway {
    arrived: AtomicBool,
    /// The number of bytes sent but not yet written.
    bytes: AtomicUsize,
}

impl Arrival {
    /// Whether all of it can be read back.
    pub(crate) fn arrived(&self) -> bool {
        self.0.arrived.load(SeqCst)
    }

    /// Whether enough is in flight for now.
    pub(crate) fn busy(&self) -> bool {
        self.0.bytes.load(SeqCst) > IN_FLIGHT
    }

    /// Adds to the bytes in flight.
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

/// The number of bytes of one snapshot that may be in flight to the disk.
const IN_FLIGHT: usize = 8 << 20;

/// A snapshot of one member in progress.
pub(crate) struct Shipment {
    pub(crate) member: Member,
    pub(crate) epoch: Epoch,
    pub(crate) plan: Plan,
    pub(crate) groups: Range<u16>,
    /// Whether the member's input has ended.
    pub(crate) last: bool,
    pub(crate) since: Instant,
    pub(crate) arrival: Arrival,
    /// The rows that are part of it in full.
    pub(super) rows: Option<(RowWriter, PathBuf)>,
    /// Whether it has failed.
    lost: bool,
}

impl Shipment {
    pub(crate) fn new(member: Member, epoch: Epoch, plan: Plan, groups: Range<u16>, last: bool) -> Self {
        Self { member, epoch, plan, groups, last, since: Instant::now(), arrival: Arrival::default(), rows: None, lost: false }
    }

    /// Its own part of file names within the run.
    fn name(&self) -> String {
        format!("{}-{}-{}", self.member.node.0, self.member.worker, self.epoch)
    }

    /// The writer of its file of rows, created on first use.
    pub(super) fn writer(&mut self, checkpoints: &Checkpoints) -> Result<&mut RowWriter, String> {
        let path = checkpoints.scratch().join("rows").join(self.name());
        match &mut self.rows {
            Some((writer, _)) => Ok(writer),
            none => {
                make_room(&path)?;
                let (writer, _) = none.insert((RowWriter::create(&path).map_err(|e| explain(&e))?, path));
                Ok(writer)
            }
        }
    }
}

/// Why a snapshot could not be written.
enum Trouble {
    /// The state on disk is no longer reliable.
    Disk(Error),
    /// This checkpoint fails.
    Checkpoint(String),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Disk(error)
    }
}

impl From<String> for Trouble {
    fn from(why: String) -> Self {
        Self::Checkpoint(why)
    }
}

/// Ships until the worker has ended and everything is stored.
pub(super) fn ship(checkpoints: &Arc<Checkpoints>, worker: usize, messages: &Receiver<Message>) {
    let (store, parcels) = channel();
    let shared = Arc::clone(checkpoints);
    let storing = spawn(&checkpoints.everyone, &format!("store-{worker}"), move || storing::store(&shared, &parcels));
    match storing {
        Ok(storing) => {
            Ship { checkpoints, under_way: HashMap::new(), store }.run(messages);
            // A panic has already been recorded as the job's failure.
            let _ = storing.join();
        }
        Err(error) => checkpoints.everyone.fail("checkpoints", worker, error),
    }
}

/// The shipping thread of one worker.
struct Ship<'a> {
    checkpoints: &'a Checkpoints,
    under_way: HashMap<Member, Shipment>,
    store: Sender<Parcel>,
}

impl Ship<'_> {
    fn run(mut self, messages: &Receiver<Message>) {
        for message in messages {
            match message {
                Message::Begin(shipment) => {
                    self.under_way.insert(shipment.member, *shipment);
                }
                Message::Chunk(member, captured, disk) => {
                    let bytes = captured.bytes();
                    let result = self.chunk(member, captured, disk.as_deref());
                    if let Some(shipment) = self.under_way.get(&member) {
                        shipment.arrival.written(bytes);
                    }
                    self.settle(member, result);
                }
                Message::Finish(member, finish) => self.finish(member, finish),
                Message::Restored(member, files) => self.hand_over(Parcel::Restored(member, files)),
                Message::Sealed(sealed) => self.hand_over(Parcel::Sealed(sealed)),
                Message::Committed(member, files) => self.hand_over(Parcel::Committed(member, files)),
            }
        }
    }

    fn chunk(&mut self, member: Member, mut captured: Captured, disk: Option<&Disk>) -> Result<(), Trouble> {
        if let Some(disk) = disk
            && !captured.disk.is_empty()
        {
            captured.disk.sort();
            disk.write(&captured.disk)?;
        }
        let Some(shipment) = self.under_way.get_mut(&member).filter(|shipment| !shipment.lost) else { return Ok(()) };
        if captured.full.is_empty() { Ok(()) } else { push(self.checkpoints, shipment, &captured.full) }
    }

    /// Everything is written: links what is on disk, and hands over the snapshot.
    fn finish(&mut self, member: Member, finish: Finish) {
        let Some(shipment) = self.under_way.remove(&member) else { return };
        let arrival = shipment.arrival.clone();
        let link = self.checkpoints.scratch().join("links").join(shipment.name());
        let linked = match &finish.disk {
            Some(disk) if !shipment.lost => make_room(&link).and_then(|()| disk.link(&link).map_err(|e| explain(&e))).map(|()| Some(link)),
            _ => Ok(None),
        };
        // Rows of later changes may be written from now on.
        arrival.arrive();
        failpoint::Point::SnapshotLinked.hit();
        if shipment.lost {
            return;
        }
        match linked {
            Ok(link) => {
                let Finish { meta, floors, .. } = finish;
                self.hand_over(Parcel::Snapshot(Box::new(Written { shipment, meta, floors, link })));
            }
            Err(why) => self.checkpoints.lost(member, shipment.epoch, &why, shipment.last),
        }
    }

    fn settle(&mut self, member: Member, result: Result<(), Trouble>) {
        match result {
            Ok(()) => {}
            Err(Trouble::Disk(error)) => self.checkpoints.fatal(member, error),
            Err(Trouble::Checkpoint(why)) => {
                // The rest of it is still written to disk.
                if let Some(shipment) = self.under_way.get_mut(&member) {
                    shipment.lost = true;
                    self.checkpoints.lost(member, shipment.epoch, &why, shipment.last);
                }
            }
        }
    }

    fn hand_over(&self, parcel: Parcel) {
        // The storing thread ends before this one only by a panic, which has been recorded.
        let _ = self.store.send(parcel);
    }
}

/// Creates the parent directory of `path` and removes anything already at `path`.
fn make_room(path: &Path) -> Result<(), String> {
    let failed = |e: std::io::Error| format!("`{}` can't be made: {e}", path.display());
    let removed = if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
    match removed {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(failed(e)),
        _ => {}
    }
    path.parent().map_or(Ok(()), std::fs::create_dir_all).map_err(failed)
}

fn push(checkpoints: &Checkpoints, shipment: &mut Shipment, rows: &Rows) -> Result<(), Trouble> {
    let writer = shipment.writer(checkpoints)?;
    for row in rows.iter() {
        let (group, state, key) = row.address()?;
        writer.push(group, state, key, row.value.unwrap_or_default()).map_err(|e| explain(&e))?;
    }
    Ok(())
}
