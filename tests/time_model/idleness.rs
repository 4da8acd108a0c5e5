//! Idle sources, and sources that have nothing to do with each other.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use tidegate::prelude::*;

use crate::script::{Script, Step, ms, run, until};

type Item = (u8, u32);
type Counts = CollectSink<WindowResult<u8, u64>>;

/// Collects windows, and counts them for scripts that wait for them.
#[derive(Clone, Default)]
struct Seen {
    windows: Counts,
    number: Arc<AtomicUsize>,
}

impl Seen {
    /// Holds once so many windows came.
    fn at_least(&self, n: usize) -> impl Fn() -> bool + Send + Sync + 'static + use<> {
        let number = Arc::clone(&self.number);
        move || number.load(SeqCst) >= n
    }

    fn sink(&self) -> impl Sink<WindowResult<u8, u64>> + use<> {
        let seen = self.clone();
        FnSink::new(move |record: Record<WindowResult<u8, u64>>| {
            seen.windows.clone().write(&mut vec![record])?;
            seen.number.fetch_add(1, SeqCst);
            Ok(())
        })
    }

    /// Key, start and count of each window, sorted.
    fn take(&self) -> Vec<(u8, i64, u64)> {
        let mut all: Vec<_> = self.windows.take().into_iter().map(|r| (r.value.key, r.value.start, r.value.value)).collect();
        all.sort_unstable();
        all
    }
}

fn tumbling() -> Window {
    Window::tumbling(ms(1_000), 0).expect("a second is a window")
}

fn batch(split: u32, times: &[i64]) -> Step<Item> {
    Step::Batch(split, times.iter().map(|t| Record::new(*t, (split as u8, 0))).collect(), false)
}

/// Counts per key and second over the union of these sources.
fn count(sources: Vec<(Script<Item>, WatermarkStrategy)>, seen: &Seen) -> Job {
    let seen = seen.clone();
    Job::new(move |flow| {
        let streams = sources.iter().enumerate().map(|(i, (script, strategy))| flow.source(&format!("in-{i}"), script.clone(), *strategy));
        let all = streams.reduce(Stream::union).expect("a source");
        all.key_by(|(key, _): &Item| *key).window(tumbling()).aggregate("counts", Count).sink("out", seen.sink());
    })
    .expect("a job")
}

fn bounded() -> WatermarkStrategy {
    WatermarkStrategy::bounded(ms(0))
}

#[test]
fn an_idle_source_does_not_hold_results_back_and_loses_nothing_when_it_wakes() {
    for workers in [1, 2, 3] {
        let seen = Seen::default();
        // The busy source ends only after its window came, and the silent one wakes only then. What it brings from before that window is late.
        let busy = vec![batch(0, &[100, 900, 1_500]), until(seen.at_least(1)), batch(0, &[1_700])];
        let silent = vec![batch(1, &[50]), until(seen.at_least(2)), batch(1, &[1_600, 20, 1_601]), Step::Batch(1, Vec::new(), true)];
        let sources = vec![(Script::new([busy]), bounded()), (Script::new([silent]), bounded().idle_after(ms(30)))];
        run(&count(sources, &seen), RunConfig::workers(workers)).expect("it runs");
        assert_eq!(seen.take(), [(0, 0, 2), (0, 1_000, 2), (1, 0, 1), (1, 1_000, 2)], "{workers} workers");
    }
}

/// When what is not idle has ended, nothing that waits will get any more: it is due. Event time goes no further, as the silent source may wake.
#[test]
fn what_waits_is_due_when_an_idle_source_is_all_that_is_left() {
    for workers in [1, 2, 3] {
        for silent in [vec![Step::Batch(1, Vec::new(), false)], vec![batch(1, &[50])], Vec::new()] {
            let seen = Seen::default();
            let brought = silent.iter().any(|step| matches!(step, Step::Batch(_, records, _) if !records.is_empty()));
            let fired = 2 + usize::from(brought);
            let silent = silent.into_iter().chain([until(seen.at_least(fired)), batch(1, &[1_900, 2_100, 900])]).collect();
            let sources = vec![
                (Script::new([vec![batch(0, &[100, 1_500]), Step::Batch(0, Vec::new(), true)]]), bounded()),
                (Script::new([silent]), bounded().idle_after(ms(30))),
            ];
            run(&count(sources, &seen), RunConfig::workers(workers)).expect("it runs");
            let expected = [(0, 0, 1), (0, 1_000, 1), (1, 0, 1), (1, 2_000, 1)];
            let expected: Vec<_> = expected.into_iter().filter(|window| brought || *window != (1, 0, 1)).collect();
            assert_eq!(seen.take(), expected, "{workers} workers");
        }
    }
}

