//! Windows of every kind over random streams, against their definition.

use std::collections::BTreeMap;

use proptest::prelude::*;
use tidegate::prelude::*;
use tidegate::runtime::Mode;

use crate::script::{Dice, interleave, ms, run};

/// Key and number of a record.
type Item = (u8, u32);
/// Key, start, end and the numbers of the records, sorted.
type Found = (u8, i64, i64, Vec<u32>);

#[derive(Clone, Copy, Debug)]
enum Kind {
    Tumbling(i64, i64),
    Sliding(i64, i64, i64),
    Session(i64),
}

impl Kind {
    fn window(self) -> Window {
        match self {
            Self::Tumbling(size, offset) => Window::tumbling(ms(size), offset % size),
            Self::Sliding(size, every, offset) => Window::sliding(ms(size), ms(every), offset % every),
            Self::Session(gap) => Window::session(ms(gap)),
        }
        .expect("a window that can be")
    }

    /// The unit of record times. Windows of sessions that touch are one, unless the first has fired already: whether it has at the very
    /// moment it ends is up to the interleaving. So here they never just touch: times are even, and gaps odd.
    fn unit(self) -> i64 {
        if matches!(self, Self::Session(_)) { 2 } else { 1 }
    }

    /// The windows by definition, from all records at once.
    fn model(self, records: &[Record<Item>]) -> Vec<Found> {
        let (size, every, offset) = match self {
            Self::Tumbling(size, offset) => (size, size, offset),
            Self::Sliding(size, every, offset) => (size, every, offset),
            Self::Session(gap) => return sessions(gap, records),
        };
        let mut windows: BTreeMap<(u8, i64), Vec<u32>> = BTreeMap::new();
        for Record { time, value: (key, n) } in records {
            for start in (time - size + 1..=*time).filter(|start| (start - offset).rem_euclid(every) == 0) {
                windows.entry((*key, start)).or_default().push(*n);
            }
        }
        sorted(windows.into_iter().map(|((key, start), numbers)| (key, start, start + size, numbers)).collect())
    }
}

fn sessions(gap: i64, records: &[Record<Item>]) -> Vec<Found> {
    let mut records: Vec<_> = records.iter().map(|r| (r.value.0, r.time, r.value.1)).collect();
    records.sort_unstable();
    let mut found: Vec<Found> = Vec::new();
    for (key, time, n) in records {
        match found.last_mut() {
            Some((k, _, end, numbers)) if *k == key && time <= *end => {
                *end = time + gap;
                numbers.push(n);
            }
            _ => found.push((key, time, time + gap, vec![n])),
        }
    }
    sorted(found)
}

fn sorted(mut found: Vec<Found>) -> Vec<Found> {
    found.iter_mut().for_each(|(.., numbers)| numbers.sort_unstable());
    found.sort_unstable();
    found
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        (1..400_i64, -400..400_i64).prop_map(|(size, offset)| Kind::Tumbling(size, offset)),
        (1..400_i64, 1..200_i64, -400..400_i64).prop_map(|(size, every, offset)| Kind::Sliding(size, every, offset)),
        (0..100_i64).prop_map(|half| Kind::Session(2 * half + 1)),
    ]
}

/// The records of one source, by split: each is out of order by at most `delay`.
#[derive(Clone, Debug)]
struct Splits(Vec<Vec<Record<Item>>>);

/// `(split, key, step, back)`: the split's clock steps on, and the record lies back from it by up to the delay.
fn splits(unit: i64, delay: i64, number: &mut u32, records: &[(usize, u8, i64, i64)]) -> Splits {
    let mut splits = vec![(1_000, Vec::new()); 4];
    for (split, key, step, back) in records {
        let (clock, split) = &mut splits[*split];
        *clock += step * unit;
        *number += 1;
        split.push(Record::new(*clock - back % (delay / unit + 1) * unit, (*key, *number)));
    }
    Splits(splits.into_iter().map(|(_, records)| records).collect())
}

fn compute(kind: Kind, delay: i64, sources: Vec<Splits>, seed: u64, config: RunConfig) -> Vec<Found> {
    let found = CollectSink::new();
    let sink = found.clone();
    let mut dice = Dice(seed);
    let scripts: Vec<_> = sources.into_iter().map(|s| interleave(s.0, config.workers, &mut dice)).collect();
    let job = Job::new(move |flow| {
        let strategy = WatermarkStrategy::bounded(ms(delay));
        let streams = scripts.iter().enumerate().map(|(i, script)| flow.source(&format!("in-{i}"), script.clone(), strategy));
        let all = streams.reduce(Stream::union).expect("a source");
        let numbers =
            Fold::new(Vec::new(), |all: &mut Vec<u32>, (_, n): &Item| all.push(*n), |all: &mut Vec<u32>, more: &Vec<u32>| all.extend(more));
        all.key_by(|(key, _): &Item| *key).window(kind.window()).aggregate("windows", numbers).sink("out", sink.clone());
    })
    .expect("a job");
    run(&job, config).expect("it runs");
    let found: Vec<_> = found.take();
    for record in &found {
        assert_eq!(record.time, record.value.end - 1, "a window's event time is its last moment");
    }
    sorted(found.into_iter().map(|r| (r.value.key, r.value.start, r.value.end, r.value.value)).collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn windows_are_their_definition_whatever_the_interleaving(
        kind in kind(),
        delay in 0..80_i64,
        records in prop::collection::vec(prop::collection::vec((0..4_usize, 0..4_u8, 0..40_i64, 0..1_000_i64), 0..80), 1..4),
        seed in any::<u64>(),
        workers in 1..5_usize,
        barrier in 1..6_u64,
        at_least_once in any::<bool>(),
    ) {
        let mut number = 0;
        let sources: Vec<_> = records.iter().map(|source| splits(kind.unit(), delay, &mut number, source)).collect();
        let all: Vec<_> = sources.iter().flat_map(|s| &s.0).flatten().cloned().collect();
        let mut config = RunConfig::workers(workers).barrier_every(std::time::Duration::from_millis(barrier));
        config.mode = if at_least_once { Mode::AtLeastOnce } else { Mode::ExactlyOnce };
        prop_assert_eq!(compute(kind, delay, sources, seed, config), kind.model(&all));
    }
}

#[test]
fn out_of_order_input_within_the_delay_gives_what_sorted_input_gives() {
    let mut dice = Dice(5);
    let mut number = 0;
    let records: Vec<_> = (0..1_500).map(|_| (0, dice.below(6) as u8, dice.below(10) as i64, dice.below(1_000) as i64)).collect();
    for kind in [Kind::Tumbling(500, 0), Kind::Sliding(500, 200, 7), Kind::Session(25)] {
        let shuffled = splits(kind.unit(), 100, &mut number, &records);
        let mut in_order = shuffled.0[0].clone();
        in_order.sort_by_key(|r| r.time);
        let expected = compute(kind, 0, vec![Splits(vec![in_order])], 1, RunConfig::workers(1));
        assert!(expected.len() > 50);
        for workers in 1..=4 {
            assert!(compute(kind, 100, vec![shuffled.clone()], 2, RunConfig::workers(workers)) == expected, "{kind:?}, {workers} workers");
        }
    }
}
