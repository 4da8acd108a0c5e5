//! The one clock: with a manual one, whatever goes by the time of day goes by it.

use tidegate::cep::{Candidate, Condition};
use tidegate::prelude::*;
use tidegate::runtime::Clock;

use crate::script::{Script, Step, ms, run, until, wait_for};

/// A day long past: nothing that takes the machine's clock for this one finds it.
const DAY: i64 = 1_000_000_000_000;

fn batch(values: &[u8]) -> Step<u8> {
    Step::Batch(0, values.iter().map(|value| Record::new(0, *value)).collect(), false)
}

/// Sets the clock when this holds, and then goes on.
fn set(clock: &Clock, to: i64, when: impl Fn() -> bool + Send + Sync + 'static) -> Step<u8> {
    let clock = clock.clone();
    until(move || {
        let ready = when();
        if ready {
            clock.set(to);
        }
        ready
    })
}

fn config(clock: &Clock, workers: usize) -> RunConfig {
    RunConfig { clock: clock.clone(), ..RunConfig::workers(workers) }
}

#[test]
fn windows_are_assigned_and_fired_by_the_same_clock() {
    for workers in [1, 2] {
        let (clock, seen, found) = (Clock::manual(DAY + 100), CollectSink::new(), CollectSink::<WindowResult<u8, u64>>::new());
        let (counted, sink) = (seen.clone(), found.clone());
        let in_first = move |n: usize| {
            let counted = counted.clone();
            move || counted.len() >= n
        };
        let fired = found.clone();
        let steps = vec![
            batch(&[1, 2, 1]),
            // No record comes until the clock alone has made the first window fire.
            set(&clock, DAY + 1_000, in_first(3)),
            until(move || fired.len() == 2),
            batch(&[1]),
            set(&clock, DAY + 1_999, in_first(4)),
            batch(&[1]),
            set(&clock, DAY + 2_000, in_first(5)),
        ];
        let fired = found.clone();
        let script = Script::new([steps.into_iter().chain([until(move || fired.len() == 3)]).collect::<Vec<_>>()]);
        let job = Job::new(move |flow| {
            let records = flow.source("in", script.clone(), WatermarkStrategy::from_data());
            let keyed = records.clone().key_by(|key: &u8| *key);
            let second = Window::tumbling(ms(1_000), 0).expect("a window");
            keyed.window(second).processing_time().aggregate("windows", Count).sink("out", sink.clone());
            // What a worker has sent here has come to its windows, too, or comes before the clock is looked at again.
            records.key_by(|key: &u8| *key).reduce("seen", |_, new| *new).sink("came", seen.clone());
        });
        run(&job.expect("a job"), config(&clock, workers)).expect("it runs");
        let mut windows: Vec<_> = found.take().into_iter().map(|r| (r.value.start - DAY, r.value.key, r.value.value)).collect();
        windows.sort_unstable();
        assert_eq!(windows, [(0, 1, 2), (0, 2, 1), (1_000, 1, 2)], "{workers} workers");
    }
}

struct Is(u8);

impl Condition for Is {}

impl tidegate::cep::Judge<u8> for Is {
    fn holds(&self, candidate: &Candidate<'_, u8>) -> Result<bool, Error> {
        Ok(*candidate.event == self.0)
    }
}

#[test]
fn patterns_take_events_and_run_out_of_time_by_the_same_clock() {
    let clock = Clock::manual(DAY);
    let (timeouts, matches, seen) = (CollectSink::new(), CollectSink::new(), CollectSink::new());
    let (unmatched, matched, came) = (timeouts.clone(), matches.clone(), seen.clone());
    let (came_too, ran_out, found) = (seen.clone(), timeouts.clone(), matches.clone());
    let script = Script::new([vec![
        batch(&[1]),
        set(&clock, DAY + 99, move || came.len() == 1),
        batch(&[2]),
        until(move || found.len() == 1),
        batch(&[1]),
        set(&clock, DAY + 199, move || came_too.len() == 3),
        until(move || ran_out.len() == 1),
    ]]);
    let job = Job::new(move |flow| {
        let records = flow.source("in", script.clone(), WatermarkStrategy::from_data());
        let pattern = Pattern::begin("one").when(Is(1)).followed_by("two").when(Is(2)).within(ms(100));
        let search = Search::new(pattern).expect("a pattern").processing_time();
        let found = records.clone().key_by(|_: &u8| 0_u8).pattern("pattern", search);
        found.matches.map("times", |m| (m.start - DAY, m.end - DAY)).sink("matches", matched.clone());
        found.timeouts.map("over", |m| m.start - DAY).sink("timeouts", unmatched.clone());
        records.key_by(|_: &u8| 0_u8).reduce("seen", |_, new| *new).sink("came", seen.clone());
    });
    run(&job.expect("a job"), config(&clock, 1)).expect("it runs");
    assert_eq!(matches.take().into_iter().map(|r| r.value).collect::<Vec<_>>(), [(0, 99)]);
    assert_eq!(timeouts.take().into_iter().map(|r| r.value).collect::<Vec<_>>(), [99]);
}

/// Sets a timer of the clock for a second after a record, and tells what the clock shows then.
struct Alarm;

