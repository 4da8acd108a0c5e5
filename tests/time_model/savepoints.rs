//! Event time across a savepoint and what goes on from it.

use std::sync::{Arc, OnceLock};

use serde_json::{Value, json};
use tempfile::TempDir;
use tidegate::checkpoints::Snapshot;
use tidegate::prelude::*;
use tidegate::runtime::checkpoint::Restore;
use tidegate::runtime::{StateConfig, Stopper};

use crate::script::{Script, Step, ms, run, until, wait_for};

type Counts = CollectSink<WindowResult<u8, u64>>;

fn batch(split: u32, times: &[i64]) -> Step<u8> {
    Step::Batch(split, times.iter().map(|t| Record::new(*t, 0)).collect(), false)
}

/// Counts per second.
fn count(script: Script<u8>, strategy: WatermarkStrategy, counts: &Counts) -> Job {
    let counts = counts.clone();
    Job::new(move |flow| {
        let tumbling = Window::tumbling(ms(1_000), 0).expect("a second is a window");
        let windows = flow.source("in", script.clone(), strategy).key_by(|key: &u8| *key).window(tumbling);
        windows.aggregate("counts", Count).sink("out", counts.clone());
    })
    .expect("a job")
}

fn found(counts: &Counts) -> Vec<(i64, u64)> {
    counts.take().into_iter().map(|r| (r.value.start, r.value.value)).collect()
}

fn config(dir: &TempDir, workers: usize) -> RunConfig {
    RunConfig { state: StateConfig { dir: dir.path().join("state"), ..StateConfig::default() }, ..RunConfig::workers(workers) }
}

fn saved(dir: &TempDir) -> String {
    dir.path().join("save").to_str().expect("a path in UTF-8").to_owned()
}

fn restored(dir: &TempDir) -> Option<Arc<Restore>> {
    Some(Arc::new(Restore::new(Snapshot::open(&saved(dir)).expect("a savepoint"))))
}

/// What the instances of the source have put into the savepoint, by worker.
fn parts(dir: &TempDir) -> Vec<Value> {
    let snapshot = Snapshot::open(&saved(dir)).expect("a savepoint");
    let source = snapshot.manifest().operators.iter().find(|operator| operator.id.as_str() == "in").expect("the source");
    source.parts.iter().map(|part| part.list.clone().into()).collect()
}

/// Has nothing more to say while the test lasts.
fn silent() -> Step<u8> {
    until(|| false)
}

/// One instance is idle and follows the other, whose window has fired. What came too late for that window comes too late after the restore, too, though
/// nobody has been found idle yet.
#[test]
fn what_is_late_after_a_restore_was_late_before() {
    let (dir, counts) = (TempDir::new().expect("a directory"), Counts::new());
    let script = Script::new([vec![batch(0, &[100, 900, 1_500]), silent()], vec![batch(1, &[]), silent()]]);
    let strategy = WatermarkStrategy::bounded(ms(0)).idle_after(ms(30));
    let running = count(script, strategy, &counts).start(config(&dir, 2)).expect("it starts");
    wait_for("the first window", || found(&counts) == [(0, 2)]);
    running.stopper().savepoint(saved(&dir)).recv().expect("an answer").expect("a savepoint");
    running.stop();
    running.wait().expect("it stops");

    let late = Script::new([vec![batch(0, &[200, 1_600])]]);
    let config = RunConfig { restore: restored(&dir), ..config(&dir, 1) };
    run(&count(late, strategy.idle_after(ms(3_600_000)), &counts), config).expect("it runs");
    assert_eq!(found(&counts), [(1_000, 2)]);
}

/// The second instance comes to its end while the barrier of the savepoint is on its way, and before it has put it into its own stream.
#[test]
fn a_savepoint_knows_of_a_source_that_ends_while_it_is_taken() {
    let dir = TempDir::new().expect("a directory");
    let stopper: Arc<OnceLock<Stopper>> = Arc::default();
    let asked = Arc::clone(&stopper);
    let to = saved(&dir);
    let ask = until(move || {
        let Some(stopper) = asked.get() else { return false };
        drop(stopper.savepoint(to.clone()));
        while !stopper.checkpoints().under_way {
            std::thread::sleep(ms(1));
        }
        true
    });
    let script = Script::new([vec![batch(0, &[100]), silent()], vec![batch(1, &[100]), ask]]);
    let running = count(script, WatermarkStrategy::bounded(ms(0)), &Counts::new()).start(config(&dir, 2)).expect("it starts");
    stopper.set(running.stopper()).ok().expect("it is set once");
    wait_for("the savepoint", || running.checkpoints().last.is_some());
    running.stop();
    running.wait().expect("it stops");
    assert_eq!(parts(&dir)[1][0]["split"]["position"], json!(1));
}

/// The first source has read everything, and waits for the savepoint of the end; the second, far ahead of it, must come to its end.
#[test]
fn a_source_that_has_read_everything_does_not_hold_up_one_with_a_drift() {
    let dir = TempDir::new().expect("a directory");
    let short = Script::new([vec![batch(0, &[1_000])]]);
    let long = Script::new([(1..=100).map(|n| batch(1, &[n * 1_000])).collect::<Vec<_>>()]);
    let counts = Counts::new();
    let sink = counts.clone();
    let job = Job::new(move |flow| {
        let bounded = WatermarkStrategy::bounded(ms(0));
        let long = flow.source("long", long.clone(), bounded.max_drift(ms(10)));
        let all = flow.source("in", short.clone(), bounded).union(long).key_by(|key: &u8| *key);
        all.window(Window::tumbling(ms(1_000), 0).expect("a window")).aggregate("counts", Count).sink("out", sink.clone());
    });
    let config = RunConfig { savepoint_at_end: Some(saved(&dir)), ..config(&dir, 1) };
    run(&job.expect("a job"), config).expect("it comes to its end");
    // The windows from a second on stay open: event time is where the first source is.
    assert_eq!(found(&counts), []);
    assert_eq!(Snapshot::open(&saved(&dir)).expect("a savepoint").manifest().watermark, Some(999));
}

/// The second instance has nothing to read. Windows fire as with one.
#[test]
fn event_time_at_a_savepoint_of_the_end_does_not_depend_on_the_number_of_workers() {
    for workers in [1, 2, 3] {
        let dir = TempDir::new().expect("a directory");
        let all = batch(0, &[100, 900, 1_500, 3_300]);
        let scripts = [vec![all], vec![batch(1, &[50])], vec![]];
        let counts = Counts::new();
        let job = count(Script::new(scripts.into_iter().take(workers).collect::<Vec<_>>()), WatermarkStrategy::bounded(ms(0)), &counts);
        let config = RunConfig { savepoint_at_end: Some(saved(&dir)), ..config(&dir, workers) };
        run(&job, config).expect("it comes to its end");
        let first = if workers == 1 { 2 } else { 3 };
        assert_eq!(found(&counts), [(0, first), (1_000, 1)], "{workers} workers");
        assert_eq!(Snapshot::open(&saved(&dir)).expect("a savepoint").manifest().watermark, Some(3_299));
    }
}
