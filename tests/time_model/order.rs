//! Order per key, end to end.

use proptest::prelude::*;
use tidegate::prelude::*;

use crate::script::{Dice, interleave, ms, run};

/// Passes records on.
struct Same;

impl ProcessFunction<u8, (u8, u32)> for Same {
    type Out = (u8, u32);

    fn process(&mut self, (key, n): (u8, u32), context: &mut ProcessContext<'_, u8, Self::Out>) -> Result<(), Error> {
        context.emit((key, n));
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    /// Each key lives in one split; what happens to it on the way must not change its order.
    #[test]
    fn records_of_a_key_stay_in_order(
        records in prop::collection::vec((0..8_u8, 0..20_i64), 0..600),
        seed in any::<u64>(),
        workers in 1..5_usize,
        barrier in 1..6_u64,
    ) {
        let mut splits = vec![Vec::new(); 4];
        let mut clock = 0;
        for (n, (key, step)) in (0_u32..).zip(&records) {
            clock += step;
            splits[usize::from(key % 4)].push(Record::new(clock, (*key, n)));
        }
        let script = interleave(splits, workers, &mut Dice(seed));
        let found = CollectSink::new();
        let sink = found.clone();
        let job = Job::new(move |flow| {
            let all = flow
                .source("in", script.clone(), WatermarkStrategy::bounded(ms(0)))
                .map("twice", |(key, n)| (key, n * 2))
                .filter("some", |(_, n): &(u8, u32)| n % 3 != 0);
            let low = all.clone().filter("low", |(key, _): &(u8, u32)| *key < 4);
            let high = all.filter("high", |(key, _): &(u8, u32)| *key >= 4);
            low.union(high)
                .key_by(|(key, _): &(u8, u32)| *key)
                .process("same", Same)
                .key_by(|(key, _): &(u8, u32)| *key)
                .aggregate("counted", Fold::new((0, 0), |a: &mut (u32, u32), (_, n): &(u8, u32)| *a = (a.0 + 1, *n), |_: &mut (u32, u32), _: &(u32, u32)| {}))
                .sink("out", sink.clone());
        })
        .expect("a job");
        run(&job, RunConfig::workers(workers).barrier_every(std::time::Duration::from_millis(barrier))).expect("it runs");
        let found = found.take();
        for key in 0..8 {
            let sent = (0_u32..).zip(&records).filter(|(n, (k, _))| *k == key && (n * 2) % 3 != 0).map(|(n, _)| n * 2);
            let sent: Vec<_> = (1_u32..).zip(sent).collect();
            let came: Vec<_> = found.iter().filter(|r| r.value.0 == key).map(|r| r.value.1).collect();
            prop_assert_eq!(came, sent);
        }
    }
}
