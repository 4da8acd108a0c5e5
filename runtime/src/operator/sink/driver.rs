//! The operator of a sink: what it does next, and the time it holds meanwhile.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use serde_json::Value as Json;
use tidegate_checkpoints::{Epoch, failpoint};
use timely::dataflow::operators::Capability;
use timely::scheduling::Activator;

use super::commits::Commits;
use super::desk::{Desk, Opened, Turn};
use super::threads::{Answer, Threads};
use crate::align::{Align, Step};
use crate::checkpoint::{Checkpoints, Member, Message, Report, Sealed};
use crate::control::Control;
use crate::error::Error;
use crate::metrics::OperatorMetrics;
use crate::operator::appointment::Appointment;
use crate::progress::Progress;
use crate::record::Record;
use crate::sink::{Cancellation, Committable, Sink, SinkContext};
use crate::source::Waker;
use crate::time::Time;

/// What a driver is made of.
pub(super) struct Setup<T> {
    pub(super) name: String,
    /// The name that what it has yet to commit is kept under.
    pub(super) id: String,
    pub(super) member: Member,
    pub(super) workers: usize,
    pub(super) control: Arc<Control>,
    pub(super) metrics: Arc<OperatorMetrics>,
    pub(super) sink: Arc<dyn Sink<T>>,
}

/// Something to do, and the epoch and tick that the sink holds until it is done.
struct Task<T> {
    since: (Epoch, u32),
    work: Work<T>,
}

enum Work<T> {
    Write(Vec<Record<T>>),
    Seal { epoch: Epoch, last: bool },
}

/// What the sink is at. Only in `Writing` are tasks handed over; otherwise they wait, and hold back the sources.
enum Phase {
    /// Not opened: building a graph may be a rehearsal.
    Unopened,
    /// What a snapshot holds is recovered, and the sink opened.
    Opening,
    Writing,
    /// Everything of the epoch has been handed over; its snapshot waits for what the writer pre-commits.
    Sealing {
        epoch: Epoch,
        last: bool,
    },
    /// No checkpoint has to be complete before the epoch is committed; its snapshot waits for that.
    Committing {
        epoch: Epoch,
        report: Report,
        last: bool,
    },
    /// Everything is written and committed. The threads let go of what they wrote with.
    Closing,
    Closed,
}

/// One instance of a sink.
pub(super) struct Driver<T> {
    setup: Setup<T>,
    phase: Phase,
    align: Align<Vec<Record<T>>>,
    /// What is yet to be handed over, in order.
    queue: VecDeque<Task<T>>,
    desk: Desk<T>,
    commits: Commits,
    /// Has the last epoch been sealed?
    ended: bool,
    /// Held at the epoch and tick of the oldest task that is not done; gone at the end.
    held: Option<Capability<Time>>,
    appointment: Appointment,
    /// Dropped after the ends of the queues that they read from.
    threads: Threads<T>,
}

/// Queues a step of the alignment. A seal holds its own epoch until it is done; watermarks mean nothing to a sink.
fn enqueue<T>(queue: &mut VecDeque<Task<T>>, since: (Epoch, u32), step: Step<Vec<Record<T>>>) {
    match step {
        Step::Process(records) => queue.push_back(Task { since, work: Work::Write(records) }),
        Step::Seal { epoch, last } => queue.push_back(Task { since: (epoch, 0), work: Work::Seal { epoch, last } }),
        Step::Advance(_) => {}
    }
}

