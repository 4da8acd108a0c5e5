//! Cases from Flink's own tests, as data (`operators/tests/conformance/state.jsonl`), run against the states and functions of this crate.
//!
//! [`left_out`] says which cases are skipped, and why.

mod process;
mod timers;
mod ttl;

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};
use tidegate_runtime::KeyGroups;

/// The cases of an area that can be expressed.
fn cases(area: &str) -> Vec<Json> {
    let text = include_str!("../../tests/conformance/state.jsonl");
    let all: Vec<Json> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let cases: Vec<Json> = all.into_iter().filter(|case| case["area"] == area && left_out(case).is_none()).collect();
    assert!(!cases.is_empty());
    cases
}

/// Why a case can't be expressed.
fn left_out(case: &Json) -> Option<&'static str> {
    if case["op"]["ttl_state"]["visibility"] == "return_expired_if_not_cleaned_up" {
        return Some("what has expired is never returned");
    }
    if case["expected"].as_array()?.iter().any(|e| e["error"] == true) && case["area"] == "broadcast" {
        return Some("there is no current key to ask the context for: the compiler refuses it");
    }
    None
}

/// The expected outputs of each step, in the order they are listed.
fn expected(case: &Json) -> BTreeMap<u64, Vec<Json>> {
    let mut expected: BTreeMap<u64, Vec<Json>> = BTreeMap::new();
    for output in case["expected"].as_array().unwrap() {
        let mut output = output.clone();
        let after = output["after"].as_u64().unwrap();
        output.as_object_mut().unwrap().shift_remove("after");
        expected.entry(after).or_default().push(output);
    }
    expected
}

/// Compares outputs: as a list if their order matters, otherwise as a multiset.
fn same(case: &Json, step: usize, mut actual: Vec<Json>, mut expected: Vec<Json>) {
    if case["ordered"] != true {
        actual.sort_by_key(Json::to_string);
        expected.sort_by_key(Json::to_string);
    }
    assert_eq!(actual, expected, "{} after step {step}", case["name"]);
}

#[test]
fn the_cases_left_out_are_known() {
    let text = include_str!("../../tests/conformance/state.jsonl");
    let left: Vec<Json> = text.lines().map(|line| serde_json::from_str(line).unwrap()).filter(|case| left_out(case).is_some()).collect();
    assert_eq!(left.len(), 8, "{left:#?}");
}

#[test]
fn key_groups() {
    for case in cases("key_groups") {
        for (step, mut expected) in expected(&case) {
            let input = &case["input"][step as usize];
            if let Some([a, b]) = input["intersect"].as_array().map(Vec::as_slice) {
                let bound = |range: &Json, i: usize| range[i].as_u64().unwrap();
                let (start, end) = (bound(a, 0).max(bound(b, 0)), bound(a, 1).min(bound(b, 1)));
                let range = (start <= end).then_some([start, end]);
                assert_eq!(json!({ "range": range }), expected.remove(0));
            } else {
                let of = |name: &str| input["ranges"][name].as_u64().unwrap();
                let (groups, workers) = (KeyGroups::new(of("max_parallelism") as u16), of("parallelism") as usize);
                let ranges: Vec<[u16; 2]> =
                    (0..workers).map(|worker| groups.owned(worker, workers)).map(|r| [r.start, r.end - 1]).collect();
                assert_eq!(json!({ "ranges": ranges }), expected.remove(0), "{}", case["name"]);
            }
        }
    }
}
