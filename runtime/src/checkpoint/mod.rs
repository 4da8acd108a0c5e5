//! Checkpoints and savepoints of a running job.
//!
//! Stepping from epoch N to N + 1 is barrier N. When an operator has seen all of N it freezes its states (constant time) and goes on; what was frozen is
//! captured some at a time, written and stored by another thread, and reported. When all have reported, the manifest is published, and sinks commit.
//!
//! [`coordinator`] decides and is pure; [`shipping`] writes and stores; [`restore`] reads back; [`Checkpoints`] is what the workers share.

mod coordinator;
mod restore;
mod sealed;
mod shipping;

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tidegate_checkpoints::retention::{self, InFlight};
use tidegate_checkpoints::{
    Directory, Epoch, FileRef, KeyGroups, Kind, Manifest, OperatorId, OperatorState, Part, StateInfo, Storage, publish_savepoint,
};

use crate::align::Mode;
use crate::control::Control;
use crate::error::{Error, JobError};
use crate::graph::{Graph, NodeId, Role};
use coordinator::{Complete, Coordinator, Pace};
pub(crate) use coordinator::{Member, Plan, Report};
pub use restore::{Restore, declared};
pub(crate) use sealed::{Recoveries, Sealed};
pub(crate) use shipping::{Arrival, Finish, Message, Shipment};

/// Where, how often and how checkpoints are taken.
#[derive(Clone, Debug)]
pub struct CheckpointConfig {
    /// The job's directory of checkpoints.
    pub directory: Directory,
    /// This run of the job, from [`Directory::begin_generation`].
    pub generation: u64,
    /// From the beginning of one to that of the next.
    pub every: Duration,
    /// At least this long between the end of one and the beginning of the next.
    pub pause: Duration,
    /// After how long one that is not complete is given up.
    pub timeout: Duration,
    /// How many may fail in a row before the job does.
    pub failures: u32,
    /// How many are kept.
    pub keep: usize,
}

impl CheckpointConfig {
    /// Every `every`, three are kept; given up after ten minutes; the job fails at the fourth failure in a row.
    #[must_use]
    pub fn new(directory: Directory, generation: u64, every: Duration) -> Self {
        Self { directory, generation, every, pause: Duration::ZERO, timeout: Duration::from_secs(600), failures: 3, keep: 3 }
    }

    fn pace(&self) -> Pace {
        Pace { every: self.every, pause: self.pause, timeout: self.timeout, failures: self.failures }
    }
}

/// What came of the checkpoints so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckpointStatus {
    /// The last one that was completed.
    pub last: Option<Completed>,
    /// How many were completed.
    pub completed: u64,
    /// How many failed.
    pub failed: u64,
    /// Why the last one that failed did.
    pub failure: Option<String>,
    /// Is one under way?
    pub under_way: bool,
}

/// A checkpoint that was completed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completed {
    /// Its epoch.
    pub epoch: Epoch,
    /// From the barrier to published.
    pub took: Duration,
    /// Bytes of state in it.
    pub bytes: u64,
    /// Bytes that had to be stored anew.
    pub stored: u64,
    /// When, since the start of the job.
    pub at: Duration,
    /// The directory of the savepoint, if it is one.
    pub savepoint: Option<String>,
}

/// The fate of a savepoint that somebody asked for.
pub type SavepointResult = Result<String, String>;

/// A savepoint that somebody asked for.
struct Request {
    to: String,
    answer: Sender<SavepointResult>,
}

/// The checkpoints of a run, as the workers share them.
pub(crate) struct Checkpoints {
    control: Weak<Control>,
    job: String,
    graph: Graph,
    key_groups: KeyGroups,
    workers: usize,
    start: Instant,
    config: Option<CheckpointConfig>,
    /// Instead of closing windows, the end of input takes a savepoint here.
    at_end: Option<String>,
    /// Where files lie until they are stored.
    scratch: PathBuf,
    /// The numbers of each operator's states in stored rows.
    ids: BTreeMap<NodeId, Vec<u8>>,
    coordinator: Mutex<Coordinator>,
    /// The epoch after the last complete one; 0 if none is.
    completed: AtomicU64,
    committed: Mutex<BTreeMap<Member, Epoch>>,
    status: Mutex<CheckpointStatus>,
    requests: Mutex<VecDeque<Request>>,
    asked: Mutex<BTreeMap<Epoch, Sender<SavepointResult>>>,
    /// The files that the next manifest will name, by who uploaded them.
    in_use: Mutex<BTreeMap<Member, HashSet<String>>>,
    ships: Mutex<Ships>,
    /// Which sinks have recovered.
    pub(crate) recoveries: Recoveries,
}

