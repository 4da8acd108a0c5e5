//! Where the operator hands over batches to the writer, either on the writer's thread or on the worker.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

use tidegate_checkpoints::Epoch;

use super::threads::{Answer, Answers, Threads};
use crate::error::Error;
use crate::metrics::OperatorMetrics;
use crate::record::Record;
use crate::sink::{Cancellation, Committer, Sink, SinkContext, Writer};

/// How many orders may be with a thread. That is enough for it never to wait for the operator. The rest stays where it holds back the
/// sources.
const WAITING: usize = 4;

/// How long one activation may write on the worker before the other operators get their turn.
const TURN: Duration = Duration::from_millis(5);

/// How many records a writer on the worker gets at once. Even at a millisecond each, the worker is back well within a tick.
const PIECE: usize = 16;

/// How long written records may stay in a writer's buffer.
const FLUSH_AFTER: Duration = Duration::from_millis(10);

/// A sink that has been opened.
pub(super) struct Opened<T> {
    /// The writer, if it is called on the worker. Otherwise its thread has it.
    writer: Option<Box<dyn Writer<T>>>,
    committer: Option<Box<dyn Committer>>,
}

/// A task for a writer.
enum Order<T> {
    Write(Vec<Record<T>>),
    Seal(Epoch),
}

/// What the operator has handed over, and to whom.
pub(super) struct Desk<T> {
    writer: Place<T>,
    /// For each unanswered order, the epoch and tick of its data.
    handed: VecDeque<(Epoch, u32)>,
}

/// Where the writer is.
enum Place<T> {
    Nowhere,
    Thread(SyncSender<Order<T>>),
    Inline(Inline<T>),
}

impl<T: Send + 'static> Desk<T> {
    /// Opens the sink on a thread. The writer stays on that thread unless its calls are made on the worker. `context` may block.
    pub(super) fn open(
        threads: &mut Threads<T>,
        name: &str,
        sink: Arc<dyn Sink<T>>,
        metrics: Arc<OperatorMetrics>,
        context: impl FnOnce(Cancellation) -> Result<SinkContext, Error> + Send + 'static,
    ) -> Result<Self, Error> {
        let (sender, orders) = sync_channel(WAITING);
        let cancellation = threads.cancellation().clone();
        threads.start(format!("{name}-write"), move |answers| {
            let mut writer = sink.open(context(cancellation.clone())?)?;
            let committer = writer.committer();
            if sink.inline() {
                answers.send(Answer::Opened(Opened { writer: Some(writer), committer }));
                return Ok(());
            }
            answers.send(Answer::Opened(Opened { writer: None, committer }));
            attend(&mut *writer, &orders, answers, &metrics, &cancellation)
        })?;
        Ok(Self { writer: Place::Thread(sender), handed: VecDeque::new() })
    }

    /// Called when the sink is open. Returns the committer of its epochs.
    pub(super) fn opened(&mut self, opened: Opened<T>, metrics: &Arc<OperatorMetrics>) -> Option<Box<dyn Committer>> {
        if let Some(writer) = opened.writer {
            self.writer = Place::Inline(Inline::new(writer, Arc::clone(metrics)));
        }
        opened.committer
    }
}

impl<T: 'static> Desk<T> {
    /// A desk without a writer.
    pub(super) fn unattended() -> Self {
        Self { writer: Place::Nowhere, handed: VecDeque::new() }
    }

    /// Whether another batch may be handed over.
    pub(super) fn has_room(&self) -> bool {
        let most = match self.writer {
            Place::Nowhere => 0,
            Place::Thread(_) => WAITING,
            Place::Inline(_) => 1,
        };
        self.handed.len() < most
    }

    /// Hands over a batch whose data entered at `since`.
    pub(super) fn write(&mut self, since: (Epoch, u32), records: Vec<Record<T>>) -> Result<(), Error> {
        self.order(since, Order::Write(records))
    }

    /// Hands over the seal of an epoch whose batches have all been handed over.
    pub(super) fn seal(&mut self, epoch: Epoch) -> Result<(), Error> {
        self.order((epoch, 0), Order::Seal(epoch))
    }

    fn order(&mut self, since: (Epoch, u32), order: Order<T>) -> Result<(), Error> {
        self.handed.push_back(since);
        match &mut self.writer {
            Place::Inline(inline) => inline.take(order),
            Place::Thread(orders) => match orders.try_send(order) {
                Ok(()) => {}
                // The thread has failed; its next answer says so.
                Err(TrySendError::Disconnected(_)) => {}
                Err(TrySendError::Full(_)) => return Err(Error::internal("a sink was given more than it has room for")),
            },
            Place::Nowhere => return Err(Error::internal("a sink was given records before it was open")),
        }
        Ok(())
    }

    /// Continues writing on the worker for this turn. Returns an answer if a task is done.
    pub(super) fn work(&mut self, turn: &Turn) -> Result<Option<Answer<T>>, Error> {
        if let Place::Inline(inline) = &mut self.writer { inline.work(turn) } else { Ok(None) }
    }

    /// Called when the oldest order has been answered.
    pub(super) fn answered(&mut self) {
        self.handed.pop_front();
    }

    /// The epoch and tick of the oldest data handed over but not written.
    pub(super) fn since(&self) -> Option<(Epoch, u32)> {
        self.handed.front().copied()
    }

    /// Flushes in time a writer on the worker. Returns when the operator is needed again, unless an answer will bring it.
    pub(super) fn flush_in_time(&mut self) -> Result<Option<Duration>, Error> {
        if let Place::Inline(inline) = &mut self.writer { inline.flush_in_time() } else { Ok(None) }
    }

    pub(super) fn is_inline(&self) -> bool {
        matches!(self.writer, Place::Inline(_))
    }

    /// Nothing more will be written. The thread ends once it has dropped its writer.
    pub(super) fn close(&mut self) {
        self.writer = Place::Nowhere;
    }
}

