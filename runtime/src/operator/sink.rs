//! The harness of sinks: alignment by epoch, and a writer that may be slow.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tidegate_checkpoints::{Epoch, failpoint};
use timely::dataflow::channels::pact::{Exchange, ParallelizationContract, Pipeline};
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::dataflow::operators::{Capability, Probe as _};

use super::appointment::Appointment;
use super::keyed::meet;
use crate::align::{Align, Step};
use crate::checkpoint::{Member, Message, Report, Sealed};
use crate::control::Control;
use crate::dataflow::Edge;
use crate::error::Error;
use crate::graph::{Judge, Role, Route};
use crate::kind::OperatorSpec;
use crate::metrics::OperatorMetrics;
use crate::progress::Progress;
use crate::record::{Data, Record};
use crate::sink::{Committable, Sink, SinkContext, Writer};
use crate::time::Time;

/// For how long one activation may write before the other operators of the worker get their turn.
const TURN: Duration = Duration::from_millis(5);

/// How many records a writer gets at once: at a millisecond each, a worker is back well within a tick.
const PIECE: usize = 16;

/// How often to look whether a checkpoint is complete.
const LOOK: Duration = Duration::from_millis(2);

/// How many epochs may wait for their commit, though their checkpoints are complete, before the sink takes no more records.
const BEHIND: usize = 2;

/// For how long written records may lie in a writer's buffer.
const FLUSH_AFTER: Duration = Duration::from_millis(10);

/// Writes a stream to `sink`.
pub fn sink<T: Data>(edge: Edge<'_, T>, name: &str, label: &str, sink: impl Sink<T>) {
    if sink.single_writer() {
        build(edge, name, label, sink, Route::ToOne, Exchange::new(|_: &Record<T>| 0));
    } else {
        build(edge, name, label, sink, Route::Local, Pipeline);
    }
}

