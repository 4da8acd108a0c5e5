//! Windows of every kind compared with a naive model that keeps every record of every window.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use tidegate_runtime::operator::{Context, Logic, Outbox};
use tidegate_runtime::{Error, Record, Watermark};

use super::assigner::Kind;
use super::counts::CountLogic;
use super::sessions::SessionLogic;
use super::slices::SliceLogic;
use super::*;
use crate::aggregate::{Aggregate, Fold, Sliding};

mod rescale;

type Value = (u8, i64);
/// Key, start, end and the sorted values.
type Fired = (u8, i64, i64, Vec<i64>);

#[derive(Clone, Debug)]
enum Input {
    Record {
        key: u8,
        time: i64,
    },
    Watermark(i64),
    /// Event time starts over, as after a restore.
    Anew,
}

#[derive(Clone, Copy, Debug)]
enum Shape {
    Aligned { size: i64, every: i64, offset: i64 },
    Session { gap: i64 },
}

/// A naive model of what a window operator must do, one window at a time.
struct Model {
    shape: Shape,
    lateness: i64,
    watermark: i64,
    windows: BTreeMap<(u8, i64, i64), Pane>,
}

/// A window of one key.
#[derive(Default)]
struct Pane {
    values: Vec<i64>,
    /// Whether it will fire when the watermark reaches its end. After firing it will not, until another record arrives.
    timer: bool,
}

impl Model {
    fn cleanup(&self, end: i64) -> i64 {
        (end - 1).saturating_add(self.lateness)
    }

    fn assign(&self, time: i64) -> Vec<(i64, i64)> {
        match self.shape {
            Shape::Session { gap } => vec![(time, time + gap)],
            Shape::Aligned { size, every, offset } => {
                let first = (time - offset - size).div_euclid(every);
                let starts = (first..).map(|k| k * every + offset).take_while(|s| *s <= time);
                starts.filter(|s| time < s + size).map(|s| (s, s + size)).collect()
            }
        }
    }

    fn record(&mut self, key: u8, time: i64, value: i64) -> (Vec<Fired>, bool) {
        let (mut fired, mut taken) = (Vec::new(), false);
        for (mut start, mut end) in self.assign(time) {
            let mut values = vec![value];
            if let Shape::Session { .. } = self.shape {
                let met: Vec<_> = self.windows.keys().filter(|(k, s, e)| *k == key && *s <= end && *e >= start).copied().collect();
                if met.is_empty() && self.cleanup(end) <= self.watermark {
                    continue;
                }
                for window in met {
                    values.extend(self.windows.remove(&window).unwrap().values);
                    (start, end) = (start.min(window.1), end.max(window.2));
                }
            } else if self.cleanup(end) <= self.watermark {
                continue;
            }
            taken = true;
            let pane = self.windows.entry((key, start, end)).or_default();
            pane.values.extend(values);
            pane.values.sort_unstable();
            if end - 1 <= self.watermark {
                fired.push((key, start, end, pane.values.clone()));
            } else {
                pane.timer = true;
            }
        }
        (fired, !taken && time.saturating_add(self.lateness) <= self.watermark)
    }

    fn watermark(&mut self, to: i64) -> Vec<Fired> {
        let mut fired = Vec::new();
        for ((key, start, end), pane) in self.windows.iter_mut().filter(|((_, _, end), _)| end - 1 <= to) {
            if std::mem::take(&mut pane.timer) {
                fired.push((*key, *start, *end, pane.values.clone()));
            }
        }
        self.watermark = to;
        let lateness = self.lateness;
        self.windows.retain(|(_, _, e), _| (e - 1).saturating_add(lateness) > to);
        fired
    }
}

fn sorted_values(out: &mut Outbox<WindowResult<u8, Vec<i64>>, Value>) -> (Vec<Fired>, usize) {
    let (main, late) = out.take();
    let mut fired: Vec<Fired> = main
        .into_iter()
        .map(|r| {
            assert_eq!(r.time, r.value.end - 1);
            let mut values = r.value.value;
            values.sort_unstable();
            (r.value.key, r.value.start, r.value.end, values)
        })
        .collect();
    fired.sort();
    (fired, late.len())
}

