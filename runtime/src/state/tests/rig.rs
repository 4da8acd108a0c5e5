//! One operator instance with a state of each kind, driven step by step as its harness and the shipping thread do.

use std::collections::VecDeque;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use serde_json::Value as Json;
use tempfile::TempDir;
use tidegate_checkpoints::KeyGroups;

use crate::error::Error;
use crate::state::cache::Victims;
use crate::state::disk::{Disk, Resources, read_files, wanted};
use crate::state::persistent::Persistent;
use crate::state::{Captured, Floor, Handle, Instance, Keyed, Meaning, Row, Rows, Spill, States, Timers, Windowed};

pub(super) const IDS: [u8; 3] = [4, 7, 9];

/// A row in the form in which a snapshot holds it.
type OwnedRow = (Vec<u8>, Vec<u8>);

/// Receives a stored key and its value.
type Put<'a> = dyn FnMut(&[u8], &[u8]) -> Result<(), Error> + 'a;

/// A finished snapshot.
pub(super) struct Snapshot {
    meta: Json,
    floors: Vec<Floor>,
    groups: Range<u16>,
    /// The rows that are part of it in full.
    pub(super) rows: Vec<OwnedRow>,
    /// The linked files of RocksDB.
    pub(super) link: Option<PathBuf>,
    /// Keeps their directory alive.
    _dir: Rc<TempDir>,
}

/// A snapshot in progress.
struct Progress {
    snapshot: Snapshot,
    swept: bool,
}

pub(super) struct Rig {
    pub(super) states: States,
    pub(super) keyed: Handle<Keyed<u16, String>>,
    pub(super) windowed: Handle<Windowed<u16, u64>>,
    pub(super) timers: Handle<Timers<u16>>,
    /// Captured but not yet written, in order.
    on_the_way: VecDeque<Captured>,
    progress: Option<Progress>,
    links: usize,
    dir: Rc<TempDir>,
}

impl Rig {
    pub(super) fn new(on_disk: bool, budget: usize) -> Self {
        let dir = Rc::new(tempfile::tempdir().unwrap());
        let spill = on_disk.then(|| dir.path().join("db"));
        let mut rig = Self::declared(dir);
        rig.states.bind(instance(spill, 0..128, budget), &IDS, false).unwrap();
        rig
    }

    fn declared(dir: Rc<TempDir>) -> Self {
        let mut states = States::default();
        let keyed = states.keyed("keyed", Meaning::of_type()).unwrap();
        let windowed = states.windowed("windowed", Meaning::of_type()).unwrap();
        windowed.borrow_mut().asked_at(|time| time..time + 1);
        let timers = states.timers("timers").unwrap();
        Self { states, keyed, windowed, timers, on_the_way: VecDeque::new(), progress: None, links: 0, dir }
    }

    pub(super) fn instance(&self) -> &Rc<Instance> {
        self.states.instance().unwrap()
    }

    pub(super) fn frozen(&self) -> bool {
        self.progress.is_some()
    }

    pub(super) fn evict(&self, most: usize) {
        if !self.instance().in_memory() {
            self.keyed.borrow_mut().evict(Victims::Any, most).unwrap();
            self.windowed.borrow_mut().evict(Victims::Any, most).unwrap();
        }
    }

    /// Begins a snapshot, if none is in progress.
    pub(super) fn freeze(&mut self) {
        let floors = self.states.floors(&IDS);
        let meta = self.states.freeze().unwrap();
        let groups = self.instance().owned();
        let snapshot = Snapshot { meta, floors, groups, rows: Vec::new(), link: None, _dir: Rc::clone(&self.dir) };
        self.progress = Some(Progress { snapshot, swept: false });
    }

    pub(super) fn sweep(&mut self, most: usize) {
        if let Some(progress) = self.progress.as_mut().filter(|progress| !progress.swept) {
            progress.swept = self.states.sweep(most).unwrap();
            let captured = self.states.instance().unwrap().take_captured();
            self.on_the_way.push_back(captured);
        }
    }

    /// Writes what was captured next. Returns the snapshot once all of it is written.
    pub(super) fn ship(&mut self) -> Option<Snapshot> {
        let progress = self.progress.as_mut()?;
        if let Some(mut captured) = self.on_the_way.pop_front() {
            if !captured.disk.is_empty() {
                captured.disk.sort();
                self.states.instance().unwrap().disk().unwrap().write(&captured.disk).unwrap();
            }
            let rows = captured.full.iter().map(|row| (row.key.to_vec(), row.value.unwrap().to_vec()));
            progress.snapshot.rows.extend(rows);
        }
        if !progress.swept || !self.on_the_way.is_empty() {
            return None;
        }
        let mut snapshot = self.progress.take()?.snapshot;
        if let Some(disk) = self.instance().opened_disk() {
            let link = self.dir.path().join(format!("link-{}", self.links + 1));
            disk.link(&link).unwrap();
            snapshot.link = Some(link);
        }
        self.links += 1;
        self.states.release();
        Some(snapshot)
    }

