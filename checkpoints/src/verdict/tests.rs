//! Verdicts on jobs that have changed since their state was stored.

use serde_json::json;

use super::*;
use crate::test_manifest::{manifest, operator};

fn declared(id: &str, states: &[(&str, &str)]) -> Declared {
    let states = states.iter().map(|(name, schema)| DeclaredState { name: (*name).to_owned(), schema: (*schema).to_owned() }).collect();
    Declared { id: OperatorId::new(id).unwrap(), kind: "window".to_owned(), role: "operator".to_owned(), states }
}

fn stored(operators: Vec<OperatorState>) -> Manifest {
    Manifest { operators, ..manifest(1, 7) }
}

/// Outcome by operator, and whether the restore can go on.
fn outcomes(verdict: &Verdict) -> (Vec<(&str, Outcome)>, bool) {
    (verdict.lines.iter().map(|line| (line.id.as_str(), line.outcome)).collect(), verdict.can_go_on())
}

#[test]
fn operators_are_matched_by_id_wherever_they_stand() {
    let manifest = stored(vec![operator("a", &[("x", "i64"), ("y", "str")], 5), operator("b", &[("x", "i64")], 1)]);
    let verdict =
        judge(&manifest, &[declared("b", &[("x", "i64")]), declared("c", &[]), declared("a", &[("y", "str"), ("x", "i64")])], 128, false);
    assert_eq!(outcomes(&verdict), (vec![("b", Outcome::Restored), ("c", Outcome::New), ("a", Outcome::Restored)], true));
    assert!(verdict.lines.iter().all(|line| line.notes.is_empty()));
}

#[test]
fn state_of_another_schema_is_refused_and_both_are_shown() {
    let verdict = judge(&stored(vec![operator("a", &[("x", "i64")], 5)]), &[declared("a", &[("x", "(i64, f64)")])], 128, true);
    assert_eq!(outcomes(&verdict), (vec![("a", Outcome::Refused)], false));
    assert_eq!(verdict.lines[0].notes, ["state `x` is stored as i64 but declared as (i64, f64)"]);
}

#[test]
fn an_operator_that_became_another_is_refused() {
    let now = |kind: &str, role: &str| Declared { kind: kind.to_owned(), role: role.to_owned(), ..declared("a", &[("x", "i64")]) };
    for other in [now("pattern", "operator"), now("window", "sink")] {
        let verdict = judge(&stored(vec![operator("a", &[("x", "i64")], 5)]), &[other], 128, true);
        assert_eq!(outcomes(&verdict), (vec![("a", Outcome::Refused)], false));
        assert!(verdict.lines[0].notes[0].contains("it was a window (operator)"), "{verdict}");
    }
}

#[test]
fn state_that_nothing_claims_is_dropped_only_if_that_is_allowed() {
    let manifest = stored(vec![operator("a", &[("x", "i64"), ("y", "i64")], 5), operator("gone", &[], 1)]);
    let job = [declared("a", &[("x", "i64")])];
    let refused = judge(&manifest, &job, 128, false);
    assert_eq!(outcomes(&refused), (vec![("a", Outcome::Refused), ("gone", Outcome::Refused)], false));
    assert!(refused.lines[0].notes[0].contains("`y` isn't declared any more"), "{refused}");
    let allowed = judge(&manifest, &job, 128, true);
    assert_eq!(outcomes(&allowed), (vec![("a", Outcome::Restored), ("gone", Outcome::Dropped)], true));
    assert_eq!(allowed.lines[0].notes, ["state `y` is dropped"]);
}

#[test]
fn positions_and_committables_are_state_too() {
    let mut source = operator("logins", &[], 0);
    source.parts[0].list = vec![json!({"offset": 3})];
    let manifest = stored(vec![source]);
    assert_eq!(outcomes(&judge(&manifest, &[], 128, false)), (vec![("logins", Outcome::Refused)], false));
    assert_eq!(outcomes(&judge(&manifest, &[], 128, true)), (vec![("logins", Outcome::Dropped)], true));
}

#[test]
fn what_kept_nothing_is_in_nobodys_way() {
    let manifest = stored(vec![operator("a", &[("x", "i64")], 0), operator("gone", &[("x", "i64")], 0)]);
    let changed = Declared { kind: "pattern".to_owned(), ..declared("a", &[("x", "str")]) };
    assert_eq!(outcomes(&judge(&manifest, &[changed], 128, false)), (vec![("a", Outcome::Restored), ("gone", Outcome::Dropped)], true));
}

#[test]
fn key_groups_must_be_the_same() {
    let verdict = judge(&stored(vec![]), &[], 256, true);
    assert_eq!((verdict.key_groups, verdict.can_go_on()), (Some((128, 256)), false));
    assert!(verdict.to_string().contains("cut into 128 key groups, the job into 256"), "{verdict}");
}

#[test]
fn a_verdict_is_a_table() {
    let mut source = operator("logins", &[], 0);
    source.kind = "file".to_owned();
    source.parts[0].list = vec![json!(1), json!(2)];
    let manifest = stored(vec![source.clone(), operator("per_hour", &[("x", "i64")], 12_034)]);
    let logins = Declared { kind: "file".to_owned(), ..declared("logins", &[]) };
    let verdict = judge(&manifest, &[logins, declared("per_hour", &[("x", "f64"), ("y", "i64")]), declared("alerts", &[])], 128, false);
    let table = "\
operator  kind    stored         verdict
logins    file    2 items        restored
per_hour  window  12034 entries  refused
  state `x` is stored as i64 but declared as f64
  state `y` is new and begins empty
alerts    window  -              new
The restore can't go on.";
    assert_eq!(verdict.to_string(), table);
    assert!(judge(&manifest, &[], 128, true).to_string().ends_with("The restore can go on."));
}
