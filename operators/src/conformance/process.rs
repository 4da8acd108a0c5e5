//! Process functions of one and of two inputs, and broadcast state, with a change of parallelism in between. Which instance a key goes to
//! is not compared: Flink hashes keys in its own way.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use tidegate_runtime::operator::{Context, Logic, Outbox};
use tidegate_runtime::state::{Frozen, SharedMap, States, Stored, ValueState};
use tidegate_runtime::{Clock, Error, KeyGroups, Record, Watermark, stable_hash};

use super::{cases, expected, same};
use crate::broadcast::{BroadcastContext, BroadcastLogic, BroadcastProcessFunction, Copy};
use crate::connect::{Both, CoProcessFunction};
use crate::either::Either;
use crate::process::{ProcessContext, ProcessLogic, Timer};

/// An event: its key, its value, and its commands. Kept as text, so that it can be stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Event {
    key: String,
    value: String,
    commands: Option<String>,
}

impl Stored for Event {
    const SCHEMA: &'static str = "event/1";
}

fn plain(value: &Json) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A function that does what the case says.
struct Script {
    op: Json,
    clock: Clock,
    state: Option<ValueState<String, String>>,
}

type Rules = SharedMap<String, String>;

impl Script {
    fn actions(&self, input: &str) -> Vec<Json> {
        self.op["on"][input].as_array().cloned().unwrap_or_default()
    }

    fn of(&self, event: &Event, input: &str) -> Vec<Json> {
        event.commands.as_ref().map_or_else(|| self.actions(input), |commands| serde_json::from_str(commands).unwrap())
    }

    fn inputs(&self, i: usize) -> String {
        self.op["inputs"][i].as_str().unwrap().to_owned()
    }

    fn state(&self) -> &ValueState<String, String> {
        self.state.as_ref().unwrap()
    }

    fn text(&self, template: &str, value: &str, context: &ProcessContext<'_, String, String>) -> String {
        let mut text = fill(template, value, context.time(), context.watermark());
        text = text.replace("{processing_time}", &self.clock.now().to_string()).replace("{key}", context.key());
        if text.contains("{state}") {
            text = text.replace("{state}", &self.state().get(context.key()).unwrap().unwrap_or_else(|| "null".to_owned()));
        }
        text
    }

    fn run(&self, actions: &[Json], value: &str, rules: &Rules, context: &mut ProcessContext<'_, String, String>) {
        for action in actions {
            let (what, with) = action.as_object().unwrap().iter().next().unwrap();
            let moment = |with: &Json, context: &ProcessContext<'_, String, String>| match with.as_str() {
                None => with.as_i64().unwrap(),
                Some(text) => {
                    let (base, plus) = text.split_once('+').unwrap();
                    plus.parse::<i64>().unwrap() + if base == "watermark" { context.watermark().0 } else { self.clock.now() }
                }
            };
            let key = context.key().clone();
            match what.as_str() {
                "emit" => context.emit(self.text(with.as_str().unwrap(), value, context)),
                "register_event_timer" => context.set_event_timer(moment(with, context)),
                "register_processing_timer" => context.set_clock_timer(moment(with, context)),
                "delete_event_timer" => context.delete_event_timer(moment(with, context)),
                "delete_processing_timer" => context.delete_clock_timer(moment(with, context)),
                "set_state" => self.state().set(&key, self.text(with.as_str().unwrap(), value, context)).unwrap(),
                "clear_state" => _ = self.state().remove(&key).unwrap(),
                "if_state_empty" => {
                    let branch = if self.state().get(&key).unwrap().is_none() { "then" } else { "else" };
                    self.run(with[branch].as_array().unwrap(), value, rules, context);
                }
                "emit_broadcast_entries" => rules.iter().for_each(|(name, rule)| context.emit(format!("{name}={rule}"))),
                "emit_broadcast_map" => {
                    let sorted: BTreeMap<_, _> = rules.iter().collect();
                    let entries: String = sorted.iter().map(|(name, rule)| format!(" {name}={rule}")).collect();
                    context.emit(self.text(with.as_str().unwrap(), value, context) + &entries);
                }
                other => panic!("an action {other}"),
            }
        }
    }

    fn timer(&self, timer: Timer, rules: &Rules, context: &mut ProcessContext<'_, String, String>) {
        let name = if let Timer::Event(_) = timer { "on_event_timer" } else { "on_processing_timer" };
        self.run(&self.op[name].as_array().cloned().unwrap_or_default(), "", rules, context);
    }
}

