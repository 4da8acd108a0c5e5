//! The leading process of a run: it begins checkpoints, takes the reports of their members, publishes them and stops the job.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tidegate_checkpoints::{Epoch, Storage, check_vacant, explain};

use super::coordinator::{Complete, Coordinator, Failed, Member, Plan, Report};
use super::requests::{Request, Requests};
use super::threads::Publisher;
use super::{CheckpointStatus, SavepointResult, Setup, lock};
use crate::control::{Everyone, Leader, Replica, ToAll, ToLeader, Turn};
use crate::error::JobError;
use crate::graph::Role;

/// What only the leading process of a run has.
pub(crate) struct Lead {
    pub(super) setup: Arc<Setup>,
    pub(super) everyone: Arc<dyn Everyone>,
    pub(super) replica: Arc<Replica>,
    pub(super) start: Instant,
    /// Whether the stop takes a savepoint.
    saves_at_stop: AtomicBool,
    coordinator: Mutex<Coordinator>,
    committed: Mutex<BTreeMap<Member, Epoch>>,
    pub(super) status: Mutex<CheckpointStatus>,
    pub(super) requests: Requests,
    /// The files that the next manifest will name, by the member that uploaded them.
    pub(super) in_use: Mutex<BTreeMap<Member, HashSet<String>>>,
    /// How many source instances have read everything, in a job whose end takes a savepoint.
    read_out: AtomicUsize,
    publisher: Publisher,
}

/// Why a savepoint can't be taken near the end of bounded input.
pub(super) const PARTLY_ENDED: &str = "part of the job has come to the end of its input already: let it end, or use `--savepoint-at-end`";

/// Checks that there is no savepoint at this place yet.
fn vacant(place: &str) -> Result<(), String> {
    let storage = Storage::open(place).map_err(|e| explain(&e))?;
    check_vacant(&storage).map_err(|e| explain(&e))
}

impl Leader for Lead {
    fn tell(self: Arc<Self>, message: ToLeader) {
        match message {
            ToLeader::Kept { member, epoch, report, last } => self.kept(member, epoch, report, last),
            ToLeader::Declined { epoch, why, last } => self.declined(epoch, &why, last),
            ToLeader::Uses { member, files } => {
                lock(&self.in_use).insert(member, files.into_iter().collect());
            }
            ToLeader::Committed { member, epoch } => {
                lock(&self.committed).insert(member, epoch);
                self.rouse();
            }
            ToLeader::ReadOut => {
                let instances = self.setup.nodes(|role| role == Role::Source).count() * self.setup.workers;
                if self.read_out.fetch_add(1, SeqCst) + 1 == instances {
                    self.stop();
                }
            }
            ToLeader::Stop => self.stop(),
        }
    }
}

impl Lead {
    pub(crate) fn new(setup: Arc<Setup>, everyone: Arc<dyn Everyone>, replica: Arc<Replica>) -> Self {
        let takes_part = setup.nodes(|role| matches!(role, Role::Source | Role::Keyed | Role::Sink));
        let members: BTreeSet<Member> = takes_part.flat_map(|node| (0..setup.workers).map(move |worker| Member { node, worker })).collect();
        Self {
            setup,
            everyone,
            replica,
            start: Instant::now(),
            saves_at_stop: AtomicBool::new(false),
            coordinator: Mutex::new(Coordinator::new(members)),
            committed: Mutex::default(),
            status: Mutex::default(),
            requests: Requests::default(),
            in_use: Mutex::default(),
            read_out: AtomicUsize::new(0),
            publisher: Publisher::default(),
        }
    }

    /// Begins a checkpoint or savepoint that is due, and gives up one that has taken too long. Returns the time until the next of these, or
    /// `None` if that depends on others.
    pub(crate) fn tick(self: &Arc<Self>) -> Option<Duration> {
        self.begin_due();
        let pace = self.setup.config.as_ref()?.pace();
        let coordinator = lock(&self.coordinator);
        // A stop begins whatever it needs itself.
        (!coordinator.idle() || !self.replica.epochs.stopping()).then(|| coordinator.wait(pace, self.start.elapsed()))
    }