    /// Finishes the snapshot in progress.
    pub(super) fn finish(&mut self, most: usize) -> Snapshot {
        loop {
            self.sweep(most);
            if let Some(snapshot) = self.ship() {
                return snapshot;
            }
        }
    }

    /// Another instance with these key groups, restored from snapshots. `as_they_are`: uses their files directly if possible.
    pub(super) fn restored(snapshots: &[&Snapshot], groups: Range<u16>, on_disk: bool, budget: usize, as_they_are: bool) -> Self {
        let dir = Rc::new(tempfile::tempdir().unwrap());
        let db = dir.path().join("db");
        let mut rig = Self::declared(dir);
        let mut adopted = false;
        if let [Snapshot { link: Some(link), groups: of, .. }] = snapshots
            && on_disk
            && as_they_are
            && *of == groups
        {
            copy(link, &db);
            adopted = true;
        }
        rig.states.bind(instance(on_disk.then_some(db), groups.clone(), budget), &IDS, true).unwrap();
        if adopted {
            // As the keeper does: files on disk are part of the next snapshot even if nothing touches them.
            rig.instance().disk().unwrap();
        }
        let states = &rig.states;
        snapshots.iter().for_each(|snapshot| states.restore_meta(&snapshot.meta).unwrap());
        let restore = |ingest: &mut Put<'_>| -> Result<(), Error> {
            for snapshot in snapshots {
                let mut each = |key: &[u8], value: &[u8]| -> Result<(), Error> {
                    let row = Row { key, value: Some(value) };
                    let (group, state, rest) = row.address()?;
                    if !groups.contains(&group) || !wanted(&snapshot.floors, key) {
                        return Ok(());
                    }
                    let place = IDS.iter().position(|id| *id == state).unwrap();
                    if on_disk && !states.full(place) { ingest(key, value) } else { states.restore_row(place, rest, value) }
                };
                if let (Some(link), false) = (&snapshot.link, adopted) {
                    read_files(link, groups.clone(), &mut each)?;
                }
                snapshot.rows.iter().try_for_each(|(key, value)| each(key, value))?;
            }
            Ok(())
        };
        if on_disk && !adopted {
            let mut sorted: Vec<OwnedRow> = Vec::new();
            restore(&mut |key, value| Ok(sorted.push((key.to_vec(), value.to_vec())))).unwrap();
            sorted.sort();
            let disk = rig.instance().disk().unwrap();
            disk.ingest(|files| sorted.iter().try_for_each(|(key, value)| files.put(key, value))).unwrap();
        } else {
            restore(&mut |_, _| Ok(())).unwrap();
        }
        rig
    }

    /// All keys and values, and all timers.
    pub(super) fn all(&self) -> Contents {
        let mut contents = Contents::default();
        self.keyed.borrow().for_each(|key, value| Ok(contents.keyed.push((*key, value.clone())))).unwrap();
        let windowed = self.windowed.borrow();
        for namespace in windowed.namespaces() {
            windowed.for_each(namespace, |key, value| Ok(contents.windowed.push((namespace, *key, *value)))).unwrap();
        }
        contents.keyed.sort();
        contents.windowed.sort();
        contents
    }

    /// Takes out all timers up to and including `now`.
    pub(super) fn fire(&self, now: i64) -> Vec<(i64, u16)> {
        let mut fired = Vec::new();
        while let Some((time, keys)) = self.timers.borrow_mut().take_due(now) {
            fired.extend(keys.map(|key| (time, key)));
        }
        fired.sort_unstable();
        fired
    }
}

/// Keys and values, sorted, so that duplicates show.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Contents {
    pub(super) keyed: Vec<(u16, String)>,
    pub(super) windowed: Vec<(i64, u16, u64)>,
}

pub(super) fn resources() -> Resources {
    Resources::new(8 << 20, 1)
}

pub(super) fn instance(dir: Option<PathBuf>, groups: Range<u16>, budget: usize) -> Instance {
    let spill = dir.map(|dir| Spill { dir, resources: resources() });
    Instance::new(KeyGroups::default(), groups, spill, budget, Arc::default())
}

/// Copies the files of a directory.
pub(super) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for file in std::fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}

/// A row with this key and value.
pub(super) fn row(rows: &mut Rows, key: &[u8], value: &[u8]) {
    rows.put(|out| Ok(out.extend_from_slice(key)), |out| Ok(out.extend_from_slice(value))).unwrap();
}

/// All rows of a disk.
pub(super) fn scan(disk: &Disk) -> Vec<OwnedRow> {
    let mut rows = Vec::new();
    disk.scan(&[], |key, value| Ok(rows.push((key.to_vec(), value.to_vec())))).unwrap();
    rows
}
