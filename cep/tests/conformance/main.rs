//! The cases of `tests/data/cep.jsonl`: see the README beside it.
//!
//! Cases that are known to fail are listed with the reason. The test fails if another case fails, or if a listed one passes.

#![allow(clippy::unwrap_used, reason = "a case that can't be read is a failed test")]

mod case;
#[path = "../../../tests/harness/conformance.rs"]
mod conformance;
mod drive;

use std::collections::BTreeMap;

use case::Case;
use serde_json::Value as Json;

/// Cases that fail, with the reason.
const KNOWN: &[(&str, &str)] = &[];

/// The multiset of matches, counted. A match is steps with the indices of their events.
type Counted = BTreeMap<String, i64>;

fn counted(case: &Case, matches: impl IntoIterator<Item = BTreeMap<String, Vec<usize>>>) -> Counted {
    let mut counted = Counted::new();
    for steps in matches {
        let text = if case.grouping_inferred {
            let mut all: Vec<usize> = steps.into_values().flatten().collect();
            all.sort_unstable();
            format!("{all:?}")
        } else {
            format!("{steps:?}")
        };
        *counted.entry(text).or_default() += 1;
    }
    counted
}

fn wanted(list: &Json) -> Vec<BTreeMap<String, Vec<usize>>> {
    serde_json::from_value(list.clone()).unwrap()
}

fn difference(what: &str, want: &Counted, have: &Counted) -> Option<String> {
    let missing: Vec<_> = want.iter().filter(|(m, n)| have.get(*m).is_none_or(|h| h < n)).collect();
    let surplus: Vec<_> = have.iter().filter(|(m, n)| want.get(*m).is_none_or(|w| w < n)).collect();
    (want != have).then(|| format!("{what}: missing {missing:?}, surplus {surplus:?}"))
}

fn check(case: &Case) -> Result<(), String> {
    check_with(case, false)?;
    check_with(case, true).map_err(|why| format!("one by one: {why}"))
}

fn check_with(case: &Case, one_by_one: bool) -> Result<(), String> {
    let json = &case.json;
    let result = drive::run(case, one_by_one);
    if let Some(error) = json.get("error") {
        let error = error.as_str().unwrap();
        let part = if error == "skip_target_missing" { "no event" } else { "first one" };
        return match result {
            Err(have) if have.contains(part) => Ok(()),
            other => Err(format!("error: want {error}, have {other:?}")),
        };
    }
    let outcome = result.map_err(|error| format!("failed: {error}"))?;
    let mut differences = Vec::new();
    for (what, have) in [("matches", &outcome.matches), ("timeouts", &outcome.timeouts)] {
        if let Some(list) = json.get(what).filter(|list| !list.is_null()) {
            let have = counted(case, have.iter().map(|m| m.steps.clone()));
            differences.extend(difference(what, &counted(case, wanted(list)), &have));
        }
    }
    for (what, have) in [("match_ts", &outcome.matches), ("timeout_ts", &outcome.timeouts)] {
        if let Some(times) = json.get(what) {
            let mut times: Vec<i64> = serde_json::from_value(times.clone()).unwrap();
            let mut have: Vec<i64> = have.iter().map(|m| m.time).collect();
            times.sort_unstable();
            have.sort_unstable();
            if times != have {
                differences.push(format!("{what}: want {times:?}, have {have:?}"));
            }
        }
    }
    for (what, have) in [("open_partials", outcome.open), ("buffered_events", outcome.events)] {
        if let Some(want) = json.get(what).and_then(Json::as_u64)
            && want != have as u64
        {
            differences.push(format!("{what}: want {want}, have {have}"));
        }
    }
    if let Some(late) = json.get("late") {
        let mut late: Vec<usize> = serde_json::from_value(late.clone()).unwrap();
        late.sort_unstable();
        if late != outcome.late {
            differences.push(format!("late: want {late:?}, have {:?}", outcome.late));
        }
    }
    if differences.is_empty() { Ok(()) } else { Err(differences.join("; ")) }
}

#[test]
fn all_cases_pass_but_those_listed() {
    let text = include_str!("../data/cep.jsonl");
    let mut wrong = Vec::new();
    let (mut passed, mut total) = (0, 0);
    for line in text.lines() {
        let case = Case::read(line);
        let known = KNOWN.iter().find(|(name, _)| *name == case.name);
        let result = check(&case);
        total += 1;
        passed += usize::from(result.is_ok());
        match (result, known) {
            (Ok(()), None) | (Err(_), Some(_)) => {}
            (Ok(()), Some(_)) => wrong.push(format!("{} passes, but is listed", case.name)),
            (Err(why), None) => wrong.push(format!("{}: {why}\n    {}", case.name, case.json["pattern"])),
        }
    }
    println!("{passed} of {total} pass");
    assert!(wrong.is_empty(), "{}\n{} cases", wrong.join("\n"), wrong.len());
}

#[test]
fn cases_kept_elsewhere_pass() {
    let mut wrong = Vec::new();
    for (place, line) in conformance::elsewhere("cep") {
        let case = Case::read(&line);
        if let Err(why) = check(&case) {
            wrong.push(format!("{place}: {}: {why}\n    {}", case.name, case.json["pattern"]));
        }
    }
    assert!(wrong.is_empty(), "{}\n{} cases", wrong.join("\n"), wrong.len());
}
