//! Cases of assigners and triggers on their own.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};
use tidegate_operators::window::{Assigner, Bounds, Decision, StandardState, StandardTrigger, Trigger, TriggerContext, WindowTimers};

use crate::case::{Assign, Event, bounds, standard, tagged, window};

fn windows(assign: &mut Assign, event: &Event, time: i64) -> Result<Vec<Bounds>, String> {
    let mut found = Vec::new();
    assign.assign(event, time, &mut found).map_err(|e| e.to_string())?;
    found.sort();
    Ok(found)
}

fn pair(window: Bounds) -> Json {
    if window == Bounds::GLOBAL { Json::Null } else { json!([window.start, window.end]) }
}

/// The windows of single moments. `None` if the case is skipped.
pub fn assign(op: &Json, input: &[Json]) -> Option<Vec<Json>> {
    if op["zone"].is_string() || op["sql_first_window"] == true {
        return None;
    }
    let (mut now, mut found) = (0, Vec::new());
    for (after, step) in input.iter().enumerate() {
        if let Some(definition) = step.get("construct") {
            let refused = window(definition)?.is_err();
            found.push(if refused { json!({"after": after, "error": true}) } else { json!({"after": after, "ok": true}) });
        } else if let Some(to) = step["processing_time"].as_i64() {
            now = to;
        } else {
            let event = Event::read(&step["assign"], true);
            let time = if op["time"] == "processing" { now } else { event.ts };
            found.push(match windows(&mut Assign::read(op)?, &event, time) {
                Ok(windows) => json!({"after": after, "windows": windows.into_iter().map(pair).collect::<Vec<_>>()}),
                Err(_) => json!({"after": after, "error": true}),
            });
        }
    }
    Some(found)
}

/// The windows of a finite input.
pub fn groups(op: &Json, input: &[Json]) -> Option<Vec<Json>> {
    let mut assign = Assign::read(op)?;
    if assign.merges() {
        // In these cases, sessions that only touch do not merge.
        return None;
    }
    let mut groups: BTreeMap<Bounds, Vec<i64>> = BTreeMap::new();
    for time in input[0]["timestamps"].as_array()?.iter().filter_map(Json::as_i64) {
        for window in windows(&mut assign, &Event::read(&json!({}), true), time).ok()? {
            groups.entry(window).or_default().push(time);
        }
    }
    let shown = |(window, mut times): (Bounds, Vec<i64>)| {
        times.sort_unstable();
        json!({"after": 0, "window_start": window.start, "window_end": window.end, "timestamps": times})
    };
    Some(groups.into_iter().map(shown).collect())
}

/// A trigger and the windows it has seen.
struct Bench {
    trigger: StandardTrigger,
    windows: BTreeMap<Bounds, (StandardState, WindowTimers)>,
    watermark: i64,
    now: i64,
}

impl Bench {
    fn on<R>(&mut self, window: Bounds, act: impl FnOnce(&mut StandardTrigger, &mut StandardState, &mut TriggerContext<'_>) -> R) -> R {
        let (state, timers) = self.windows.entry(window).or_default();
        act(&mut self.trigger, state, &mut TriggerContext::new(window, self.watermark, self.now, timers))
    }

    fn fire(&mut self, window: Bounds, time: i64, by_clock: bool) -> Decision {
        let decision = self.on(window, |trigger, state, cx| {
            if by_clock {
                Trigger::<()>::on_processing_time(trigger, time, state, cx)
            } else {
                Trigger::<()>::on_event_time(trigger, time, state, cx)
            }
        });
        decision.unwrap()
    }

    /// Removes and returns the due timers: all are removed before any fires.
    fn due(&mut self, to: i64, by_clock: bool) -> Vec<(i64, Bounds)> {
        let mut due = Vec::new();
        for (window, (_, timers)) in &mut self.windows {
            let times = if by_clock { timers.clock() } else { timers.event() };
            due.extend(times.iter().filter(|t| **t <= to).map(|t| (*t, *window)));
        }
        for (time, window) in &due {
            self.on(*window, |_, _, cx| if by_clock { cx.delete_clock_timer(*time) } else { cx.delete_event_timer(*time) });
        }
        due.sort();
        due
    }

    fn timers(&self, name: &str) -> Json {
        let (kind, of) = name.split_once('@').unwrap_or((name, ""));
        let of: Option<Json> = serde_json::from_str(of).ok();
        let counted = self.windows.iter().filter(|(window, _)| of.as_ref().is_none_or(|of| bounds(of) == **window));
        let count = |(_, timers): &(StandardState, WindowTimers)| match kind {
            "event_timers" => timers.event().len(),
            _ => timers.clock().len(),
        };
        json!(counted.map(|(_, of_window)| count(of_window)).sum::<usize>())
    }
}

fn word(decision: Decision) -> &'static str {
    match decision {
        Decision::Continue => "CONTINUE",
        Decision::Fire => "FIRE",
        Decision::Purge => "PURGE",
        Decision::FireAndPurge => "FIRE_AND_PURGE",
    }
}

/// Runs a trigger on its own. Counts of state entries are skipped: the state of a trigger is a single value here.
pub fn trigger(spec: &Json, input: &[Json], expected: &[Json]) -> Option<Vec<Json>> {
    let mut bench = Bench { trigger: standard(spec)?, windows: BTreeMap::new(), watermark: i64::MIN, now: i64::MIN };
    let mut found = Vec::new();
    for (after, step) in input.iter().enumerate() {
        let (kind, what) = tagged(step);
        match kind {
            "element" => {
                let (window, ts) = (bounds(&what["window"]), what["ts"].as_i64().unwrap_or(i64::MIN));
                let decision = bench.on(window, |trigger, state, cx| trigger.on_element(&(), ts, state, cx)).unwrap();
                found.push(json!({"after": after, "window": pair(window), "result": word(decision)}));
            }
            "watermark" | "processing_time" => {
                let (to, by_clock) = (what.as_i64()?, kind == "processing_time");
                *(if by_clock { &mut bench.now } else { &mut bench.watermark }) = to;
                for (time, window) in bench.due(to, by_clock) {
                    let decision = bench.fire(window, time, by_clock);
                    found.push(json!({"after": after, "window": pair(window), "timer": time, "result": word(decision)}));
                }
            }
            "merge" => {
                let sources: Vec<Bounds> = what["sources"].as_array()?.iter().map(bounds).collect();
                let states: Vec<_> = sources.iter().filter_map(|w| Some(bench.windows.get(w)?.0.clone())).collect();
                bench.on(bounds(&what["target"]), |trigger, state, cx| Trigger::<()>::on_merge(trigger, &states, state, cx)).unwrap();
                for source in sources {
                    bench.on(source, Trigger::<()>::clear);
                }
            }
            "clear" => bench.on(bounds(what), Trigger::<()>::clear),
            _ => {
                let (window, time) = (bounds(&what["window"]), what["time"].as_i64()?);
                let decision = bench.fire(window, time, false);
                found.push(json!({"after": after, "window": pair(window), "timer": time, "result": word(decision)}));
            }
        }
        for check in expected.iter().filter(|e| e["after"] == after && !e["check"].is_null()) {
            let counted = check["check"].as_object()?.iter().filter(|(name, _)| name.contains("timers"));
            let counted: serde_json::Map<_, _> = counted.map(|(name, _)| (name.clone(), bench.timers(name))).collect();
            found.push(json!({"after": after, "check": counted}));
        }
    }
    Some(found)
}