fn build<T, P>(edge: Edge<'_, T>, name: &str, label: &str, sink: impl Sink<T>, route: Route, pact: P)
where
    T: Data,
    P: ParallelizationContract<Time, Vec<Record<T>>>,
{
    let flow = edge.flow.clone();
    let node = flow.add(name, Role::Sink, OperatorSpec::new(sink.kind()).labelled(label), edge.inputs(route));
    let sink = Arc::new(sink);
    let judging = Arc::clone(&sink);
    let schema = format!("{}.committables/{}", sink.kind(), sink.version());
    flow.listed(node, schema, Judge::new(move |list| Sink::<T>::accepts(&*judging, list)));
    let align = Align::new(flow.shared.control.mode, edge.senders(route), flow.shared.control.first());
    let (control, worker, workers, name) = (flow.control(), flow.worker(), flow.workers(), name.to_owned());
    let (metrics, id) = (control.metrics.operator(node), flow.id(node));
    let member = Member { node, worker };

    let mut builder = OperatorBuilder::new(name.clone(), flow.scope);
    let mut input = builder.new_input(edge.stream, pact);
    // Nothing is ever sent on it: its capability tells the probe what has been written.
    let (_, written) = builder.new_output::<Vec<()>>();
    let activator = flow.scope.activator_for(builder.operator_info().address);
    builder.build(move |capabilities| {
        let held = capabilities.into_iter().next();
        let mut driver = Driver {
            output: Output::Unopened(Box::new(sink)),
            id,
            member,
            workers,
            control: Arc::clone(&control),
            uncommitted: VecDeque::new(),
            committing: None,
            ended: false,
            queue: VecDeque::new(),
            align,
            held,
            metrics,
            appointment: Appointment::new(activator),
            piece: Vec::with_capacity(PIECE),
            unflushed: None,
        };
        move |frontiers| {
            let mut arrived = Ok(());
            input.for_each(|capability, batch| {
                if arrived.is_ok() && !control.over() {
                    arrived = meet(capability.stamp()).and_then(|time| driver.arrive(time, std::mem::take(batch)));
                }
            });
            if control.over() {
                return;
            }
            let progress = frontiers.first().map_or(Progress::ENDED, Progress::of);
            if let Err(error) = arrived.and_then(|()| driver.turn(progress)) {
                control.fail(&name, worker, error);
            }
        }
    });
    written.probe_with(&flow.shared.probe);
}

/// A sink before and after it is opened: not while the graph is built, as building may be a rehearsal.
enum Output<T> {
    Unopened(Box<dyn Sink<T>>),
    Open(Box<dyn Writer<T>>),
    Closed,
}

/// Something to do, and the epoch and tick that the sink holds until it is done.
struct Task<T> {
    since: (Epoch, u32),
    work: Work<T>,
}

enum Work<T> {
    Write(std::vec::IntoIter<Record<T>>),
    Seal { epoch: Epoch, last: bool },
}

/// One instance of a sink.
struct Driver<T> {
    /// The name that what it has yet to commit is kept under.
    id: String,
    member: Member,
    workers: usize,
    control: Arc<Control>,
    output: Output<T>,
    /// What was sealed and is not committed, by epoch.
    uncommitted: VecDeque<(Epoch, Vec<Committable>)>,
    /// Up to where the writer is about to commit.
    committing: Option<Epoch>,
    /// Has the last seal been done?
    ended: bool,
    align: Align<Vec<Record<T>>>,
    /// What is yet to be done, in order.
    queue: VecDeque<Task<T>>,
    /// Held at the epoch and tick of the oldest task; gone at the end.
    held: Option<Capability<Time>>,
    metrics: Arc<OperatorMetrics>,
    appointment: Appointment,
    /// What a writer is given at once.
    piece: Vec<Record<T>>,
    /// Since when something lies in the writer's buffer.
    unflushed: Option<Instant>,
}

/// Queues a step of the alignment. A seal holds its own epoch until it is done; watermarks mean nothing to a sink.
fn enqueue<T>(queue: &mut VecDeque<Task<T>>, since: (Epoch, u32), step: Step<Vec<Record<T>>>) {
    match step {
        Step::Process(records) => queue.push_back(Task { since, work: Work::Write(records.into_iter()) }),
        Step::Seal { epoch, last } => queue.push_back(Task { since: (epoch, 0), work: Work::Seal { epoch, last } }),
        Step::Advance(_) => {}
    }
}

impl<T: 'static> Driver<T> {
    fn arrive(&mut self, time: Time, batch: Vec<Record<T>>) -> Result<(), Error> {
        self.metrics.records_in.add(batch.len() as u64);
        let queue = &mut self.queue;
        self.align.arrive(time, batch, &mut |step| {
            enqueue(queue, (time.epoch, time.tick), step);
            Ok(())
        })
    }

    /// Writes for one turn, and lets the capability follow what has been written.
    fn turn(&mut self, progress: Progress) -> Result<(), Error> {
        if self.held.is_none() {
            return Ok(());
        }
        // Also before the first record: what can't be written is better known at the start.
        self.writer()?;
        let queue = &mut self.queue;
        // Nothing in a sink depends on event time.
        self.align.progress(progress, |_| None, &mut |step| {
            enqueue(queue, progress.oldest().unwrap_or_default(), step);
            Ok(())
        })?;
        self.commit()?;
        let behind = self.behind();
        if !behind {
            self.work()?;
            self.commit()?;
        }
        if let Some(next) = self.queue.front() {
            let since = next.since;
            self.release(since);
            if behind {
                self.appointment.within(LOOK);
            } else {
                self.appointment.now();
            }
            return Ok(());
        }
        if let Some(oldest) = progress.oldest() {
            self.release(oldest);
            self.flush_in_time()?;
        } else if self.ended && self.uncommitted.is_empty() {
            self.control.checkpoints().committed_all(self.member);
            self.held = None;
            self.output = Output::Closed;
            return Ok(());
        }
        if !self.uncommitted.is_empty() {
            self.appointment.within(LOOK);
        }
        Ok(())
    }

    /// Everything of `epoch` has been written: pre-commits, and reports.
    fn seal(&mut self, epoch: Epoch, last: bool) -> Result<(), Error> {
        let committables = self.writer()?.seal(epoch)?;
        self.unflushed = None;
        self.ended |= last;
        let checkpoints = self.control.checkpoints();
        if !checkpoints.transactional() {
            // Nothing is held back; a snapshot only has to know how far it was.
            while !self.writer()?.commit(epoch)? {
                std::thread::sleep(LOOK);
            }
            // What is committed needs no files any more, and they lie where all is removed in the end.
            committables.iter().filter_map(|committable| committable.file.as_ref()).for_each(|file| drop(std::fs::remove_file(file)));
            checkpoints.committed(self.member, epoch);
            let list = if checkpoints.plan(epoch, last).is_some() { committables } else { Vec::new() };
            let list = list.into_iter().map(|committable| committable.value).collect();
            checkpoints.report(self.member, epoch, Report { list, ..Report::default() }, last);
            return Ok(());
        }
        self.uncommitted.push_back((epoch, committables));
        if let Some(plan) = checkpoints.plan(epoch, last) {
            let committables: Vec<Committable> =
                self.uncommitted.iter().flat_map(|(_, committables)| committables.iter().cloned()).collect();
            failpoint::hit("sink-sealed");
            if committables.iter().any(|committable| committable.file.is_some()) {
                let sealed = Sealed { member: self.member, epoch, plan, last, since: Instant::now(), committables };
                return checkpoints.ship(self.member.worker, Message::Sealed(Box::new(sealed)));
            }
            let list = committables.into_iter().map(|committable| committable.value).collect();
            checkpoints.report(self.member, epoch, Report { list, ..Report::default() }, last);
        }
        Ok(())
    }

    /// Commits what is part of a complete checkpoint.
    fn commit(&mut self) -> Result<(), Error> {
        let epoch = match (self.committing, self.ready().last()) {
            (Some(epoch), _) => epoch,
            (None, Some(epoch)) => {
                failpoint::hit("sink-before-commit");
                *self.committing.insert(epoch)
            }
            (None, None) => return Ok(()),
        };
        if !self.writer()?.commit(epoch)? {
            return Ok(());
        }
        failpoint::hit("sink-after-commit");
        self.committing = None;
        let mut files: Vec<PathBuf> = Vec::new();
        while let Some((_, committables)) = self.uncommitted.pop_front_if(|(sealed, _)| *sealed <= epoch) {
            files.extend(committables.into_iter().filter_map(|committable| committable.file));
        }
        let checkpoints = self.control.checkpoints();
        if !files.is_empty() {
            checkpoints.ship(self.member.worker, Message::Committed(self.member, files))?;
        }
        checkpoints.committed(self.member, epoch);
        Ok(())
    }

    /// The epochs that are part of a complete checkpoint and not committed.
    fn ready(&self) -> impl Iterator<Item = Epoch> + '_ {
        let completed = self.control.checkpoints().completed();
        self.uncommitted.iter().map(|(epoch, _)| *epoch).take_while(move |epoch| u64::from(epoch.0) < completed)
    }

    /// Does the writer take so long to commit that what it has sealed would pile up?
    fn behind(&self) -> bool {
        self.ready().nth(BEHIND).is_some()
    }

    /// Lets go of everything before this epoch and tick.
    fn release(&mut self, (epoch, tick): (Epoch, u32)) {
        if let Some(held) = &mut self.held {
            // Only the epoch and the tick are read off a sink.
            let next = Time { epoch, tick, watermark: held.time().watermark };
            if held.time().outer() < next.outer() {
                held.downgrade(&next);
            }
        }
    }

    fn work(&mut self) -> Result<(), Error> {
        let turn = Instant::now();
        while let Some(Task { since, work }) = self.queue.pop_front() {
            match work {
                Work::Seal { epoch, last } => self.seal(epoch, last)?,
                Work::Write(mut records) => {
                    self.piece.extend(records.by_ref().take(PIECE));
                    let written = self.piece.len() as u64;
                    let mut piece = std::mem::take(&mut self.piece);
                    self.writer()?.write(&mut piece)?;
                    piece.clear();
                    self.piece = piece;
                    self.metrics.records_out.add(written);
                    self.unflushed.get_or_insert(turn);
                    if records.len() > 0 {
                        self.queue.push_front(Task { since, work: Work::Write(records) });
                    }
                }
            }
            if turn.elapsed() > TURN {
                break;
            }
        }
        Ok(())
    }

    /// Flushes what has been in the buffer for long enough, or makes an appointment for that.
    fn flush_in_time(&mut self) -> Result<(), Error> {
        let Some(since) = self.unflushed else { return Ok(()) };
        let left = FLUSH_AFTER.saturating_sub(since.elapsed());
        if left.is_zero() {
            if self.writer()?.flush()? {
                self.unflushed = None;
            } else {
                self.appointment.within(FLUSH_AFTER);
            }
        } else {
            self.appointment.within(left);
        }
        Ok(())
    }

    fn writer(&mut self) -> Result<&mut Box<dyn Writer<T>>, Error> {
        if matches!(self.output, Output::Unopened(_))
            && let Output::Unopened(sink) = std::mem::replace(&mut self.output, Output::Closed)
        {
            let Member { node, worker } = self.member;
            let checkpoints = self.control.checkpoints();
            let scratch = checkpoints.scratch().join("sinks");
            let restored = checkpoints.recoveries.once(node, || {
                let Some(restore) = self.control.restore() else { return Ok(None) };
                let dir = scratch.join(format!("{}-restored", node.0));
                let restored = restore.committables(&self.id, &dir)?;
                restored.iter().try_for_each(|restored| sink.recover(restored))?;
                // What stays is removed with the directory above.
                let _ = std::fs::remove_dir_all(&dir);
                Ok(restored)
            })?;
            let (workers, transactional) = (self.workers, checkpoints.transactional());
            let scratch = scratch.join(format!("{}-{worker}", node.0));
            self.output = Output::Open(sink.open(SinkContext { worker, workers, transactional, scratch, restored })?);
        }
        match &mut self.output {
            Output::Open(writer) => Ok(writer),
            Output::Unopened(_) | Output::Closed => Err(Error::internal("a sink was asked after its end")),
        }
    }
}
