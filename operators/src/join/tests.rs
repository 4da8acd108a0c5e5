//! Interval joins compared with a search over all pairs.

use proptest::prelude::*;
use tidegate_runtime::operator::{Context, Logic, Outbox};
use tidegate_runtime::{Record, Watermark};

use super::*;

/// Key, time and number.
type Item = (u8, i64, usize);

/// Records in any order, none of them late. Every pair in the interval must be found once, and every record without a partner must be
/// emitted once.
#[derive(Clone, Debug)]
struct Script {
    steps: Vec<(bool, u8, i64, bool)>,
    lower: i64,
    width: i64,
}

fn script() -> impl Strategy<Value = Script> {
    let step = (any::<bool>(), 0u8..3, -30i64..60, any::<bool>());
    (proptest::collection::vec(step, 0..50), -20i64..20, 0i64..20).prop_map(|(steps, lower, width)| Script { steps, lower, width })
}

proptest! {
    #[test]
    fn every_pair_in_the_interval_is_found_once(script in script()) {
        let Script { steps, lower, width } = script;
        for kind in [JoinType::Inner, JoinType::Left, JoinType::Right, JoinType::Full] {
            let interval = Interval::new(lower, lower + width).unwrap();
            let key = |item: &Either<Item, Item>| match item { Either::Left(item) | Either::Right(item) => item.0 };
            let number = |item: Option<&Item>| item.map(|item| item.2);
            let pair = move |_: &u8, left: Option<&Item>, right: Option<&Item>| (number(left), number(right));
            let mut logic = IntervalLogic::new(key, interval, kind, pair, &mut Context::default()).unwrap();
            let mut out = Outbox::default();
            // The watermark stays below the times of all records still to come.
            let least_from = |i: usize| steps[i..].iter().map(|step| step.2).min();
            for (i, (right, key, time, moves)) in steps.iter().enumerate() {
                if let Some(least) = least_from(i).filter(|least| *moves && Watermark(*least - 1) > out.watermark()) {
                    logic.watermark(Watermark(least - 1), &mut out).unwrap();
                    out.set_watermark(Watermark(least - 1));
                }
                let item = (*key, *time, i);
                logic.record(Record::new(*time, if *right { Either::Right(item) } else { Either::Left(item) }), &mut out).unwrap();
            }
            logic.watermark(Watermark::END, &mut out).unwrap();
            let (found, late) = out.take();
            prop_assert!(late.is_empty());
            prop_assert_eq!(logic.waiting().unwrap(), (vec![], vec![]));
            let sides = |right: bool| steps.iter().enumerate().filter(move |(_, step)| step.0 == right);
            let near = |l: &(bool, u8, i64, bool), r: &(bool, u8, i64, bool)| l.1 == r.1 && (lower..=lower + width).contains(&(r.2 - l.2));
            let mut expected = Vec::new();
            for (i, l) in sides(false) {
                let partners: Vec<usize> = sides(true).filter(|(_, r)| near(l, r)).map(|(j, _)| j).collect();
                if partners.is_empty() && kind.keeps_left() {
                    expected.push((Some(i), None));
                }
                expected.extend(partners.into_iter().map(|j| (Some(i), Some(j))));
            }
            let alone = sides(true).filter(|(_, r)| kind.keeps_right() && !sides(false).any(|(_, l)| near(l, r)));
            expected.extend(alone.map(|(j, _)| (None, Some(j))));
            let mut found: Vec<_> = found.into_iter().map(|r| r.value).collect();
            found.sort_unstable();
            expected.sort_unstable();
            prop_assert_eq!(found, expected, "{}", kind);
        }
    }
}

#[test]
fn an_interval_with_nothing_in_it_is_none() {
    assert_eq!(Interval::new(3, 2), None);
    assert_eq!(Interval::new(2, 3).and_then(Interval::lower_exclusive).and_then(Interval::upper_exclusive), None);
}

/// Records that would wait beyond the end of time wait until then and are removed.
#[test]
fn nothing_waits_beyond_the_end_of_time() {
    for (low, high) in [(-5_000, 5_000), (0, 0), (0, i64::MAX), (-i64::MAX, 0)] {
        for time in [i64::MAX - 807, i64::MAX - 1, i64::MAX] {
            let key = |item: &Either<Item, Item>| match item {
                Either::Left(item) | Either::Right(item) => item.0,
            };
            let pair = |_: &u8, left: Option<&Item>, right: Option<&Item>| (left.copied(), right.copied());
            let interval = Interval::new(low, high).unwrap();
            let mut logic = IntervalLogic::new(key, interval, JoinType::Full, pair, &mut Context::default()).unwrap();
            let mut out = Outbox::default();
            let (left, right) = ((1, time, 0), (2, time, 1));
            logic.record(Record::new(time, Either::Left(left)), &mut out).unwrap();
            logic.record(Record::new(time, Either::Right(right)), &mut out).unwrap();
            logic.watermark(Watermark::END, &mut out).unwrap();
            let mut found: Vec<_> = out.take().0.into_iter().map(|r| r.value).collect();
            found.sort_unstable();
            assert_eq!(found, [(None, Some(right)), (Some(left), None)]);
            assert_eq!(logic.waiting().unwrap(), (vec![], vec![]));
        }
    }
}