#[test]
fn an_idle_source_alone_waits_for_more() {
    // With several workers there are instances that never had anything: they have not ended, there is nothing for them.
    let seen = Seen::default();
    let quiet = seen.at_least(1);
    let mut alone = vec![batch(0, &[100, 200])];
    alone.extend((0..12).map(|_| Step::Rest));
    alone.push(until(move || {
        assert!(!quiet(), "a window came while its source was silent");
        true
    }));
    alone.push(batch(0, &[300, 1_500]));
    run(&count(vec![(Script::new([alone]), bounded().idle_after(ms(30)))], &seen), RunConfig::workers(2)).expect("it runs");
    assert_eq!(seen.take(), [(0, 0, 3), (0, 1_000, 1)]);
}

#[test]
fn a_source_that_never_brought_anything_is_idle_too() {
    // Announced, and not even that.
    for silent in [vec![Step::Batch(1, Vec::new(), false)], Vec::new()] {
        let seen = Seen::default();
        let busy = vec![batch(0, &[100, 1_500]), until(seen.at_least(1))];
        let silent = silent.into_iter().chain([until(seen.at_least(1)), batch(1, &[1_600])]).collect();
        let sources = vec![(Script::new([busy]), bounded()), (Script::new([silent]), bounded().idle_after(ms(30)))];
        run(&count(sources, &seen), RunConfig::workers(2)).expect("it runs");
        assert_eq!(seen.take(), [(0, 0, 1), (0, 1_000, 1), (1, 1_000, 1)]);
    }
}

#[test]
fn an_idle_split_and_an_idle_worker_do_not_hold_results_back() {
    let seen = Seen::default();
    let first = vec![Step::Batch(1, Vec::new(), false), batch(0, &[100, 1_500]), until(seen.at_least(1)), batch(1, &[1_200])];
    let second = vec![Step::Batch(2, Vec::new(), false), until(seen.at_least(1)), batch(2, &[1_300])];
    let sources = vec![(Script::new([first, second]), bounded().idle_after(ms(30)))];
    run(&count(sources, &seen), RunConfig::workers(2)).expect("it runs");
    assert_eq!(seen.take(), [(0, 0, 1), (0, 1_000, 1), (1, 1_000, 1), (2, 1_000, 1)]);
}

#[test]
fn a_split_that_says_itself_that_it_is_idle_holds_nothing_back_until_it_wakes() {
    // In the same instance as a busy one.
    let seen = Seen::default();
    let both = vec![Step::Idle(1), batch(0, &[100, 1_500]), until(seen.at_least(1)), batch(1, &[1_200]), batch(0, &[1_600])];
    run(&count(vec![(Script::new([both]), bounded())], &seen), RunConfig::workers(1)).expect("it runs");
    assert_eq!(seen.take(), [(0, 0, 1), (0, 1_000, 2), (1, 1_000, 1)]);
    // In one that has no other.
    let seen = Seen::default();
    let busy = vec![batch(0, &[100, 1_500]), until(seen.at_least(1)), batch(0, &[1_600])];
    let silent = vec![Step::Idle(1), until(seen.at_least(1)), batch(1, &[1_200])];
    run(&count(vec![(Script::new([busy, silent]), bounded())], &seen), RunConfig::workers(2)).expect("it runs");
    assert_eq!(seen.take(), [(0, 0, 1), (0, 1_000, 2), (1, 1_000, 1)]);
}

#[test]
fn without_idle_after_results_wait_for_the_silent_source() {
    let seen = Seen::default();
    let quiet = seen.at_least(1);
    let busy = vec![batch(0, &[100, 1_500])];
    // Silent for a dozen ticks; no window may come before its record.
    let mut silent = vec![Step::Batch(1, Vec::new(), false)];
    silent.extend((0..12).map(|_| Step::Rest));
    silent.extend([
        until(move || {
            assert!(!quiet(), "a window came before all sources had reached its end");
            true
        }),
        batch(1, &[200]),
    ]);
    run(&count(vec![(Script::new([busy]), bounded()), (Script::new([silent]), bounded())], &seen), RunConfig::workers(2)).expect("it runs");
    assert_eq!(seen.take(), [(0, 0, 1), (0, 1_000, 1), (1, 0, 1)]);
}