/// The threads that ship.
#[derive(Default)]
struct Ships {
    workers: BTreeMap<usize, (Sender<Message>, JoinHandle<()>)>,
    publisher: Option<(Sender<Complete>, JoinHandle<()>)>,
}

/// Why a savepoint can't be taken near the end of bounded input.
const PARTLY_ENDED: &str = "part of the job has come to the end of its input already: let it end, or use `--savepoint-at-end`";

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What [`Checkpoints`] are made of.
#[derive(Default)]
pub(crate) struct Setup {
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
    pub(crate) fn new(control: Weak<Control>, setup: Setup) -> Self {
        let Setup { job, graph, key_groups, workers, config, at_end, scratch, restored } = setup;
        let takes_part = |role: Role| matches!(role, Role::Source | Role::Keyed | Role::Sink);
        let nodes = graph.nodes().iter().enumerate().filter(|(_, node)| takes_part(node.role));
        let members: BTreeSet<Member> =
            nodes.flat_map(|(i, _)| (0..workers).map(move |worker| Member { node: NodeId(i), worker })).collect();
        let ids = graph.nodes().iter().enumerate().map(|(i, node)| (NodeId(i), restore::ids(node, restored.as_deref()))).collect();
        Self {
            control,
            job,
            graph,
            key_groups,
            workers,
            start: Instant::now(),
            config,
            at_end,
            scratch,
            ids,
            coordinator: Mutex::new(Coordinator::new(members)),
            completed: AtomicU64::new(0),
            committed: Mutex::default(),
            status: Mutex::default(),
            requests: Mutex::default(),
            asked: Mutex::default(),
            in_use: Mutex::default(),
            ships: Mutex::default(),
            recoveries: Recoveries::default(),
        }
    }

    /// Are checkpoints taken, so that sinks hold back what is not part of one?
    pub(crate) fn on(&self) -> bool {
        self.config.is_some()
    }

