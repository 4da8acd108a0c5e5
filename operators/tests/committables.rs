//! Files that a sink hands over as committables: they belong to checkpoints until they are committed, and a restore recovers them once.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::json;
use tidegate_checkpoints::{Directory, Snapshot, Storage};
use tidegate_operators::DataflowExt;
use tidegate_runtime::checkpoint::{CheckpointConfig, Restore};
use tidegate_runtime::sink::{Cancellation, Committable, Committer, Restored, Sink, SinkContext, Writer};
use tidegate_runtime::source::{Batch, Poll, Reader, Source, SourceContext, SplitId};
use tidegate_runtime::watermarks::WatermarkStrategy;
use tidegate_runtime::{Epoch, Error, Job, Record, RunConfig, Running};

/// Endless numbers, from 0 on each worker.
struct Numbers;

struct Next(u64);

impl Source<u64> for Numbers {
    fn open(&self, _: SourceContext) -> Result<Box<dyn Reader<u64>>, Error> {
        Ok(Box::new(Next(0)))
    }
}

impl Reader<u64> for Next {
    fn poll(&mut self) -> Result<Poll<u64>, Error> {
        std::thread::sleep(Duration::from_millis(1));
        self.0 += 1;
        Ok(Poll::Batch(Batch::new(SplitId(0), vec![Record::new(0, self.0 - 1)])))
    }
}

/// What a test observes of a sink, and how it controls it.
#[derive(Default)]
struct Eyes {
    /// What each recovery was given, with the contents of the files.
    recovered: Mutex<Vec<(Restored, Vec<String>)>>,
    /// How many writers were opened with restored state.
    told: AtomicU64,
    commits: AtomicU64,
    /// Commits do not finish.
    stuck: AtomicBool,
    fail: AtomicBool,
}

struct Filed(Arc<Eyes>);

struct Filing {
    eyes: Arc<Eyes>,
    worker: usize,
    dir: PathBuf,
    lines: String,
    cancellation: Cancellation,
}

impl Sink<u64> for Filed {
    fn recover(&self, restored: &Restored) -> Result<(), Error> {
        let files = restored.committables.iter().map(|c| std::fs::read_to_string(c.file.as_ref().unwrap()).unwrap());
        self.0.recovered.lock().unwrap().push((restored.clone(), files.collect()));
        Ok(())
    }

    fn open(&self, context: SinkContext) -> Result<Box<dyn Writer<u64>>, Error> {
        assert!(context.transactional);
        assert!(self.0.recovered.lock().unwrap().len() == usize::from(context.restored.is_some()), "recovered before any is opened");
        self.0.told.fetch_add(u64::from(context.restored.is_some()), SeqCst);
        std::fs::create_dir_all(&context.scratch).unwrap();
        let SinkContext { worker, scratch: dir, cancellation, .. } = context;
        Ok(Box::new(Filing { eyes: Arc::clone(&self.0), worker, dir, lines: String::new(), cancellation }))
    }
}

