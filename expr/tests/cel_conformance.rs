//! The official CEL conformance cases through the code of `tidegate eval --batch`.
//!
//! Cases that are known not to pass are listed with the reason. The test fails if another case fails, and if a listed one passes.

#[path = "../../tests/harness/conformance.rs"]
mod conformance;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value as Json, json};
use tidegate_expr::eval_batch_line;

/// Cases that do not pass, `file/name`, by reason.
const KNOWN: &[(&str, &[&str])] = &[(
    "the last second of the year 9999 stands for never, and is the last instant there is: what lies before it is a duration",
    &["timestamps/timestamp_range/sub_time_duration_under"],
)];

/// A typed value in a form that compares as the specification demands: NaN equals itself, the zeros differ, maps have no order.
fn normal(typed: &Json) -> Option<Json> {
    let (kind, value) = typed.as_object()?.iter().next()?;
    Some(match kind.as_str() {
        "double" => {
            let v = value.as_str().map_or_else(|| value.as_f64(), |text| text.parse().ok())?;
            json!({ "double": if v.is_nan() { "NaN".into() } else { format!("{v:?}") } })
        }
        "list" => json!({ "list": value.as_array()?.iter().map(normal).collect::<Option<Vec<_>>>()? }),
        "map" => {
            let entry = |pair: &Json| Some(json!([normal(pair.get(0)?)?, normal(pair.get(1)?)?]).to_string());
            json!({ "map": value.as_array()?.iter().map(entry).collect::<Option<BTreeSet<_>>>()? })
        }
        "duration" => json!({ "duration": value.as_str()?.trim_end_matches('s').parse::<f64>().ok()? }),
        _ => typed.clone(),
    })
}

fn passes(case: &Json) -> Result<(), String> {
    let answer = eval_batch_line(&case.to_string());
    let have: Json = serde_json::from_str(&answer).expect("an answer is JSON");
    let want = &case["expect"];
    let ok = if want.get("error").is_some() {
        have.get("error").is_some()
    } else {
        let wanted = want.get("value").cloned().unwrap_or(json!({ "bool": true }));
        have.get("value").is_some_and(|value| normal(value).is_some() && normal(value) == normal(&wanted))
    };
    if ok { Ok(()) } else { Err(format!("{}\n  want {want}\n  have {answer}", case["expr"])) }
}

#[test]
fn every_case_passes_or_is_known_not_to() {
    let known: BTreeMap<&str, &str> = KNOWN.iter().flat_map(|(reason, names)| names.iter().map(move |name| (*name, *reason))).collect();
    let mut wrong = Vec::new();
    let mut cases = 0;
    for line in include_str!("data/cel.jsonl").lines() {
        let case: Json = serde_json::from_str(line).unwrap();
        let name = format!("{}/{}", case["file"].as_str().unwrap(), case["name"].as_str().unwrap());
        cases += 1;
        match (passes(&case), known.get(name.as_str())) {
            (Ok(()), Some(reason)) => wrong.push(format!("{name} passes, though listed: {reason}")),
            (Err(difference), None) => wrong.push(format!("{name}: {difference}")),
            _ => {}
        }
    }
    assert!(cases > 900, "only {cases} cases");
    assert!(wrong.is_empty(), "{} of {cases}:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn cases_kept_elsewhere_pass() {
    let known: BTreeSet<&str> = KNOWN.iter().flat_map(|(_, names)| names.iter().copied()).collect();
    let mut wrong = Vec::new();
    for (place, line) in conformance::elsewhere("cel") {
        let case: Json = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{place}: {e}"));
        let name = format!("{}/{}", case["file"].as_str().unwrap_or_default(), case["name"].as_str().unwrap_or_default());
        if let Err(difference) = passes(&case)
            && !known.contains(name.as_str())
        {
            wrong.push(format!("{place}: {name}: {difference}"));
        }
    }
    assert!(wrong.is_empty(), "{} failed:\n{}", wrong.len(), wrong.join("\n"));
}