fn fill(template: &str, value: &str, time: i64, watermark: Watermark) -> String {
    let time = if time == Record::UNTIMED { "null".to_owned() } else { time.to_string() };
    let text = template.replace("{value}", value).replace("{ts}", &time).replace("{timestamp}", &time);
    text.replace("{watermark}", &watermark.0.to_string())
}

impl CoProcessFunction<String, Event, Event> for Script {
    type Out = String;

    fn open(&mut self, states: &mut States) -> Result<(), Error> {
        self.state = Some(states.value("state")?);
        Ok(())
    }

    fn process_first(&mut self, event: Event, context: &mut ProcessContext<'_, String, String>) -> Result<(), Error> {
        self.run(&self.of(&event, &self.inputs(0)), &event.value, &Rules::default(), context);
        Ok(())
    }

    fn process_second(&mut self, event: Event, context: &mut ProcessContext<'_, String, String>) -> Result<(), Error> {
        self.run(&self.of(&event, &self.inputs(1)), &event.value, &Rules::default(), context);
        Ok(())
    }

    fn on_timer(&mut self, timer: Timer, context: &mut ProcessContext<'_, String, String>) -> Result<(), Error> {
        self.timer(timer, &Rules::default(), context);
        Ok(())
    }
}

impl BroadcastProcessFunction<String, Event, Event> for Script {
    type Out = String;
    type Name = String;
    type Rule = String;

    fn open(&mut self, states: &mut States) -> Result<(), Error> {
        self.state = Some(states.value("state")?);
        Ok(())
    }

    fn process(&mut self, event: Event, rules: &Rules, context: &mut ProcessContext<'_, String, String>) -> Result<(), Error> {
        self.run(&self.of(&event, "keyed"), &event.value, rules, context);
        Ok(())
    }

    fn process_broadcast(&mut self, event: Event, rules: &mut Rules, context: &mut BroadcastContext<'_, String>) -> Result<(), Error> {
        for action in self.of(&event, "broadcast") {
            let (what, with) = action.as_object().unwrap().iter().next().unwrap();
            let text = |template: &Json| fill(template.as_str().unwrap(), &event.value, context.time(), context.watermark());
            match what.as_str() {
                "emit" => {
                    let text = text(with);
                    context.emit(text);
                }
                "broadcast_put" => rules.insert(text(&with["key"]), event.value.clone()),
                "broadcast_put_all" => {
                    with.as_array().unwrap().iter().for_each(|name| rules.insert(text(name), event.value.clone()));
                }
                other => panic!("an action {other}"),
            }
        }
        Ok(())
    }

    fn on_timer(&mut self, timer: Timer, rules: &Rules, context: &mut ProcessContext<'_, String, String>) -> Result<(), Error> {
        self.timer(timer, rules, context);
        Ok(())
    }
}

/// One instance of an operator.
struct Instance<L> {
    logic: L,
    states: States,
    out: Outbox<String, ()>,
}

/// All instances of an operator, and what its inputs have come to.
struct Operator<'a, L, M, I> {
    op: &'a Json,
    groups: KeyGroups,
    clock: Clock,
    make: M,
    /// Makes a record of an event: of the input, the instance and the event.
    input: I,
    inputs: Vec<&'a str>,
    watermarks: Vec<i64>,
    reached: i64,
    instances: Vec<Instance<L>>,
}