/// One activation of the operator.
pub(super) struct Turn(Instant);

impl Turn {
    pub(super) fn begin() -> Self {
        Self(Instant::now())
    }

    /// Whether it is time for the other operators' turn.
    pub(super) fn over(&self) -> bool {
        self.0.elapsed() > TURN
    }
}

/// Executes a writer's orders on its thread until the operator hangs up.
fn attend<T: 'static>(
    writer: &mut dyn Writer<T>,
    orders: &Receiver<Order<T>>,
    answers: &Answers<T>,
    metrics: &OperatorMetrics,
    cancellation: &Cancellation,
) -> Result<(), Error> {
    let mut unflushed: Option<Instant> = None;
    loop {
        let order = match unflushed {
            None => orders.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(since) => orders.recv_timeout(FLUSH_AFTER.saturating_sub(since.elapsed())),
        };
        if cancellation.is_cancelled() {
            return Ok(());
        }
        match order {
            Ok(Order::Write(mut records)) => {
                let count = records.len() as u64;
                writer.write(&mut records)?;
                metrics.records_out.add(count);
                unflushed.get_or_insert_with(Instant::now);
                answers.send(Answer::Written);
            }
            Ok(Order::Seal(epoch)) => {
                let committables = writer.seal(epoch)?;
                unflushed = None;
                answers.send(Answer::Sealed(committables));
            }
            Err(RecvTimeoutError::Timeout) => {
                writer.flush()?;
                unflushed = None;
            }
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
    }
}

/// A writer that is called on the worker.
struct Inline<T> {
    writer: Box<dyn Writer<T>>,
    metrics: Arc<OperatorMetrics>,
    /// The task in progress.
    task: Option<Task<T>>,
    /// The records of one call to the writer.
    piece: Vec<Record<T>>,
    /// Since when records have been in its buffer.
    unflushed: Option<Instant>,
}

enum Task<T> {
    Write(std::vec::IntoIter<Record<T>>),
    Seal(Epoch),
}

impl<T: 'static> Inline<T> {
    fn new(writer: Box<dyn Writer<T>>, metrics: Arc<OperatorMetrics>) -> Self {
        Self { writer, metrics, task: None, piece: Vec::with_capacity(PIECE), unflushed: None }
    }

    fn take(&mut self, order: Order<T>) {
        self.task = Some(match order {
            Order::Write(records) => Task::Write(records.into_iter()),
            Order::Seal(epoch) => Task::Seal(epoch),
        });
    }

    /// Continues the task. Returns the answer if it is done.
    fn work(&mut self, turn: &Turn) -> Result<Option<Answer<T>>, Error> {
        match &mut self.task {
            None => return Ok(None),
            Some(Task::Seal(epoch)) => {
                let committables = self.writer.seal(*epoch)?;
                (self.task, self.unflushed) = (None, None);
                return Ok(Some(Answer::Sealed(committables)));
            }
            Some(Task::Write(records)) => {
                while records.len() > 0 {
                    if turn.over() {
                        return Ok(None);
                    }
                    self.piece.extend(records.by_ref().take(PIECE));
                    let count = self.piece.len() as u64;
                    self.writer.write(&mut self.piece)?;
                    self.piece.clear();
                    self.metrics.records_out.add(count);
                }
            }
        }
        self.task = None;
        self.unflushed.get_or_insert_with(Instant::now);
        Ok(Some(Answer::Written))
    }

    /// Flushes records that have been in the buffer for long enough. Otherwise returns the time left.
    fn flush_in_time(&mut self) -> Result<Option<Duration>, Error> {
        let Some(since) = self.unflushed else { return Ok(None) };
        let left = FLUSH_AFTER.saturating_sub(since.elapsed());
        if !left.is_zero() {
            return Ok(Some(left));
        }
        self.writer.flush()?;
        self.unflushed = None;
        Ok(None)
    }
}