    fn begin_due(self: &Arc<Self>) {
        let now = self.start.elapsed();
        if let Some(config) = &self.setup.config {
            let overdue = lock(&self.coordinator).overdue(config.pace(), now);
            for epoch in overdue {
                self.declined(epoch, &format!("it was not complete after {:?}", config.timeout), false);
            }
        }
        // A stop begins whatever it needs itself, and ends the epoch under the same lock.
        let mut coordinator = lock(&self.coordinator);
        let epochs = &self.replica.epochs;
        if epochs.stopping() || !coordinator.idle() {
            return;
        }
        let plan = if let Some(request) = self.requests.next() {
            if coordinator.any_ended() {
                return request.refuse(PARTLY_ENDED);
            }
            self.requests.begun(epochs.current(), request.answer);
            Plan::Savepoint(request.to)
        } else if self.setup.config.as_ref().is_some_and(|config| coordinator.due(config.pace(), now)) {
            Plan::Checkpoint
        } else {
            return;
        };
        let complete = self.begin(&mut coordinator, plan);
        drop(coordinator);
        self.begun(complete);
    }

    /// Ends the current epoch, with this to be taken.
    fn begin(&self, coordinator: &mut Coordinator, plan: Plan) -> Option<Complete> {
        let epoch = self.replica.epochs.current();
        let complete = coordinator.begin(epoch, plan.clone(), self.start.elapsed());
        self.turn(Turn::End { epoch, plan: Some(plan) });
        complete
    }

    /// Injects a barrier that starts no checkpoint.
    pub(crate) fn barrier(&self) {
        let _coordinator = lock(&self.coordinator);
        self.turn(Turn::End { epoch: self.replica.epochs.current(), plan: None });
    }

    fn turn(&self, turn: Turn) {
        self.everyone.tell(ToAll::Epoch(turn));
    }

    /// Injects the last barriers and begins what is taken at the end. If checkpoints are on, a savepoint follows a checkpoint, from which
    /// the job can resume if the stop fails. Has no effect the second time.
    fn stop(self: &Arc<Self>) {
        let mut coordinator = lock(&self.coordinator);
        let epochs = &self.replica.epochs;
        if epochs.stopping() {
            return;
        }
        self.turn(Turn::Stopping);
        coordinator.need(epochs.current());
        let asked = self.requests.at_stop();
        let savepoint = asked.as_ref().map(|request| request.to.clone()).or_else(|| self.setup.at_end.clone());
        self.saves_at_stop.store(savepoint.is_some(), SeqCst);
        let plans: Vec<Plan> = self.setup.on().then_some(Plan::Checkpoint).into_iter().chain(savepoint.map(Plan::Savepoint)).collect();
        let mut complete = Vec::new();
        if plans.is_empty() {
            self.turn(Turn::End { epoch: epochs.current(), plan: None });
        }
        for plan in plans {
            complete.extend(self.begin(&mut coordinator, plan));
        }
        let next = epochs.current();
        if let Some(request) = asked {
            self.requests.begun(Epoch(next.0 - 1), request.answer);
        }
        self.turn(Turn::Stopped(next));
        drop(coordinator);
        self.begun(complete);
    }

    fn begun(self: &Arc<Self>, complete: impl IntoIterator<Item = Complete>) {
        lock(&self.status).under_way = true;
        complete.into_iter().for_each(|complete| self.publish(complete));
    }

