//! Runs a case through the window operator.

use std::sync::Arc;

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
    let mut operator = Operator::new(op, contents);
    let mut outcome = Outcome::default();
    for (after, step) in input.iter().enumerate() {
        if operator.step(step).is_err() {
            outcome.errors.push(after);
        }
        if restores {
            operator.restore();
        }
        let (main, side) = operator.out.take();
        outcome.outputs.extend(main.into_iter().map(|r| (after, r.value.0, r.value.1, r.value.2, r.time)));
        if operator.late {
            outcome.late.extend(side.into_iter().map(|r| (after, r.value.json)));
        }
    }
    outcome.dropped = operator.dropped();
    outcome
}

fn key(event: &Event) -> String {
    event.key.clone()
}

type Windows<C> = WindowLogic<String, fn(&Event) -> String, Event, Assign, Fires, C>;

/// A window operator of a case.
struct Operator<'a, F, C: Contents<String, Event>> {
    op: &'a Json,
    contents: F,
    clock: Clock,
    /// The script of the trigger, if the case has set one.
    script: Option<Json>,
    logic: Windows<C>,
    metrics: Arc<OperatorMetrics>,
    out: Outbox<Emitted, Event>,
    /// Whether late records go into the side output. Otherwise they are dropped.
    late: bool,
    /// The records dropped before the last restore.
    dropped_before: u64,
}

impl<'a, F: Fn() -> C, C: Contents<String, Event, Out = Emitted>> Operator<'a, F, C> {
    fn new(op: &'a Json, contents: F) -> Self {
        let clock = Clock::manual(0);
        let late = op["late"] == "side_output";
        let (logic, metrics) = open(op, &contents, &clock, None);
        Self { op, contents, clock, script: None, logic, metrics, out: Outbox::default(), late, dropped_before: 0 }
    }

    fn step(&mut self, step: &Json) -> Result<(), Error> {
        if let Some(event) = step.get("event") {
            let event = Event::read(event, !self.op["key"].is_null());
            self.logic.record(Record::new(event.ts, event), &mut self.out)
        } else if let Some(to) = step["watermark"].as_i64() {
            let result = self.logic.watermark(Watermark(to), &mut self.out);
            self.out.set_watermark(Watermark(to));
            result
        } else if let Some(to) = step["processing_time"].as_i64() {
            self.clock.set(to);
            self.logic.advance_clock(to, &mut self.out)
        } else if let Some(next) = step.get("script") {
            self.script = Some(next.clone());
            self.restore();
            Ok(())
        } else {
            self.restore();
            self.out.set_watermark(Watermark::NONE);
            Ok(())
        }
    }

    /// Replaces the operator with a new one that has its state, by the steps of writing and reading a snapshot.
    fn restore(&mut self) {
        self.dropped_before = self.dropped();
        let (mut logic, metrics) = open(self.op, &self.contents, &self.clock, self.script.clone());
        for (key, windows) in self.logic.keys().unwrap() {
            let written = serde_json::to_string(&windows).unwrap();
            logic.restore(&key, serde_json::from_str(&written).unwrap()).unwrap();
        }
        (self.logic, self.metrics) = (logic, metrics);
    }

    fn dropped(&self) -> u64 {
        self.dropped_before + if self.late { 0 } else { self.metrics.late.get() }
    }
}

fn open<C>(op: &Json, contents: impl Fn() -> C, clock: &Clock, script: Option<Json>) -> (Windows<C>, Arc<OperatorMetrics>)
where
    C: Contents<String, Event, Out = Emitted>,
{
    let spec = WindowSpec {
        assigner: Assign::read(op).unwrap(),
        trigger: script.map_or_else(|| Fires::read(op).unwrap(), Fires::Script),
        contents: contents(),
        time: if op["time"] == "processing" { TimeDomain::Processing } else { TimeDomain::Event },
        lateness: duration(&op["allowed_lateness"]),
    };
    let mut context = Context::new(Default::default(), clock.clone());
    let logic = WindowLogic::new(key as fn(&Event) -> String, spec, &mut context).unwrap();
    (logic, context.metrics)
}
