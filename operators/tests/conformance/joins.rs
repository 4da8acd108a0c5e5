//! Join cases: two inputs, each with its own watermark.

use serde_json::{Value as Json, json};
use tidegate_operators::join::{CoGroup, Either, Interval, IntervalLogic, JoinType, Pairs};
use tidegate_operators::window::{Assigner, Bounds, Collected, Every, KeepAll, StandardTrigger, TimeDomain, Window};
use tidegate_operators::window::{WindowFunction, WindowLogic, WindowSpec};
use tidegate_runtime::operator::{Context, Logic, Outbox};
use tidegate_runtime::{Clock, Error, Record, Watermark};

use crate::case::window;

/// The step, and the result as JSON.
pub type Found = Vec<(usize, Json)>;
/// The results, the late records, and how many were late.
pub type Outcome = (Found, Found, u64);
/// Key, event time and value as JSON.
type Row = (String, i64, String);
type Both = Either<Row, Row>;

fn key(row: &Both) -> String {
    let (Either::Left(row) | Either::Right(row)) = row;
    row.0.clone()
}

fn row(event: &Json, time: i64, value: &Json) -> Record<Both> {
    let row = (event["key"].as_str().unwrap().to_owned(), time, value.to_string());
    Record::new(time, if event["side"] == "left" { Either::Left(row) } else { Either::Right(row) })
}

/// Drives a join. Its watermark is the lower of the two inputs'.
fn drive<L>(logic: &mut L, input: &[Json], read: impl Fn(&Json) -> Record<Both>, mut after: impl FnMut(&L, usize)) -> (Found, Found)
where
    L: Logic<In = Both, Out = Json, Side = Both>,
{
    let (mut out, mut watermarks) = (Outbox::default(), [i64::MIN; 2]);
    let (mut found, mut late) = (Vec::new(), Vec::new());
    for (step, what) in input.iter().enumerate() {
        if let Some(event) = what.get("event") {
            logic.record(read(event), &mut out).unwrap();
        } else if let Some(to) = what["watermark"].as_i64() {
            let side = &mut watermarks[usize::from(what["side"] == "right")];
            *side = to.max(*side);
            let both = Watermark(watermarks[0].min(watermarks[1]));
            if both > out.watermark() {
                logic.watermark(both, &mut out).unwrap();
                out.set_watermark(both);
            }
        } else {
            // A restored operator has no watermark; its state is unchanged.
            (out, watermarks) = (Outbox::default(), [i64::MIN; 2]);
        }
        let (main, side) = out.take();
        found.extend(main.into_iter().map(|r| {
            let mut json = r.value;
            json["ts"] = json!(r.time);
            (step, json)
        }));
        late.extend(side.into_iter().map(|r| {
            let side = if matches!(r.value, Either::Left(_)) { "left" } else { "right" };
            (step, json!({"side": side, "key": key(&r.value), "ts": r.time}))
        }));
        after(logic, step);
    }
    (found, late)
}

pub fn interval(op: &Json, input: &[Json], expected: &[Json]) -> Outcome {
    let whole = Interval::new(op["lower"].as_i64().unwrap(), op["upper"].as_i64().unwrap());
    let above = if op["lower_inclusive"] == true { whole } else { whole.and_then(Interval::lower_exclusive) };
    let interval = if op["upper_inclusive"] == true { above } else { above.and_then(Interval::upper_exclusive) };
    let pair = |key: &String, left: Option<&Row>, right: Option<&Row>| json!({"key": key, "left_ts": left.map(|row| row.1), "right_ts": right.map(|row| row.1)});
    let mut context = Context::new(Default::default(), Clock::manual(0));
    let mut logic = IntervalLogic::new(key, interval.unwrap(), JoinType::Inner, pair, &mut context).unwrap();
    let read = |event: &Json| row(event, event["ts"].as_i64().unwrap(), &Json::Null);
    let (found, late) = drive(&mut logic, input, read, |logic, step| {
        let (left, right) = logic.waiting().unwrap();
        for check in expected.iter().filter(|e| e["after"] == step && !e["check"].is_null()) {
            for (name, held) in [("left_buffer", &left), ("right_buffer", &right)] {
                let want: Option<Vec<i64>> = serde_json::from_value(check["check"][name].clone()).unwrap();
                let mut held = held.clone();
                held.dedup();
                assert!(want.is_none_or(|want| want == held), "{name} after {step}: {held:?}, not {}", check["check"]);
            }
        }
    });
    let side_output = op["late"] == "side_output";
    let dropped = if side_output { 0 } else { context.metrics.late.get() };
    (found, if side_output { late } else { Vec::new() }, dropped)
}

