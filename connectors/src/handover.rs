//! Passes batches from a reading thread to the operator through a short queue.
//!
//! The queue is bounded, so a thread that is ahead waits; the operator never does. A thread whose reader is gone
//! notices at the next batch and exits.

use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded};
use tidegate_runtime::Error;
use tidegate_runtime::metrics::SourceMetrics;
use tidegate_runtime::source::{Batch, Poll, Reader, Resumed, SourceContext, Waker};

/// The capacity of the queue: enough for the thread to decode one batch while the operator takes another.
const WAITING: usize = 4;

/// A batch, with the counts to add once it is taken, so that the metrics never run ahead of what was emitted.
pub(crate) struct Parcel<T> {
    pub(crate) batch: Batch<T>,
    pub(crate) count: Count,
}

/// The counts of reading a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) records: u64,
    pub(crate) bad: u64,
    /// Messages without a value.
    pub(crate) tombstones: u64,
    /// Stored bytes.
    pub(crate) bytes: u64,
}

enum Message<T> {
    Parcel(Parcel<T>),
    Failed(Error, Count),
    End,
}

/// The thread's end of the queue.
pub(crate) struct Outlet<T> {
    queue: Sender<Message<T>>,
    /// Dropped after the queue, so that the operator finds it closed.
    waker: LastCall,
}

/// Wakes the operator a last time when the thread exits, because it may have panicked.
struct LastCall(Waker);

impl Drop for LastCall {
    fn drop(&mut self) {
        self.0.wake();
    }
}

/// The operator is gone, so reading can stop.
pub(crate) struct Gone;

impl<T> Outlet<T> {
    /// Hands a batch over. Blocks while the queue is full.
    pub(crate) fn send(&self, parcel: Parcel<T>) -> Result<(), Gone> {
        self.message(Message::Parcel(parcel))
    }

    /// Announces that everything has been read, before the thread exits.
    #[cfg(feature = "kafka")]
    pub(crate) fn end(&self) -> Result<(), Gone> {
        self.message(Message::End)
    }

    fn message(&self, message: Message<T>) -> Result<(), Gone> {
        self.queue.send(message).map_err(|_| Gone)?;
        self.waker.0.wake();
        Ok(())
    }
}

/// Why a thread stopped reading before the end.
pub(crate) enum Stop {
    Gone,
    Failed(Error, Count),
}

impl From<Gone> for Stop {
    fn from(_: Gone) -> Self {
        Self::Gone
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error, Count::default())
    }
}

/// Starts a thread called `name` that runs `read`. Returns the reader of the batches it hands over. `resumed` are the
/// splits that it continues.
pub(crate) fn read_on_thread<T: Send + 'static>(
    name: &str,
    context: SourceContext,
    resumed: Vec<Resumed>,
    read: impl FnOnce(&Outlet<T>) -> Result<(), Stop> + Send + 'static,
) -> Result<Box<dyn Reader<T>>, Error> {
    let (sender, receiver) = bounded(WAITING);
    let outlet = Outlet { queue: sender, waker: LastCall(context.waker) };
    let work = move || {
        let last = match read(&outlet) {
            Ok(()) => Message::End,
            Err(Stop::Failed(error, count)) => Message::Failed(error, count),
            Err(Stop::Gone) => return,
        };
        // If the reader is gone, nobody needs to know.
        let _ = outlet.message(last);
    };
    // The thread is not joined: it may wait for standard input forever, and exits by itself when the queue is gone.
    let spawned = std::thread::Builder::new().name(name.into()).spawn(work);
    spawned.map_err(|e| Error::external("the thread that reads could not be started", e))?;
    Ok(Box::new(Inlet { queue: receiver, metrics: context.metrics, resumed, ended: false }))
}

/// The operator's end of the queue.
struct Inlet<T> {
    queue: Receiver<Message<T>>,
    metrics: Arc<SourceMetrics>,
    resumed: Vec<Resumed>,
    ended: bool,
}

