//! Checkpoints and savepoints of a running job.
//!
//! Stepping from epoch N to N + 1 is barrier N. When an operator has seen all of N it freezes its states (constant time) and goes on; what was frozen is
//! captured some at a time, written and stored by another thread, and reported. When all have reported, the manifest is published, and sinks commit.
//!
//! [`coordinator`] decides and is pure; [`shipping`] writes, [`storing`] stores, [`publish`] publishes, each on a thread of its own ([`threads`]);
//! [`restore`] reads back; [`Checkpoints`] is what the workers share.

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
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
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

/// The checkpoints of a run, as the workers share them.
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
    /// The time of day then, in milliseconds since 1970: files of savepoints bear it, as no other run has had it.
    started_ms: i64,
    config: Option<CheckpointConfig>,
    /// Instead of closing windows, the end of input takes a savepoint here.
    at_end: Option<String>,
    /// The place of the savepoint that the stop takes, once the job stops.
    at_stop: OnceLock<String>,
    /// Where files lie until they are stored.
    scratch: PathBuf,
    /// The numbers of each operator's states in stored rows.
    ids: BTreeMap<NodeId, Vec<u8>>,
    coordinator: Mutex<Coordinator>,
    /// The epoch after the last complete one; 0 if none is.
    completed: AtomicU64,
    committed: Mutex<BTreeMap<Member, Epoch>>,
    /// Whom to wake when one is complete.
    waiting: Mutex<Vec<Waker>>,
    status: Mutex<CheckpointStatus>,
    requests: Requests,
    /// The files that the next manifest will name, by who uploaded them.
    in_use: Mutex<BTreeMap<Member, HashSet<String>>>,
    threads: Threads,
    /// Which sinks have recovered.
    pub(crate) recoveries: Recoveries,
}

/// Why a savepoint can't be taken near the end of bounded input.
const PARTLY_ENDED: &str = "part of the job has come to the end of its input already: let it end, or use `--savepoint-at-end`";

