//! With one worker, what is late is decided by the order of the data alone.

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

/// A batch is judged by the watermark that the batches before it led to.
fn model(batches: &[Vec<Record<Item>>]) -> Outcome {
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

fn outcome(batches: Vec<Vec<Record<Item>>>, breaks: &mut Dice, barriers: bool) -> Outcome {
    let mut steps = Vec::new();
    for batch in batches {
        steps.push(Step::Batch(0, batch, false));
        match breaks.below(40) {
            0 => steps.push(Step::Rest),
            1..5 => steps.push(Step::Pending),
            _ => {}
        }
    }
    let script = Script::new([steps]);
    let (windows, late) = (CollectSink::new(), CollectSink::new());
    let (windows_sink, late_sink) = (windows.clone(), late.clone());
    let job = Job::new(move |flow| {
        let tumbling = Window::tumbling(ms(SIZE), 0).expect("a window");
        let all = flow.source("in", script.clone(), WatermarkStrategy::bounded(ms(DELAY)));
        let (counts, late) = all.key_by(|(key, _): &Item| *key).window(tumbling).aggregate_with_late("counts", Count);
        counts.sink("windows", windows_sink.clone());
        late.sink("late", late_sink.clone());
    })
    .expect("a job");
    let config = RunConfig::workers(1);
    run(&job, if barriers { config.barrier_every(ms(2)) } else { config }).expect("it runs");
    let mut windows: Vec<_> = windows.take().into_iter().map(|r| (r.value.key, r.value.start, r.value.value)).collect();
    windows.sort_unstable();
    (windows, late.take().into_iter().map(|r| r.value.1).collect())
}

#[test]
fn late_data_is_judged_alike_in_every_run() {
    let batches = batches(3);
    let expected = model(&batches);
    assert!(expected.1.len() > 20, "too little is late to tell: {}", expected.1.len());
    for seed in 0..20 {
        let found = outcome(batches.clone(), &mut Dice(seed), seed % 2 == 0);
        assert_eq!(found, expected, "run {seed}");
    }
}
