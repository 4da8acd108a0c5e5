//! Timers of process functions, of event time and of the wall clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{SystemTime, UNIX_EPOCH};

use tidegate::prelude::*;

use crate::script::{Script, Step, ms, run, until};

fn bounded() -> WatermarkStrategy {
    WatermarkStrategy::bounded(ms(0))
}

/// Each record sets a timer, and each timer the next, five in all; a timer taken back does not fire.
#[derive(Default)]
struct Chain(Option<ValueState<u8, i64>>);

impl Chain {
    fn fired(&mut self) -> Result<&mut ValueState<u8, i64>, Error> {
        self.0.as_mut().ok_or_else(|| Error::internal("not opened"))
    }
}

impl ProcessFunction<u8, (u8, i64)> for Chain {
    type Out = (u8, i64);

    fn open(&mut self, states: &mut States) -> Result<(), Error> {
        self.0 = Some(states.value("fired")?);
        Ok(())
    }

    fn process(&mut self, (key, _): (u8, i64), context: &mut ProcessContext<'_, u8, Self::Out>) -> Result<(), Error> {
        self.fired()?.set(&key, 0)?;
        context.set_event_timer(context.time() + 10);
        context.set_event_timer(context.time() + 11);
        context.delete_event_timer(context.time() + 11);
        Ok(())
    }

    fn on_timer(&mut self, timer: Timer, context: &mut ProcessContext<'_, u8, Self::Out>) -> Result<(), Error> {
        let Timer::Event(time) = timer else { return Err(Error::internal("no clock was set")) };
        let key = *context.key();
        let count = |fired: &mut i64| {
            *fired += 1;
            *fired
        };
        if self.fired()?.update(&key, || 0, count)? < 5 {
            context.set_event_timer(time + 10);
        }
        assert_eq!(context.time(), time);
        context.emit((key, time));
        Ok(())
    }
}

#[test]
fn event_timers_fire_in_order_and_may_set_further_ones() {
    // All further timers are due already when the first fires: the watermark jumps to the end.
    let keys = 20_u8;
    for workers in 1..=4 {
        let found = CollectSink::new();
        let sink = found.clone();
        let job = Job::new(move |flow| {
            let records = FnSource::new(move |i| Record::new(i as i64, (i as u8, 0))).with_count(u64::from(keys));
            flow.source("in", records, bounded())
                .key_by(|(key, _): &(u8, i64)| *key)
                .process("chain", Chain::default())
                .sink("out", sink.clone());
        })
        .expect("a job");
        run(&job, RunConfig::workers(workers).barrier_every(ms(2))).expect("it runs");
        let found = found.take();
        assert_eq!(found.len(), 5 * usize::from(keys));
        for key in 0..keys {
            let of: Vec<_> = found.iter().filter(|r| r.value.0 == key).map(|r| (r.time, r.value.1)).collect();
            let expected: Vec<_> = (1..=5).map(|n| i64::from(key) + n * 10).map(|time| (time, time)).collect();
            assert_eq!(of, expected, "key {key}, {workers} workers");
        }
    }
}

/// Fires a while after each record by the wall clock, without a further record.
struct Alarm {
    fired: Arc<AtomicUsize>,
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_millis() as i64
}

impl ProcessFunction<u8, u8> for Alarm {
    type Out = (u8, bool);

    fn process(&mut self, _: u8, context: &mut ProcessContext<'_, u8, Self::Out>) -> Result<(), Error> {
        context.set_clock_timer(now() + 40);
        // One that is taken back, and one that is not reached before the end.
        context.set_clock_timer(now() + 41_000);
        context.set_clock_timer(1);
        context.delete_clock_timer(1);
        Ok(())
    }

    fn on_timer(&mut self, timer: Timer, context: &mut ProcessContext<'_, u8, Self::Out>) -> Result<(), Error> {
        let Timer::Clock(time) = timer else { return Err(Error::internal("no event timer was set")) };
        let key = *context.key();
        context.emit((key, time > 1 && time <= now()));
        self.fired.fetch_add(1, SeqCst);
        Ok(())
    }
}

#[test]
fn timers_of_the_wall_clock_fire_without_further_records() {
    for workers in [1, 2] {
        let fired = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&fired);
        // The source stays open, and silent, until both have fired.
        let records = vec![Record::new(1, 1_u8), Record::new(2, 2_u8)];
        let script = Script::new([vec![Step::Batch(0, records, false), until(move || seen.load(SeqCst) >= 2)]]);
        let found = CollectSink::new();
        let sink = found.clone();
        let job = Job::new(move |flow| {
            let alarm = Alarm { fired: Arc::clone(&fired) };
            flow.source("in", script.clone(), bounded()).key_by(|key: &u8| *key).process("alarm", alarm).sink("out", sink.clone());
        })
        .expect("a job");
        run(&job, RunConfig::workers(workers)).expect("it runs");
        let mut found: Vec<_> = found.take().into_iter().map(|r| r.value).collect();
        found.sort_unstable();
        assert_eq!(found, [(1, true), (2, true)]);
    }
}
