//! The cases of `tests/data/windows.jsonl`; the README next to it describes them.
//!
//! Every window operator runs four times: with all records kept and with an accumulator, each with and without a restore after every step.
//! Skipped cases are listed with the reason.

#![allow(clippy::unwrap_used, reason = "a case that can't be read is a failed test")]

mod case;
#[path = "../../../tests/harness/conformance.rs"]
mod conformance;
mod drive;
mod joins;
mod units;

use std::collections::BTreeMap;

use drive::{Outcome, Output};
use serde_json::{Value as Json, json};
use tidegate_operators::window::Bounds;
use tidegate_runtime::Record;

fn sorted<T: Ord>(mut list: Vec<T>) -> Vec<T> {
    list.sort();
    list
}

/// What the case expects of a window operator.
fn expected(case: &Json) -> Outcome {
    let step = |json: &Json| json["after"].as_u64().unwrap() as usize;
    let mut outcome = Outcome { dropped: case["dropped"].as_u64().unwrap(), ..Outcome::default() };
    for out in case["expected"].as_array().into_iter().flatten().filter(|out| out["check"].is_null()) {
        if out["error"] == true {
            outcome.errors.push(step(out));
            continue;
        }
        let (start, end) = (out["window_start"].as_i64(), out["window_end"].as_i64());
        let window = start.zip(end).map_or(Bounds::GLOBAL, |(start, end)| Bounds { start, end });
        // The cases' end of time is no event time here.
        let time = if window == Bounds::GLOBAL { Record::UNTIMED } else { out["ts"].as_i64().unwrap() };
        outcome.outputs.push((step(out), out["key"].to_string(), window, out["value"].to_string(), time));
    }
    let event = |late: &Json| json!([late["key"], late["value"], late["ts"]]).to_string();
    outcome.late = case["late"].as_array().unwrap().iter().map(|late| (step(late), event(late))).collect();
    outcome
}

fn window_operator(case: &Json) -> Result<(), String> {
    let (op, input) = (&case["op"], case["input"].as_array().unwrap());
    let want = expected(case);
    let aggregate = op["aggregate"].as_str().unwrap();
    let lists = aggregate.starts_with("each") || aggregate.starts_with("collect");
    let incremental = op["evictor"].is_null() && !lists;
    for (incremental, restores) in
        [(false, false), (false, true), (true, false), (true, true)].into_iter().filter(|(i, _)| incremental || !i)
    {
        let mut have = drive::run(op, input, incremental, restores);
        for late in &mut have.late {
            let json: Json = serde_json::from_str(&late.1).unwrap();
            late.1 = json!([json["key"], json["value"], json["ts"]]).to_string();
        }
        let run = format!("incremental {incremental}, restores {restores}");
        if !case["expected"].is_null() {
            let (want, have): (Vec<Output>, Vec<Output>) = (sorted(want.outputs.clone()), sorted(have.outputs));
            if want != have {
                return Err(format!("{run}: want {want:?}, have {have:?}"));
            }
        }
        if want.errors != have.errors || sorted(want.late.clone()) != sorted(have.late.clone()) || want.dropped != have.dropped {
            return Err(format!("{run}: want {want:?}, have late {:?} dropped {} errors {:?}", have.late, have.dropped, have.errors));
        }
    }
    Ok(())
}

/// Checks a join: its results, its late records and their number.
fn join(case: &Json, (found, late, dropped): joins::Outcome) -> Result<(), String> {
    let listed = |list: &Json| {
        let without = |entry: &Json| {
            let after = entry["after"].as_u64().unwrap() as usize;
            let mut fields: BTreeMap<String, Json> = serde_json::from_value(entry.clone()).unwrap();
            fields.remove("after");
            (after, fields)
        };
        list.as_array().into_iter().flatten().filter(|e| e["check"].is_null()).map(without).collect()
    };
    let shown = |list: Vec<(usize, BTreeMap<String, Json>)>| sorted(list.into_iter().map(|entry| format!("{entry:?}")).collect());
    let made = |list: joins::Found| shown(list.into_iter().map(|(after, json)| (after, serde_json::from_value(json).unwrap())).collect());
    let want = (shown(listed(&case["expected"])), shown(listed(&case["late"])), case["dropped"].as_u64().unwrap());
    let have = (made(found), made(late), dropped);
    if want == have { Ok(()) } else { Err(format!("want {want:?}, have {have:?}")) }
}

/// Runs a case. Returns the reason if it is skipped, and an error if it fails.
fn check(case: &Json) -> Result<Option<&'static str>, String> {
    let (op, input) = (&case["op"], case["input"].as_array().unwrap());
    let all = case["expected"].as_array().cloned().unwrap_or_default();
    let (shape, spec) = op.as_object().and_then(|op| op.iter().next()).unwrap();
    let (found, reason) = match shape.as_str() {
        "assign" => (units::assign(spec, input), "a local time zone, a stagger, slices of SQL"),
        "window_groups" => (units::groups(spec, input), "sessions that only touch are one"),
        "trigger_unit" => (units::trigger(spec, input, &all), "a trigger that there is not"),
        "key" | "window" if !op["window"].is_null() => {
            return match drive::left_out(op, input) {
                None => window_operator(case).map(|()| None),
                reason => Ok(reason),
            };
        }
        "interval_join" => return join(case, joins::interval(spec, input, &all)).map(|()| None),
        "window_join" => return join(case, joins::windowed(spec, input)).map(|()| None),
        "merging_set" => return Ok(Some("it asks where merged content lies")),
        _ => return Ok(Some("a matter of SQL or Beam")),
    };
    let Some(found) = found else { return Ok(Some(reason)) };
    let shown = |list: Vec<Json>| {
        let without = |mut entry: Json| {
            if let Some(check) = entry.get_mut("check").and_then(Json::as_object_mut) {
                check.retain(|name, _| name.contains("timers"));
            }
            entry.as_object().unwrap().iter().map(|(k, v)| (k.clone(), v.to_string())).collect::<BTreeMap<_, _>>()
        };
        sorted(list.into_iter().map(without).collect())
    };
    let (want, have) = (shown(all), shown(found));
    if want == have { Ok(None) } else { Err(format!("want {want:?}, have {have:?}")) }
}

#[test]
fn every_case_passes() {
    let (mut failed, mut passed) = (Vec::new(), 0);
    let mut left_out: BTreeMap<&str, usize> = BTreeMap::new();
    for line in include_str!("../data/windows.jsonl").lines() {
        let case: Json = serde_json::from_str(line).unwrap();
        match check(&case) {
            Ok(None) => passed += 1,
            Ok(Some(reason)) => *left_out.entry(reason).or_default() += 1,
            Err(difference) => failed.push(format!("{}: {difference}", case["name"])),
        }
    }
    assert!(failed.is_empty(), "{} of {} failed, left out {left_out:?}:\n{}", failed.len(), failed.len() + passed, failed.join("\n"));
    assert_eq!((passed, left_out.values().sum::<usize>()), (159, 58), "{left_out:?}");
}

#[test]
fn cases_kept_elsewhere_pass() {
    let mut failed = Vec::new();
    for (place, line) in conformance::elsewhere("windows") {
        let case: Json = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{place}: {e}"));
        if let Err(difference) = check(&case) {
            failed.push(format!("{place}: {}: {difference}", case["name"]));
        }
    }
    assert!(failed.is_empty(), "{} failed:\n{}", failed.len(), failed.join("\n"));
}
