//! Tests the desk and the thread behind it without a dataflow.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tidegate_checkpoints::Epoch;

use super::desk::{Desk, Turn};
use super::threads::{Answer, Threads};
use crate::error::Error;
use crate::record::Record;
use crate::sink::{Cancellation, Sink, SinkContext, Writer};
use crate::source::Waker;

/// Writes one batch per permit, or at once when the run is over.
struct Permitted {
    permits: Receiver<()>,
    written: Arc<AtomicUsize>,
    cancellation: Cancellation,
}

impl Writer<u8> for Permitted {
    fn write(&mut self, _: &mut Vec<Record<u8>>) -> Result<(), Error> {
        while self.permits.recv_timeout(Duration::from_millis(1)).is_err() && !self.cancellation.is_cancelled() {}
        self.written.fetch_add(1, SeqCst);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Error> {
        Ok(())
    }
}

struct Permitting {
    permits: Mutex<Option<Receiver<()>>>,
    written: Arc<AtomicUsize>,
}

impl Sink<u8> for Permitting {
    fn open(&self, context: SinkContext) -> Result<Box<dyn Writer<u8>>, Error> {
        let permits = self.permits.lock().unwrap().take().ok_or_else(|| Error::internal("opened twice"))?;
        Ok(Box::new(Permitted { permits, written: Arc::clone(&self.written), cancellation: context.cancellation }))
    }
}

struct Rig {
    desk: Desk<u8>,
    threads: Threads<u8>,
    permits: Sender<()>,
    written: Arc<AtomicUsize>,
}

impl Rig {
    fn new() -> Self {
        let (permits, receiver) = channel();
        let written = Arc::<AtomicUsize>::default();
        let sink = Permitting { permits: Mutex::new(Some(receiver)), written: Arc::clone(&written) };
        let mut threads = Threads::new(Waker::disconnected());
        let context = |cancellation| Ok(SinkContext { cancellation, ..SinkContext::default() });
        let desk = Desk::open(&mut threads, "out", Arc::new(sink), Arc::default(), context).unwrap();
        let mut rig = Self { desk, threads, permits, written };
        let Answer::Opened(opened) = rig.answer() else { panic!("it is opened first") };
        assert!(rig.desk.opened(opened, &Arc::default()).is_none());
        rig
    }

    fn answer(&mut self) -> Answer<u8> {
        let start = Instant::now();
        loop {
            if let Some(answer) = self.threads.answer().unwrap() {
                return answer;
            }
            assert!(start.elapsed() < Duration::from_secs(60), "no answer");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Hands over batches while there is room. Returns how many.
    fn fill(&mut self, tick: u32) -> u32 {
        let mut handed = 0;
        while self.desk.has_room() {
            self.desk.write((Epoch(0), tick + handed), vec![Record::new(0, 1)]).unwrap();
            handed += 1;
        }
        handed
    }
}

#[test]
fn no_more_batches_are_in_flight_than_there_is_room_for_and_the_oldest_is_held() {
    let mut rig = Rig::new();
    let room = rig.fill(0);
    assert!((1..=8).contains(&room), "{room} batches");
    for written in 0..100 {
        assert_eq!(rig.desk.since(), Some((Epoch(0), written)), "held until it is written");
        assert!(!rig.desk.has_room());
        rig.permits.send(()).unwrap();
        assert!(matches!(rig.answer(), Answer::Written));
        rig.desk.answered();
        assert_eq!(rig.fill(room + written), 1, "one goes, one comes");
    }
    assert!(rig.desk.work(&Turn::begin()).unwrap().is_none(), "nothing is written on the worker");
}

#[test]
fn a_run_that_is_over_writes_no_more_than_it_was_at() {
    let mut rig = Rig::new();
    assert!(rig.fill(0) > 1);
    let Rig { desk, threads, permits, written } = rig;
    drop((desk, threads));
    assert!(written.load(SeqCst) <= 1, "what was in flight is not written once nobody asks for it");
    assert!(permits.send(()).is_err(), "the writer is gone");
}
