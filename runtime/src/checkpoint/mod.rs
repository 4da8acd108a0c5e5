//! Checkpoints and savepoints of a running job.
//!
//! Stepping from epoch N to N + 1 is barrier N. When an operator has seen all of N, it freezes its states (in constant time) and goes on.
//! What was frozen is captured a little at a time, written and stored by other threads, and reported. When every member has reported, the
//! manifest is published, and sinks commit.
//!
//! [`coordinator`] decides and is pure. [`shipping`] writes, [`storing`] stores and [`publish`] publishes, each on a thread of its own
//! ([`threads`]). [`restore`] reads back. [`Checkpoints`] is what the workers share.

mod config;
mod coordinator;
mod publish;
mod requests;
mod restore;
mod sealed;
mod shipping;
mod storing;
mod threads;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tidegate_checkpoints::{Epoch, FileRef, KeyGroups, Storage, check_vacant};

use crate::align::Mode;
use crate::board::Board;
use crate::clock::Clock;
use crate::control::{Epochs, Failure, Workers};
use crate::error::{Error, JobError};
use crate::graph::{Graph, NodeId, Role};
use crate::source::Waker;
pub use config::{CheckpointConfig, CheckpointStatus, Completed};
use coordinator::{Complete, Coordinator, Failed};
pub(crate) use coordinator::{Member, Plan, Report};
pub use requests::SavepointResult;
use requests::{Request, Requests};
pub use restore::{Restore, verdict};
pub(crate) use sealed::{Recoveries, Sealed};
pub(crate) use shipping::{Arrival, Finish, Message, Shipment};
use threads::Threads;

/// The checkpoints of a run, shared by its workers.
pub(crate) struct Checkpoints {
    failure: Arc<Failure>,
    epochs: Arc<Epochs>,
    /// The threads of the workers.
    at_work: Arc<Workers>,
    board: Arc<Board>,
    mode: Mode,
    job: String,
    graph: Graph,
    key_groups: KeyGroups,
    workers: usize,
    start: Instant,
    /// The time of day at `start`, in milliseconds since 1970. It is part of the names of savepoint files, because no other run has started
    /// then.
    started_ms: i64,
    config: Option<CheckpointConfig>,
    /// Where the end of input takes a savepoint, instead of closing windows.
    at_end: Option<String>,
    /// Whether the stop takes a savepoint.
    saves_at_stop: AtomicBool,
    /// Where files are kept until they are stored.
    scratch: PathBuf,
    /// The numbers of each operator's states in stored rows.
    ids: BTreeMap<NodeId, Vec<u8>>,
    coordinator: Mutex<Coordinator>,
    /// The epoch after the last complete one, or 0 if there is none.
    completed: AtomicU64,
    committed: Mutex<BTreeMap<Member, Epoch>>,
    /// Wakers for when a checkpoint is complete.
    waiting: Mutex<Vec<Waker>>,
    status: Mutex<CheckpointStatus>,
    requests: Requests,
    /// The files that the next manifest will name, by the member that uploaded them.
    in_use: Mutex<BTreeMap<Member, HashSet<String>>>,
    threads: Threads,
    /// The sinks that have recovered.
    pub(crate) recoveries: Recoveries,
}

/// Why a savepoint can't be taken near the end of bounded input.
const PARTLY_ENDED: &str = "part of the job has come to the end of its input already: let it end, or use `--savepoint-at-end`";

