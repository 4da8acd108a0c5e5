//! What is late is decided by the order of the data alone, with any number of workers.

use std::collections::BTreeMap;

use tidegate::prelude::*;

use crate::script::{Dice, Script, Step, ms, run};

const SIZE: i64 = 100;
const DELAY: i64 = 30;

type Item = (u8, u32);

/// Batches with records that lie back by up to four times what is announced.
fn batches(seed: u64) -> Vec<Vec<Record<Item>>> {
    let mut dice = Dice(seed);
    let mut clock = 1_000;
    let mut number = 0;
    let mut record = |dice: &mut Dice| {
        clock += dice.below(20) as i64;
        number += 1;
        Record::new(clock - dice.below(4 * DELAY as usize) as i64, (dice.below(3) as u8, number))
    };
    (0..300).map(|_| (0..=dice.below(5)).map(|_| record(&mut dice)).collect()).collect()
}

/// The windows and the late records, sorted.
type Outcome = (Vec<(u8, i64, u64)>, Vec<u32>);

/// A batch is judged by the watermark that the batches before it led to; or each record by those before it.
fn model(batches: &[Vec<Record<Item>>], strategy: WatermarkStrategy) -> Outcome {
    let records = batches.iter().flatten().map(|record| vec![record.clone()]).collect::<Vec<_>>();
    let batches = if strategy.every_record { &records } else { batches };
    let (mut windows, mut late) = (BTreeMap::new(), Vec::new());
    let mut newest = i64::MIN / 2;
    for batch in batches {
        let watermark = newest - DELAY - 1;
        for Record { time, value: (key, number) } in batch {
            let start = time - time.rem_euclid(SIZE);
            if start + SIZE - 1 <= watermark {
                late.push(*number);
            } else {
                *windows.entry((*key, start)).or_insert(0) += 1;
            }
        }
        newest = batch.iter().map(|r| r.time).fold(newest, i64::max);
    }
    (windows.into_iter().map(|((key, start), n)| (key, start, n)).collect(), late)
}

fn outcome(batches: Vec<Vec<Record<Item>>>, strategy: WatermarkStrategy, workers: usize, breaks: &mut Dice, barriers: bool) -> Outcome {
    let mut steps = Vec::new();
    for batch in batches {
        steps.push(Step::Batch(0, batch, false));
        match breaks.below(40) {
            0 => steps.push(Step::Rest),
            1..5 => steps.push(Step::Pending),
            _ => {}
        }
    }
    let config = RunConfig::workers(workers);
    windows_and_late(Script::new([steps]), strategy, if barriers { config.barrier_every(ms(2)) } else { config })
}

fn windows_and_late(script: Script<Item>, strategy: WatermarkStrategy, config: RunConfig) -> Outcome {
    let (windows, late) = (CollectSink::new(), CollectSink::new());
    let (windows_sink, late_sink) = (windows.clone(), late.clone());
    let job = Job::new(move |flow| {
        let tumbling = Window::tumbling(ms(SIZE), 0).expect("a window");
        let all = flow.source("in", script.clone(), strategy);
        let (counts, late) = all.key_by(|(key, _): &Item| *key).window(tumbling).aggregate_with_late("counts", Count);
        counts.sink("windows", windows_sink.clone());
        late.sink("late", late_sink.clone());
    })
    .expect("a job");
    run(&job, config).expect("it runs");
    let mut windows: Vec<_> = windows.take().into_iter().map(|r| (r.value.key, r.value.start, r.value.value)).collect();
    windows.sort_unstable();
    let mut late: Vec<u32> = late.take().into_iter().map(|r| r.value.1).collect();
    late.sort_unstable();
    (windows, late)
}

#[test]
fn late_data_is_judged_alike_in_every_run() {
    let batches = batches(3);
    let bounded = WatermarkStrategy::bounded(ms(DELAY));
    for strategy in [bounded, bounded.every_record()] {
        let expected = model(&batches, strategy);
        assert!(expected.1.len() > 20, "too little is late to tell: {}", expected.1.len());
        for seed in 0..20 {
            let workers = 1 + (seed / 2 % 3) as usize;
            let found = outcome(batches.clone(), strategy, workers, &mut Dice(seed), seed % 2 == 0);
            assert_eq!(found, expected, "run {seed}, {workers} workers");
        }
    }
    assert_ne!(model(&batches, bounded), model(&batches, bounded.every_record()));
}

/// Each instance of a source judges its records by those it has brought before, however far the others are.
#[test]
fn what_is_late_does_not_depend_on_which_worker_was_faster() {
    let bounded = WatermarkStrategy::bounded(ms(DELAY));
    let (one, other) = (batches(5), batches(6));
    let models = [model(&one, bounded), model(&other, bounded)];
    let mut windows = BTreeMap::new();
    for (key, start, n) in models.iter().flat_map(|(windows, _)| windows) {
        *windows.entry((*key, *start)).or_insert(0) += n;
    }
    let mut late: Vec<u32> = models.iter().flat_map(|(_, late)| late.clone()).collect();
    late.sort_unstable();
    let expected = (windows.into_iter().map(|((key, start), n)| (key, start, n)).collect(), late);
    for seed in 0..10 {
        let mut dice = Dice(seed);
        // Both are announced first, so that neither ends before the other is known.
        let script = |split: u32, batches: &[Vec<Record<Item>>], dice: &mut Dice| {
            let mut steps = vec![Step::Batch(split, Vec::new(), false)];
            for batch in batches {
                steps.push(Step::Batch(split, batch.clone(), false));
                if dice.below(10) == 0 {
                    steps.push(Step::Rest);
                }
            }
            steps
        };
        let scripts = [script(0, &one, &mut dice), script(1, &other, &mut dice)];
        assert_eq!(windows_and_late(Script::new(scripts), bounded, RunConfig::workers(2)), expected, "run {seed}");
    }
}
