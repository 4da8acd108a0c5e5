//! Verdicts on jobs that have changed since their state was stored.

use serde_json::json;

use super::*;
use crate::test_manifest::{manifest, operator};

fn declared(id: &str, states: &[(&str, &str)]) -> Declared {
    let states =
        states.iter().map(|(name, schema)| DeclaredState { name: (*name).to_owned(), schema: (*schema).to_owned(), fields: Vec::new() });
    Declared {
        id: OperatorId::new(id).unwrap(),
        kind: "window".to_owned(),
        role: "operator".to_owned(),
        basis: Basis::default(),
        states: states.collect(),
        list_schema: None,
        objections: Vec::new(),
        unknown: None,
    }
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
    let notes = &verdict.lines[0].notes;
    assert_eq!(notes[0], "state `x` is stored as i64 but declared as (i64, f64)");
    assert!(notes[1].contains("another name") && notes[1].contains("--allow-dropped-state"), "{verdict}");
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
    assert!(refused.lines.iter().all(|line| line.notes[1].contains("--allow-dropped-state")), "{refused}");
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
  to begin without that state, give it another name (or another `uid`), and leave what is stored behind by `--allow-dropped-state`
alerts    window  -              new
The restore can't go on.";
    assert_eq!(verdict.to_string(), table);
    assert!(judge(&manifest, &[], 128, true).to_string().ends_with("The restore can go on."));
}

fn fields(of: &[(&str, &str)]) -> Vec<Field> {
    of.iter().map(|(name, is)| Field::new(*name, *is)).collect()
}

/// The verdict on an operator whose one state has these parts by name.
fn of_fields(stored_as: &[(&str, &str)], now: &[(&str, &str)], allow_dropped: bool) -> Line {
    let mut operator = operator("a", &[("x", "aggregates"), ("y", "aggregates")], 5);
    operator.states.iter_mut().for_each(|state| state.fields = fields(stored_as));
    let mut job = declared("a", &[("x", "aggregates"), ("y", "aggregates")]);
    job.states.iter_mut().for_each(|state| state.fields = fields(now));
    judge(&stored(vec![operator]), &[job], 128, allow_dropped).lines.remove(0)
}

#[test]
fn parts_are_matched_by_name_and_new_ones_start_now() {
    let (total, last, n) = (("total", "sum(x: int)"), ("last", "max(ts: int)"), ("n", "count()"));
    for (was, now) in [(vec![total], vec![total]), (vec![total, n], vec![n, total])] {
        let line = of_fields(&was, &now, false);
        assert_eq!((line.outcome, line.changes.len()), (Outcome::Restored, 0));
    }
    let line = of_fields(&[total], &[last, total], false);
    assert_eq!((line.outcome, line.becomes()), (Outcome::Migrated, "migrated: `last` starts now".to_owned()));
}

#[test]
fn parts_that_are_gone_or_something_else_go_only_if_that_is_allowed() {
    let (total, other, n) = (("total", "sum(x: int)"), ("total", "sum(y: int)"), ("n", "count()"));
    let refused = of_fields(&[total, n], &[n], false);
    assert_eq!(refused.outcome, Outcome::Refused);
    assert_eq!(refused.notes, ["`total` is stored, and not computed any more", "`--allow-dropped-state` drops it"]);
    assert_eq!(of_fields(&[total, n], &[n], true).becomes(), "migrated: `total` is dropped");
    let refused = of_fields(&[total], &[other], false);
    assert_eq!(refused.outcome, Outcome::Refused);
    assert_eq!(refused.notes[0], "`total` is stored as sum(x: int), and is sum(y: int) now");
    assert!(refused.notes[1].contains("another name") && refused.notes[1].contains("--allow-dropped-state"));
    assert_eq!(of_fields(&[total], &[other], true).becomes(), "migrated: `total` was sum(x: int) and starts now as sum(y: int)");
}

/// The verdict on an operator that rested on one thing and rests on another now.
fn of_basis(was: Basis, now: Basis) -> Line {
    let operator = OperatorState { basis: was, ..operator("a", &[("x", "i64")], 5) };
    let job = Declared { basis: now, ..declared("a", &[("x", "i64")]) };
    judge(&stored(vec![operator]), &[job], 128, true).lines.remove(0)
}

#[test]
fn state_of_another_key_or_other_records_is_refused() {
    let key = |of: &[(&str, &str)]| Basis { key: Some(fields(of)), ..Basis::default() };
    let records = |of: &[(&str, &str)]| Basis { records: Some(fields(of)), ..Basis::default() };
    let form = |of: &str| Basis { form: Some(of.to_owned()), ..Basis::default() };
    let (int, string, ip) = (("user", "int"), ("user", "string"), ("ip", "string"));
    for (was, now) in [
        (key(&[int]), key(&[string])),
        (key(&[string]), key(&[ip])),
        (key(&[string, ip]), key(&[ip, string])),
        (key(&[]), key(&[ip])),
        (records(&[string, ip]), records(&[ip, string])),
        (records(&[string]), records(&[int])),
        (records(&[string, ip]), records(&[string])),
        (form("a then b"), form("a")),
    ] {
        let line = of_basis(was, now);
        assert_eq!(line.outcome, Outcome::Refused);
        assert!(line.notes.last().unwrap().contains("another name"), "{:?}", line.notes);
    }
    // Further fields stand behind, and are null in what is stored; what isn't known isn't compared.
    for (was, now) in [(records(&[string]), records(&[string, ip])), (Basis::default(), key(&[int])), (key(&[int]), Basis::default())] {
        assert_eq!(of_basis(was, now).outcome, Outcome::Restored);
    }
}

#[test]
fn what_an_operator_reads_may_change_with_a_warning() {
    let reads = |of: &[&str]| Basis { reads: Some(of.iter().map(|text| (*text).to_owned()).collect()), ..Basis::default() };
    let line = of_basis(reads(&["where a", "where b"]), reads(&["where a", "where c"]));
    assert_eq!(line.outcome, Outcome::Restored);
    assert!(line.notes[0].starts_with("warning") && line.notes[0].contains("`where b` became `where c`"), "{:?}", line.notes);
    assert!(of_basis(reads(&["where a"]), reads(&["where a"])).notes.is_empty());
    assert!(of_basis(reads(&["a", "b"]), reads(&["b", "a"])).notes[0].contains("`a, b` became `b, a`"));
}

#[test]
fn an_operator_may_object_to_what_is_stored() {
    let job = Declared { objections: vec!["it reads topic b".to_owned()], ..declared("a", &[("x", "i64")]) };
    let verdict = judge(&stored(vec![operator("a", &[("x", "i64")], 5)]), &[job], 128, true);
    assert_eq!((verdict.lines[0].outcome, verdict.can_go_on()), (Outcome::Refused, false));
    assert_eq!(verdict.lines[0].notes, ["it reads topic b"]);
}