/// Checks that there is no savepoint at this place yet.
fn vacant(place: &str) -> Result<(), String> {
    let storage = Storage::open(place).map_err(|e| message(&e))?;
    check_vacant(&storage).map_err(|e| message(&e))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What [`Checkpoints`] are made from.
pub(crate) struct Setup {
    pub(crate) failure: Arc<Failure>,
    pub(crate) epochs: Arc<Epochs>,
    pub(crate) at_work: Arc<Workers>,
    pub(crate) board: Arc<Board>,
    pub(crate) mode: Mode,
    pub(crate) job: String,
    pub(crate) graph: Graph,
    pub(crate) key_groups: KeyGroups,
    pub(crate) workers: usize,
    pub(crate) config: Option<CheckpointConfig>,
    pub(crate) at_end: Option<String>,
    pub(crate) scratch: PathBuf,
    pub(crate) restored: Option<Arc<Restore>>,
}

impl Checkpoints {
    pub(crate) fn new(setup: Setup) -> Self {
        let Setup { failure, epochs, at_work, board, mode, job, graph, key_groups, workers, config, at_end, scratch, restored } = setup;
        let takes_part = |role: Role| matches!(role, Role::Source | Role::Keyed | Role::Sink);
        let nodes = graph.nodes().iter().enumerate().filter(|(_, node)| takes_part(node.role));
        let members: BTreeSet<Member> =
            nodes.flat_map(|(i, _)| (0..workers).map(move |worker| Member { node: NodeId(i), worker })).collect();
        let ids = graph.nodes().iter().enumerate().map(|(i, node)| (NodeId(i), restore::ids(node, restored.as_deref()))).collect();
        Self {
            failure,
            epochs,
            at_work,
            board,
            mode,
            job,
            graph,
            key_groups,
            workers,
            start: Instant::now(),
            // Always the machine's clock, because two runs under a manual clock must differ, too.
            started_ms: Clock::default().now(),
            config,
            at_end,
            saves_at_stop: AtomicBool::new(false),
            scratch,
            ids,
            coordinator: Mutex::new(Coordinator::new(members)),
            completed: AtomicU64::new(0),
            committed: Mutex::default(),
            waiting: Mutex::default(),
            status: Mutex::default(),
            requests: Requests::default(),
            in_use: Mutex::default(),
            threads: Threads::default(),
            recoveries: Recoveries::default(),
        }
    }

    /// Whether checkpoints are taken.
    pub(crate) fn on(&self) -> bool {
        self.config.is_some()
    }

    /// Whether sinks hold back what is not part of a complete checkpoint.
    pub(crate) fn transactional(&self) -> bool {
        self.on() && self.mode == Mode::ExactlyOnce
    }

    /// Whether the end of input takes a savepoint instead of closing windows.
    pub(crate) fn savepoint_at_end(&self) -> bool {
        self.at_end.is_some()
    }

    /// Whether the files of this snapshot are in the directory of our checkpoints, so that they need not be stored again.
    pub(crate) fn shares(&self, restore: &Restore) -> bool {
        let Some(config) = &self.config else { return false };
        // The place of a snapshot is given without symbolic links and dots.
        let root = config.directory.storage().root();
        let resolved = std::fs::canonicalize(root).ok().and_then(|path| path.into_os_string().into_string().ok());
        let rest = restore.snapshot().place().strip_prefix(resolved.as_deref().unwrap_or(root));
        rest.is_some_and(|rest| rest.starts_with("/checkpoints/"))
    }

    /// The number of sources.
    pub(crate) fn sources(&self) -> usize {
        self.graph.nodes().iter().filter(|node| node.role == Role::Source).count()
    }

    /// The numbers of an operator's states in stored rows.
    pub(crate) fn ids(&self, node: NodeId) -> &[u8] {
        self.ids.get(&node).map_or(&[], Vec::as_slice)
    }

    /// Where files are kept until they are stored.
    pub(crate) fn scratch(&self) -> &PathBuf {
        &self.scratch
    }

    /// What a member has to take at the end of an epoch. `last`: its input has ended.
    pub(crate) fn plan(&self, epoch: Epoch, last: bool) -> Option<Plan> {
        // The end of input is not planned in advance. It becomes part of the last checkpoint.
        if last && self.on() { Some(Plan::Checkpoint) } else { lock(&self.coordinator).plan(epoch).cloned() }
    }

    /// The name of a file in a savepoint. It never collides with a file of another savepoint.
    pub(super) fn savepoint_file(&self, epoch: Epoch, name: &str) -> String {
        format!("{:x}-{epoch}-{name}", self.started_ms)
    }

    /// Begins a checkpoint or savepoint that is due, and gives up one that has taken too long. Returns the time until the next of these, or
    /// `None` if that depends on others.
    pub(crate) fn tick(self: &Arc<Self>) -> Option<Duration> {
        self.begin_due();
        let pace = self.config.as_ref()?.pace();
        let coordinator = lock(&self.coordinator);
        // A stop begins whatever it needs itself.
        (!coordinator.idle() || !self.epochs.stopping()).then(|| coordinator.wait(pace, self.start.elapsed()))
    }

    fn begin_due(self: &Arc<Self>) {
        let now = self.start.elapsed();
        if let Some(config) = &self.config {
            let overdue = lock(&self.coordinator).overdue(config.pace(), now);
            for epoch in overdue {
                self.declined(epoch, &format!("it was not complete after {:?}", config.timeout), false);
            }
        }
        // A stop begins whatever it needs itself, and steps the epoch under the same lock.
        let mut coordinator = lock(&self.coordinator);
        if self.epochs.stopping() || !coordinator.idle() {
            return;
        }
        let plan = if let Some(request) = self.requests.next() {
            if coordinator.any_ended() {
                return request.refuse(PARTLY_ENDED);
            }
            self.requests.begun(self.epochs.current(), request.answer);
            Plan::Savepoint(request.to)
        } else if self.config.as_ref().is_some_and(|config| coordinator.due(config.pace(), now)) {
            Plan::Checkpoint
        } else {
            return;
        };
        let complete = coordinator.begin(self.epochs.current(), plan, now);
        self.epochs.step();
        drop(coordinator);
        self.begun(complete);
    }

    /// Injects a barrier that starts no checkpoint.
    pub(crate) fn barrier(&self) {
        let _coordinator = lock(&self.coordinator);
        self.epochs.step();
    }

    /// Injects the last barriers and begins what is taken at the end. If checkpoints are on, a savepoint follows a checkpoint, from which
    /// the job can resume if the stop fails. Returns the epoch after these barriers, in which nothing is read.
    pub(crate) fn stop(self: &Arc<Self>) -> Epoch {
        let asked = self.requests.at_stop();
        let savepoint = asked.as_ref().map(|request| request.to.clone()).or_else(|| self.at_end.clone());
        self.saves_at_stop.store(savepoint.is_some(), SeqCst);
        let plans: Vec<Plan> = self.on().then_some(Plan::Checkpoint).into_iter().chain(savepoint.map(Plan::Savepoint)).collect();
        let mut coordinator = lock(&self.coordinator);
        coordinator.need(self.epochs.current());
        let mut complete = Vec::new();
        let mut next = self.epochs.current();
        if plans.is_empty() {
            next = self.epochs.step();
        }
        for plan in plans {
            complete.extend(coordinator.begin(next, plan, self.start.elapsed()));
            next = self.epochs.step();
        }
        if let Some(request) = asked {
            self.requests.begun(Epoch(next.0 - 1), request.answer);
        }
        drop(coordinator);
        self.begun(complete);
        next
    }

    fn begun(self: &Arc<Self>, complete: impl IntoIterator<Item = Complete>) {
        lock(&self.status).under_way = true;
        complete.into_iter().for_each(|complete| self.publish(complete));
    }

    /// Whether everything taken at the stop is complete and committed. True if nothing is taken.
    pub(crate) fn settled(&self) -> bool {
        let taken = self.on() || self.saves_at_stop.load(SeqCst);
        !taken || (lock(&self.coordinator).settled() && self.all_committed())
    }

    /// Asks for a savepoint. The answer comes when it is complete, or says why it can't be taken.
    pub(crate) fn ask(&self, to: String, answer: Sender<SavepointResult>) {
        let request = Request { to, answer };
        match vacant(&request.to) {
            Ok(()) => {
                self.requests.ask(request);
                self.rouse();
            }
            Err(why) => request.refuse(&why),
        }
    }

    /// Asks for a savepoint at the stop. Returns whether it can be taken. If it can't, the answer says why.
    pub(crate) fn ask_at_stop(&self, to: String, answer: Sender<SavepointResult>, stopping: bool) -> bool {
        let request = Request { to, answer };
        let refusal = if stopping {
            Some("the job is stopping already".to_owned())
        } else if lock(&self.coordinator).any_ended() {
            Some(PARTLY_ENDED.to_owned())
        } else {
            vacant(&request.to).err()
        };
        match refusal {
            Some(why) => request.refuse(&why),
            None => return self.requests.ask_at_stop(request),
        }
        false
    }

    /// Takes a member's report of what it kept at the end of `epoch`. `last`: its input has ended.
    pub(crate) fn report(self: &Arc<Self>, member: Member, epoch: Epoch, report: Report, last: bool) {
        let complete = lock(&self.coordinator).report(member, epoch, report, last, self.start.elapsed());
        // Without a directory for checkpoints, the checkpoint at the end of input is dropped.
        complete.into_iter().filter(|complete| self.on() || complete.plan != Plan::Checkpoint).for_each(|complete| self.publish(complete));
        self.rouse();
    }

    /// Rouses the workers: the next checkpoint may be due at another time, or the job may be able to end.
    fn rouse(&self) {
        self.at_work.rouse();
    }

    /// A checkpoint failed. `last`: it was to hold what a member kept at the end of its input, and without that the job has not ended well.
    pub(crate) fn declined(&self, epoch: Epoch, why: &str, last: bool) {
        let bearable = self.config.as_ref().map_or(u32::MAX, |config| config.failures);
        let failed = lock(&self.coordinator).fail(epoch, last, bearable, self.start.elapsed());
        if failed == Failed::Already {
            return;
        }
        let mut status = lock(&self.status);
        status.failed += 1;
        status.failure = Some(why.to_owned());
        status.under_way = false;
        drop(status);
        self.requests.answer(epoch, Err(why.to_owned()));
        self.rouse();
        if failed == Failed::Fatal {
            self.failure.poison(JobError::Checkpoint { epoch, why: why.to_owned() });
        }
    }

    /// Whether anyone still waits for what is stored of this epoch.
    pub(super) fn awaited(&self, epoch: Epoch, last: bool) -> bool {
        !self.failure.over() && (last || lock(&self.coordinator).plan(epoch).is_some())
    }

    /// The epoch before which everything is part of a complete checkpoint from which the job would resume.
    pub(crate) fn completed(&self) -> u64 {
        self.completed.load(SeqCst)
    }

    /// Wakes an operator whenever a checkpoint is complete that lets sinks commit.
    pub(crate) fn wake_when_complete(&self, waker: Waker) {
        lock(&self.waiting).push(waker);
    }

    /// Lets sinks commit everything up to and including `epoch`.
    fn complete(&self, epoch: Epoch) {
        self.completed.fetch_max(u64::from(epoch.0) + 1, SeqCst);
        lock(&self.waiting).iter().for_each(Waker::wake);
    }

    /// Called when a sink has committed everything up to and including `epoch`.
    pub(crate) fn committed(&self, member: Member, epoch: Epoch) {
        lock(&self.committed).insert(member, epoch);
        self.rouse();
    }

    /// Called when a sink's input has ended and it has committed everything.
    pub(crate) fn committed_all(&self, member: Member) {
        self.committed(member, Epoch(u32::MAX));
    }

    /// Whether all sinks have committed what is part of the latest checkpoint.
    fn all_committed(&self) -> bool {
        let completed = self.completed();
        let committed = lock(&self.committed);
        let mut sinks = self.graph.nodes().iter().enumerate().filter(|(_, node)| node.role == Role::Sink);
        sinks.all(|(i, _)| {
            let done = |worker| committed.get(&Member { node: NodeId(i), worker }).is_some_and(|done| u64::from(done.0) + 1 >= completed);
            (0..self.workers).all(done)
        })
    }

    /// The outcome of the checkpoints so far.
    pub(crate) fn status(&self) -> CheckpointStatus {
        lock(&self.status).clone()
    }

    /// Records the files that a member's next report will name.
    pub(super) fn uses(&self, member: Member, files: impl Iterator<Item = String>) {
        lock(&self.in_use).insert(member, files.collect());
    }

    pub(super) fn config(&self) -> Option<&CheckpointConfig> {
        self.config.as_ref()
    }

    pub(super) fn operator(&self, node: NodeId) -> String {
        self.graph.node(node).map_or_else(String::new, |node| node.name.clone())
    }

    /// Sends a message to the thread that ships for this worker.
    pub(crate) fn ship(self: &Arc<Self>, worker: usize, message: Message) -> Result<(), Error> {
        self.threads.ship(self, worker, message)
    }

    /// Sends a complete checkpoint to the thread that publishes.
    fn publish(self: &Arc<Self>, complete: Complete) {
        if let Err(error) = self.threads.publish(self, complete) {
            self.fail(error);
        }
    }

    /// Ends the threads once they have handled everything they were given. If the job has failed or was stopped, snapshots that are still
    /// waiting are not stored.
    pub(crate) fn close(&self) {
        self.threads.close();
        self.requests.close();
    }

    /// What a member kept at the end of `epoch` can't be written or stored, so the checkpoint fails.
    fn lost(&self, member: Member, epoch: Epoch, why: &str, last: bool) {
        self.declined(epoch, &format!("operator `{}`: {why}", self.operator(member.node)), last);
    }

    /// A member's state is no longer reliable, so the job fails.
    fn fatal(&self, member: Member, error: Error) {
        self.failure.fail(&self.operator(member.node), member.worker, error);
    }

    /// Checkpoints can't go on, so the job fails.
    fn fail(&self, error: Error) {
        self.failure.fail("checkpoints", 0, error);
    }
}

/// An error and its causes on one line.
pub(super) fn message(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

/// The paths of files in storage.
pub(super) fn paths(files: &[FileRef]) -> impl Iterator<Item = String> + '_ {
    files.iter().map(|file| file.path.clone())
}