impl ProcessFunction<u8, u8> for Alarm {
    type Out = (i64, i64);

    fn process(&mut self, _: u8, context: &mut ProcessContext<'_, u8, Self::Out>) -> Result<(), Error> {
        context.set_clock_timer(context.now() + 1_000);
        context.emit((0, context.now()));
        Ok(())
    }

    fn on_timer(&mut self, timer: Timer, context: &mut ProcessContext<'_, u8, Self::Out>) -> Result<(), Error> {
        let Timer::Clock(time) = timer else { return Err(Error::internal("no event timer was set")) };
        context.emit((time, context.now()));
        Ok(())
    }
}

#[test]
fn timers_and_state_that_expires_go_by_it_too() {
    let clock = Clock::manual(DAY);
    let (rung, counts) = (CollectSink::new(), CollectSink::new());
    let (alarms, counted, came, fired) = (rung.clone(), counts.clone(), counts.clone(), rung.clone());
    let script = Script::new([vec![batch(&[1]), set(&clock, DAY + 1_500, move || came.len() == 1 && fired.len() == 1), batch(&[1])]
        .into_iter()
        .chain([until({
            let fired = rung.clone();
            move || fired.len() == 3
        })])
        .collect::<Vec<_>>()]);
    let job = Job::new(move |flow| {
        let records = flow.source("in", script.clone(), WatermarkStrategy::from_data());
        records.clone().key_by(|key: &u8| *key).process("alarm", Alarm).sink("rung", alarms.clone());
        let keyed = records.key_by(|key: &u8| *key).state_ttl(Ttl::after(ms(1_500)));
        keyed.aggregate("counts", Count).sink("counted", counted.clone());
    });
    run(&job.expect("a job"), config(&clock, 1)).expect("it runs");
    let mut rung: Vec<_> = rung.take().into_iter().map(|r| r.value).collect();
    rung.sort_unstable();
    assert_eq!(rung, [(0, DAY), (0, DAY + 1_500), (DAY + 1_000, DAY + 1_500)]);
    assert_eq!(counts.take().into_iter().map(|r| r.value).collect::<Vec<_>>(), [(1, 1), (1, 1)]);
}

#[test]
fn ingestion_time_is_that_of_the_clock_and_windows_fire_as_it_goes_on() {
    for workers in [1, 2] {
        let clock = Clock::manual(DAY + 100);
        let (found, times) = (CollectSink::<WindowResult<u8, u64>>::new(), CollectSink::new());
        let (windows, stamped, came, came_too, fired) = (found.clone(), times.clone(), times.clone(), times.clone(), found.clone());
        let script = Script::new([vec![
            batch(&[1, 1]),
            // The clock is set back: time stands still.
            set(&clock, DAY, move || came.len() == 2),
            batch(&[1]),
            set(&clock, DAY + 1_000, move || came_too.len() == 3),
            // Nothing comes, and yet the first window fires.
            until(move || fired.len() == 1),
            batch(&[1]),
        ]]);
        let job = Job::new(move |flow| {
            let records = flow.source("in", script.clone(), WatermarkStrategy::ingestion());
            let second = Window::tumbling(ms(1_000), 0).expect("a window");
            records.clone().key_by(|key: &u8| *key).window(second).aggregate("windows", Count).sink("out", windows.clone());
            records.sink("times", stamped.clone());
        });
        run(&job.expect("a job"), config(&clock, workers)).expect("it runs");
        assert_eq!(times.take().into_iter().map(|r| r.time - DAY).collect::<Vec<_>>(), [100, 100, 100, 1_000], "{workers} workers");
        let found: Vec<_> = found.take().into_iter().map(|r| (r.value.start - DAY, r.value.value)).collect();
        assert_eq!(found, [(0, 3), (1_000, 1)], "{workers} workers");
    }
}

/// A source that is silent and has no `idle_after` would hold the other one back; the clock does not.
#[test]
fn a_silent_source_of_ingestion_time_holds_nobody_back() {
    let clock = Clock::manual(DAY);
    let found = CollectSink::<WindowResult<u8, u64>>::new();
    let (windows, fired, done) = (found.clone(), found.clone(), found.clone());
    let silent = Script::new([vec![until(move || fired.len() == 1)]]);
    let events =
        Script::new([vec![Step::Batch(0, vec![Record::new(1, 7_u8), Record::new(5_000, 7)], false), until(move || done.len() == 1)]]);
    let job = Job::new(move |flow| {
        let silent = flow.source("silent", silent.clone(), WatermarkStrategy::ingestion());
        let all = flow.source("events", events.clone(), WatermarkStrategy::bounded(ms(0))).union(silent);
        let second = Window::tumbling(ms(1_000), 0).expect("a window");
        all.key_by(|key: &u8| *key).window(second).aggregate("windows", Count).sink("out", windows.clone());
    });
    let running = job.expect("a job").start(config(&clock, 1)).expect("it starts");
    wait_for("the first window", || !found.is_empty());
    running.wait().expect("it ends");
    assert_eq!(found.take().into_iter().map(|r| (r.value.start, r.value.value)).collect::<Vec<_>>(), [(0, 1), (5_000, 1)]);
}
