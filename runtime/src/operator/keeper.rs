//! Manages the states of one operator instance: restores them, takes snapshots, and evicts from memory what does not fit.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value as Json;
use tidegate_checkpoints::{Epoch, failpoint};

use crate::checkpoint::{Arrival, Finish, Member, Message, Report, Shipment};
use crate::control::Control;
use crate::error::Error;
use crate::metrics::OperatorMetrics;
use crate::state::{Floor, Instance, States, Upcoming};

/// How many records are prepared at a time by what is in memory.
const NEAR: usize = 64;

/// How many entries are captured at once. That takes a worker about a millisecond, and then it processes records again.
const PIECE: usize = 4_096;

/// Captured rows are shipped once they reach this many bytes.
const CHUNK: usize = 1 << 20;

/// Memory is checked once per this many records. A check has a cost, and tables have room for this many records beyond their share.
const CHECK: usize = 1_024;

/// The shortest time between two updates of the metrics.
const TELL: Duration = Duration::from_millis(250);

/// When a keeper needs to be called again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Again {
    /// As soon as the other operators have had their turn.
    Now,
    /// Within this time.
    Within(Duration),
    /// Only when there is something else to do.
    Anytime,
}

/// A snapshot in progress.
struct Snapshot {
    meta: Json,
    floors: Vec<Floor>,
    arrival: Arrival,
    /// Whether everything has been captured and shipped.
    swept: bool,
    /// Whether it is the last snapshot.
    last: bool,
}

pub(super) struct Keeper {
    control: Arc<Control>,
    /// The name under which the states are kept.
    id: String,
    member: Member,
    /// The key groups that lie here; none if the keys lie on other workers.
    groups: Range<u16>,
    states: States,
    metrics: Arc<OperatorMetrics>,
    open: bool,
    snapshot: Option<Snapshot>,
    /// When the metrics were last updated.
    told: Instant,
    /// Whether the states may have changed since.
    untold: bool,
    /// The number of records since memory was last checked.
    records: usize,
}

impl Keeper {
    /// The keeper of one instance of an operator whose keys lie on the first `spread` workers.
    pub(super) fn new(
        control: Arc<Control>,
        id: &str,
        member: Member,
        spread: usize,
        states: States,
        metrics: &Arc<OperatorMetrics>,
    ) -> Self {
        Self {
            id: id.to_owned(),
            groups: control.owned(member.worker, spread),
            control,
            member,
            states,
            metrics: Arc::clone(metrics),
            open: false,
            snapshot: None,
            told: Instant::now(),
            untold: false,
            records: 0,
        }
    }

    /// Binds and restores the states on the first call. Returns whether this was the first. Not done while the graph is built, because that
    /// may be a rehearsal.
    pub(super) fn open(&mut self) -> Result<bool, Error> {
        if std::mem::replace(&mut self.open, true) {
            return Ok(false);
        }
        let control = Arc::clone(&self.control);
        let checkpoints = control.checkpoints();
        let groups = self.groups.clone();
        let instance = control.instance(self.member, groups.clone(), &self.id, Arc::clone(&self.metrics.state));
        let (ids, schemas) = (checkpoints.ids(self.member.node), self.states.schemas());
        let parts = control
            .restore()
            .and_then(|restore| restore.parts(&self.id, groups, ids, &schemas))
            .filter(|parts| parts.stored() || !ids.is_empty());
        let Some(parts) = parts else {
            self.states.bind(instance, ids, false)?;
            return Ok(true);
        };
        if let Some(dir) = instance.dir().cloned()
            && let Some(files) = parts.as_they_are()
        {
            parts.fetch(files, &dir)?;
            if control.restore().is_some_and(|restore| checkpoints.shares(restore)) {
                checkpoints.ship(self.member.worker, Message::Restored(self.member, files.to_vec()))?;
            }
        }
        let on_disk = parts.stored() && !instance.in_memory();
        self.states.bind(instance, ids, on_disk)?;
        let scratch = checkpoints.scratch().join("restore").join(format!("{}-{}", self.member.node.0, self.member.worker));
        let instance = self.states.instance().ok_or_else(|| Error::internal("states that were bound have no instance"))?;
        parts.load(&self.states, instance, &scratch)?;
        // Whatever is left is removed when the job ends.
        let _ = std::fs::remove_dir_all(&scratch);
        Ok(true)
    }

    fn instance(&self) -> Option<&Instance> {
        self.states.instance().map(|instance| &**instance)
    }

