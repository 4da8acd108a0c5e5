//! Keeps the states of one operator instance: restores them, takes snapshots of them, and evicts from memory what does not fit.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value as Json;
use tidegate_checkpoints::{Epoch, failpoint};

use crate::checkpoint::{Arrival, Finish, Member, Message, Report, Shipment};
use crate::control::Control;
use crate::error::Error;
use crate::metrics::OperatorMetrics;
use crate::state::{Floor, Instance, States};

/// How many entries are captured in one go. That takes a worker a millisecond or so; then it processes records again.
const PIECE: usize = 4_096;

/// Captured rows are shipped once they amount to this many bytes.
const CHUNK: usize = 1 << 20;

/// Memory is checked once per this many records: a check costs something, and tables have room for as many beyond their share.
const CHECK: usize = 1_024;

/// How often the metrics are told at most.
const TELL: Duration = Duration::from_millis(250);

/// When a keeper wants to be called again.
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
    /// Has everything been captured and shipped?
    swept: bool,
    /// Is it the last one?
    last: bool,
}

pub(super) struct Keeper {
    control: Arc<Control>,
    /// The name that the states are kept under.
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
    /// Has anything happened since?
    untold: bool,
    /// The records since memory was last checked.
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

    /// Binds the states and restores them, the first time it is called; returns whether it was the first. Not done while the graph is built, as that may be
    /// a rehearsal.
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
        // What is left of it is cleared when the job ends.
        let _ = std::fs::remove_dir_all(&scratch);
        Ok(true)
    }

    fn instance(&self) -> Option<&Instance> {
        self.states.instance().map(|instance| &**instance)
    }

    /// May some of the state lie on disk?
    pub(super) fn spilled(&self) -> bool {
        self.instance().is_some_and(|instance| instance.opened_disk().is_some())
    }

    /// So many records have been processed. Evicts state if memory is to be checked and is full.
    pub(super) fn relieve(&mut self, records: usize) -> Result<(), Error> {
        self.untold = true;
        self.records += records;
        if self.records < CHECK {
            return Ok(());
        }
        self.records = 0;
        self.states.relieve()
    }

    /// Everything of `epoch` has been processed: freezes the states for its snapshot, if one is taken; `last` if the input has ended. Returns false while
    /// an earlier snapshot is in progress: then the epoch can't be left yet, and this must be called again.
    pub(super) fn seal(&mut self, epoch: Epoch, last: bool) -> Result<bool, Error> {
        let checkpoints = self.control.checkpoints();
        let Some(plan) = checkpoints.plan(epoch, last) else {
            if last {
                checkpoints.report(self.member, epoch, Report::default(), true);
                self.tell();
            }
            return Ok(true);
        };
        // Barriers come one at a time, but for that of a stop and the end of input, which don't wait.
        if self.snapshot.is_some() {
            return Ok(false);
        }
        failpoint::hit("barrier-aligned");
        let floors = self.states.floors(checkpoints.ids(self.member.node));
        let meta = self.states.freeze()?;
        let groups = self.groups.clone();
        let shipment = Shipment::new(self.member, epoch, plan, groups, last);
        self.snapshot = Some(Snapshot { meta, floors, arrival: shipment.arrival.clone(), swept: false, last });
        checkpoints.ship(self.member.worker, Message::Begin(Box::new(shipment)))?;
        Ok(true)
    }

    /// Has everything been captured that is part of a snapshot?
    pub(super) fn swept(&self) -> bool {
        self.snapshot.as_ref().is_none_or(|snapshot| snapshot.swept)
    }

    /// Captures some more of the snapshot in progress, and ends it once what was captured has arrived.
    pub(super) fn work(&mut self) -> Result<Again, Error> {
        if self.told.elapsed() >= TELL {
            self.tell();
        }
        let Some(snapshot) = &mut self.snapshot else {
            // Nobody may call for long.
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
        // What stays in memory need not arrive before it is changed again.
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