fn check<L>(mut logic: L, shape: Shape, lateness: i64, inputs: &[Input]) -> Result<(), TestCaseError>
where
    L: Logic<In = Value, Out = WindowResult<u8, Vec<i64>>, Side = Value>,
{
    let mut model = Model { shape, lateness, watermark: i64::MIN, windows: BTreeMap::new() };
    let mut out = Outbox::default();
    let end = Input::Watermark(i64::MAX);
    for (step, input) in inputs.iter().chain(Some(&end)).enumerate() {
        let value = step as i64;
        let (mut expected, late) = match *input {
            Input::Record { key, time } => {
                logic.record(Record::new(time, (key, value)), &mut out).unwrap();
                model.record(key, time, value)
            }
            Input::Anew => {
                out.set_watermark(Watermark::NONE);
                model.watermark = i64::MIN;
                continue;
            }
            Input::Watermark(to) if to <= out.watermark().0 => continue,
            Input::Watermark(to) => {
                logic.watermark(Watermark(to), &mut out).unwrap();
                out.set_watermark(Watermark(to));
                (model.watermark(to), false)
            }
        };
        expected.sort();
        prop_assert_eq!(sorted_values(&mut out), (expected, usize::from(late)), "step {}: {:?}", step, input);
    }
    Ok(())
}

fn collect() -> impl Aggregate<Value, Acc = Vec<i64>, Out = Vec<i64>> {
    Fold::new(Vec::new(), |acc: &mut Vec<i64>, v: &Value| acc.push(v.1), |acc: &mut Vec<i64>, other: &Vec<i64>| acc.extend(other))
}

type General = WindowLogic<u8, fn(&Value) -> u8, Value, Window, StandardTrigger, Aggregated<Carried, AsResult>>;

/// The general operator with the same windows.
fn general(window: Window, lateness: i64) -> General {
    let spec = WindowSpec {
        assigner: window,
        trigger: StandardTrigger::event_time(),
        contents: Aggregated::new(Carried(Sliding::Anew), AsResult),
        time: TimeDomain::Event,
        lateness,
    };
    let key: fn(&Value) -> u8 = |v| v.0;
    WindowLogic::new(key, spec, &mut Context::default()).unwrap()
}

/// A value that does not count.
const NOTHING: i64 = -1;

/// Collects the values, which are all distinct.
struct Carried(Sliding);

impl Aggregate<Value> for Carried {
    type Acc = Vec<i64>;
    type Out = Vec<i64>;

    fn create(&self) -> Vec<i64> {
        Vec::new()
    }
    fn add(&mut self, acc: &mut Vec<i64>, value: &Value, _: i64) -> Result<bool, Error> {
        let counts = value.1 != NOTHING;
        acc.extend(counts.then_some(value.1));
        Ok(counts)
    }
    fn merge(&self, acc: &mut Vec<i64>, other: &Vec<i64>) {
        acc.extend(other);
    }
    fn sliding(&self) -> Sliding {
        self.0
    }
    fn retract(&self, acc: &mut Vec<i64>, other: &Vec<i64>) {
        assert_eq!(self.0, Sliding::Retract);
        acc.retain(|v| !other.contains(v));
    }
    fn finish(&self, acc: &Vec<i64>) -> Vec<i64> {
        acc.clone()
    }
}

/// Two aggregates that must agree, of which one can retract.
struct Both(Carried, Carried);

impl Aggregate<Value> for Both {
    type Acc = (Vec<i64>, Vec<i64>);
    type Out = Vec<i64>;

    fn create(&self) -> Self::Acc {
        Default::default()
    }
    fn add(&mut self, acc: &mut Self::Acc, value: &Value, _: i64) -> Result<bool, Error> {
        acc.0.push(value.1);
        acc.1.push(value.1);
        Ok(true)
    }
    fn merge(&self, acc: &mut Self::Acc, other: &Self::Acc) {
        self.pair().merge(acc, other);
    }
    fn sliding(&self) -> Sliding {
        assert_eq!(self.pair().sliding(), Sliding::Both);
        Sliding::Both
    }
    fn retract(&self, acc: &mut Self::Acc, other: &Self::Acc) {
        self.0.retract(&mut acc.0, &other.0);
    }
    fn rest(&self, part: &Self::Acc) -> Self::Acc {
        self.pair().rest(part)
    }
    fn complete(&self, acc: &mut Self::Acc, rest: &Self::Acc) {
        self.pair().complete(acc, rest);
    }
    fn finish(&self, acc: &Self::Acc) -> Vec<i64> {
        let (mut one, mut other) = acc.clone();
        one.sort_unstable();
        other.sort_unstable();
        assert_eq!(one, other);
        one
    }
}