impl<'a, L, M, I> Operator<'a, L, M, I>
where
    L: Logic<Out = String, Side = ()>,
    M: Fn(&Clock, &mut Context) -> L,
    I: Fn(usize, usize, Event) -> L::In,
{
    fn new(op: &'a Json, make: M, input: I) -> Self {
        let groups = KeyGroups::new(op["max_parallelism"].as_u64().unwrap_or(128) as u16);
        let inputs: Vec<&str> = op["inputs"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
        let watermarks = vec![i64::MIN; inputs.len()];
        let clock = Clock::manual(0);
        let mut operator = Self { op, groups, clock, make, input, inputs, watermarks, reached: i64::MIN, instances: Vec::new() };
        operator.open(op["parallelism"].as_u64().unwrap_or(1) as usize, &[]);
        operator
    }

    fn open(&mut self, workers: usize, former: &[Frozen]) {
        let instance = |worker| {
            let mut context = Context::new(Default::default(), self.clock.clone());
            let logic = (self.make)(&self.clock, &mut context);
            context.states.alone(self.groups, self.groups.owned(worker, workers), former).unwrap();
            Instance { logic, states: context.states, out: Outbox::default() }
        };
        self.instances = (0..workers).map(instance).collect();
    }

    /// Does one step of the input. Returns the watermark if it was passed on.
    fn step(&mut self, action: &Json) -> Option<i64> {
        let from = action.get("event").unwrap_or(action).get("input");
        let from = from.map_or(0, |name| self.inputs.iter().position(|input| name == input).unwrap());
        if let Some(event) = action.get("event") {
            self.event(from, event);
        } else if let Some(watermark) = action["watermark"].as_i64() {
            return self.watermark(from, watermark);
        } else if let Some(now) = action["processing_time"].as_i64() {
            self.clock.set(now);
            for instance in &mut self.instances {
                instance.logic.clock(now, &mut instance.out).unwrap();
            }
        } else {
            let workers = action["rescale"]["parallelism"].as_u64().map_or(self.instances.len(), |workers| workers as usize);
            let former: Vec<Frozen> = self.instances.iter_mut().map(|instance| instance.states.snapshot().unwrap()).collect();
            self.open(workers, &former);
        }
        None
    }

    fn event(&mut self, from: usize, event: &Json) {
        let time = event["ts"].as_i64().unwrap_or(Record::UNTIMED);
        let commands = event.get("do").map(Json::to_string);
        let value = Event { value: plain(&event["value"]), commands, key: plain(&event["key"]) };
        let owner = self.groups.owner(self.groups.group(stable_hash(&value.key)), self.instances.len());
        let owner = event["subtask"].as_u64().map_or(owner, |subtask| subtask as usize);
        for (worker, instance) in self.instances.iter_mut().enumerate() {
            if self.inputs[from] == "broadcast" || worker == owner {
                let record = Record::new(time, (self.input)(from, worker, value.clone()));
                instance.logic.record(record, &mut instance.out).unwrap();
            }
        }
    }

    fn watermark(&mut self, from: usize, watermark: i64) -> Option<i64> {
        self.watermarks[from] = watermark;
        let least = *self.watermarks.iter().min().unwrap();
        if least <= self.reached {
            return None;
        }
        self.reached = least;
        for instance in &mut self.instances {
            instance.out.set_watermark(Watermark(least));
            instance.logic.watermark(Watermark(least), &mut instance.out).unwrap();
        }
        Some(least)
    }

    /// The outputs since the last call.
    fn outputs(&mut self) -> Vec<Json> {
        let records = self.instances.iter_mut().flat_map(|instance| instance.out.take().0);
        let output = |record: Record<String>| {
            let time = (record.time != Record::UNTIMED && self.op["no_timestamps"] != true).then_some(record.time);
            json!({ "value": record.value, "ts": time })
        };
        records.map(output).collect()
    }
}

fn run<L: Logic<Out = String, Side = ()>>(
    case: &Json,
    make: impl Fn(&Clock, &mut Context) -> L,
    input: impl Fn(usize, usize, Event) -> L::In,
) {
    let op = &case["op"]["process"];
    let mut operator = Operator::new(op, make, input);
    let mut expected = expected(case);
    for (step, action) in case["input"].as_array().unwrap().iter().enumerate() {
        let passed_on = operator.step(action).filter(|_| op["show_watermarks"] == true);
        let mut outputs = operator.outputs();
        outputs.extend(passed_on.map(|watermark| json!({ "watermark": watermark })));
        let mut wanted = expected.remove(&(step as u64)).unwrap_or_default();
        wanted.iter_mut().for_each(|output| _ = output.as_object_mut().unwrap().shift_remove("subtask"));
        same(case, step, outputs, wanted);
    }
    assert!(expected.is_empty());
}

fn script(case: &Json, clock: &Clock) -> Script {
    Script { op: case["op"]["process"].clone(), clock: clock.clone(), state: None }
}

#[test]
fn process() {
    for case in cases("process") {
        let key = |event: &Either<Event, Event>| match event {
            Either::Left(event) | Either::Right(event) => event.key.clone(),
        };
        let make = |clock: &Clock, context: &mut Context| ProcessLogic::new(key, Both(script(&case, clock)), context).unwrap();
        run(&case, make, |input, _, event| if input == 0 { Either::Left(event) } else { Either::Right(event) });
    }
}

#[test]
fn broadcast() {
    for case in cases("broadcast") {
        let key = |event: &Event| event.key.clone();
        let make = |clock: &Clock, context: &mut Context| BroadcastLogic::new(key, script(&case, clock), context).unwrap();
        run(&case, make, |input, worker, value| if input == 0 { Either::Left(value) } else { Either::Right(Copy { worker, value }) });
    }
}
