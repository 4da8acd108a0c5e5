//! A source with nothing to read sleeps, and misses nothing that it is to wake for.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tidegate::prelude::*;
use tidegate::runtime::StateConfig;
use tidegate::runtime::source::{Batch, Poll, SourceContext, SplitId, Waker};

use crate::script::{ms, run, wait_for};

/// Hands over what comes through a channel, on the first worker. Without a wake-up nobody asks it again.
#[derive(Clone, Default)]
struct Line {
    numbers: Arc<Mutex<Option<Receiver<i64>>>>,
    waker: Arc<OnceLock<Waker>>,
    asked: Arc<AtomicUsize>,
}

struct LineReader {
    numbers: Option<Receiver<i64>>,
    asked: Arc<AtomicUsize>,
}

impl Source<i64> for Line {
    fn open(&self, context: SourceContext) -> Result<Box<dyn Reader<i64>>, Error> {
        let numbers = if context.worker == 0 { self.numbers.lock().unwrap_or_else(PoisonError::into_inner).take() } else { None };
        if numbers.is_some() {
            assert!(self.waker.set(context.waker).is_ok());
        }
        Ok(Box::new(LineReader { numbers, asked: Arc::clone(&self.asked) }))
    }
}

impl Reader<i64> for LineReader {
    fn is_vacant(&self) -> bool {
        self.numbers.is_none()
    }

    fn poll(&mut self) -> Result<Poll<i64>, Error> {
        let Some(numbers) = &self.numbers else { return Ok(Poll::Finished) };
        self.asked.fetch_add(1, SeqCst);
        Ok(match numbers.try_recv() {
            Ok(n) => Poll::Batch(Batch { position: Some(n.into()), ..Batch::new(SplitId(0), vec![Record::new(n, n)]) }),
            Err(TryRecvError::Empty) => Poll::Pending,
            Err(TryRecvError::Disconnected) => Poll::Finished,
        })
    }
}

impl Line {
    fn new() -> (Self, impl Fn(i64) + Send + 'static) {
        let (sender, numbers) = channel();
        let line = Self { numbers: Arc::new(Mutex::new(Some(numbers))), ..Self::default() };
        let waker = Arc::clone(&line.waker);
        let send = move |n| {
            // The source may not be open yet; it asks once when it is.
            let _ = sender.send(n);
            waker.get().into_iter().for_each(Waker::wake);
        };
        (line, send)
    }
}

/// Counts the records of `line` that come out.
fn job(line: &Line) -> (Job, impl Fn() -> usize + Send + 'static) {
    let (line, written) = (line.clone(), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&written);
    let job = Job::new(move |flow| {
        let all = flow.source("in", line.clone(), WatermarkStrategy::bounded(ms(0)));
        let counted = Arc::clone(&counted);
        let count = FnSink::new(move |_: Record<i64>| {
            counted.fetch_add(1, SeqCst);
            Ok(())
        });
        all.key_by(|n: &i64| n % 7).reduce("latest", |_, new| *new).sink("out", count);
    });
    (job.expect("a job"), move || written.load(SeqCst))
}

#[test]
fn each_record_wakes_a_source_that_sleeps() {
    for workers in [1, 2] {
        let (line, send) = Line::new();
        let (job, written) = job(&line);
        let waker = Arc::clone(&line.waker);
        let sender = std::thread::spawn(move || {
            for n in 0..200 {
                send(n);
                wait_for("the record", || written() > n as usize);
            }
            // The end is news, too.
            drop(send);
            waker.get().into_iter().for_each(Waker::wake);
            written()
        });
        run(&job, RunConfig::workers(workers)).expect("it ends");
        assert_eq!(sender.join().expect("all were sent"), 200, "{workers} workers");
    }
}

#[test]
fn a_silent_source_is_not_asked_again_and_again() {
    for workers in [1, 2] {
        let (line, send) = Line::new();
        let (job, written) = job(&line);
        let running = job.start(RunConfig::workers(workers)).expect("it starts");
        send(1);
        wait_for("the record", || written() == 1);
        // However long this takes: once the record has gone through nothing happens.
        std::thread::sleep(Duration::from_secs(1));
        let asked = line.asked.load(SeqCst);
        assert!(asked < 20, "asked {asked} times, {workers} workers");
        running.stop();
        wait_for("the end", || running.is_finished());
        running.wait().expect("it stops in order");
    }
}

#[test]
fn barriers_go_through_a_job_that_sleeps() {
    let (line, send) = Line::new();
    let (job, written) = job(&line);
    let dir = tempfile::tempdir().expect("a directory");
    // What is not stored yet lies there, and each run clears it.
    let state = StateConfig { dir: dir.path().join("state"), ..StateConfig::default() };
    let running = job.start(RunConfig { state, ..RunConfig::workers(2) }).expect("it starts");
    for n in 0..3 {
        send(n);
        wait_for("the record", || written() > n as usize);
        let to = dir.path().join(n.to_string()).display().to_string();
        let answer = running.stopper().savepoint(to.clone());
        assert_eq!(answer.recv_timeout(Duration::from_secs(60)).expect("an answer"), Ok(to));
    }
    running.stop();
    wait_for("the end", || running.is_finished());
    running.wait().expect("it stops in order");
}
