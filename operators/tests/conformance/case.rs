//! One case, and its translation to the types of this crate.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use tidegate_operators::window::{
    Assigner, Bounds, Decision, Evictor, InvalidWindow, StandardState, StandardTrigger, Trigger, TriggerContext, Window,
};
use tidegate_runtime::state::Stored;
use tidegate_runtime::{Error, Record};

/// An event as given in the case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    pub json: String,
    pub key: String,
    pub value: i64,
    /// -1 for a row that retracts another.
    pub sign: i64,
    pub ts: i64,
    /// The windows of the event, where the case gives them.
    pub windows: Vec<Bounds>,
}

impl Stored for Event {
    const SCHEMA: &'static str = "event/1";
}

impl Event {
    pub fn read(json: &Json, keyed: bool) -> Self {
        let windows = json["windows"].as_array().into_iter().flatten().map(bounds).collect();
        let sign = if matches!(json["op"].as_str(), Some("-U" | "-D")) { -1 } else { 1 };
        Self {
            json: json.to_string(),
            key: if keyed { json["key"].to_string() } else { String::from("null") },
            value: json["value"].as_i64().unwrap_or_default(),
            sign,
            ts: json["ts"].as_i64().unwrap_or(Record::UNTIMED),
            windows,
        }
    }
}

pub fn bounds(json: &Json) -> Bounds {
    if json.is_null() { Bounds::GLOBAL } else { Bounds { start: json[0].as_i64().unwrap(), end: json[1].as_i64().unwrap() } }
}

/// Parses a duration, in milliseconds.
pub fn duration(json: &Json) -> i64 {
    let Some(text) = json.as_str() else { return json.as_i64().unwrap_or_default() };
    let unit = text.find(|c: char| c.is_ascii_alphabetic()).unwrap();
    let factor = match &text[unit..] {
        "ms" => 1,
        "s" => 1_000,
        "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        other => panic!("no unit: {other}"),
    };
    text[..unit].parse::<i64>().unwrap() * factor
}

/// A length. Negative ones become zero, which is rejected just as well.
pub fn length(json: &Json) -> Duration {
    Duration::from_millis(u64::try_from(duration(json)).unwrap_or(0))
}

/// The one entry of a mapping, or a bare word.
pub fn tagged(json: &Json) -> (&str, &Json) {
    match json {
        Json::String(word) => (word, &Json::Null),
        Json::Object(map) => map.iter().next().map(|(tag, value)| (tag.as_str(), value)).unwrap(),
        other => panic!("no tag: {other}"),
    }
}

/// A window definition; `None` if Tidegate has no such window.
pub fn window(json: &Json) -> Option<Result<Window, InvalidWindow>> {
    let (kind, w) = tagged(json);
    Some(match kind {
        "tumbling" if w["stagger"].is_null() => Window::tumbling(length(&w["size"]), duration(&w["offset"])),
        "sliding" if w["sql_slicing"].is_null() && w["max_windows"].is_null() => {
            Window::sliding(length(&w["size"]), length(&w["slide"]), duration(&w["offset"]))
        }
        "session" => Window::session(length(&w["gap"])),
        "cumulative" => Window::cumulative(length(&w["max_size"]), length(&w["step"]), duration(&w["offset"])),
        "global" => Ok(Window::global()),
        _ => return None,
    })
}

/// The assigners of the cases.
pub enum Assign {
    Plain(Window),
    Dynamic(Vec<(Json, i64)>),
    Points { gap: i64, point: i64 },
    Given { merges: bool },
}

impl Assign {
    pub fn read(op: &Json) -> Option<Self> {
        let (kind, w) = tagged(&op["window"]);
        Some(match kind {
            "session_dynamic" => {
                Self::Dynamic(w["gap_by"].as_array()?.iter().map(|rule| (rule["when"].clone(), duration(&rule["gap"]))).collect())
            }
            "session_points" => Self::Points { gap: duration(&w["gap"]), point: w["point_value"].as_i64()? },
            // Scripted windows that never merge are ordinary windows.
            "scripted" if op["merging"] != "scripted" => Self::Given { merges: op["merging"] == "touching" },
            _ => Self::Plain(window(&op["window"])?.unwrap()),
        })
    }
}