    /// Whether everything taken at the stop is complete and committed. True if nothing is taken.
    pub(crate) fn settled(&self) -> bool {
        let taken = self.setup.on() || self.saves_at_stop.load(SeqCst);
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

    /// Stops the job and takes a savepoint at the stop. If none can be taken, the answer says why and the job goes on.
    pub(crate) fn stop_with_savepoint(self: &Arc<Self>, to: String, answer: Sender<SavepointResult>) {
        let request = Request { to, answer };
        let refusal = if self.replica.epochs.stopping() {
            Some("the job is stopping already".to_owned())
        } else if lock(&self.coordinator).any_ended() {
            Some(PARTLY_ENDED.to_owned())
        } else {
            vacant(&request.to).err()
        };
        match refusal {
            Some(why) => request.refuse(&why),
            None if self.requests.ask_at_stop(request) => self.stop(),
            None => {}
        }
    }

    /// Takes a member's report of what it kept at the end of `epoch`.
    fn kept(self: &Arc<Self>, member: Member, epoch: Epoch, report: Report, last: bool) {
        let mut coordinator = lock(&self.coordinator);
        let complete = coordinator.report(member, epoch, report, last, self.start.elapsed());
        self.forget_plans(&coordinator);
        drop(coordinator);
        // Without a directory for checkpoints, the checkpoint at the end of input is dropped.
        let wanted = |complete: &Complete| self.setup.on() || complete.plan != Plan::Checkpoint;
        complete.into_iter().filter(wanted).for_each(|complete| self.publish(complete));
        self.rouse();
    }

    /// Tells everyone which plans are over.
    fn forget_plans(&self, coordinator: &Coordinator) {
        let over = self.replica.epochs.planned().into_iter().filter(|epoch| !coordinator.takes(*epoch));
        over.for_each(|epoch| self.turn(Turn::Done(epoch)));
    }

    /// Rouses the workers: the next checkpoint may be due at another time, or the job may be able to end.
    pub(super) fn rouse(&self) {
        self.replica.workers.rouse();
    }

    /// A checkpoint failed. If it was to hold what a member kept at the end of its input (`last`), the job has not ended well.
    pub(super) fn declined(&self, epoch: Epoch, why: &str, last: bool) {
        let bearable = self.setup.config.as_ref().map_or(u32::MAX, |config| config.failures);
        let mut coordinator = lock(&self.coordinator);
        let failed = coordinator.fail(epoch, last, bearable, self.start.elapsed());
        self.forget_plans(&coordinator);
        drop(coordinator);
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
            self.everyone.poison(JobError::Checkpoint { epoch, why: why.to_owned() });
        }
    }

    /// A checkpoint is published. If it lets sinks commit (`commits`), they may.
    pub(super) fn published(&self, epoch: Epoch, commits: bool) {
        if commits {
            self.everyone.tell(ToAll::Complete(epoch));
        }
        let mut coordinator = lock(&self.coordinator);
        coordinator.published(epoch);
        self.forget_plans(&coordinator);
        drop(coordinator);
        self.rouse();
    }

    /// Whether all sinks have committed what is part of the latest checkpoint.
    fn all_committed(&self) -> bool {
        let completed = self.replica.completion.completed();
        let committed = lock(&self.committed);
        let mut sinks = self.setup.nodes(|role| role == Role::Sink);
        sinks.all(|node| {
            let done = |worker| committed.get(&Member { node, worker }).is_some_and(|done| u64::from(done.0) + 1 >= completed);
            (0..self.setup.workers).all(done)
        })
    }

    /// The outcome of the checkpoints so far.
    pub(crate) fn status(&self) -> CheckpointStatus {
        lock(&self.status).clone()
    }

    /// Sends a complete checkpoint to the thread that publishes.
    fn publish(self: &Arc<Self>, complete: Complete) {
        if let Err(error) = self.publisher.publish(self, complete) {
            self.everyone.fail("checkpoints", 0, error);
        }
    }

    /// Ends the publishing thread once it has published everything it was given, and answers the requests that are still open.
    pub(crate) fn close(&self) {
        self.publisher.close();
        self.requests.close();
    }
}
