//! One case: its events, and its pattern with conditions in CEL.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use tidegate_cep::pattern::{Body, Step};
use tidegate_cep::{AfterMatch, Candidate, Condition, Contiguity, Inner, Judge, Pattern, SkipTo, Times};
use tidegate_expr::Expr;
use tidegate_rows::{Row, Schema, Type, Value};
use tidegate_runtime::Error;
use tidegate_runtime::state::Stored;

/// An event: its number in the case and its fields.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    pub index: usize,
    pub key: String,
    pub tie: Value,
    fields: Vec<Value>,
    map: Value,
}

impl Stored for Event {
    const SCHEMA: &'static str = "event/1";
}

pub enum Entry {
    Event(i64, Event),
    Watermark(i64),
}

pub struct Case {
    pub name: String,
    pub json: Json,
    pub entries: Vec<Entry>,
    pub pattern: Pattern<Cel>,
    pub grouping_inferred: bool,
    pub event_time: bool,
    pub restores: BTreeSet<usize>,
}

/// A condition in CEL. One that names a step sees the events matched so far, by step, as lists of maps.
#[derive(Clone, Debug)]
pub struct Cel {
    expr: Expr,
    steps: Option<Vec<String>>,
}

impl Condition for Cel {
    fn is_iterative(&self) -> bool {
        self.steps.is_some()
    }
}

impl Judge<Event> for Cel {
    fn holds(&self, candidate: &Candidate<'_, Event>) -> Result<bool, Error> {
        let mut values = candidate.event.fields.clone();
        for step in self.steps.iter().flatten() {
            values.push(Value::list(candidate.matched.of(step).into_iter().map(|event| event.map.clone())));
        }
        self.expr.test(&values.into_iter().collect::<Row>()).map_err(|e| Error::user(e.to_string()))
    }
}

fn value(json: Option<&Json>) -> Value {
    match json {
        Some(Json::String(text)) => Value::string(text),
        Some(Json::Number(n)) => n.as_i64().map_or_else(|| Value::Double(n.as_f64().unwrap()), Value::Int),
        Some(Json::Bool(b)) => Value::Bool(*b),
        _ => Value::Null,
    }
}

fn duration(json: &Json) -> Duration {
    let Some(text) = json.as_str() else { return Duration::from_millis(json.as_u64().unwrap()) };
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "ms" => 1,
        "s" => 1_000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        other => panic!("unit {other}"),
    };
    Duration::from_millis(digits.parse::<u64>().unwrap() * unit)
}

fn parsed<T: for<'de> Deserialize<'de> + Default>(json: Option<&Json>) -> T {
    json.map(|json| serde_json::from_value(json.clone()).unwrap()).unwrap_or_default()
}

struct Reader {
    fields: Vec<String>,
    steps: Vec<String>,
}

impl Reader {
    fn condition(&self, json: &Json) -> Cel {
        let source = json.as_str().unwrap();
        let any = |names: &[String]| names.iter().map(|name| (name.clone(), Type::Any)).collect::<Vec<_>>();
        let schema = Schema::new(any(&self.fields));
        if let Ok(expr) = Expr::condition(source, &schema) {
            return Cel { expr, steps: None };
        }
        let schema = Schema::new(any(&self.fields).into_iter().chain(any(&self.steps)));
        let expr = Expr::condition(source, &schema).unwrap_or_else(|problems| panic!("{source}: {problems:?}"));
        Cel { expr, steps: Some(self.steps.clone()) }
    }

    fn steps(&self, json: &Json) -> Vec<Step<Cel>> {
        json.as_array().unwrap().iter().map(|json| self.step(json)).collect()
    }

    fn step(&self, json: &Json) -> Step<Cel> {
        let contiguity: Contiguity = parsed(json.get("contiguity"));
        let mut step = Step::new(json["name"].as_str().unwrap(), contiguity);
        step.body = match json.get("group").or(json.get("steps")) {
            Some(group) => Body::Group(self.steps(group)),
            None => Body::Event(json.get("where").map(|c| self.condition(c))),
        };
        step.times = json.get("times").map(|times| Times {
            min: times["min"].as_u64().unwrap() as u32,
            max: times.get("max").map(|max| max.as_u64().unwrap() as u32),
            within: times.get("within").map(duration),
        });
        step.optional = parsed(json.get("optional"));
        step.greedy = parsed(json.get("greedy"));
        step.inner = parsed::<Inner>(json.get("inner"));
        step.until = json.get("until").map(|c| self.condition(c));
        step.within = json.get("within").map(duration);
        step
    }
}

fn after_match(json: &Json) -> AfterMatch {
    if let Some(name) = json.as_str() {
        return match name {
            "no_skip" => AfterMatch::NoSkip,
            "skip_to_next" => AfterMatch::SkipToNext,
            "skip_past_last_event" => AfterMatch::SkipPastLastEvent,
            other => panic!("{other}"),
        };
    }
    let or_fail = json.get("throw").is_some_and(|t| t == true);
    let to = |name: &Json| SkipTo { step: name.as_str().unwrap().into(), or_fail };
    json.get("skip_to_first").map_or_else(|| AfterMatch::SkipToLast(to(&json["skip_to_last"])), |name| AfterMatch::SkipToFirst(to(name)))
}

fn names(steps: &Json, into: &mut Vec<String>) {
    for step in steps.as_array().unwrap() {
        match step.get("group").or(step.get("steps")) {
            Some(group) => names(group, into),
            None => into.push(step["name"].as_str().unwrap().to_owned()),
        }
    }
}

impl Case {
    pub fn read(line: &str) -> Self {
        let json: Json = serde_json::from_str(line).unwrap();
        let events: Vec<_> = json["events"].as_array().unwrap().iter().map(|e| e.as_object().unwrap()).collect();
        let fields: BTreeSet<String> = events.iter().filter(|e| !e.contains_key("watermark")).flat_map(|e| e.keys().cloned()).collect();
        let fields: Vec<String> = fields.into_iter().collect();
        let (key, tie) = (json.get("key").and_then(Json::as_str), json.get("tie_break").and_then(Json::as_str));
        let mut entries = Vec::new();
        let mut index = 0;
        for event in events {
            if let Some(watermark) = event.get("watermark") {
                entries.push(Entry::Watermark(watermark.as_i64().unwrap()));
                continue;
            }
            let event_values = fields.iter().map(|name| value(event.get(name))).collect();
            let made = Event {
                index,
                key: key.map_or_else(String::new, |key| event[key].to_string()),
                tie: tie.map_or(Value::Null, |tie| value(event.get(tie))),
                fields: event_values,
                map: Value::map(event.iter().map(|(name, v)| (Value::string(name), value(Some(v))))),
            };
            entries.push(Entry::Event(event["ts"].as_i64().unwrap(), made));
            index += 1;
        }
        let shape = &json["pattern"];
        let mut steps = Vec::new();
        names(&shape["steps"], &mut steps);
        let reader = Reader { fields, steps };
        let mut pattern = Pattern::new(reader.steps(&shape["steps"]));
        pattern.within = shape.get("within").map(duration);
        pattern.after_match = after_match(&shape["after_match"]);
        Self {
            name: json["name"].as_str().unwrap().to_owned(),
            entries,
            pattern,
            grouping_inferred: json.get("grouping").is_some_and(|g| g == "inferred"),
            event_time: json.get("order").is_some_and(|o| o == "event_time"),
            restores: parsed(json.get("restore_before_entry")),
            json,
        }
    }
}