impl Assigner<Event> for Assign {
    fn assign(&mut self, event: &Event, time: i64, windows: &mut Vec<Bounds>) -> Result<bool, Error> {
        match self {
            Self::Plain(window) => return window.assign(event, time, windows),
            Self::Dynamic(rules) => {
                let json: Json = serde_json::from_str(&event.json).unwrap();
                let fits = |when: &Json| when.as_object().unwrap().iter().all(|(field, value)| json[field] == *value);
                let gap = rules.iter().find(|(when, _)| fits(when)).unwrap().1;
                return tidegate_operators::window::DynamicSession::new(move |_: &Event| Ok(Some(gap))).assign(event, time, windows);
            }
            Self::Points { gap, point } => {
                windows.push(Bounds { start: time, end: if event.value == *point { time } else { time + *gap } })
            }
            Self::Given { .. } => windows.extend(&event.windows),
        }
        Ok(true)
    }

    fn form(&self) -> String {
        String::from("of the case")
    }

    fn merges(&self) -> bool {
        match self {
            Self::Plain(window) => Assigner::<Event>::merges(window),
            Self::Dynamic(_) | Self::Points { .. } => true,
            Self::Given { merges } => *merges,
        }
    }

    fn ends(&self) -> bool {
        if let Self::Plain(window) = self { Assigner::<Event>::ends(window) } else { true }
    }
}

pub fn standard(json: &Json) -> Option<StandardTrigger> {
    let (kind, value) = tagged(json);
    Some(match kind {
        "never" => StandardTrigger::never(),
        // For the global window, the end of the stream is the end of the window.
        "event_time" | "end_of_stream" => StandardTrigger::event_time(),
        "processing_time" => StandardTrigger::processing_time(),
        "count" => StandardTrigger::count(value.as_u64()?),
        "continuous" => StandardTrigger::every(length(value)).unwrap(),
        "continuous_processing_time" => StandardTrigger::every_processing(length(value)).unwrap(),
        "purging" => standard(value)?.purging(),
        "processing_timeout" => {
            let flag = |name: &str, default: bool| value[name].as_bool().unwrap_or(default);
            let (restart, clear) = (flag("reset_on_element", false), flag("clear_on_timeout", true));
            standard(&value["inner"])?.or_after(length(&value["timeout"]), restart, clear).unwrap()
        }
        _ => return None,
    })
}

/// The triggers of the cases.
pub enum Fires {
    Standard(StandardTrigger),
    /// At every record and timer.
    Always,
    /// At the window's end and this much later, purging.
    EndAnd(i64),
    /// As scripted.
    Script(Json),
}

impl Fires {
    pub fn read(op: &Json) -> Option<Self> {
        let by_default = match (tagged(&op["window"]).0, op["time"].as_str()) {
            ("global", _) => "never",
            (_, Some("processing")) => "processing_time",
            _ => "event_time",
        };
        let given = if op["trigger"].is_null() { Json::from(by_default) } else { op["trigger"].clone() };
        Some(match tagged(&given) {
            ("fire_every", _) => Self::Always,
            ("event_time_gc", more) => Self::EndAnd(more.as_i64()?),
            ("scripted", script) => Self::Script(script.clone()),
            _ => Self::Standard(standard(&given)?),
        })
    }
}

fn decision(json: &Json) -> Decision {
    match json.as_str() {
        None | Some("CONTINUE") => Decision::Continue,
        Some("FIRE") => Decision::Fire,
        Some("PURGE") => Decision::Purge,
        Some("FIRE_AND_PURGE") => Decision::FireAndPurge,
        Some(other) => panic!("no decision: {other}"),
    }
}

/// Sets and deletes the timers that the script lists for a callback.
fn timers(script: &Json, callback: &str, context: &mut TriggerContext<'_>) {
    let end = context.window().last().saturating_add(1);
    let times = |what: &str| -> Vec<i64> {
        let listed = script[format!("{callback}_{what}")].as_array().into_iter().flatten();
        listed.map(|t| if t == "window_end" { end } else { t.as_i64().unwrap() }).collect()
    };
    times("event_timers").into_iter().for_each(|t| context.set_event_timer(t));
    times("processing_timers").into_iter().for_each(|t| context.set_clock_timer(t));
    times("delete_event_timers").into_iter().for_each(|t| context.delete_event_timer(t));
    times("delete_processing_timers").into_iter().for_each(|t| context.delete_clock_timer(t));
}