#[test]
fn sources_that_never_meet_do_not_influence_each_other() {
    let (seen, other) = (Seen::default(), Seen::default());
    // The second source is silent without an `idle_after`, and goes on only when the first has its result; the first is ahead of it by far
    // more than it may be of a source that it meets.
    let busy = vec![batch(0, &[100]), batch(0, &[1_500]), batch(0, &[100_000]), batch(0, &[200_000]), until(seen.at_least(3))];
    let silent = vec![batch(1, &[1]), until(seen.at_least(3)), batch(1, &[2])];
    let (sink, other_sink) = (seen.clone(), other.clone());
    let (busy, silent) = (Script::new([busy]), Script::new([silent]));
    let job = Job::new(move |flow| {
        let one = flow.source("one", busy.clone(), bounded().max_drift(ms(10)));
        one.key_by(|(key, _): &Item| *key).window(tumbling()).aggregate("counts", Count).sink("out", sink.sink());
        let two = flow.source("two", silent.clone(), bounded());
        two.key_by(|(key, _): &Item| *key).window(tumbling()).aggregate("more", Count).sink("out-2", other_sink.sink());
    })
    .expect("a job");
    run(&job, RunConfig::workers(2)).expect("it runs");
    assert_eq!(seen.take(), [(0, 0, 1), (0, 1_000, 1), (0, 100_000, 1), (0, 200_000, 1)]);
    assert_eq!(other.take(), [(1, 0, 2)]);
}

/// Both sources are paused by the sink for far longer than `idle_after`. They are not idle, so neither may follow the other.
#[test]
fn a_source_that_is_paused_is_not_idle() {
    const EACH: u64 = 40_000;
    let (late, written) = (CollectSink::<(u64, u64)>::new(), Arc::new(AtomicUsize::new(0)));
    let (late_sink, count) = (late.clone(), Arc::clone(&written));
    let job = Job::new(move |flow| {
        let from = |start: i64, source: u64| FnSource::new(move |i| Record::new(start + i as i64, (source, i))).with_count(EACH);
        let early = flow.source("early", from(0, 0), bounded().idle_after(ms(20)));
        let ahead = flow.source("ahead", from(10_000_000, 1), bounded().idle_after(ms(20)));
        let all = early.union(ahead);
        let count = Arc::clone(&count);
        all.clone().sink(
            "slow",
            FnSink::new(move |_| {
                // A few hundred milliseconds for what a source may have in flight.
                if count.fetch_add(1, SeqCst).is_multiple_of(64) {
                    std::thread::sleep(ms(1));
                }
                Ok(())
            }),
        );
        let windows = all.key_by(|(source, _): &(u64, u64)| *source).window(tumbling());
        windows.aggregate_with_late("counts", Count).1.sink("late", late_sink.clone());
    });
    job.expect("a job").run(RunConfig::workers(2)).expect("the job ends well");
    assert_eq!(written.load(SeqCst), 2 * EACH as usize);
    assert_eq!(late.take().len(), 0);
}

/// A source without event time that writes to the same sink must not keep an idle one from following the others.
#[test]
fn sources_that_share_only_a_sink_do_not_wait_for_each_other() {
    let seen = Seen::default();
    let busy = Script::new([vec![batch(0, &[0, 500, 5_000]), until(seen.at_least(1))]]);
    let silent: Script<Item> = Script::new([vec![batch(1, &[0]), until(seen.at_least(1))]]);
    let untimed: Script<Item> = Script::new([vec![until(seen.at_least(1))]]);
    let windows = seen.clone();
    let job = Job::new(move |flow| {
        let busy = flow.source("busy", busy.clone(), bounded());
        let silent = flow.source("silent", silent.clone(), bounded().idle_after(ms(20)));
        let untimed = flow.source("untimed", untimed.clone(), WatermarkStrategy::from_data());
        let counts = busy.union(silent).key_by(|(key, _): &Item| *key).window(tumbling()).aggregate("counts", Count);
        let nothing = untimed.map("as_windows", |(key, _): Item| WindowResult { key, start: 0, end: 0, value: 0 });
        counts.union(nothing).sink("out", windows.sink());
    });
    run(&job.expect("a job"), RunConfig::workers(1)).expect("the job ends well");
    assert!(seen.take().contains(&(0, 0, 2)));
}
