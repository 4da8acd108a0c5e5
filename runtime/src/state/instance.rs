//! What the states of one operator instance share: its key groups, its disk, and the rows a snapshot has captured.

use std::cell::{Cell, OnceCell, RefCell};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;
use tidegate_checkpoints::{KeyGroup, KeyGroups, stable_hash};

use super::codec;
use super::disk::{Disk, Garbage, Resources};
use super::rows::Rows;
use super::shares::Shares;
use crate::error::Error;
use crate::metrics::StateMetrics;

/// Where state goes that does not fit in memory.
#[derive(Clone)]
pub(crate) struct Spill {
    /// A directory of this instance's own. Created when first needed.
    pub(crate) dir: PathBuf,
    /// Resources shared by all instances of the process.
    pub(crate) resources: Resources,
}

/// Rows captured and not yet shipped: those for the disk, and those that are part of every snapshot in full.
#[derive(Debug, Default)]
pub(crate) struct Captured {
    pub(crate) disk: Rows,
    pub(crate) full: Rows,
}

impl Captured {
    /// The size of the rows in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.disk.bytes() + self.full.bytes()
    }
}

/// One operator instance, as its states see it.
pub(crate) struct Instance {
    groups: KeyGroups,
    owned: Range<u16>,
    spill: Option<Spill>,
    disk: OnceCell<Arc<Disk>>,
    pub(super) garbage: Garbage,
    /// What it shares with the other instances of the operator in this process.
    pub(super) shares: Shares,
    pub(super) captured: RefCell<Captured>,
    pub(super) metrics: Arc<StateMetrics>,
    /// The bytes that the cached entries of this instance may take.
    pub(super) budget: usize,
    /// Whether a snapshot is in progress whose rows have not all arrived.
    pub(super) frozen: Cell<bool>,
    /// The entries, bytes in memory and bytes on disk last reported to the metrics.
    told: Cell<(u64, u64, u64)>,
}

impl Instance {
    /// An instance that owns the key groups in `owned`. Without a `spill`, all state stays in memory.
    pub(crate) fn new(groups: KeyGroups, owned: Range<u16>, spill: Option<Spill>, budget: usize, metrics: Arc<StateMetrics>) -> Self {
        Self {
            groups,
            owned,
            spill,
            disk: OnceCell::new(),
            garbage: Garbage::default(),
            shares: Shares::among(1),
            captured: RefCell::default(),
            metrics,
            budget,
            frozen: Cell::new(false),
            told: Cell::default(),
        }
    }

    /// Makes this one of several instances in the process.
    pub(crate) fn sharing(self, shares: Shares) -> Self {
        Self { shares, ..self }
    }

    /// A placeholder for states that are declared but not yet bound.
    pub(super) fn unbound() -> Self {
        let groups = KeyGroups::default();
        Self::new(groups, 0..groups.max_parallelism(), None, usize::MAX, Arc::default())
    }

    /// Whether all state stays in memory.
    pub(crate) fn in_memory(&self) -> bool {
        self.spill.is_none()
    }

    /// How keys are divided into key groups.
    pub(super) fn groups(&self) -> KeyGroups {
        self.groups
    }

    /// The key groups of this instance.
    pub(crate) fn owned(&self) -> Range<u16> {
        self.owned.clone()
    }

    /// The parts of these ranges of key groups that lie here, each with its event time.
    pub(super) fn own(&self, former: Vec<(Range<u16>, i64)>) -> impl Iterator<Item = (Range<u16>, i64)> {
        let clip = |(groups, time): (Range<u16>, i64)| (groups.start.max(self.owned.start)..groups.end.min(self.owned.end), time);
        former.into_iter().map(clip).filter(|(groups, _)| !groups.is_empty())
    }

    /// The bytes captured and not yet shipped.
    pub(crate) fn captured_bytes(&self) -> usize {
        self.captured.borrow().bytes()
    }

    /// Takes the captured rows for shipping.
    pub(crate) fn take_captured(&self) -> Captured {
        self.captured.take()
    }

    /// The key group of a key.
    pub(super) fn group<K: Serialize + ?Sized>(&self, key: &K) -> KeyGroup {
        self.groups.group(stable_hash(key))
    }

    /// The disk, opened on first use.
    pub(crate) fn disk(&self) -> Result<&Arc<Disk>, Error> {
        if let Some(disk) = self.disk.get() {
            return Ok(disk);
        }
        let spill = self.spill.as_ref().ok_or_else(|| Error::internal("state in memory has no disk"))?;
        let disk = Disk::open(&spill.dir, &spill.resources, &self.garbage)?;
        Ok(self.disk.get_or_init(|| Arc::new(disk)))
    }

    /// The disk, if it has been opened.
    pub(crate) fn opened_disk(&self) -> Option<&Arc<Disk>> {
        self.disk.get()
    }

    /// Reports the present sizes to the metrics.
    pub(super) fn tell(&self, entries: usize, bytes: usize) {
        let (old, new) = (self.told.get(), (entries as u64, bytes as u64, self.disk.get().map_or(0, |disk| disk.file_bytes())));
        self.metrics.entries.replace(old.0, new.0);
        self.metrics.memory.replace(old.1, new.1);
        self.metrics.disk.replace(old.2, new.2);
        self.told.set(new);
    }

    /// Where the disk is or would be.
    pub(crate) fn dir(&self) -> Option<&PathBuf> {
        self.spill.as_ref().map(|spill| &spill.dir)
    }
}

/// Where the rows of a state are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Address {
    pub(super) state: u8,
    pub(super) namespace: Option<i64>,
}

impl Address {
    /// Appends the stored key of `key`.
    pub(super) fn encode<K: Serialize>(self, instance: &Instance, key: &K, out: &mut Vec<u8>) -> Result<(), Error> {
        self.encode_prefix(instance.group(key).0, out);
        codec::encode(key, out)
    }

    /// Appends the prefix of the keys of `group`.
    pub(super) fn encode_prefix(self, group: u16, out: &mut Vec<u8>) {
        codec::encode_prefix(group, self.state, out);
        if let Some(namespace) = self.namespace {
            codec::encode_ordered(namespace, out);
        }
    }

    /// Adds the row of a key, or its deletion.
    pub(super) fn capture<K: Serialize, V: Serialize>(
        self,
        instance: &Instance,
        rows: &mut Rows,
        key: &K,
        value: Option<&V>,
    ) -> Result<(), Error> {
        match value {
            Some(value) => rows.put(|out| self.encode(instance, key, out), |out| codec::encode(value, out)),
            None => rows.delete(|out| self.encode(instance, key, out)),
        }
    }
}
