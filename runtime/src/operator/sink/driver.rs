//! The operator of a sink: decides what to do next, and holds its time meanwhile.

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
use crate::checkpoint::{Member, Message, Report, Sealed};
use crate::control::Control;
use crate::error::Error;
use crate::metrics::OperatorMetrics;
use crate::operator::appointment::Appointment;
use crate::progress::Progress;
use crate::record::Record;
use crate::sink::{Cancellation, Committable, Sink, SinkContext};
use crate::source::Waker;
use crate::time::Time;

/// What a driver is made from.
pub(super) struct Setup<T> {
    pub(super) name: String,
    /// The name under which its pending output is kept.
    pub(super) id: String,
    pub(super) member: Member,
    pub(super) workers: usize,
    pub(super) control: Arc<Control>,
    pub(super) metrics: Arc<OperatorMetrics>,
    pub(super) sink: Arc<dyn Sink<T>>,
}

/// Something to do, and the epoch and tick that the sink holds back until it is done.
struct Task<T> {
    since: (Epoch, u32),
    work: Work<T>,
}

enum Work<T> {
    Write(Vec<Record<T>>),
    Seal { epoch: Epoch, last: bool },
}

/// The phase of the sink. Tasks are handed over only in `Writing`. In other phases they wait, and so hold back the sources.
enum Phase {
    /// Not opened yet, because building the graph may be a rehearsal.
    Unopened,
    /// Recovering what a snapshot holds, and opening the sink.
    Opening,
    Writing,
    /// Everything of the epoch has been handed over. Its snapshot waits for what the writer pre-commits.
    Sealing {
        epoch: Epoch,
        last: bool,
    },
    /// The epoch is committed without waiting for a checkpoint. Its snapshot waits for the commit.
    Committing {
        epoch: Epoch,
        report: Report,
        last: bool,
    },
    /// Everything is written and committed. The threads are dropping their writer and committer.
    Closing,
    Closed,
}

/// One instance of a sink.
pub(super) struct Driver<T> {
    setup: Setup<T>,
    phase: Phase,
    align: Align<Vec<Record<T>>>,
    /// What still has to be handed over, in order.
    queue: VecDeque<Task<T>>,
    desk: Desk<T>,
    commits: Commits,
    /// Whether the last epoch has been sealed.
    ended: bool,
    /// Held at the epoch and tick of the oldest unfinished task. `None` at the end.
    held: Option<Capability<Time>>,
    appointment: Appointment,
    /// Dropped after the sending ends of the queues from which the threads read.
    threads: Threads<T>,
}

/// Queues an alignment step. A seal holds back its own epoch until it is done. Watermarks mean nothing to a sink.
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

    pub(super) fn arrive(&mut self, time: Time, batch: Vec<Record<T>>) -> Result<(), Error> {
        self.setup.metrics.records_in.add(batch.len() as u64);
        let queue = &mut self.queue;
        self.align.arrive(time, batch, &mut |step| {
            enqueue(queue, (time.epoch, time.tick), step);
            Ok(())
        })
    }

    /// Does what can be done without waiting, and advances the capability to what has been written.
    pub(super) fn turn(&mut self, progress: Progress) -> Result<(), Error> {
        if let Phase::Closed = self.phase {
            return Ok(());
        }
        // Open before the first record arrives: it is better to learn at the start if the sink can't be written.
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
        // What waits for a checkpoint is committed as soon as the checkpoint is complete.
        self.setup.control.replica.completion.wake(self.threads.waker().clone());
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

    /// Hands over tasks as long as the writer has room. Returns whether there were any.
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

    /// Everything of an epoch has been written and pre-committed, so its snapshot can be reported.
    fn sealed(&mut self, committables: Vec<Committable>) -> Result<(), Error> {
        let Phase::Sealing { epoch, last } = self.phase else {
            return Err(Error::internal("a sink has sealed what was not to be sealed"));
        };
        self.ended |= last;
        let checkpoints = self.setup.control.checkpoints();
        let plan = checkpoints.plan(epoch, last);
        if !checkpoints.transactional() {
            // Nothing is held back; a snapshot only has to know how far the sink has written.
            let list = if plan.is_some() { values(committables.iter()) } else { Vec::new() };
            self.phase = Phase::Committing { epoch, report: Report { list, ..Report::default() }, last };
            self.commits.sealed(epoch, committables);
            return Ok(());
        }
        self.phase = Phase::Writing;
        self.commits.sealed(epoch, committables);
        let Some(plan) = plan else { return Ok(()) };
        failpoint::Point::SinkSealed.hit();
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

    /// Everything sealed before this epoch may be committed.
    fn committable(&self) -> u64 {
        let checkpoints = self.setup.control.checkpoints();
        if checkpoints.transactional() { checkpoints.completed() } else { u64::MAX }
    }

    /// Starts committing whatever may be committed.
    fn commit(&mut self) -> Result<(), Error> {
        let Some(epoch) = self.commits.next(self.committable()) else { return Ok(()) };
        failpoint::Point::SinkBeforeCommit.hit();
        if self.commits.begin(epoch) { self.committed(epoch) } else { Ok(()) }
    }

    /// Readers now see everything up to and including `epoch`.
    fn committed(&mut self, epoch: Epoch) -> Result<(), Error> {
        failpoint::Point::SinkAfterCommit.hit();
        let files = self.commits.committed(epoch);
        let (checkpoints, member) = (self.setup.control.checkpoints(), self.setup.member);
        if !checkpoints.transactional() {
            // No checkpoint links these files, and their directory is removed at the end.
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

    /// Advances the capability to the oldest data that is not written.
    fn follow(&mut self, progress: Progress) {
        let queued = self.queue.front().map(|task| task.since);
        let oldest = self.desk.since().or(queued).or(progress.oldest());
        if let (Some(held), Some((epoch, tick))) = (&mut self.held, oldest) {
            // Only the epoch and the tick of a sink are read.
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
            self.setup.control.checkpoints().committed_all(self.setup.member);
            self.held = None;
            self.phase = Phase::Closed;
        }
    }

    /// Schedules the next activation, unless an answer will bring it.
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

/// The values of committables for a snapshot, without their files.
fn values<'c>(committables: impl Iterator<Item = &'c Committable>) -> Vec<Json> {
    committables.map(|committable| committable.value.clone()).collect()
}

/// Has the first instance to arrive recover what a snapshot holds. Returns the context for opening the sink.
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
        // Whatever is left is removed with the parent directory.
        let _ = std::fs::remove_dir_all(&dir);
        Ok(restored)
    })?;
    let scratch = scratch.join(format!("{}-{worker}", node.0));
    Ok(SinkContext { worker, workers, transactional: checkpoints.transactional(), scratch, restored, cancellation })
}