impl Writer<u64> for Filing {
    fn write(&mut self, records: &mut Vec<Record<u64>>) -> Result<(), Error> {
        records.drain(..).for_each(|record| self.lines.push_str(&format!("{}\n", record.value)));
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Error> {
        Ok(())
    }

    fn seal(&mut self, epoch: Epoch) -> Result<Vec<Committable>, Error> {
        let file = self.dir.join(format!("{epoch}.segment"));
        std::fs::write(&file, std::mem::take(&mut self.lines)).unwrap();
        Ok(vec![Committable { value: json!({ "worker": self.worker, "epoch": epoch.0 }), file: Some(file) }])
    }

    fn committer(&mut self) -> Option<Box<dyn Committer>> {
        Some(Box::new(Committing { eyes: Arc::clone(&self.eyes), cancellation: self.cancellation.clone() }))
    }
}

struct Committing {
    eyes: Arc<Eyes>,
    cancellation: Cancellation,
}

impl Committer for Committing {
    fn commit(&mut self, epoch: Epoch, committables: Vec<Committable>) -> Result<(), Error> {
        assert_eq!(committables.last().unwrap().value["epoch"], epoch.0, "all that was sealed, up to the epoch");
        assert!(committables.iter().all(|c| c.file.as_ref().unwrap().exists()), "a file stays until it is committed");
        // Commits take a while.
        std::thread::sleep(Duration::from_millis(5));
        while self.eyes.stuck.load(SeqCst) && !self.cancellation.is_cancelled() {
            if self.eyes.fail.load(SeqCst) {
                return Err(Error::user("it was told to fail"));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        self.eyes.commits.fetch_add(1, SeqCst);
        Ok(())
    }
}

fn start(eyes: &Arc<Eyes>, workers: usize, dir: &Path, restored: bool) -> Running {
    let storage = Storage::open(dir.join("checkpoints").to_str().unwrap()).unwrap();
    let directory = Directory::open(&storage, "job").unwrap();
    let generation = directory.begin_generation().unwrap();
    let mut config = RunConfig::workers(workers);
    config.job = "job".to_owned();
    config.state.dir = dir.join("state");
    if restored {
        let snapshot = Snapshot::open(dir.join("checkpoints/job").to_str().unwrap()).unwrap();
        config.restore = Some(Arc::new(Restore::new(snapshot)));
    }
    config.checkpoints = Some(CheckpointConfig { keep: 1, ..CheckpointConfig::new(directory, generation, Duration::from_millis(20)) });
    let eyes = Arc::clone(eyes);
    let job = Job::new(move |flow| {
        flow.source("in", Numbers, WatermarkStrategy::bounded(Duration::ZERO)).sink("out", Filed(Arc::clone(&eyes)));
    });
    job.unwrap().start(config).unwrap()
}

fn until(what: &str, done: impl Fn() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn files(dir: &Path) -> usize {
    std::fs::read_dir(dir)
        .map_or(0, |entries| entries.map(|entry| entry.unwrap().path()).map(|p| if p.is_dir() { files(&p) } else { 1 }).sum())
}

#[test]
fn files_are_part_of_checkpoints_until_they_are_committed() {
    let dir = tempfile::tempdir().unwrap();
    let eyes = Arc::new(Eyes::default());
    eyes.stuck.store(true, SeqCst);
    let running = start(&eyes, 2, dir.path(), false);
    until("three checkpoints without a commit", || running.checkpoints().completed >= 3);
    eyes.fail.store(true, SeqCst);
    assert!(running.wait().is_err());
    assert_eq!(files(&dir.path().join("state")), 0, "what was local is gone");

    let eyes = Arc::new(Eyes::default());
    let running = start(&eyes, 3, dir.path(), true);
    until("commits", || eyes.commits.load(SeqCst) >= 12);
    until("what is committed is removed", || files(&dir.path().join("state/run/sinks")) <= 9);
    running.stop();
    running.wait().unwrap();

    let recovered = eyes.recovered.lock().unwrap();
    let [(restored, contents)] = recovered.as_slice() else { panic!("recovered {} times", recovered.len()) };
    assert_eq!((restored.workers, eyes.told.load(SeqCst)), (2, 3));
    // All epochs of each writer, as none was committed: its numbers from 0 on, each exactly once.
    let mut of_worker: BTreeMap<u64, BTreeMap<u64, &str>> = BTreeMap::new();
    for (committable, content) in restored.committables.iter().zip(contents) {
        let number = |name: &str| committable.value[name].as_u64().unwrap();
        of_worker.entry(number("worker")).or_default().insert(number("epoch"), content);
    }
    assert_eq!(of_worker.keys().copied().collect::<Vec<_>>(), [0, 1]);
    for epochs in of_worker.values() {
        assert!(epochs.len() >= 3, "three checkpoints, none committed");
        let numbers: Vec<u64> = epochs.values().flat_map(|content| content.lines()).map(|line| line.parse().unwrap()).collect();
        assert!(!numbers.is_empty());
        assert_eq!(numbers, (0..numbers.len() as u64).collect::<Vec<_>>());
    }
    // Files that no checkpoint refers to any more are deleted.
    let last = Snapshot::open(dir.path().join("checkpoints/job").to_str().unwrap()).unwrap();
    assert_eq!(files(&dir.path().join("checkpoints/job/shared")), last.manifest().files().count());
}