    /// Do sinks hold back what is not part of a complete checkpoint?
    pub(crate) fn transactional(&self) -> bool {
        self.on() && self.control.upgrade().is_some_and(|control| control.mode == Mode::ExactlyOnce)
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

    /// Looks whether a checkpoint or a savepoint is due, and begins it: `step` steps the epoch and returns the one that ends.
    pub(crate) fn tick(&self, step: impl FnOnce() -> Epoch, current: Epoch) {
        let now = self.start.elapsed();
        if let Some(config) = &self.config {
            let overdue = lock(&self.coordinator).overdue(config.pace(), now);
            for epoch in overdue {
                self.declined(epoch, &format!("it was not complete after {:?}", config.timeout), false);
            }
        }
        let mut coordinator = lock(&self.coordinator);
        if !coordinator.idle() {
            return;
        }
        let plan = if let Some(request) = lock(&self.requests).pop_front() {
            if coordinator.any_ended() {
                let _ = request.answer.send(Err(PARTLY_ENDED.to_owned()));
                return;
            }
            lock(&self.asked).insert(current, request.answer);
            Plan::Savepoint(request.to)
        } else if self.config.as_ref().is_some_and(|config| coordinator.due(config.pace(), now)) {
            Plan::Checkpoint
        } else {
            return;
        };
        let complete = coordinator.begin(current, plan, now);
        lock(&self.status).under_way = true;
        drop(coordinator);
        step();
        complete.into_iter().for_each(|complete| self.publish(complete));
    }

    /// The last barrier goes into the streams behind `epoch`: begins what is taken at the end, if anything.
    pub(crate) fn stop(&self, epoch: Epoch) {
        let plan = match &self.at_end {
            Some(to) => Plan::Savepoint(to.clone()),
            None if self.on() => Plan::Checkpoint,
            None => return,
        };
        let complete = lock(&self.coordinator).begin(epoch, plan, self.start.elapsed());
        lock(&self.status).under_way = true;
        complete.into_iter().for_each(|complete| self.publish(complete));
    }

    /// Is what is taken when the job stops behind `epoch` complete and committed, if anything is?
    pub(crate) fn settled(&self, epoch: Epoch) -> bool {
        let taken = self.on() || self.at_end.is_some();
        !taken || (self.completed() > u64::from(epoch.0) && self.all_committed(epoch))
    }

    /// Asks for a savepoint. The answer comes when it is complete, or why it can't be.
    pub(crate) fn ask(&self, to: String, answer: Sender<SavepointResult>) {
        lock(&self.requests).push_back(Request { to, answer });
    }

    /// A member reports what it kept at the end of `epoch`; `last` if its input has ended.
    pub(crate) fn report(&self, member: Member, epoch: Epoch, report: Report, last: bool) {
        let complete = lock(&self.coordinator).report(member, epoch, report, last, self.start.elapsed());
        // Without a place for them, the checkpoint of the end is none.
        complete.into_iter().filter(|complete| self.on() || complete.plan != Plan::Checkpoint).for_each(|complete| self.publish(complete));
    }

    /// A checkpoint came to nothing. `last`: it was that of the end, or of a stop, without which the job has not ended well.
    pub(crate) fn declined(&self, epoch: Epoch, why: &str, last: bool) {
        // A savepoint alone is no reason to fail, unless it was to be the end.
        let never = Pace { every: Duration::MAX, pause: Duration::ZERO, timeout: Duration::MAX, failures: u32::MAX };
        let pace = self.config.as_ref().map_or(never, CheckpointConfig::pace);
        let mut coordinator = lock(&self.coordinator);
        let last = last || coordinator.ended();
        let too_many = coordinator.fail(epoch, pace, self.start.elapsed());
        drop(coordinator);
        let mut status = lock(&self.status);
        status.failed += 1;
        status.failure = Some(why.to_owned());
        status.under_way = false;
        drop(status);
        if let Some(answer) = lock(&self.asked).remove(&epoch) {
            // Who asked may have gone.
            let _ = answer.send(Err(why.to_owned()));
        }
        if let Some(control) = self.control.upgrade()
            && (too_many || last || control.stopping())
        {
            control.poison(JobError::Checkpoint { epoch, why: why.to_owned() });
        }
    }

    /// The epoch up to which everything is part of a complete checkpoint that the job would go on from, exclusively.
    pub(crate) fn completed(&self) -> u64 {
        self.completed.load(SeqCst)
    }

    /// A sink has committed everything up to and including `epoch`.
    pub(crate) fn committed(&self, member: Member, epoch: Epoch) {
        lock(&self.committed).insert(member, epoch);
    }

    /// Have all sinks committed everything up to and including `epoch`?
    fn all_committed(&self, epoch: Epoch) -> bool {
        let committed = lock(&self.committed);
        let mut sinks = self.graph.nodes().iter().enumerate().filter(|(_, node)| node.role == Role::Sink);
        sinks.all(|(i, _)| {
            (0..self.workers).all(|worker| committed.get(&Member { node: NodeId(i), worker }).is_some_and(|done| *done >= epoch))
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
        let mut ships = lock(&self.ships);
        let (ship, _) = match ships.workers.entry(worker) {
            Entry::Occupied(ship) => ship.into_mut(),
            Entry::Vacant(place) => {
                let (sender, messages) = channel();
                let checkpoints = Arc::clone(self);
                let thread = thread(&format!("ship-{worker}"), move || shipping::ship(&checkpoints, &messages))?;
                place.insert((sender, thread))
            }
        };
        ship.send(message).map_err(|_| Error::internal("the thread that ships state has ended"))
    }

    /// Publishes what is complete, on a thread of its own.
    fn publish(&self, complete: Complete) {
        let Some(control) = self.control.upgrade() else { return };
        let mut ships = lock(&self.ships);
        if ships.publisher.is_none() {
            let (sender, completes) = channel::<Complete>();
            let checkpoints = control.checkpoints();
            match thread("publish", move || completes.into_iter().for_each(|complete| checkpoints.publish_now(complete))) {
                Ok(thread) => ships.publisher = Some((sender, thread)),
                Err(error) => control.fail("checkpoints", 0, error),
            }
        }
        if let Some((publisher, _)) = &ships.publisher {
            // Fails only when the job is over.
            let _ = publisher.send(complete);
        }
    }

    fn publish_now(&self, complete: Complete) {
        let epoch = complete.epoch;
        match self.try_publish(&complete) {
            Ok(completed) => {
                let mut status = lock(&self.status);
                status.completed += 1;
                status.under_way = false;
                let savepoint = completed.savepoint.clone();
                status.last = Some(completed);
                drop(status);
                lock(&self.coordinator).published();
                if self.commits(&complete.plan) {
                    self.completed.fetch_max(u64::from(epoch.0) + 1, SeqCst);
                }
                tidegate_checkpoints::failpoint::hit("checkpoint-completed");
                if let Some(answer) = lock(&self.asked).remove(&epoch) {
                    let _ = answer.send(Ok(savepoint.unwrap_or_default()));
                }
                self.forget_old();
            }
            Err(error) => self.declined(epoch, &message(&*error), false),
        }
    }

    /// May sinks commit when this is complete? Not for a savepoint that is taken in passing: after a failure the job goes on from the checkpoint before
    /// it, and would write again what came in between.
    fn commits(&self, plan: &Plan) -> bool {
        match plan {
            Plan::Checkpoint => true,
            Plan::Savepoint(to) => !self.on() || self.at_end.as_ref() == Some(to),
        }
    }

    fn try_publish(&self, complete: &Complete) -> Result<Completed, Box<dyn std::error::Error + Send + Sync>> {
        let manifest = self.manifest(complete)?;
        let savepoint = match &complete.plan {
            Plan::Checkpoint => {
                let config = self.config.as_ref().ok_or("checkpoints have no directory")?;
                config.directory.publish(&manifest)?;
                None
            }
            Plan::Savepoint(to) => {
                // A savepoint stands alone.
                let elsewhere = |file: &FileRef| file.path.contains('/');
                if manifest.files().any(elsewhere) {
                    return Err(PARTLY_ENDED.into());
                }
                publish_savepoint(&Storage::open(to)?, &manifest)?;
                Some(to.clone())
            }
        };
        let bytes = manifest.files().map(|file| file.bytes).sum();
        let stored = complete.reports.values().map(|report| report.stored).sum();
        let at = self.start.elapsed();
        Ok(Completed { epoch: complete.epoch, took: at.saturating_sub(complete.begun), bytes, stored, at, savepoint })
    }

    fn manifest(&self, complete: &Complete) -> Result<Manifest, Box<dyn std::error::Error + Send + Sync>> {
        let mut operators = Vec::new();
        for (i, node) in self.graph.nodes().iter().enumerate() {
            let of_node = complete.reports.iter().filter(|(member, _)| member.node == NodeId(i));
            let parts: Vec<Part> = of_node
                .map(|(member, report)| Part {
                    worker: member.worker,
                    groups: self.key_groups.owned(member.worker, self.workers),
                    list: report.list.clone(),
                    files: report.files.clone(),
                    rows: report.rows.clone(),
                    db: report.db.clone(),
                    entries: report.entries,
                })
                .collect();
            if parts.is_empty() {
                continue;
            }
            let states = node.states.iter().zip(self.ids(NodeId(i)));
            operators.push(OperatorState {
                id: OperatorId::new(&node.name).map_err(|e| e.to_string())?,
                kind: restore::kind(node),
                role: restore::role(node.role).to_owned(),
                states: states.map(|(s, id)| StateInfo { id: *id, name: s.name.clone(), schema: s.schema.clone() }).collect(),
                parts,
            });
        }
        let control = self.control.upgrade();
        let watermark = control.and_then(|control| control.board.slowest()).map(|watermark| watermark.0);
        Ok(Manifest {
            format: Manifest::FORMAT,
            job: self.job.clone(),
            kind: if complete.plan == Plan::Checkpoint { Kind::Checkpoint } else { Kind::Savepoint },
            epoch: complete.epoch,
            generation: self.config.as_ref().map_or(0, |config| config.generation),
            created_ms: wall_clock(),
            key_groups: self.key_groups.max_parallelism(),
            workers: self.workers,
            watermark: watermark.filter(|w| *w != i64::MIN),
            operators,
        })
    }

    /// Deletes the checkpoints that are no longer kept. If that fails, the next one tries again.
    fn forget_old(&self) {
        let Some(config) = &self.config else { return };
        let files = lock(&self.in_use).values().flatten().cloned().collect();
        let in_flight = InFlight { files, since_ms: wall_clock() };
        if let Err(error) = retention::retain(&config.directory, config.generation, config.keep, &in_flight) {
            lock(&self.status).failure = Some(message(&error));
        }
    }

    /// Ends the threads when everything shipped has arrived, or at once if the job has failed.
    pub(crate) fn close(&self) {
        // A panic in a thread has been reported as a failure of the job.
        let workers = std::mem::take(&mut lock(&self.ships).workers);
        for (sender, thread) in workers.into_values() {
            drop(sender);
            let _ = thread.join();
        }
        let publisher = lock(&self.ships).publisher.take();
        if let Some((sender, thread)) = publisher {
            drop(sender);
            let _ = thread.join();
        }
        for (_, answer) in std::mem::take(&mut *lock(&self.asked)) {
            let _ = answer.send(Err("the job ended before".to_owned()));
        }
        for request in std::mem::take(&mut *lock(&self.requests)) {
            let _ = request.answer.send(Err("the job ended before".to_owned()));
        }
    }

    /// A thread of ours failed in a way that can't be mended.
    pub(super) fn fatal(&self, member: Member, error: Error) {
        if let Some(control) = self.control.upgrade() {
            control.fail(&self.operator(member.node), member.worker, error);
        }
    }
}

fn thread(name: &str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, Error> {
    std::thread::Builder::new().name(name.to_owned()).spawn(run).map_err(|e| Error::external("a thread can't be started", e))
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

fn wall_clock() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX))
}

/// The files of a report that lie in storage.
pub(super) fn paths(files: &[FileRef]) -> impl Iterator<Item = String> + '_ {
    files.iter().map(|file| file.path.clone())
}