/// Is there no savepoint at this place yet?
fn vacant(place: &str) -> Result<(), String> {
    let storage = Storage::open(place).map_err(|e| message(&e))?;
    check_vacant(&storage).map_err(|e| message(&e))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What [`Checkpoints`] are made of.
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
            // Always that of the machine: two runs under a manual clock must differ, too.
            started_ms: Clock::default().now(),
            config,
            at_end,
            at_stop: OnceLock::new(),
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

    /// Are checkpoints taken, so that sinks hold back what is not part of one?
    pub(crate) fn on(&self) -> bool {
        self.config.is_some()
    }

    /// Do sinks hold back what is not part of a complete checkpoint?
    pub(crate) fn transactional(&self) -> bool {
        self.on() && self.mode == Mode::ExactlyOnce
    }

    /// Does the end of input take a savepoint instead of closing windows?
    pub(crate) fn savepoint_at_end(&self) -> bool {
        self.at_end.is_some()
    }

    /// Do the files of this snapshot lie where those of our checkpoints go, so that they need not be stored again?
    pub(crate) fn shares(&self, restore: &Restore) -> bool {
        let Some(config) = &self.config else { return false };
        // A snapshot's place is told without links and dots.
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

    /// Where files lie until they are stored.
    pub(crate) fn scratch(&self) -> &PathBuf {
        &self.scratch
    }

    /// What is to be made of the end of an epoch that has come for a member; `last` if its input has ended.
    pub(crate) fn plan(&self, epoch: Epoch, last: bool) -> Option<Plan> {
        // The end of input is not planned beforehand, and becomes part of the last checkpoint.
        if last && self.on() { Some(Plan::Checkpoint) } else { lock(&self.coordinator).plan(epoch).cloned() }
    }

    /// What a file is called in a savepoint, so that it never takes the place of another savepoint's.
    pub(super) fn savepoint_file(&self, epoch: Epoch, name: &str) -> String {
        format!("{:x}-{epoch}-{name}", self.started_ms)
    }

    /// Begins what is due, a checkpoint or a savepoint, and gives up a checkpoint that has taken too long. Returns how long until the next of these; `None`
    /// if that depends on what others do.
    pub(crate) fn tick(self: &Arc<Self>) -> Option<Duration> {
        self.begin_due();
        let pace = self.config.as_ref()?.pace();
        let coordinator = lock(&self.coordinator);
        // A stop begins what it needs by itself.
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
        // A stop begins what it needs by itself, and steps the epoch under the same lock.
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

    /// A barrier goes into the streams that nothing is made of.
    pub(crate) fn barrier(&self) {
        let _coordinator = lock(&self.coordinator);
        self.epochs.step();
    }

    /// The last barriers go into the streams: what is taken at the end begins. A savepoint comes behind a checkpoint, if those are taken: it is the
    /// checkpoint that a job whose stop fails goes on from. Returns the epoch after them, in which nothing is read.
    pub(crate) fn stop(self: &Arc<Self>) -> Epoch {
        let asked = self.requests.at_stop();
        let savepoint = asked.as_ref().map(|request| request.to.clone()).or_else(|| self.at_end.clone());
        if let Some(place) = &savepoint {
            let _ = self.at_stop.set(place.clone());
        }
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

    /// Is all that is taken when the job stops complete and committed, if anything is?
    pub(crate) fn settled(&self) -> bool {
        let taken = self.on() || self.at_stop.get().is_some();
        !taken || (lock(&self.coordinator).settled() && self.all_committed())
    }

    /// Asks for a savepoint. The answer comes when it is complete, or why it can't be.
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

    /// Asks for a savepoint that the stop takes. Returns whether it can be taken; if it can't, the answer says why.
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

    /// A member reports what it kept at the end of `epoch`; `last` if its input has ended.
    pub(crate) fn report(self: &Arc<Self>, member: Member, epoch: Epoch, report: Report, last: bool) {
        let complete = lock(&self.coordinator).report(member, epoch, report, last, self.start.elapsed());
        // Without a place for them, the checkpoint of the end is none.
        complete.into_iter().filter(|complete| self.on() || complete.plan != Plan::Checkpoint).for_each(|complete| self.publish(complete));
        self.rouse();
    }

    /// When the next checkpoint is due, or whether the job may end, may be otherwise now.
    fn rouse(&self) {
        self.at_work.rouse();
    }

    /// A checkpoint came to nothing. `last`: it was to hold what a member kept at the end of its input, without which the job has not ended well.
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

    /// Does anybody wait for what is stored of this epoch?
    pub(super) fn awaited(&self, epoch: Epoch, last: bool) -> bool {
        !self.failure.over() && (last || lock(&self.coordinator).plan(epoch).is_some())
    }

    /// The epoch up to which everything is part of a complete checkpoint that the job would go on from, exclusively.
    pub(crate) fn completed(&self) -> u64 {
        self.completed.load(SeqCst)
    }

    /// Wakes an operator whenever a checkpoint is complete that sinks may commit.
    pub(crate) fn wake_when_complete(&self, waker: Waker) {
        lock(&self.waiting).push(waker);
    }

    /// Sinks may commit everything up to and including `epoch`.
    fn complete(&self, epoch: Epoch) {
        self.completed.fetch_max(u64::from(epoch.0) + 1, SeqCst);
        lock(&self.waiting).iter().for_each(Waker::wake);
    }

    /// A sink has committed everything up to and including `epoch`.
    pub(crate) fn committed(&self, member: Member, epoch: Epoch) {
        lock(&self.committed).insert(member, epoch);
        self.rouse();
    }

    /// A sink's input has ended, and it has committed everything.
    pub(crate) fn committed_all(&self, member: Member) {
        self.committed(member, Epoch(u32::MAX));
    }

    /// Have all sinks committed what is part of the latest checkpoint?
    fn all_committed(&self) -> bool {
        let completed = self.completed();
        let committed = lock(&self.committed);
        let mut sinks = self.graph.nodes().iter().enumerate().filter(|(_, node)| node.role == Role::Sink);
        sinks.all(|(i, _)| {
            let done = |worker| committed.get(&Member { node: NodeId(i), worker }).is_some_and(|done| u64::from(done.0) + 1 >= completed);
            (0..self.workers).all(done)
        })
    }

    /// What came of the checkpoints so far.
    pub(crate) fn status(&self) -> CheckpointStatus {
        lock(&self.status).clone()
    }

    /// What a member's next report will name.
    pub(super) fn uses(&self, member: Member, files: impl Iterator<Item = String>) {
        lock(&self.in_use).insert(member, files.collect());
    }

    pub(super) fn config(&self) -> Option<&CheckpointConfig> {
        self.config.as_ref()
    }

    pub(super) fn operator(&self, node: NodeId) -> String {
        self.graph.node(node).map_or_else(String::new, |node| node.name.clone())
    }

    /// Gives a message to the thread that ships for this worker.
    pub(crate) fn ship(self: &Arc<Self>, worker: usize, message: Message) -> Result<(), Error> {
        self.threads.ship(self, worker, message)
    }

    /// Publishes what is complete.
    fn publish(self: &Arc<Self>, complete: Complete) {
        if let Err(error) = self.threads.publish(self, complete) {
            self.fail(error);
        }
    }

    /// Ends the threads when everything shipped has arrived, or without waiting for what lies in storage if the job has failed.
    pub(crate) fn close(&self) {
        self.threads.close();
        self.requests.close();
    }

    /// What a member kept at the end of `epoch` can't be written or stored.
    fn lost(&self, member: Member, epoch: Epoch, why: &str, last: bool) {
        self.declined(epoch, &format!("operator `{}`: {why}", self.operator(member.node)), last);
    }

    /// A member's state can't be relied on any more.
    fn fatal(&self, member: Member, error: Error) {
        self.failure.fail(&self.operator(member.node), member.worker, error);
    }

    /// Checkpoints can't go on.
    fn fail(&self, error: Error) {
        self.failure.fail("checkpoints", 0, error);
    }
}

/// An error and its causes in one line.
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

/// The files of a report that lie in storage.
pub(super) fn paths(files: &[FileRef]) -> impl Iterator<Item = String> + '_ {
    files.iter().map(|file| file.path.clone())
}