impl<T: Send + 'static> Driver<T> {
    pub(super) fn new(
        setup: Setup<T>,
        align: Align<Vec<Record<T>>>,
        held: Option<Capability<Time>>,
        activator: Activator,
        waker: Waker,
    ) -> Self {
        Self {
            setup,
            phase: Phase::Unopened,
            align,
            queue: VecDeque::new(),
            desk: Desk::unattended(),
            commits: Commits::default(),
            ended: false,
            held,
            appointment: Appointment::new(activator),
            threads: Threads::new(waker),
        }
    }

    fn checkpoints(&self) -> Arc<Checkpoints> {
        self.setup.control.checkpoints()
    }

    pub(super) fn arrive(&mut self, time: Time, batch: Vec<Record<T>>) -> Result<(), Error> {
        self.setup.metrics.records_in.add(batch.len() as u64);
        let queue = &mut self.queue;
        self.align.arrive(time, batch, &mut |step| {
            enqueue(queue, (time.epoch, time.tick), step);
            Ok(())
        })
    }

    /// Does what can be done without waiting, and lets the capability follow what has been written.
    pub(super) fn turn(&mut self, progress: Progress) -> Result<(), Error> {
        if let Phase::Closed = self.phase {
            return Ok(());
        }
        // Also before the first record: what can't be written is better known at the start.
        if let Phase::Unopened = self.phase {
            self.open()?;
        }
        let queue = &mut self.queue;
        // Nothing in a sink depends on event time.
        self.align.progress(progress, |_| None, &mut |step| {
            enqueue(queue, progress.oldest().unwrap_or_default(), step);
            Ok(())
        })?;
        let turn = Turn::begin();
        loop {
            self.take_answers(&turn)?;
            self.commit()?;
            let handed = self.hand_over()?;
            if !handed || turn.over() {
                break;
            }
        }
        self.follow(progress);
        self.close_at_the_end();
        self.appoint()
    }

    /// Recovers what a snapshot holds, and opens the sink.
    fn open(&mut self) -> Result<(), Error> {
        let Setup { name, id, member, workers, control, metrics, sink } = &self.setup;
        let (control, id, member, workers) = (Arc::clone(control), id.clone(), *member, *workers);
        let recovering = Arc::clone(sink);
        let context = move |cancellation| context(&control, &id, member, workers, &*recovering, cancellation);
        self.desk = Desk::open(&mut self.threads, name, Arc::clone(sink), Arc::clone(metrics), context)?;
        self.phase = Phase::Opening;
        // What waits for a checkpoint is committed as soon as that is complete.
        self.checkpoints().wake_when_complete(self.threads.waker().clone());
        Ok(())
    }

    fn take_answers(&mut self, turn: &Turn) -> Result<(), Error> {
        while let Some(answer) = self.threads.answer()? {
            self.answered(answer)?;
        }
        while let Some(answer) = self.desk.work(turn)? {
            self.answered(answer)?;
        }
        Ok(())
    }

    fn answered(&mut self, answer: Answer<T>) -> Result<(), Error> {
        match answer {
            Answer::Opened(opened) => self.opened(opened),
            Answer::Written => {
                self.desk.answered();
                Ok(())
            }
            Answer::Sealed(committables) => {
                self.desk.answered();
                self.sealed(committables)
            }
            Answer::Committed(epoch) => self.committed(epoch),
        }
    }

    fn opened(&mut self, opened: Opened<T>) -> Result<(), Error> {
        if let Some(committer) = self.desk.opened(opened, &self.setup.metrics) {
            self.commits.start(&mut self.threads, &self.setup.name, committer)?;
        }
        self.phase = Phase::Writing;
        Ok(())
    }

    /// Hands over what comes next, as long as the writer has room. Returns whether it was anything.
    fn hand_over(&mut self) -> Result<bool, Error> {
        let mut any = false;
        while self.may_hand_over()
            && let Some(Task { since, work }) = self.queue.pop_front()
        {
            any = true;
            match work {
                Work::Write(records) => self.desk.write(since, records)?,
                Work::Seal { epoch, last } => {
                    self.phase = Phase::Sealing { epoch, last };
                    self.desk.seal(epoch)?;
                }
            }
        }
        Ok(any)
    }

    fn may_hand_over(&self) -> bool {
        matches!(self.phase, Phase::Writing) && !self.queue.is_empty() && self.desk.has_room() && !self.commits.behind(self.committable())
    }

    /// Everything of an epoch has been written, and pre-committed: the snapshot can be reported.
    fn sealed(&mut self, committables: Vec<Committable>) -> Result<(), Error> {
        let Phase::Sealing { epoch, last } = self.phase else {
            return Err(Error::internal("a sink has sealed what was not to be sealed"));
        };
        self.ended |= last;
        let checkpoints = self.checkpoints();
        let plan = checkpoints.plan(epoch, last);
        if !checkpoints.transactional() {
            // Nothing is held back; a snapshot only has to know how far it was.
            let list = if plan.is_some() { values(committables.iter()) } else { Vec::new() };
            self.phase = Phase::Committing { epoch, report: Report { list, ..Report::default() }, last };
            self.commits.sealed(epoch, committables);
            return Ok(());
        }
        self.phase = Phase::Writing;
        self.commits.sealed(epoch, committables);
        let Some(plan) = plan else { return Ok(()) };
        failpoint::hit("sink-sealed");
        let member = self.setup.member;
        if self.commits.waiting().any(|committable| committable.file.is_some()) {
            let committables = self.commits.waiting().cloned().collect();
            let sealed = Sealed { member, epoch, plan, last, since: Instant::now(), committables };
            return checkpoints.ship(member.worker, Message::Sealed(Box::new(sealed)));
        }
        let list = values(self.commits.waiting());
        checkpoints.report(member, epoch, Report { list, ..Report::default() }, last);
        Ok(())
    }

    /// The epoch before which everything sealed may be committed.
    fn committable(&self) -> u64 {
        let checkpoints = self.checkpoints();
        if checkpoints.transactional() { checkpoints.completed() } else { u64::MAX }
    }

    /// Has what may be committed committed.
    fn commit(&mut self) -> Result<(), Error> {
        let Some(epoch) = self.commits.next(self.committable()) else { return Ok(()) };
        failpoint::hit("sink-before-commit");
        if self.commits.begin(epoch) { self.committed(epoch) } else { Ok(()) }
    }

    /// Readers see everything up to `epoch`.
    fn committed(&mut self, epoch: Epoch) -> Result<(), Error> {
        failpoint::hit("sink-after-commit");
        let files = self.commits.committed(epoch);
        let (checkpoints, member) = (self.checkpoints(), self.setup.member);
        if !checkpoints.transactional() {
            // No checkpoint links them, and they lie where all is removed in the end.
            files.iter().for_each(|file| drop(std::fs::remove_file(file)));
        } else if !files.is_empty() {
            checkpoints.ship(member.worker, Message::Committed(member, files))?;
        }
        checkpoints.committed(member, epoch);
        if let Phase::Committing { epoch: sealed, report, last } = &mut self.phase
            && *sealed <= epoch
        {
            checkpoints.report(member, *sealed, std::mem::take(report), *last);
            self.phase = Phase::Writing;
        }
        Ok(())
    }

    /// Lets go of everything before the oldest data that is not written.
    fn follow(&mut self, progress: Progress) {
        let queued = self.queue.front().map(|task| task.since);
        let oldest = self.desk.since().or(queued).or(progress.oldest());
        if let (Some(held), Some((epoch, tick))) = (&mut self.held, oldest) {
            // Only the epoch and the tick are read off a sink.
            let next = Time { epoch, tick, watermark: held.time().watermark };
            if held.time().outer() < next.outer() {
                held.downgrade(&next);
            }
        }
    }

    fn close_at_the_end(&mut self) {
        if self.ended && self.commits.is_empty() && matches!(self.phase, Phase::Writing) {
            self.desk.close();
            self.commits.close();
            self.phase = Phase::Closing;
        }
        if matches!(self.phase, Phase::Closing) && self.threads.ended() {
            self.checkpoints().committed_all(self.setup.member);
            self.held = None;
            self.phase = Phase::Closed;
        }
    }

    /// Asks to be activated again, where no answer does that.
    fn appoint(&mut self) -> Result<(), Error> {
        if !self.desk.is_inline() {
            return Ok(());
        }
        if self.desk.since().is_some() || self.may_hand_over() {
            self.appointment.now();
        } else if let Some(wait) = self.desk.flush_in_time()? {
            self.appointment.within(wait);
        }
        Ok(())
    }
}

/// What a snapshot says of committables, without their files.
fn values<'c>(committables: impl Iterator<Item = &'c Committable>) -> Vec<Json> {
    committables.map(|committable| committable.value.clone()).collect()
}

/// Has what a snapshot holds recovered by the first instance that comes. Returns what the sink is opened with.
fn context<T: 'static>(
    control: &Control,
    id: &str,
    member: Member,
    workers: usize,
    sink: &dyn Sink<T>,
    cancellation: Cancellation,
) -> Result<SinkContext, Error> {
    let Member { node, worker } = member;
    let checkpoints = control.checkpoints();
    let scratch = checkpoints.scratch().join("sinks");
    let restored = checkpoints.recoveries.once(node, || {
        let Some(restore) = control.restore() else { return Ok(None) };
        let dir = scratch.join(format!("{}-restored", node.0));
        let restored = restore.committables(id, &dir)?;
        restored.iter().try_for_each(|restored| sink.recover(restored))?;
        // What stays is removed with the directory above.
        let _ = std::fs::remove_dir_all(&dir);
        Ok(restored)
    })?;
    let scratch = scratch.join(format!("{}-{worker}", node.0));
    Ok(SinkContext { worker, workers, transactional: checkpoints.transactional(), scratch, restored, cancellation })
}