impl<T> Inlet<T> {
    fn count(&self, count: Count) {
        self.metrics.records.add(count.records);
        self.metrics.bad.add(count.bad);
        self.metrics.tombstones.add(count.tombstones);
        self.metrics.bytes.add(count.bytes);
    }
}

impl<T: 'static> Reader<T> for Inlet<T> {
    fn resumed(&mut self) -> Option<Vec<Resumed>> {
        Some(std::mem::take(&mut self.resumed))
    }

    fn poll(&mut self) -> Result<Poll<T>, Error> {
        if self.ended {
            return Ok(Poll::Finished);
        }
        match self.queue.try_recv() {
            Ok(Message::Parcel(parcel)) => {
                self.count(parcel.count);
                Ok(Poll::Batch(parcel.batch))
            }
            Ok(Message::Failed(error, count)) => {
                self.ended = true;
                self.count(count);
                Err(error)
            }
            Ok(Message::End) => {
                self.ended = true;
                Ok(Poll::Finished)
            }
            Err(TryRecvError::Empty) => Ok(Poll::Pending),
            Err(TryRecvError::Disconnected) => {
                self.ended = true;
                Err(Error::internal("the thread that reads ended without a word: it panicked"))
            }
        }
    }
}

/// A reader without input.
pub(crate) struct Nothing;

impl<T> Reader<T> for Nothing {
    fn is_vacant(&self) -> bool {
        true
    }

    fn poll(&mut self) -> Result<Poll<T>, Error> {
        Ok(Poll::Finished)
    }
}

#[cfg(test)]
mod tests {
    use tidegate_runtime::source::SplitId;

    use super::*;

    fn context() -> SourceContext {
        SourceContext {
            worker: 0,
            workers: 1,
            waker: Waker::disconnected(),
            restored: None,
            shared: Default::default(),
            metrics: Arc::default(),
        }
    }

    fn wait<T: 'static>(reader: &mut Box<dyn Reader<T>>) -> Result<Poll<T>, Error> {
        loop {
            match reader.poll() {
                Ok(Poll::Pending) => std::thread::yield_now(),
                other => return other,
            }
        }
    }

    #[test]
    fn a_batch_is_counted_when_it_is_taken() {
        let context = context();
        let metrics = Arc::clone(&context.metrics);
        let mut reader = read_on_thread::<()>("test", context, Vec::new(), |outlet| {
            outlet.send(Parcel {
                batch: Batch::new(SplitId(0), vec![]),
                count: Count { records: 2, bad: 1, bytes: 9, ..Count::default() },
            })?;
            Err(Stop::Failed(Error::user("no"), Count { bad: 1, ..Count::default() }))
        })
        .unwrap();
        assert_eq!(metrics.records.get(), 0);
        assert!(matches!(wait(&mut reader), Ok(Poll::Batch(_))));
        assert_eq!((metrics.records.get(), metrics.bad.get(), metrics.bytes.get()), (2, 1, 9));
        assert_eq!(wait(&mut reader).err().unwrap().to_string(), "no");
        assert_eq!(metrics.bad.get(), 2);
        assert!(matches!(reader.poll(), Ok(Poll::Finished)));
    }

    #[test]
    fn a_panic_of_the_thread_is_an_error_and_not_an_end() {
        let mut reader = read_on_thread::<()>("test", context(), Vec::new(), |_| panic!("expected by a test")).unwrap();
        assert!(wait(&mut reader).is_err());
    }

    #[test]
    fn a_thread_ends_when_its_reader_is_dropped() {
        let (ended, end) = bounded(1);
        let reader = read_on_thread("test", context(), Vec::new(), move |outlet| {
            while outlet.send(Parcel { batch: Batch::new(SplitId(0), vec![]), count: Count::default() }).is_ok() {}
            let _ = ended.send(());
            Err::<(), _>(Stop::Gone)
        });
        let reader: Box<dyn Reader<()>> = reader.unwrap();
        drop(reader);
        assert!(end.recv_timeout(std::time::Duration::from_secs(10)).is_ok());
    }
}