impl Both {
    fn pair(&self) -> (Carried, Carried) {
        (Carried(self.0.0), Carried(self.1.0))
    }
}

fn inputs() -> impl Strategy<Value = Vec<Input>> {
    let input = prop_oneof![
        32 => (0u8..3, -40i64..120).prop_map(|(key, time)| Input::Record { key, time }),
        8 => (-50i64..130).prop_map(Input::Watermark),
        1 => Just(Input::Anew),
        1 => Just(Input::Watermark(i64::MAX)),
    ];
    proptest::collection::vec(input, 0..60)
}

proptest! {
    #[test]
    fn aligned_windows_equal_the_model(size in 1i64..30, every in 1i64..30, offset in -29i64..30, lateness in prop_oneof![Just(0), 0i64..40], inputs in inputs()) {
        let offset = offset % every;
        let ms = |n: i64| Duration::from_millis(n as u64);
        let Kind::Aligned(windows) = Window::sliding(ms(size), ms(every), offset).unwrap().kind() else { unreachable!() };
        let logic = SliceLogic::new(|v: &Value| v.0, windows, lateness, collect(), &mut Context::default()).unwrap();
        check(logic, Shape::Aligned { size, every, offset }, lateness, &inputs)?;
        let window = Window::sliding(ms(size), ms(every), offset).unwrap();
        check(general(window, lateness), Shape::Aligned { size, every, offset }, lateness, &inputs)?;
    }

    #[test]
    fn sessions_equal_the_model(gap in 1i64..20, lateness in prop_oneof![Just(0), 0i64..40], inputs in inputs()) {
        let logic = SessionLogic::new(|v: &Value| v.0, gap, lateness, collect(), &mut Context::default()).unwrap();
        check(logic, Shape::Session { gap }, lateness, &inputs)?;
        let window = Window::session(Duration::from_millis(gap as u64)).unwrap();
        check(general(window, lateness), Shape::Session { gap }, lateness, &inputs)?;
    }

    /// Holds whether an aggregate retracts, keeps suffixes or merges anew.
    #[test]
    fn overlapping_windows_are_carried_on_however_an_aggregate_allows(
        size in 2i64..60, every in 1i64..30, lateness in prop_oneof![Just(0), 0i64..40], inputs in inputs(),
    ) {
        let ms = |n: i64| Duration::from_millis(n as u64);
        let Kind::Aligned(windows) = Window::sliding(ms(size), ms(every), 0).unwrap().kind() else { unreachable!() };
        for sliding in [Sliding::Retract, Sliding::Suffixes] {
            let logic = SliceLogic::new(|v: &Value| v.0, windows, lateness, Carried(sliding), &mut Context::default()).unwrap();
            check(logic, Shape::Aligned { size, every, offset: 0 }, lateness, &inputs)?;
        }
        let both = Both(Carried(Sliding::Retract), Carried(Sliding::Suffixes));
        let logic = SliceLogic::new(|v: &Value| v.0, windows, lateness, both, &mut Context::default()).unwrap();
        check(logic, Shape::Aligned { size, every, offset: 0 }, lateness, &inputs)?;
    }

    #[test]
    fn windows_that_count_are_over_so_many_records(size in 1u64..8, every in 1u64..8, keys in proptest::collection::vec(0u8..3, 0..80)) {
        let window = CountWindow::new(size.try_into().unwrap(), every.try_into().unwrap());
        let mut logic = CountLogic::new(|v: &Value| v.0, window, collect(), &mut Context::default()).unwrap();
        let (mut out, mut seen) = (Outbox::default(), BTreeMap::<u8, Vec<i64>>::new());
        for (i, key) in keys.into_iter().enumerate() {
            let seen = seen.entry(key).or_default();
            seen.push(i as i64);
            logic.record(Record::new(i as i64, (key, i as i64)), &mut out).unwrap();
            let found: Vec<_> = out.take().0.into_iter().map(|r| (r.time, r.value)).collect();
            let full = seen.len() as u64 >= size && (seen.len() as u64 - size).is_multiple_of(every);
            let expected = full.then(|| (i as i64, (key, seen[seen.len() - size as usize..].to_vec())));
            prop_assert_eq!(found, expected.into_iter().collect::<Vec<_>>());
        }    }
}