impl Trigger<Event> for Fires {
    type State = StandardState;

    fn form(&self) -> String {
        String::from("of the case")
    }

    fn on_element(&mut self, event: &Event, ts: i64, state: &mut StandardState, cx: &mut TriggerContext<'_>) -> Result<Decision, Error> {
        let end = cx.window().last();
        Ok(match self {
            Self::Standard(trigger) => return trigger.on_element(event, ts, state, cx),
            Self::Always => Decision::Fire,
            Self::EndAnd(_) if end <= cx.watermark() => Decision::Fire,
            Self::EndAnd(_) => {
                cx.set_event_timer(end);
                Decision::Continue
            }
            Self::Script(script) => {
                timers(script, "on_element", cx);
                decision(&script["on_element"])
            }
        })
    }

    fn on_event_time(&mut self, time: i64, state: &mut StandardState, cx: &mut TriggerContext<'_>) -> Result<Decision, Error> {
        let end = cx.window().last();
        Ok(match self {
            Self::Standard(trigger) => return Trigger::<Event>::on_event_time(trigger, time, state, cx),
            Self::Always => Decision::Fire,
            Self::EndAnd(more) if time == end || time == end + *more => Decision::FireAndPurge,
            Self::EndAnd(_) => Decision::Continue,
            Self::Script(script) if !script["on_event_time_at"].is_null() => decision(&script["on_event_time_at"][time.to_string()]),
            Self::Script(script) => decision(&script["on_event_time"]),
        })
    }

    fn on_processing_time(&mut self, time: i64, state: &mut StandardState, cx: &mut TriggerContext<'_>) -> Result<Decision, Error> {
        Ok(match self {
            Self::Standard(trigger) => return Trigger::<Event>::on_processing_time(trigger, time, state, cx),
            Self::Always => Decision::Fire,
            Self::EndAnd(_) => Decision::Continue,
            Self::Script(script) => decision(&script["on_processing_time"]),
        })
    }

    fn on_merge(&mut self, merged: &[StandardState], state: &mut StandardState, cx: &mut TriggerContext<'_>) -> Result<(), Error> {
        match self {
            Self::Standard(trigger) => Trigger::<Event>::on_merge(trigger, merged, state, cx)?,
            Self::Script(script) => timers(script, "merge", cx),
            Self::Always | Self::EndAnd(_) => {}
        }
        Ok(())
    }

    fn clear(&mut self, state: &mut StandardState, cx: &mut TriggerContext<'_>) {
        match self {
            Self::Standard(trigger) => Trigger::<Event>::clear(trigger, state, cx),
            Self::Script(script) => timers(script, "clear", cx),
            Self::Always | Self::EndAnd(_) => {}
        }
    }
}

/// The evictors of the cases.
pub struct Evicts(pub Option<Box<dyn Evictor<Event>>>);

impl Evicts {
    pub fn read(op: &Json) -> Self {
        use tidegate_operators::window::{CountEvictor, DeltaEvictor, EvictAfter, TimeEvictor};
        fn placed(evictor: impl Evictor<Event>, after: bool) -> Box<dyn Evictor<Event>> {
            if after { Box::new(EvictAfter(evictor)) } else { Box::new(evictor) }
        }
        if op["evictor"].is_null() {
            return Self(None);
        }
        let (kind, e) = tagged(&op["evictor"]);
        let after = e["after"].as_bool().unwrap_or(false);
        Self(Some(match kind {
            "count" => placed(CountEvictor(e["n"].as_u64().unwrap() as usize), after),
            "time" => placed(TimeEvictor(length(&e["size"])), after),
            "delta" => {
                let difference = |event: &Event, last: &Event| (last.value - event.value) as f64;
                placed(DeltaEvictor::new(difference, e["threshold"].as_f64().unwrap()), after)
            }
            other => panic!("no evictor: {other}"),
        }))
    }
}

impl Evictor<Event> for Evicts {
    fn describe(&self) -> String {
        String::from("of the case")
    }

    fn before(&mut self, records: &mut Vec<Record<Event>>) -> Result<(), Error> {
        self.0.as_mut().map_or(Ok(()), |evictor| evictor.before(records))
    }

    fn after(&mut self, records: &mut Vec<Record<Event>>) -> Result<(), Error> {
        self.0.as_mut().map_or(Ok(()), |evictor| evictor.after(records))
    }
}
