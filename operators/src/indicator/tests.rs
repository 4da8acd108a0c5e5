//! Indicators against a model that keeps everything and looks at all of it for each record.

use std::time::Duration;

use proptest::prelude::*;
use tidegate_runtime::operator::{Context, Logic, Outbox};
use tidegate_runtime::{Record, Watermark};

use super::contract::Flow;
use super::operator::IndicatorLogic;
use super::typed::{Numbers, OfRecords, Records, Values};
use super::{Calendar, Span, Unit};
use jiff::tz::TimeZone;

/// A key, an amount and a kind.
type Event = (u8, Option<i8>, Option<u8>);

const LATENESS: i64 = 5;

/// What happens: a record this long after (or before) the last, and perhaps the watermark moves to this long before the newest.
#[derive(Clone, Debug)]
struct Step {
    after: i64,
    event: Event,
    watermark: Option<i64>,
}

fn steps(most: i64) -> impl Strategy<Value = Vec<Step>> {
    let after = prop_oneof![4 => 0..4i64, 2 => -15..0i64, 1 => 0..most];
    let event = (0..2u8, prop::option::weighted(0.8, -9..9i8), prop::option::weighted(0.8, 0..4u8));
    let step = (after, event, prop::option::weighted(0.3, 0..30i64));
    prop::collection::vec(step.prop_map(|(after, event, watermark)| Step { after, event, watermark }), 0..150)
}

/// A record of the past, as the model keeps it.
#[derive(Clone, Copy, Debug)]
struct Old {
    time: i64,
    event: Event,
}

/// The items that a span covers as seen from `moment`, in order of time and arrival.
fn covered(span: &Span, past: &[Old], moment: i64, own: bool) -> Vec<Old> {
    let mut all: Vec<Old> = past.iter().copied().filter(|old| old.time <= moment).collect();
    all.sort_by_key(|old| old.time);
    match span {
        Span::Trailing { over, every: None } => all.retain(|old| old.time > moment - over),
        Span::Trailing { over, every: Some(every) } => all.retain(|old| old.time >= (moment - over + 1).div_euclid(*every) * every),
        Span::Ever { ttl: None } => {}
        Span::Ever { ttl: Some(ttl) } => {
            if all.last().is_none_or(|last| moment - last.time >= *ttl) {
                all.clear();
            }
            let silence = all.windows(2).rposition(|pair| pair[1].time - pair[0].time >= *ttl);
            all.drain(..silence.map_or(0, |at| at + 1));
        }
        Span::Last { n, within } => {
            all.retain(|old| within.is_none_or(|within| old.time > moment - within));
            let n = usize::try_from(*n).unwrap() - usize::from(own);
            all.drain(..all.len().saturating_sub(n));
        }
        Span::Calendar(_) => all.retain(|old| old.time.div_euclid(3_600_000) == moment.div_euclid(3_600_000)),
    }
    all
}

/// What a set of indicators says of a record.
type Said = (u64, u64, f64, Option<f64>, Option<f64>, Option<f64>, Option<f64>, Option<f64>, u64, Option<bool>);

fn model(span: &Span, delay: i64, itself: bool, past: &[Old], record: Old, moment: i64) -> Said {
    let event = record.event;
    let own = |feeds: bool| feeds && itself && delay == 0;
    let of = |feeds: fn(&Event) -> bool| {
        let own = own(feeds(&event));
        let fed: Vec<Old> = past.iter().copied().filter(|old| feeds(&old.event)).collect();
        let mut all = covered(span, &fed, moment - delay, own);
        all.extend(own.then_some(record));
        all.sort_by_key(|old| old.time);
        all.iter().map(|old| old.event).collect::<Vec<Event>>()
    };
    let count = of(|_| true).len() as u64;
    let numbers: Vec<f64> = of(|event| event.1.is_some()).iter().map(|event| f64::from(event.1.unwrap())).collect();
    let n = numbers.len() as f64;
    let some = |value: f64| (!numbers.is_empty()).then_some(value);
    let mean = numbers.iter().sum::<f64>() / n;
    let squares: f64 = numbers.iter().map(|number| (number - mean).powi(2)).sum();
    let kinds: std::collections::BTreeSet<Option<u8>> = of(|event| event.2.is_some()).iter().map(|event| event.2).collect();
    let before: Vec<Old> = past.iter().copied().filter(|old| old.event.2.is_some()).collect();
    let before = covered(span, &before, moment - delay, own(event.2.is_some()));
    let is_new = event.2.map(|kind| !before.iter().any(|old| old.event.2 == Some(kind)));
    (
        count,
        numbers.len() as u64,
        numbers.iter().sum(),
        some(mean),
        some(numbers.iter().copied().fold(f64::INFINITY, f64::min)),
        some(numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max)),
        numbers.first().copied(),
        (numbers.len() > 1).then(|| (squares / (n - 1.0)).sqrt()),
        kinds.len() as u64,
        is_new,
    )
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * (1.0 + a.abs().max(b.abs()))
}