    /// For how many records at a time, of a batch of `count`, the states are worth preparing: from disk for all of them in one read, from
    /// memory for as many as the processor's nearest cache has room for. `None` if it keeps the states close anyway.
    pub(super) fn prefetches(&self, count: usize) -> Option<usize> {
        let spilled = self.instance().is_some_and(|instance| instance.opened_disk().is_some());
        if spilled { Some(count) } else { self.states.scattered().then_some(NEAR) }
    }

    /// Brings what the states hold for these records from disk into memory, and from memory into the processor's cache.
    pub(super) fn prefetch<K: 'static>(&self, records: &Upcoming<K>) -> Result<(), Error> {
        self.states.prefetch(records)
    }

    /// Called after the states may have changed, so that their metrics follow.
    pub(super) fn changed(&mut self) {
        self.untold = true;
    }

    /// Called after this many records have been processed. When a memory check is due, evicts state that does not fit.
    pub(super) fn relieve(&mut self, records: usize) -> Result<(), Error> {
        self.changed();
        self.records += records;
        if self.records < CHECK {
            return Ok(());
        }
        self.records = 0;
        self.states.relieve()
    }

    /// Called when everything of `epoch` has been processed. Freezes the states for the epoch's snapshot, if one is taken. `last`: the
    /// input has ended.
    ///
    /// Returns false while an earlier snapshot is in progress. The epoch can't be left then, and this must be called again.
    pub(super) fn seal(&mut self, epoch: Epoch, last: bool) -> Result<bool, Error> {
        let checkpoints = self.control.checkpoints();
        let Some(plan) = checkpoints.plan(epoch, last) else {
            if last {
                checkpoints.report(self.member, epoch, Report::default(), true);
                self.tell();
            }
            return Ok(true);
        };
        // Barriers come one at a time, except those of a stop and of the end of input, which don't wait.
        if self.snapshot.is_some() {
            return Ok(false);
        }
        failpoint::Point::BarrierAligned.hit();
        let floors = self.states.floors(checkpoints.ids(self.member.node));
        let meta = self.states.freeze()?;
        let groups = self.groups.clone();
        let shipment = Shipment::new(self.member, epoch, plan, groups, last);
        self.snapshot = Some(Snapshot { meta, floors, arrival: shipment.arrival.clone(), swept: false, last });
        checkpoints.ship(self.member.worker, Message::Begin(Box::new(shipment)))?;
        Ok(true)
    }

    /// Whether everything that belongs to a snapshot has been captured.
    pub(super) fn swept(&self) -> bool {
        self.snapshot.as_ref().is_none_or(|snapshot| snapshot.swept)
    }

    /// Captures more of the snapshot in progress, and ends it once what was captured has arrived.
    pub(super) fn work(&mut self) -> Result<Again, Error> {
        if self.told.elapsed() >= TELL {
            self.tell();
        }
        let Some(snapshot) = &mut self.snapshot else {
            // This may not be called again for a long time.
            return Ok(if self.untold { Again::Within(TELL.saturating_sub(self.told.elapsed())) } else { Again::Anytime });
        };
        let instance = self.states.instance().cloned().ok_or_else(|| Error::internal("a snapshot of states that are not bound"))?;
        if !snapshot.swept {
            if snapshot.arrival.busy() {
                return Ok(Again::Within(Duration::from_millis(1)));
            }
            snapshot.swept = self.states.sweep(PIECE)?;
            let checkpoints = self.control.checkpoints();
            if snapshot.swept || instance.captured_bytes() >= CHUNK {
                let captured = instance.take_captured();
                snapshot.arrival.sent(captured.bytes());
                let disk = if captured.disk.is_empty() { None } else { Some(Arc::clone(instance.disk()?)) };
                checkpoints.ship(self.member.worker, Message::Chunk(self.member, captured, disk))?;
            }
            if !snapshot.swept {
                return Ok(Again::Now);
            }
            let meta = std::mem::take(&mut snapshot.meta);
            let floors = std::mem::take(&mut snapshot.floors);
            let finish = Finish { meta, disk: instance.opened_disk().cloned(), floors };
            let last = snapshot.last;
            checkpoints.ship(self.member.worker, Message::Finish(self.member, finish))?;
            if last {
                self.tell();
            }
        }
        let Some(snapshot) = &self.snapshot else { return Ok(Again::Anytime) };
        // State in memory may be changed again before the captured rows have arrived.
        if instance.in_memory() || snapshot.arrival.arrived() {
            self.states.release();
            self.snapshot = None;
            return Ok(Again::Anytime);
        }
        Ok(Again::Within(Duration::from_millis(2)))
    }

    fn tell(&mut self) {
        self.states.tell();
        (self.told, self.untold) = (Instant::now(), false);
    }
}
