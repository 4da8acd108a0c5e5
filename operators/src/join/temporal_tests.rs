//! Temporal joins compared with lookups in the complete table.

use proptest::prelude::*;
use tidegate_runtime::operator::{Context, Logic, Outbox};
use tidegate_runtime::{Record, Watermark};

use super::*;

/// Key, time and number; a right record also has whether it deletes.
type Left = (u8, i64, usize);
type Right = (u8, i64, usize, bool);

#[derive(Clone, Debug)]
enum Step {
    Left(u8, i64),
    Right(u8, i64, bool),
}

impl Step {
    fn time(&self) -> i64 {
        let (Self::Left(_, time) | Self::Right(_, time, _)) = self;
        *time
    }
}

fn steps() -> impl Strategy<Value = Vec<(Step, bool)>> {
    let left = (0u8..3, -20i64..40).prop_map(|(key, time)| Step::Left(key, time));
    let right = (0u8..3, -20i64..40, prop::bool::weighted(0.2)).prop_map(|(key, time, deletes)| Step::Right(key, time, deletes));
    proptest::collection::vec((prop_oneof![left, right], any::<bool>()), 0..60)
}

type Found = (usize, Option<usize>);

fn pair(_: &u8, left: &Left, right: Option<&Right>) -> Found {
    (left.2, right.map(|right| right.2))
}

fn key(item: &Either<Left, Right>) -> u8 {
    match item {
        Either::Left(item) => item.0,
        Either::Right(item) => item.0,
    }
}

fn logic(unmatched: Unmatched) -> impl Logic<In = Either<Left, Right>, Out = Found, Side = Either<Left, Right>> {
    TemporalLogic::new(key, |right: &Right| right.3, unmatched, pair, None, &mut Context::default()).unwrap()
}

/// The row of a key at a time, among the versions with lower numbers: the latest one, of equal times the last to arrive.
fn valid(steps: &[(Step, bool)], of: u8, at: i64) -> Option<usize> {
    let mut versions: Vec<_> = steps
        .iter()
        .enumerate()
        .filter_map(|(i, (step, _))| if let Step::Right(key, time, deletes) = step { Some((*key, *time, i, *deletes)) } else { None })
        .filter(|version| version.0 == of && version.1 <= at)
        .collect();
    versions.sort_by_key(|version| (version.1, version.2));
    versions.last().filter(|version| !version.3).map(|version| version.2)
}

fn item(i: usize, step: &Step) -> Either<Left, Right> {
    match step {
        Step::Left(key, time) => Either::Left((*key, *time, i)),
        Step::Right(key, time, deletes) => Either::Right((*key, *time, i, *deletes)),
    }
}

proptest! {
    /// As long as no record is late, the order in which the two streams arrive makes no difference.
    #[test]
    fn a_record_meets_the_version_of_its_time(steps in steps()) {
        for unmatched in [Unmatched::Drop, Unmatched::Keep] {
            let (mut logic, mut out) = (logic(unmatched), Outbox::default());
            let mut watermark = i64::MIN;
            for (i, (step, moves)) in steps.iter().enumerate() {
                let least = steps[i..].iter().map(|(step, _)| step.time()).min().unwrap();
                if *moves && least - 1 > watermark {
                    watermark = least - 1;
                    logic.watermark(Watermark(watermark), &mut out).unwrap();
                    out.set_watermark(Watermark(watermark));
                }
                logic.record(Record::new(step.time(), item(i, step)), &mut out).unwrap();
            }
            logic.watermark(Watermark::END, &mut out).unwrap();
            let (found, late) = out.take();
            prop_assert!(late.is_empty());
            let mut found: Vec<(i64, Found)> = found.into_iter().map(|record| (record.time, record.value)).collect();
            let mut expected: Vec<(i64, Found)> = Vec::new();
            for (i, (step, _)) in steps.iter().enumerate() {
                let Step::Left(key, time) = step else { continue };
                let version = valid(&steps, *key, *time);
                if version.is_some() || unmatched == Unmatched::Keep {
                    expected.push((*time, (i, version)));
                }
            }
            found.sort_unstable();
            expected.sort_unstable();
            prop_assert_eq!(found, expected);
        }
    }

    /// For each key, only the last version that the watermark has reached and the later ones are kept, and no deletion that the watermark
    /// has reached.
    #[test]
    fn the_table_is_as_small_as_it_can_be(steps in steps(), to in -20i64..40) {
        let mut context = Context::default();
        let mut logic = TemporalLogic::new(key, |right: &Right| right.3, Unmatched::Drop, pair, None, &mut context).unwrap();
        let mut out = Outbox::default();
        for (i, (step, _)) in steps.iter().enumerate() {
            logic.record(Record::new(step.time(), item(i, step)), &mut out).unwrap();
        }
        logic.watermark(Watermark(to), &mut out).unwrap();
        let waiting = steps.iter().filter(|(step, _)| matches!(step, Step::Left(_, time) if *time > to)).count();
        let mut versions = 0;
        for key in 0..3 {
            let mut times: Vec<i64> = steps
                .iter()
                .filter_map(|(step, _)| if let Step::Right(of, time, _) = step { (*of == key && *time > to).then_some(*time) } else { None })
                .collect();
            times.sort_unstable();
            times.dedup();
            versions += times.len() + usize::from(valid(&steps, key, to).is_some());
        }
        prop_assert_eq!(logic.held().unwrap(), (waiting, versions));
    }
}

#[test]
fn what_comes_behind_the_watermark_is_late_unless_it_still_matters() {
    let (mut logic, mut out) = (logic(Unmatched::Keep), Outbox::default());
    logic.watermark(Watermark(100), &mut out).unwrap();
    out.set_watermark(Watermark(100));
    // Returns the output and the number of late records.
    let mut send = |value: Either<Left, Right>| {
        let time = match &value {
            Either::Left(left) => left.1,
            Either::Right(right) => right.1,
        };
        logic.record(Record::new(time, value), &mut out).unwrap();
        let (found, late) = out.take();
        (found.into_iter().map(|record| record.value).collect::<Vec<_>>(), late.len())
    };
    // A version behind the watermark is still accepted if it is the first of its row.
    assert_eq!(send(Either::Right((1, 50, 10, false))), (vec![], 0));
    // At the watermark the version is known: nothing has to wait.
    assert_eq!(send(Either::Left((1, 100, 0))), (vec![(0, Some(10))], 0));
    assert_eq!(send(Either::Left((2, 100, 1))), (vec![(1, None)], 0));
    assert_eq!(send(Either::Left((1, 99, 2))), (vec![], 1));
    // No record can need the first of these any more.
    assert_eq!(send(Either::Right((1, 40, 11, false))), (vec![], 1));
    assert_eq!(send(Either::Right((1, 60, 12, false))), (vec![], 0));
    assert_eq!(send(Either::Left((1, 100, 3))), (vec![(3, Some(12))], 0));
}
