//! Checkpoints and savepoints of a running job.
//!
//! Stepping from epoch N to N + 1 is barrier N. When an operator has seen all of N, it freezes its states (in constant time) and goes on.
//! What was frozen is captured a little at a time, written and stored by other threads, and reported. When every member has reported, the
//! manifest is published, and sinks commit.
//!
//! [`Checkpoints`] is the members' side: [`shipping`] writes and [`storing`] stores, each on a thread of its own ([`threads`]). [`Lead`] is
//! the other side, once in a job: the [`coordinator`] decides and is pure, and [`publish`] publishes. [`restore`] reads back.

mod config;
mod coordinator;
mod lead;
mod publish;
mod requests;
mod restore;
mod sealed;
mod setup;
mod shipping;
mod storing;
mod threads;

use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tidegate_checkpoints::{Epoch, FileRef};

use crate::clock::Clock;
use crate::control::{Everyone, Leader, Replica, ToLeader};
use crate::error::Error;
pub use config::{CheckpointConfig, CheckpointStatus, Completed};
pub(crate) use coordinator::{Member, Plan, Report};
pub(crate) use lead::Lead;
pub use requests::SavepointResult;
pub use restore::{Restore, verdict};
pub(crate) use sealed::{Recoveries, Sealed};
pub(crate) use setup::Setup;
pub(crate) use shipping::{Arrival, Finish, Message, Shipment};
use threads::Shippers;

/// The checkpoints of a run as its members take them, shared by the workers of a process.
pub(crate) struct Checkpoints {
    setup: Arc<Setup>,
    everyone: Arc<dyn Everyone>,
    replica: Arc<Replica>,
    leader: Arc<dyn Leader>,
    /// The time of day at the start, in milliseconds since 1970. It is part of the names of savepoint files, because no other run has
    /// started then.
    started_ms: i64,
    shippers: Shippers,
    /// The sinks that have recovered.
    pub(crate) recoveries: Recoveries,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Deref for Checkpoints {
    type Target = Setup;

    fn deref(&self) -> &Setup {
        &self.setup
    }
}

impl Checkpoints {
    pub(crate) fn new(setup: Arc<Setup>, everyone: Arc<dyn Everyone>, replica: Arc<Replica>, leader: Arc<dyn Leader>) -> Self {
        Self {
            setup,
            everyone,
            replica,
            leader,
            // Always the machine's clock, because two runs under a manual clock must differ, too.
            started_ms: Clock::default().now(),
            shippers: Shippers::default(),
            recoveries: Recoveries::default(),
        }
    }

    /// What a member has to take at the end of an epoch. `last`: its input has ended.
    pub(crate) fn plan(&self, epoch: Epoch, last: bool) -> Option<Plan> {
        // The end of input is not planned in advance. It becomes part of the last checkpoint.
        if last && self.on() { Some(Plan::Checkpoint) } else { self.replica.epochs.plan(epoch) }
    }

    /// The name of a file in a savepoint. It never collides with a file of another savepoint.
    fn savepoint_file(&self, epoch: Epoch, name: &str) -> String {
        format!("{:x}-{epoch}-{name}", self.started_ms)
    }

    fn tell(&self, message: ToLeader) {
        Arc::clone(&self.leader).tell(message);
    }

    /// Reports what a member kept at the end of `epoch`. `last`: its input has ended.
    pub(crate) fn report(&self, member: Member, epoch: Epoch, report: Report, last: bool) {
        self.tell(ToLeader::Kept { member, epoch, report, last });
    }

    /// Whether anyone still waits for what is stored of this epoch.
    fn awaited(&self, epoch: Epoch, last: bool) -> bool {
        !self.replica.failure.over() && (last || self.replica.epochs.plan(epoch).is_some())
    }

    /// Whether a checkpoint or savepoint that is being taken may yet be complete, or a later one.
    pub(crate) fn may_complete(&self) -> bool {
        self.on() || self.replica.epochs.taking()
    }

    /// The epoch before which everything is part of a complete checkpoint from which the job would resume.
    pub(crate) fn completed(&self) -> u64 {
        self.replica.completion.completed()
    }

    /// Reports that a sink has committed everything up to and including `epoch`.
    pub(crate) fn committed(&self, member: Member, epoch: Epoch) {
        self.tell(ToLeader::Committed { member, epoch });
    }

    /// Reports that a sink's input has ended and it has committed everything.
    pub(crate) fn committed_all(&self, member: Member) {
        self.committed(member, Epoch(u32::MAX));
    }

    /// Reports the files that a member's next report will name.
    fn uses(&self, member: Member, files: impl Iterator<Item = String>) {
        self.tell(ToLeader::Uses { member, files: files.collect() });
    }

    /// Sends a message to the thread that ships for this worker.
    pub(crate) fn ship(self: &Arc<Self>, worker: usize, message: Message) -> Result<(), Error> {
        self.shippers.ship(self, worker, message)
    }

    /// Ends the threads once they have handled everything they were given. If the job has failed or was stopped, snapshots that are still
    /// waiting are not stored.
    pub(crate) fn close(&self) {
        self.shippers.close();
    }

    /// What a member kept at the end of `epoch` can't be written or stored, so the checkpoint fails.
    fn lost(&self, member: Member, epoch: Epoch, why: &str, last: bool) {
        let why = format!("operator `{}`: {why}", self.operator(member.node));
        self.tell(ToLeader::Declined { epoch, why, last });
    }

    /// A member's state is no longer reliable, so the job fails.
    fn fatal(&self, member: Member, error: Error) {
        self.everyone.fail(&self.operator(member.node), member.worker, error);
    }
}

/// The paths of files in storage.
pub(super) fn paths(files: &[FileRef]) -> impl Iterator<Item = String> + '_ {
    files.iter().map(|file| file.path.clone())
}