/// The windows of the case, or those that the rows give by their end.
struct Windows(Option<Window>);

impl Assigner<Both> for Windows {
    fn assign(&mut self, row: &Both, time: i64, windows: &mut Vec<Bounds>) -> Result<bool, Error> {
        match &mut self.0 {
            Some(window) => window.assign(row, time, windows),
            None => {
                windows.push(Bounds { start: time, end: time + 1 });
                Ok(true)
            }
        }
    }

    fn form(&self) -> String {
        String::from("of the case")
    }
}

fn value(row: &Row) -> Json {
    serde_json::from_str(&row.2).unwrap()
}

pub fn windowed(op: &Json, input: &[Json]) -> Outcome {
    let kind = match op["join"].as_str().unwrap() {
        "inner" => JoinType::Inner,
        "left" => JoinType::Left,
        "right" => JoinType::Right,
        "full" => JoinType::Full,
        other => return grouped(op, input, other.to_owned()),
    };
    let carried = op["window"].is_null();
    run(
        op,
        input,
        Pairs::new(kind, move |key: &String, window: Bounds, left: Option<&Row>, right: Option<&Row>| {
            bounded(json!({"key": key, "left": left.map(value), "right": right.map(value)}), window, carried)
        }),
    )
}

fn grouped(op: &Json, input: &[Json], kind: String) -> Outcome {
    let carried = op["window"].is_null();
    let group = move |key: &String, window: Bounds, left: &[&Row], right: &[&Row]| {
        let list = |rows: &[&Row]| rows.iter().map(|row| value(row)).collect::<Vec<_>>();
        let found = match kind.as_str() {
            "cogroup" => vec![json!({"key": key, "left": list(left), "right": list(right)})],
            "semi" if right.is_empty() => vec![],
            "anti" if !right.is_empty() => vec![],
            _ => list(left).into_iter().map(|left| json!({"key": key, "left": left})).collect(),
        };
        found.into_iter().map(|json| bounded(json, window, carried)).collect()
    };
    run(op, input, CoGroup::new(group))
}

fn bounded(mut json: Json, window: Bounds, carried: bool) -> Json {
    json["window_end"] = json!(window.end);
    if !carried {
        json["window_start"] = json!(window.start);
    }
    json
}

fn run<P>(op: &Json, input: &[Json], function: P) -> Outcome
where
    P: WindowFunction<String, [Record<Both>], Out = Json>,
{
    let carried = op["window"].is_null();
    let spec = WindowSpec {
        assigner: Windows((!carried).then(|| window(&op["window"]).unwrap().unwrap())),
        trigger: StandardTrigger::event_time(),
        contents: Collected::new(KeepAll, Every(function)),
        time: TimeDomain::Event,
        lateness: 0,
    };
    let mut context = Context::new(Default::default(), Clock::manual(0));
    let mut logic = WindowLogic::new(key, spec, &mut context).unwrap();
    let read = |event: &Json| match event["window_end"].as_i64() {
        Some(end) => row(event, end - 1, &event["window_end"]),
        None => row(event, event["ts"].as_i64().unwrap(), &event["value"]),
    };
    let (mut found, _) = drive(&mut logic, input, read, |_, _| {});
    if carried {
        found.iter_mut().for_each(|(_, json)| drop(json.as_object_mut().unwrap().remove("ts")));
    }
    (found, Vec::new(), context.metrics.late.get())
}
