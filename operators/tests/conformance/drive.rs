//! Runs a case through the window operator.

use std::cell::Cell;
use std::rc::Rc;

use serde_json::{Value as Json, json};
use tidegate_operators::Fold;
use tidegate_operators::window::{
    Aggregated, Bounds, Collected, Contents, Every, TimeDomain, WindowContext, WindowFunction, WindowLogic, WindowSpec,
};
use tidegate_runtime::metrics::OperatorMetrics;
use tidegate_runtime::operator::{Context, Logic, Outbox};
use tidegate_runtime::{Clock, Error, Record, Watermark};

use crate::case::{Assign, Event, Evicts, Fires, duration};

/// An output: the step, the key, the window, the value and the event time.
pub type Output = (usize, String, Bounds, String, i64);

#[derive(Debug, Default)]
pub struct Outcome {
    pub outputs: Vec<Output>,
    pub late: Vec<(usize, String)>,
    pub dropped: u64,
    pub errors: Vec<usize>,
}

/// The window functions of the cases.
struct Shape {
    aggregate: String,
    /// Whether it keeps a state per window.
    remembers: bool,
}

type Emitted = (String, Bounds, String);

impl Shape {
    fn values(&self, values: &[i64], sum: i64, count: i64) -> Vec<Json> {
        match self.aggregate.as_str() {
            "sum(value)" => vec![json!(sum)],
            "sum_count(value)" => vec![json!({"sum": sum, "count": count})],
            "collect(value)" => vec![json!(values)],
            "each(value)" => values.iter().map(|v| json!(v)).collect(),
            "none" => vec![],
            other => {
                let listed = other.strip_prefix("const(").and_then(|rest| rest.strip_suffix(')')).expect("an aggregate");
                listed.split('|').map(|word| json!(word)).collect()
            }
        }
    }

    fn emit(&self, values: Vec<Json>, context: &mut WindowContext<'_, String, u64, Emitted>) {
        if self.remembers {
            *context.state.get_or_insert_default() += 1;
        }
        let (key, window) = (context.key().clone(), context.window());
        values.into_iter().for_each(|value| context.emit((key.clone(), window, value.to_string())));
    }
}

impl WindowFunction<String, [Record<Event>]> for Shape {
    type Out = Emitted;
    type State = u64;

    fn process(&mut self, records: &[Record<Event>], context: &mut WindowContext<'_, String, u64, Emitted>) -> Result<(), Error> {
        let values: Vec<i64> = records.iter().map(|r| r.value.value).collect();
        let sum = records.iter().map(|r| r.value.sign * r.value.value).sum();
        let count = records.iter().map(|r| r.value.sign).sum();
        self.emit(self.values(&values, sum, count), context);
        Ok(())
    }
}

/// A sum and a count.
impl WindowFunction<String, (i64, i64)> for Shape {
    type Out = Emitted;
    type State = u64;

    fn process(&mut self, (sum, count): &(i64, i64), context: &mut WindowContext<'_, String, u64, Emitted>) -> Result<(), Error> {
        self.emit(self.values(&[], *sum, *count), context);
        Ok(())
    }
}

/// Why a case is skipped, if it is.
pub fn left_out(op: &Json, input: &[Json]) -> Option<&'static str> {
    if op["emit_mode"] == "retract" {
        return Some("updates of results are a matter of SQL");
    }
    if op["restores_watermark"] == true && input.iter().any(|step| !step["checkpoint_restore"].is_null()) {
        return Some("it expects the watermark to be restored, as SQL does");
    }
    if Assign::read(op).is_none() {
        return Some("windows that there are not");
    }
    Fires::read(op).is_none().then_some("a trigger that there is not")
}

/// Runs a case: with an accumulator if `incremental`, otherwise with all records kept. With `restores`, also restores after every step.
pub fn run(op: &Json, input: &[Json], incremental: bool, restores: bool) -> Outcome {
    let shape = || Shape { aggregate: op["aggregate"].as_str().unwrap().to_owned(), remembers: op["window_user_state"] == true };
    if incremental {
        let add = |acc: &mut (i64, i64), event: &Event| *acc = (acc.0 + event.sign * event.value, acc.1 + event.sign);
        let merge = |acc: &mut (i64, i64), other: &(i64, i64)| *acc = (acc.0 + other.0, acc.1 + other.1);
        let sum = || Fold::new((0, 0), add, merge);
        drive(op, input, restores, || Aggregated::new(sum(), shape()))
    } else {
        drive(op, input, restores, || Collected::new(Evicts::read(op), Every(shape())))
    }
}

fn drive<C>(op: &Json, input: &[Json], restores: bool, contents: impl Fn() -> C) -> Outcome
where
    C: Contents<String, Event, Out = Emitted>,
{
    let clock = Clock::manual(0);
    let late = op["late"] == "side_output";
    let script = Rc::new(Cell::new(None::<Json>));
    let new = |script: Option<Json>| {
        let trigger = script.map_or_else(|| Fires::read(op).unwrap(), Fires::Script);
        let spec = WindowSpec {
            assigner: Assign::read(op).unwrap(),
            trigger,
            contents: contents(),
            time: if op["time"] == "processing" { TimeDomain::Processing } else { TimeDomain::Event },
            lateness: duration(&op["allowed_lateness"]),
        };
        let mut context = Context::new(Default::default(), clock.clone());
        let logic = WindowLogic::new(|event: &Event| event.key.clone(), spec, &mut context).unwrap();
        (logic, context.metrics)
    };
    // Goes through the same steps as writing and reading a snapshot.
    let restore = |logic: &WindowLogic<String, _, Event, Assign, Fires, C>, script: Option<Json>| {
        let (mut restored, metrics) = new(script);
        for (key, windows) in logic.keys().unwrap() {
            let written = serde_json::to_string(&windows).unwrap();
            restored.restore(&key, serde_json::from_str(&written).unwrap()).unwrap();
        }
        (restored, metrics)
    };
    let (mut logic, mut metrics) = new(None);
    let (mut out, mut outcome) = (Outbox::default(), Outcome::default());
    let count = |metrics: &OperatorMetrics| if late { 0 } else { metrics.late.get() };
    for (after, step) in input.iter().enumerate() {
        let result = if let Some(event) = step.get("event") {
            let event = Event::read(event, !op["key"].is_null());
            logic.record(Record::new(event.ts, event), &mut out)
        } else if let Some(to) = step["watermark"].as_i64() {
            let result = logic.watermark(Watermark(to), &mut out);
            out.set_watermark(Watermark(to));
            result
        } else if let Some(to) = step["processing_time"].as_i64() {
            clock.set(to);
            logic.advance_clock(to, &mut out)
        } else if let Some(next) = step.get("script") {
            outcome.dropped += count(&metrics);
            script.set(Some(next.clone()));
            (logic, metrics) = restore(&logic, Some(next.clone()));
            Ok(())
        } else {
            outcome.dropped += count(&metrics);
            let now = script.take();
            script.set(now.clone());
            (logic, metrics) = restore(&logic, now);
            out.set_watermark(Watermark::NONE);
            Ok(())
        };
        if result.is_err() {
            outcome.errors.push(after);
        }
        if restores {
            outcome.dropped += count(&metrics);
            let now = script.take();
            script.set(now.clone());
            (logic, metrics) = restore(&logic, now);
        }
        let (main, side) = out.take();
        outcome.outputs.extend(main.into_iter().map(|r| (after, r.value.0, r.value.1, r.value.2, r.time)));
        if late {
            outcome.late.extend(side.into_iter().map(|r| (after, r.value.json)));
        }
    }
    outcome.dropped += count(&metrics);
    outcome
}