fn alike(a: Option<f64>, b: Option<f64>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => close(a, b),
        (a, b) => a.is_none() && b.is_none(),
    }
}

/// Runs the operator and the model over the same steps.
fn check(span: &Span, delay: i64, itself: bool, may_be_late: bool, steps: &[Step]) -> Result<(), TestCaseError> {
    let all = Records::that("all", |_: &Event| true);
    let amounts = Numbers::of("amount", |event: &Event| event.1.map(f64::from));
    let kinds = Values::of("kind", |event: &Event| event.2);
    macro_rules! seen {
        ($indicator:expr) => {{
            let mut indicator = $indicator;
            if delay > 0 {
                indicator = indicator.delayed(Duration::from_millis(delay.unsigned_abs()));
            }
            if itself { indicator } else { indicator.without_itself() }
        }};
    }
    let set = (
        seen!(all.count(span.clone())),
        seen!(amounts.count(span.clone())),
        seen!(amounts.sum(span.clone())),
        seen!(amounts.avg(span.clone())),
        seen!(amounts.min(span.clone())),
        seen!(amounts.max(span.clone())),
        seen!(amounts.first(span.clone())),
        seen!(amounts.stddev(span.clone())),
        seen!(kinds.count_distinct(span.clone())),
        seen!(kinds.is_new(span.clone())),
    );
    let mut context = Context::default();
    let flow = Flow::Arrival { lateness: LATENESS };
    let mut logic = IndicatorLogic::new(|event: &Event| event.0, |_| 0, OfRecords::new(set), flow, &mut context).unwrap();
    let mut out = Outbox::default();
    let (mut past, mut time, mut newest) = (Vec::<Old>::new(), 1_000_000, 1_000_000);
    for step in steps {
        let horizon = out.watermark().0.saturating_sub(LATENESS);
        time += step.after;
        if !may_be_late {
            time = time.max(horizon + 1);
        }
        newest = newest.max(time);
        logic.record(Record::new(time, step.event), &mut out).unwrap();
        let (found, _) = out.take();
        prop_assert_eq!((found.len(), found[0].time), (1, time));
        let of_key: Vec<Old> = past.iter().copied().filter(|old| old.event.0 == step.event.0).collect();
        let (got, expected) = (found[0].value.1, model(span, delay, itself, &of_key, Old { time, event: step.event }, time.max(horizon)));
        let same = (got.0, got.1, got.8, got.9) == (expected.0, expected.1, expected.8, expected.9)
            && close(got.2, expected.2)
            && [(got.3, expected.3), (got.4, expected.4), (got.5, expected.5), (got.7, expected.7)].iter().all(|(a, b)| alike(*a, *b))
            && alike(got.6, expected.6);
        prop_assert!(same, "at {time} for {:?}: {got:?} and not {expected:?}", step.event);
        past.push(Old { time, event: step.event });
        if let Some(behind) = step.watermark
            && newest - behind > out.watermark().0
        {
            let watermark = Watermark(newest - behind);
            out.set_watermark(watermark);
            logic.watermark(watermark, &mut out).unwrap();
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn trailing_spans_are_as_if_counted_anew(over in 1..80i64, every in prop::option::of(1..10i64), delay in prop_oneof![Just(0), 1..40i64], itself: bool, steps in steps(60)) {
        let every = every.filter(|every| *every <= over);
        check(&Span::Trailing { over, every }, delay, itself, true, &steps)?;
    }

    #[test]
    fn spans_without_a_beginning_are_as_if_counted_anew(delay in prop_oneof![Just(0), 1..40i64], itself: bool, steps in steps(60)) {
        check(&Span::Ever { ttl: None }, delay, itself, true, &steps)?;
    }

    #[test]
    fn a_silence_forgets(ttl in 1..30i64, delay in prop_oneof![Just(0), 1..20i64], itself: bool, steps in steps(60)) {
        check(&Span::Ever { ttl: Some(ttl) }, delay, itself, false, &steps)?;
    }

    #[test]
    fn the_newest_records_are_as_if_counted_anew(n in 1..12u64, within in prop::option::of(1..60i64), itself: bool, steps in steps(60)) {
        check(&Span::Last { n, within }, 0, itself, false, &steps)?;
    }

    #[test]
    fn periods_of_the_calendar_are_as_if_counted_anew(itself: bool, steps in steps(2_000_000)) {
        check(&Span::Calendar(Calendar::new(Unit::Hour, 0, TimeZone::UTC)), 0, itself, true, &steps)?;
    }
}