/// A record that does not count, for example because an expression failed on it, in windows of every kind.
#[test]
fn a_record_that_does_not_count_leaves_no_trace() {
    let ms = Duration::from_millis;
    let windows = [
        Window::session(ms(10)).unwrap(),
        Window::sliding(ms(10), ms(5), 0).unwrap(),
        Window::cumulative(ms(10), ms(5), 0).unwrap(),
        Window::tumbling(ms(10), 0).unwrap(),
    ];
    for window in windows {
        let mut logic = general(window, 0);
        let mut out = Outbox::default();
        logic.record(Record::new(1, (1, NOTHING)), &mut out).unwrap();
        assert!(logic.keys().unwrap().is_empty(), "{window}");
        for value in [5, NOTHING] {
            logic.record(Record::new(1, (1, value)), &mut out).unwrap();
        }
        logic.watermark(Watermark::END, &mut out).unwrap();
        let (main, late) = out.take();
        assert!(!main.is_empty() && main.iter().all(|r| r.value.value == [5]), "{window}: {main:?}");
        assert!(late.is_empty());
    }
}

#[test]
fn a_record_without_a_time_is_refused() {
    let mut logic = SessionLogic::new(|v: &Value| v.0, 5, 0, collect(), &mut Context::default()).unwrap();
    let error = logic.record(Record::new(Record::UNTIMED, (0, 0)), &mut Outbox::default()).unwrap_err();
    assert!(error.to_string().contains("event time"), "{error}");
}

/// Records at either end of time: each is in a window that fires at the end of input, and nothing overflows.
#[test]
fn the_ends_of_time_are_in_windows_too() {
    let ms = Duration::from_millis;
    for (size, every) in [(10, 10), (25_000, 10_000), (3, 7)] {
        let Kind::Aligned(windows) = Window::sliding(ms(size), ms(every), 0).unwrap().kind() else { unreachable!() };
        for time in [i64::MIN + 1, i64::MIN + 30_000, i64::MAX - 30_000, i64::MAX - 1] {
            let mut logic = SliceLogic::new(|v: &Value| v.0, windows, 0, collect(), &mut Context::default()).unwrap();
            let mut out = Outbox::default();
            logic.record(Record::new(time, (1, 5)), &mut out).unwrap();
            logic.watermark(Watermark::END, &mut out).unwrap();
            let (main, late) = out.take();
            assert!(late.is_empty());
            let held = windows.last_end(time).is_some();
            assert_eq!(!main.is_empty(), held, "{size} {every} {time}");
            assert!(main.iter().all(|r| r.value.start <= time && r.value.value == [5]), "{main:?}");
        }
    }
    let mut logic = SessionLogic::new(|v: &Value| v.0, 10, 0, collect(), &mut Context::default()).unwrap();
    let mut out = Outbox::default();
    for time in [i64::MIN + 1, i64::MAX - 1] {
        logic.record(Record::new(time, (1, 5)), &mut out).unwrap();
    }
    logic.watermark(Watermark::END, &mut out).unwrap();
    assert_eq!(out.take().0.len(), 2);
}

/// The trigger must not walk through the billions of intervals between the last record and the end of time.
#[test]
fn a_window_without_end_fires_at_its_interval_and_at_the_end_of_input() {
    let spec = WindowSpec {
        assigner: Window::global(),
        trigger: StandardTrigger::every(Duration::from_secs(3)).unwrap(),
        contents: Aggregated::new(collect(), AsResult),
        time: TimeDomain::Event,
        lateness: 0,
    };
    let mut logic = WindowLogic::new(|v: &Value| v.0, spec, &mut Context::default()).unwrap();
    let mut out = Outbox::default();
    logic.record(Record::new(1_000, (1, 5)), &mut out).unwrap();
    logic.watermark(Watermark(6_500), &mut out).unwrap();
    assert_eq!(out.take().0.len(), 2);
    logic.watermark(Watermark::END, &mut out).unwrap();
    let (main, _) = out.take();
    assert_eq!(main.len(), 2);
    assert!(main.iter().all(|r| r.time == Record::UNTIMED && r.value.value == [5]));
}

#[test]
fn impossible_windows_are_refused() {
    let second = Duration::from_secs(1);
    assert_eq!(Window::tumbling(Duration::ZERO, 0), Err(InvalidWindow::Size));
    assert_eq!(Window::tumbling(second, 1_000), Err(InvalidWindow::Offset));
    assert_eq!(Window::tumbling(second, i64::MIN), Err(InvalidWindow::Offset));
    assert_eq!(Window::sliding(Duration::from_secs(1 << 40), Duration::from_millis(1), 0), Err(InvalidWindow::TooMany));
}
